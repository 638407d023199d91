"""How large a pixel is (PS3.3 10.7, C.8.11.7, C.8.12.2)."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset

from etl.pixels import attributes
from etl.pixels.presentation import functional_group


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distance between rows and between columns in mm, None where unknown, and our codes for what to
    know about it.
    """

    row_mm: float | None = None
    column_mm: float | None = None
    problems: tuple[str, ...] = ()


def read_spacing(ds: Dataset, frame: int) -> Spacing:
    """Pixel Spacing of a frame; else Imager Pixel Spacing over the magnification; else that of the scanner.

    The first of the two values is the distance between rows.
    """
    measures = functional_group(ds, frame, "PixelMeasuresSequence")
    problems: list[str] = []
    pair = _pair(measures, "PixelSpacing", problems)
    if pair is None:
        pair = _pair(ds, "ImagerPixelSpacing", problems)
        if pair is not None:
            magnification = attributes.first_number(ds, "EstimatedRadiographicMagnificationFactor") or 1.0
            if magnification > 0:
                pair = (pair[0] / magnification, pair[1] / magnification)
            problems.append("spacing:imager")
    if pair is None:
        pair = _pair(ds, "NominalScannedPixelSpacing", problems)
        if pair is not None:
            problems.append("spacing:nominal_scanned")
    row, column = pair or (None, None)
    ratio = attributes.numbers(ds, "PixelAspectRatio")  # vertical, horizontal
    if row is not None and column is not None:
        if abs(row - column) > 0.001 * row:
            problems.append("non_square_pixels")
    elif len(ratio) == 2 and ratio[0] != ratio[1]:
        problems.append("non_square_pixels")
    return Spacing(row, column, tuple(problems))


def _pair(ds: Dataset, keyword: str, problems: list[str]) -> tuple[float, float] | None:
    values = attributes.numbers(ds, keyword)
    if len(values) == 2 and min(values) > 0:
        return values[0], values[1]
    if attributes.is_present(ds, keyword) and (values or attributes.text(ds, keyword)):
        problems.append("spacing_invalid")
    return None
