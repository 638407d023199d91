"""python -m tests.cluster.golden: write the golden scripts anew. Read the difference before you commit it."""

from __future__ import annotations

from tests.cluster.golden import HERE, scripts

for left in HERE.glob("*.sh"):
    left.unlink()
for name, text in scripts().items():
    (HERE / name).write_text(text, "utf-8")
