"""`etl verify`: read everything again, hash everything again, build the card again, and name each damaged file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.card import build_card, file_sha256, identity_in, version_name
from etl.store import ACCOUNTED, check_accounting
from etl.tables import StoredTable, Tables, by_source, tables_in
from schemas import manifest
from schemas.dataset import DatasetVersion


@dataclass(frozen=True)
class Damage:
    """A file of a version that is not what it was. `path` is relative to the version."""

    path: str
    what: str


def verify(version: DatasetVersion, reach: Callable[[int, int], None] = lambda done, total: None) -> list[Damage]:
    """Every damage of a version; an empty list when it is whole. `reach(done, total)` counts pictures."""
    folder = version.folder
    card = _card(folder)
    if card is None:
        return [Damage("card.json", "missing or not readable")]
    files, damages = _parts(folder, card)
    if damages:
        return damages  # what the tables say cannot be trusted
    tables = tables_in(folder)
    for name, table in tables.items():
        try:
            for _ in table.groups():
                pass
            lacking = set(manifest.schema(name).names) - set(table.schema.names)
        except (OSError, IndexError, pa.ArrowInvalid):
            return [Damage(f"{name}/", "the table cannot be read")]
        lost = lacking - set(_newer(name, card))
        if lost:
            return [Damage(f"{name}/", f"columns are missing: {', '.join(sorted(lost))}")]
    damages += _rows(version, card, tables)
    damages += _pictures(folder, tables["manifest"], set(files), reach)
    return damages


def without(version: DatasetVersion) -> list[str]:
    """Columns that a version does not have because they came after the radforge that wrote it; no damage."""
    card = _card(version.folder)
    if card is None:
        return []
    try:
        return [
            column
            for name, table in tables_in(version.folder).items()
            for column in _newer(name, card)
            if column not in table.schema.names
        ]
    except (OSError, IndexError, pa.ArrowInvalid):
        return []  # which `verify` tells


def _newer(table: manifest.Table, card: dict[str, Any]) -> list[str]:
    """The columns of a table that came after the schema of a card."""
    known = card.get("schema_version")
    return [column.name for column in manifest.FIXED[table] if isinstance(known, int) and column.since > known]


def _card(folder: Path) -> dict[str, Any] | None:
    try:
        card = json.loads((folder / "card.json").read_text("utf-8"))
        return card if isinstance(card, dict) and isinstance(card.get("files_sha256"), dict) else None
    except (OSError, ValueError):
        return None


def _parts(folder: Path, card: dict[str, Any]) -> tuple[list[str], list[Damage]]:
    there = {f"{name}/{path.name}" for name in manifest.TABLES for path in (folder / name).glob("*")}
    stated: dict[str, str] = card["files_sha256"]
    damages = [Damage(part, "missing") for part in sorted(set(stated) - there)]
    damages += [Damage(part, "not a file of this version") for part in sorted(there - set(stated))]
    sound = sorted(there & set(stated))
    return sound, [*damages, *(damage for part in sound if (damage := _changed(folder, part, stated[part])))]


def _changed(folder: Path, path: str, sha256: str) -> Damage | None:
    """What is wrong with one file of a version, if anything."""
    try:
        if (folder / path).is_symlink():
            return Damage(path, "is a link")
        return None if file_sha256(folder / path) == sha256 else Damage(path, "its bytes have changed")
    except FileNotFoundError:
        return Damage(path, "missing")
    except OSError:
        return Damage(path, "cannot be read")


def _rows(version: DatasetVersion, card: dict[str, Any], tables: Tables) -> list[Damage]:
    damages = []
    identity = {name: value for name, value in identity_in(card).items() if name in card}  # an older one says less
    name = version_name(identity, tables)
    if name != card.get("version"):
        damages.append(Damage("card.json", f"what the version says it is gives the name {name}"))
    else:
        # Through JSON, so that both sides are what a file can hold.
        rebuilt = json.loads(json.dumps(build_card(identity, tables, card["files_sha256"], name)))
        rebuilt["deidentification"] = card.get("deidentification")  # in the words of the radforge that made it
        if rebuilt != card:
            differing = sorted(key for key in {*rebuilt, *card} if rebuilt.get(key) != card.get(key))
            damages.append(Damage("card.json", f"does not agree with the tables in: {', '.join(differing)}"))
    try:
        for own in by_source(tables, ACCOUNTED):
            check_accounting(own)
    except AssertionError as error:
        damages.append(Damage("manifest/", str(error)))
    return damages


def _pictures(folder: Path, records: StoredTable, parts: set[str], reach: Callable[[int, int], None]) -> list[Damage]:
    stated: dict[str, str] = {}
    for path, digest in (("image_path", "sha256"), ("preview_path", "preview_sha256")):
        for rows in records.groups((path, digest)):
            stated |= dict(zip(rows[path].to_pylist(), rows[digest].to_pylist(), strict=True))
    stated.pop(None, None)  # type: ignore[call-overload]
    damages = []
    for number, (path, digest) in enumerate(sorted(stated.items()), start=1):
        damage = _changed(folder, path, digest)
        damages += [damage] if damage else []
        reach(number, len(stated))
    known = {*stated, "card.json", *parts}
    there = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    tables = tuple(f"{name}/" for name in manifest.TABLES)
    damages += [
        Damage(path, "not a file of this version")
        for path in sorted(there)
        if path not in known and not path.startswith(tables)
    ]
    return damages
