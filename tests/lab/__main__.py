"""A lab to try things in: python -m tests.lab slurm|lsf up|down DIR."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.lab import packages, slurm
from tests.lab.lab import QUEUES, Lab


def main() -> int:
    """Bring it up, or end it and remove DIR."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("kind", choices=sorted(QUEUES))
    parser.add_argument("what", choices=("up", "down"))
    parser.add_argument("dir", type=Path)
    asked = parser.parse_args()
    lab = Lab(asked.kind, asked.dir.resolve())
    if asked.what == "down":
        lab.down()
        return 0
    if asked.kind == "slurm" and (why := packages.install()):
        sys.stderr.write(why + "\n")
        return 1
    if lab.folder.exists() and any(lab.folder.iterdir()) and not (lab.folder / "env.sh").exists():
        sys.stderr.write(f"{lab.folder} holds something else: give a new folder\n")
        return 2
    lab.folder.mkdir(parents=True, exist_ok=True)
    try:
        QUEUES[lab.kind].up(lab.folder)
    except slurm.LabError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    exports = "".join(f"export {name}={value}\n" for name, value in lab.env.items() if name != "PATH")
    if lab.kind == "lsf":
        exports += f"export PATH={lab.folder / 'bin'}:$PATH\n"
    (lab.folder / "env.sh").write_text(exports)
    lab.site().replace(lab.folder / "site.toml")
    sys.stdout.write(f". {lab.folder}/env.sh\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
