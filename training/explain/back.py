"""From the network's input back to the film as it was stored.

    stored film  --manifest `transform`-->  the dataset's picture  --fit_transform-->  the network's input

A heat map in the stored film's coordinates is an 8-bit grey PNG of `source_rows` x `source_columns`: 128 says nothing, above it
speaks for the label, below it against it, 127 steps either way to the strongest pixel of the study.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.train_recipe import Data
from training.data.fit import fit_transform
from training.explain.heat import Map

Affine = NDArray[np.float64]
"""float64 (2, 3): x' = a x + b y + c, y' = d x + e y + f; pixel centres, counted from 0."""
NONE = 128
"""The grey of a pixel that says nothing."""


def picture_to_input(row: Mapping[str, Any], data: Data, largest: tuple[int, int]) -> Affine:
    """From the dataset's picture of a manifest row to the input; `largest` is Films.largest."""
    return fit_transform(int(row["rows"]), int(row["columns"]), data.size, data.fit, largest).reshape(2, 3)


def film_to_input(row: Mapping[str, Any], data: Data, largest: tuple[int, int]) -> Affine:
    """From the stored film of a manifest row to the input: its `transform`, then the fit."""
    film_to_picture = np.array(row["transform"], np.float64).reshape(2, 3)
    return (_square(picture_to_input(row, data, largest)) @ _square(film_to_picture))[:2]


def moved(point: tuple[float, float], by: Affine) -> tuple[float, float]:
    """A point (x, y) after an affine."""
    x, y = by @ np.array([*point, 1.0])
    return float(x), float(y)


def inverse(affine: Affine) -> Affine:
    """The way back. The pipeline turns, mirrors, cuts and scales, so there always is one."""
    return np.asarray(np.linalg.inv(_square(affine))[:2], np.float64)


def warped(heat: Map, to_input: Affine, rows: int, columns: int) -> Map:
    """A map over the input (H, W) as one over the film or picture (rows, columns) that `to_input` starts from.

    Linear between pixels; 0 wherever the input does not show the film.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(heat, to_input, (columns, rows), flags=flags, borderMode=cv2.BORDER_CONSTANT), np.float32)


def on_film(heat: Map, row: Mapping[str, Any], data: Data, largest: tuple[int, int]) -> Map:
    """A map over the input as one over the stored film of a manifest row, float32 (source_rows, source_columns).

    0 where the picture does not show the film: the input's black borders may lie where other parts were cut away.
    """
    rows, columns = int(row["source_rows"]), int(row["source_columns"])
    film_to_picture = np.array(row["transform"], np.float64).reshape(2, 3)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    shown = cv2.warpAffine(np.ones((row["rows"], row["columns"]), np.uint8), film_to_picture, (columns, rows), flags=flags)
    return np.asarray(warped(heat, film_to_input(row, data, largest), rows, columns) * shown, np.float32)


def as_grey(heat: Map) -> NDArray[np.uint8]:
    """A map of -1..1 as uint8: 128 + 127 times it, rounded."""
    return (NONE + np.rint(np.clip(heat, -1, 1) * (255 - NONE))).astype(np.uint8)


def _square(affine: Affine) -> Affine:
    return np.vstack([affine, [0.0, 0.0, 1.0]])
