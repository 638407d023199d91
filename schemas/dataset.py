"""A dataset version on disk, to be read. Training and inspection see a dataset through this module only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas import manifest
from schemas.errors import RadforgeError
from schemas.runs import runs_of

_VERSION = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class DatasetVersion:
    """One immutable version: DATASET/<version>/, or a copy of that folder anywhere."""

    folder: Path
    version: str

    @classmethod
    def locate(cls, text: str | Path) -> DatasetVersion:
        """As `open`, but also a version whose card is gone or damaged: `verify` is there to say so. Raises RadforgeError."""
        dataset, wanted = split_reference(str(text))
        folders = [p for p in dataset.glob("*") if _VERSION.fullmatch(p.name)] if dataset.is_dir() else []
        if wanted is None and (dataset / "manifest").is_dir():
            return cls(dataset, dataset.name)
        newest = newest_version(dataset) if folders and wanted is None else None
        named = [p for p in folders if p.name.startswith(wanted or newest or "")]
        return cls(named[0], named[0].name) if len(named) == 1 else cls.open(text)

    @classmethod
    def open(cls, text: str | Path) -> DatasetVersion:
        """`DATASET`, `DATASET@VERSION` (a beginning of it will do) or the version's own folder. Raises RadforgeError."""
        dataset, wanted = split_reference(str(text))
        if wanted is None and (dataset / "card.json").is_file():
            copy = cls(dataset, dataset.name)
            return cls(dataset, str(copy.card.get("version", dataset.name)))
        if not dataset.is_dir():
            raise RadforgeError("no such dataset", str(dataset), expected="a folder that `etl run --out` made")
        if wanted is None:
            newest = newest_version(dataset)
            if newest is None:
                raise RadforgeError("the dataset has no version yet", str(dataset), expected="a finished `etl run`")
            return cls(dataset / newest, newest)
        matches = [version for version in versions(dataset) if version.startswith(wanted)]
        if len(matches) != 1:
            raise RadforgeError(
                "no such version" if not matches else "more than one version begins so",
                f"{dataset}@{wanted}",
                expected="one of: " + (", ".join(versions(dataset)) or "none committed yet"),
            )
        return cls(dataset / matches[0], matches[0])

    @property
    def dataset(self) -> Path:
        """The folder that the version lies in."""
        return self.folder.parent

    @property
    def card(self) -> dict[str, Any]:
        """card.json. Raises RadforgeError when it is missing or damaged."""
        try:
            card = json.loads((self.folder / "card.json").read_text("utf-8"))
        except (OSError, ValueError):
            raise RadforgeError("card.json is missing or damaged", str(self.folder)) from None
        if not isinstance(card, dict):
            raise RadforgeError("card.json is damaged", str(self.folder))
        return card

    def table(self, name: manifest.Table, columns: Sequence[str] | None = None) -> pa.Table:
        """One of the three tables. Raises RadforgeError when a part cannot be read."""
        return read_parts(self.folder / name, columns)

    def picture(self, row: Mapping[str, Any]) -> NDArray[Any]:
        """The picture of a manifest row: uint8 or uint16 (rows, columns), 0 = air. Raises RadforgeError."""
        return read_picture(self.folder / str(row["image_path"]))


def split_reference(text: str) -> tuple[Path, str | None]:
    """`DS@ab12` -> (DS, "ab12"). A folder that really has an @ in its name is taken as it is."""
    head, at, tail = text.rpartition("@")
    if not at or Path(text).exists():
        return Path(text), None
    return Path(head), tail


def versions(dataset: Path) -> list[str]:
    """Names of the versions that are whole, in no particular order of time."""
    if not dataset.is_dir():
        return []
    return sorted(
        entry.name for entry in dataset.iterdir() if _VERSION.fullmatch(entry.name) and (entry / "card.json").is_file()
    )


def newest_version(dataset: Path) -> str | None:
    """The version of the last commit in .runs; without records, the only one there is."""
    runs = runs_of(dataset)
    if runs:
        return runs[-1].version
    there = versions(dataset)
    return there[-1] if there else None


def read_parts(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """All part-*.parquet of a folder as one table. Raises RadforgeError."""
    try:
        parts = sorted(folder.glob("part-*.parquet"))
        return pa.concat_tables([pq.read_table(part, columns=list(columns) if columns else None) for part in parts])
    except (OSError, pa.ArrowInvalid):
        raise RadforgeError("a table of the version cannot be read", str(folder)) from None


def read_picture(path: Path) -> NDArray[Any]:
    """A PNG as uint8 or uint16 (rows, columns). Raises RadforgeError when it is missing or damaged."""
    import cv2  # noqa: PLC0415 - only where a picture is read: the tables alone do not need OpenCV

    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError:
        raise RadforgeError("a picture is missing", path.name) from None
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if picture is None or picture.ndim != 2:
        raise RadforgeError("a picture is damaged", path.name, expected="a greyscale PNG")
    return np.asarray(picture)
