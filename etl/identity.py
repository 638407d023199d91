"""What a version is, apart from its rows; and what a request was, so that the same one is not built twice."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from etl.card import canonical, software
from etl.corrections import Corrections
from etl.deidentify import Key
from etl.labels import Labels
from etl.shards import Shard
from schemas.manifest import SCHEMA_VERSION
from schemas.recipe import EtlRecipe


def identity_of(
    recipe: EtlRecipe,
    key_fingerprint: str | None,
    labels: str | None,
    parent: str | None = None,
    shard: Shard | None = None,
    corrections: Corrections | None = None,
) -> dict[str, Any]:
    """Everything that can change a pixel or a row. `limits` decide neither and are left out."""
    return {
        "recipe": recipe.model_dump(mode="json", exclude={"limits"}),
        "key_fingerprint": key_fingerprint,
        "labels": labels,
        "corrections": corrections.identity() if corrections else None,
        "parent": parent,
        "schema_version": SCHEMA_VERSION,
        "software": software(),
        "code": code_digest(),
        "machine": platform.machine(),
        "shard": str(shard) if shard is not None else None,
        "merged": None,
    }


def code_digest() -> str:
    """12 hex digits over the code and data of `etl` and `schemas`: the same whether installed or run from a checkout.

    What only training reads is left out: a new training recipe makes no new dataset. So is what only looks at a version.
    """
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent
    files = {
        p.relative_to(root).as_posix(): p
        for package in ("etl", "schemas")
        for p in (root / package).rglob("*")
        if p.suffix in {".py", ".toml"}
    }
    for name in sorted(files):
        if not name.startswith(("schemas/train", "schemas/recipes/train", "etl/report/", "etl/review/")):
            digest.update(name.encode() + b"\0" + files[name].read_bytes())
    return digest.hexdigest()[:12]


def labels_digest(labels: Labels | None, key: Key) -> str | None:
    """A keyed hash of the normalised label file: an unkeyed one could be tried against guessed files."""
    if labels is None:
        return None
    digest = hashlib.sha256(canonical(labels.by))
    for by, values in sorted(labels.rows.items()):
        digest.update(canonical([by, values, labels.splits.get(by)]))
    return key.pseudonym("labels", digest.hexdigest())


def request_of(identity: Mapping[str, Any], inputs: Iterable[tuple[str, int, int]]) -> str:
    """16 hex digits over the settings and (path, size, mtime) of every input; inputs come by path."""
    digest = hashlib.sha256(canonical(identity))
    for name, size, mtime_ns in inputs:
        digest.update(f"{size} {mtime_ns} ".encode() + name.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()[:16]
