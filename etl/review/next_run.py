"""The command that makes the next version of what was seen: that of the version looked at, and the corrections."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from schemas.loading import shipped_names


def next_run(card: Mapping[str, Any], file: str) -> str:
    """For a terminal; ARCHIVE, DATASET and LABELS.csv stand for what a card does not know."""
    parent, name = card.get("parent"), (card.get("recipe") or {}).get("name")
    words = ["etl", "run", f"DATASET@{parent}" if parent else "ARCHIVE", "--out", "DATASET"]
    if name:
        words += ["--recipe", name if name in shipped_names("etl") else f"{name}.toml"]
    if card.get("labels") and not parent:  # a version that is made of another inherits its labels
        words += ["--labels", "LABELS.csv"]
    return shlex.join([*words, "--corrections", file])
