"""History of a dataset: its versions with what they cost, and what changed from one to another."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etl.card import identity_in
from etl.tables import tables_in
from schemas.dataset import DatasetVersion, newest_version
from schemas.dataset import versions as whole_versions
from schemas.errors import RadforgeError
from schemas.manifest import Table
from schemas.runs import runs_of


def history(dataset: Path) -> list[dict[str, Any]]:
    """One row a run, oldest first; versions without a record come first. Raises RadforgeError when there is no dataset."""
    if not dataset.is_dir():
        raise RadforgeError("no such dataset", str(dataset), expected="a folder that `etl run --out` made")
    runs = runs_of(dataset)
    newest = newest_version(dataset)
    rows: list[dict[str, Any]] = [
        {"version": name} for name in whole_versions(dataset) if name not in {run.version for run in runs}
    ]
    rows += [run.model_dump(mode="json") for run in runs]
    for row in rows:
        card = DatasetVersion(dataset / str(row["version"]), str(row["version"])).card
        row["recipe"] = card["recipe"]["name"]
        row["made_from"] = card["parent"]
        row["records"] = card["counts"]["records"]
        row["drops"] = card["counts"]["drops"]
        row["failures"] = card["counts"]["failures"]
        row["newest"] = row["version"] == newest
    return rows


@dataclass(frozen=True)
class Difference:
    """From version A to version B, by film (source_id, frame_index)."""

    a: str
    b: str
    identity: dict[str, tuple[Any, Any]]
    films: dict[str, int]
    fates: dict[str, int]
    changed: list[dict[str, Any]]
    """The films in both that have another fate or other pictures, and what people corrected of them in B."""


def diff(a: DatasetVersion, b: DatasetVersion) -> Difference:
    """What is new, gone, and changed: settings, fates, pictures."""
    fates_a, fates_b = _fates(a), _fates(b)
    both = fates_a.keys() & fates_b.keys()
    pictures = sum(1 for film in both if fates_a[film][0] == fates_b[film][0] == "record" and fates_a[film] != fates_b[film])
    moves = Counter(f"{fates_a[film][0]} -> {fates_b[film][0]}" for film in both if fates_a[film][0] != fates_b[film][0])
    films = {
        "only in A": len(fates_a.keys() - both),
        "only in B": len(fates_b.keys() - both),
        "same": sum(1 for film in both if fates_a[film] == fates_b[film]),
        "same fate, other picture": pictures,
        "other fate": sum(moves.values()),
    }
    flat_a, flat_b = _flat(identity_in(a.card)), _flat(identity_in(b.card))
    identity = {
        key: (flat_a.get(key), flat_b.get(key))
        for key in sorted(flat_a.keys() | flat_b.keys())
        if flat_a.get(key) != flat_b.get(key)
    }
    corrected = _corrected(b)
    changed = [
        {
            "source_id": film[0],
            "frame_index": film[1],
            "a": _told(fates_a[film]),
            "b": _told(fates_b[film]),
            "corrected": corrected.get(film, []),
        }
        for film in sorted(both)
        if fates_a[film] != fates_b[film]
    ]
    return Difference(a.version, b.version, identity, films, dict(moves.most_common()), changed)


def _told(fate: tuple[str, ...]) -> str:
    pictures = len(fate) - 1
    return fate[0] if pictures < 1 else "1 picture" if pictures == 1 else f"{pictures} pictures"


def _corrected(version: DatasetVersion) -> dict[tuple[str, int], list[str]]:
    """What people said of each film of a version otherwise than the steps."""
    if "corrected" not in tables_in(version.folder)["manifest"].schema.names:
        return {}  # of an older radforge
    films: dict[tuple[str, int], list[str]] = {}
    for row in version.table("manifest", ["source_id", "frame_index", "corrected"]).to_pylist():
        known = films.setdefault((row["source_id"], row["frame_index"]), [])
        known += [name for name in row["corrected"] or () if name not in known]
    return films


def _fates(version: DatasetVersion) -> dict[tuple[str, int], tuple[str, ...]]:
    fates: dict[tuple[str, int], tuple[str, ...]] = {}
    tables: tuple[tuple[Table, str, str], ...] = (
        ("failures", "failure", "stage"),
        ("drops", "drop", "reason"),
        ("manifest", "record", "sha256"),
    )
    for table, fate, column in tables:
        rows = version.table(table, ["source_id", "frame_index", column])
        for source_id, frame, value in zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True):
            film = (source_id, frame)
            if fate == "record":
                pictures = fates.get(film, ("record",))
                fates[film] = (*pictures, value) if pictures[0] == "record" else ("record", value)
            else:
                fates[film] = (f"{fate} {value}",)
    return fates


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for name, inner in value.items() for k, v in _flat(inner, f"{prefix}.{name}" if prefix else name).items()}
