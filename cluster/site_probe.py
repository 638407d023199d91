"""`python -m cluster.site_probe FOLDER [SCRATCH]`, run by `rjobs site check --submit` as a job: what a node is like."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from cluster.shell import call


def main(folder: Path, scratch: str) -> None:
    """Writes FOLDER/probe.json."""
    seen = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "host": platform.node(),
        "interfaces": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "scratch": scratch,
        "scratch_writable": _writable(scratch),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        "nvidia_smi": _counted(),
    }
    (folder / "probe.json").write_text(json.dumps(seen), "utf-8")


def _counted() -> int | None:
    """GPUs that the driver shows; None without its tool."""
    answer = call(["nvidia-smi", "--list-gpus"])
    return None if answer.code == 127 else len([line for line in answer.stdout.splitlines() if line.startswith("GPU ")])


def _writable(scratch: str) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=os.path.expandvars(scratch) or None):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
