"""The site file of a lab."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

Kind = Literal["slurm", "lsf"]


def settings(kind: Kind, folder: Path) -> dict[str, Any]:
    """What schemas.site.Site needs for that lab: two make-believe nodes on loopback."""
    request = "gres" if kind == "slurm" else "gpu"
    return {
        "name": f"lab-{kind}",
        "kind": kind,
        "shared": str(folder / "shared"),
        "interface": "lo",
        "setup": ["export OMP_NUM_THREADS=1"],
        "cpu": {"queue": "cpu", "cores": 1, "memory": "1GB", "walltime": "00:20"},
        "gpu": {
            "queue": "gpu",
            "cores": 1,
            "memory": "2GB",
            "walltime": "00:20",
            "gpus": 1,
            "gpu_request": request,
            "warn_s": 60,
        },
    }


def changed(site: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """With those keys set, those of a resource within it; None takes a key out."""
    result = dict(site)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = changed(result.get(key) or {}, value) if isinstance(value, Mapping) else value
    return result


def toml(site: Mapping[str, Any]) -> str:
    """As TOML: strings, numbers, lists and tables are written there as in JSON."""
    tables = {key: value for key, value in site.items() if isinstance(value, Mapping)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in site.items() if key not in tables]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"
