"""The pointing game on drawn films: does the map's peak lie where the fracture was drawn?"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.errors import RadforgeError
from training.explain.back import Affine, warped

BOX = 0.05
"""Half the side of a fracture's box, as a share of the film's rows: 11 mm where a film shows 220 mm, about half a bone."""
MARGIN = 10
"""Pixels of the stored film by which a peak may miss the box."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Pointing:
    """How often the peak points at the fracture."""

    films: int
    """Films that show a drawn fracture and were called positive."""
    hits: int
    """Of these, films whose peak lies within MARGIN of the fracture's box."""
    chance: float
    """What a random pixel inside the limb would give: the box's mean share of the limb."""

    @property
    def sentence(self) -> str:
        """What the numbers mean."""
        if not self.films:
            return "Pointing: no film that shows a drawn fracture was called positive."
        return (
            f"Pointing: the peak lies within {MARGIN} pixels of the drawn fracture's box on {self.hits} of {self.films} films "
            f"called positive ({self.hits / self.films:.0%}); a random place on the limb would on {self.chance:.0%}."
        )


@dataclass(frozen=True)
class Shot:
    """The peak of one film, and whether it hit."""

    hit: bool
    chance: float


def read_places(truth: Path, crosswalk: Path) -> dict[tuple[str, int], Point]:
    """(source_id, frame_index) -> where the fracture was drawn, in pixels of the stored film, for films that show one.

    truth: truth.csv of `etl phantom`; crosswalk: of `etl run --crosswalk`. Raises RadforgeError when either cannot be read,
    or they do not belong together.
    """
    known = {(row["source_path"], int(row["frame_index"])): row["source_id"] for row in _rows(crosswalk, "--crosswalk")}
    drawn = _rows(truth, "--truth")
    there = {(row["source_path"], int(row["frame_index"])) for row in drawn}
    if not there & known.keys():
        raise RadforgeError(
            "truth and crosswalk name no film in common",
            f"--truth {truth}",
            expected="truth.csv of the archive that the dataset was built from",
        )
    return {
        (known[key], key[1]): (float(row["fracture_x"]), float(row["fracture_y"]))
        for row in drawn
        if row["fracture"] == "true" and row["fracture_x"] and (key := (row["source_path"], int(row["frame_index"]))) in known
    }


def shoot(row: Mapping[str, Any], picture: NDArray[Any], place: Point, peak: Point | None) -> Shot | None:
    """Whether the peak (in the stored film, None where nothing speaks for the label) hits the fracture at `place`.

    row: of the manifest; picture: its pixels, 0 = air. None when the fracture is not on this picture of the film.
    """
    film_to_picture = np.array(row["transform"], np.float64).reshape(2, 3)
    x, y = film_to_picture @ np.array([*place, 1.0])
    if not (-0.5 <= x < row["columns"] - 0.5 and -0.5 <= y < row["rows"] - 0.5):
        return None
    reach = BOX * row["source_rows"] + MARGIN
    limb = limb_on_film(picture, film_to_picture, row["source_rows"], row["source_columns"])
    across, down = np.arange(row["source_columns"]), np.arange(row["source_rows"])
    box = np.outer(np.abs(down - place[1]) <= reach, np.abs(across - place[0]) <= reach)
    hit = peak is not None and abs(peak[0] - place[0]) <= reach and abs(peak[1] - place[1]) <= reach
    return Shot(hit, float((limb & box).sum() / max(limb.sum(), 1)))


def limb_on_film(picture: NDArray[Any], film_to_picture: Affine, rows: int, columns: int) -> NDArray[np.bool_]:
    """bool (rows, columns) of the stored film: where the picture shows more than air, by Otsu's threshold."""
    grey = (picture // 257).astype(np.uint8) if picture.dtype == np.uint16 else picture
    _, mask = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return warped(mask.astype(np.float32), film_to_picture, rows, columns) > 0.5


def score(shots: Iterable[Shot]) -> Pointing:
    """The sum of the shots."""
    found = list(shots)
    return Pointing(
        len(found), sum(shot.hit for shot in found), float(np.mean([shot.chance for shot in found])) if found else 0.0
    )


def facts(pointing: Pointing) -> dict[str, Any]:
    """As JSON."""
    share = pointing.hits / pointing.films if pointing.films else None
    return asdict(pointing) | {"share": share, "margin_px": MARGIN, "box_share_of_rows": BOX, "sentence": pointing.sentence}


def _rows(path: Path, flag: str) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            return list(pq.read_table(path).to_pylist())
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows or not {"source_path", "frame_index"} <= rows[0].keys():
            raise ValueError
        return rows
    except (OSError, ValueError, csv.Error, pa.ArrowException):
        raise RadforgeError(
            "cannot be read", f"{flag} {path}", expected="truth.csv of `etl phantom`, and the file of `etl run --crosswalk`"
        ) from None
