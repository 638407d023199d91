"""Cut a film that shows several separate limbs into one picture each (thesis 4.2.2.3)."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.limbs import shows_limb
from etl.steps.parts import Box, Region, bounding_box, find_parts, how_sure
from etl.steps.thumbnail import thumbnail
from etl.study import Drop, Frame, compose
from schemas.steps import OtsuSplit

_CROP_GAIN = 0.06  # a crop that would take off less than this share of a side is not worth another cut


def apply(frame: Frame, settings: OtsuSplit) -> list[Frame] | Drop:
    """One frame per limb, left to right, then top to bottom; the frame itself when it shows one limb or none.

    A part keeps the pixels of its box plus a margin of air; what another part has in that box becomes padding
    (0). A film recognised as no limb passes unchanged. A picture with a side under `min_side` drops; what
    would be a part smaller than that is none, so it costs nobody the film around it. `robust` writes `split_score`
    (0.5..1: how sure the number of limbs is).
    """
    if not shows_limb(frame.body_part):
        return [frame]
    rows, columns = frame.pixels.shape
    if min(rows, columns) < settings.min_side:
        return Drop("region_too_small", f"{rows}x{columns} pixels, at least {settings.min_side} needed")
    if settings.method == "thesis":
        return _split(frame, settings)
    score = how_sure(thumbnail(frame.pixels), settings.min_of_largest)
    sure = min(score, float(frame.done.get("split_score") or 1.0))  # a cut film is no surer of it than before
    return [replace(piece, done={**piece.done, "split_score": sure}) for piece in _split(frame, settings)]


def _split(frame: Frame, settings: OtsuSplit) -> list[Frame]:
    """Cut until nothing is left to cut: then the step finds nothing more to do in its own output."""
    small = thumbnail(frame.pixels)
    rows, columns = frame.pixels.shape
    found = [(part, _enlarged(part.box, small.shape, (rows, columns), settings.margin)) for part in _parts(small, settings)]
    found = [(part, box) for part, box in found if min(box[2] - box[0], box[3] - box[1]) >= settings.min_side]
    if len(found) < 2 and not (settings.crop and found):
        return [frame]
    parts, boxes = [part for part, _ in found], [box for _, box in found]
    if len(parts) == 1:
        x0, y0, x1, y1 = boxes[0]
        if (x1 - x0) > (1 - _CROP_GAIN) * columns and (y1 - y0) > (1 - _CROP_GAIN) * rows:
            return [frame]
    order = sorted(range(len(boxes)), key=lambda i: _reading_order(boxes[i], boxes))
    pieces = []
    for index in order:
        others = [part.mask for i, part in enumerate(parts) if i != index]
        piece = _cut(frame, boxes[index], _intruders(others, parts[index].mask, (rows, columns), boxes[index]))
        smaller = piece.pixels.size < frame.pixels.size
        pieces += _split(piece, settings) if smaller else [piece]
    return pieces


def _parts(small: NDArray[np.float32], settings: OtsuSplit) -> list[Region]:
    if settings.method == "robust":
        return find_parts(small, settings.min_of_largest)
    grey = small.astype(np.uint8)
    _, binary = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    least = settings.min_part * grey.size
    masks = [labels == label for label in range(1, count) if stats[label, cv2.CC_STAT_AREA] >= least]
    return [Region(mask, bounding_box(mask)) for mask in masks]


def _enlarged(box: Box, small: tuple[int, ...], full: tuple[int, int], margin: float) -> Box:
    """A thumbnail's box in pixels of the film, with the margin: a share of the part's own longer side."""
    rows, columns = full
    sy, sx = rows / small[0], columns / small[1]
    x0, y0, x1, y1 = box[0] * sx, box[1] * sy, box[2] * sx, box[3] * sy
    # A pixel of the thumbnail more: the mask is no finer than that.
    air = margin * max(x1 - x0, y1 - y0) + max(sx, sy)
    return (
        max(0, int(np.floor(x0 - air))),
        max(0, int(np.floor(y0 - air))),
        min(columns, int(np.ceil(x1 + air))),
        min(rows, int(np.ceil(y1 + air))),
    )


def _reading_order(box: Box, boxes: list[Box]) -> tuple[int, int]:
    """Left to right; parts above one another (their columns overlap by half) from top to bottom."""
    column = min(
        other[0]
        for other in boxes
        if min(box[2], other[2]) - max(box[0], other[0]) > 0.5 * min(box[2] - box[0], other[2] - other[0])
    )
    return column, box[1]


def _intruders(
    others: list[NDArray[np.bool_]], own: NDArray[np.bool_], full: tuple[int, int], box: Box
) -> NDArray[np.bool_] | None:
    """Pixels of a box that belong to other parts and their halo, never to the part itself; None when there
    are none."""
    if not others:
        return None
    other = np.logical_or.reduce(others).astype(np.uint8)
    halo = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    near = cv2.dilate(other, halo) & ~cv2.dilate(own.astype(np.uint8), np.ones((5, 5), np.uint8))
    x0, y0, x1, y1 = box
    ys = ((np.arange(y0, y1) + 0.5) * own.shape[0] / full[0]).astype(np.int64)
    xs = ((np.arange(x0, x1) + 0.5) * own.shape[1] / full[1]).astype(np.int64)
    if not other[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].any():
        return None
    return np.asarray(near[np.ix_(ys, xs)].astype(bool))


def _cut(frame: Frame, box: Box, intruders: NDArray[np.bool_] | None) -> Frame:
    x0, y0, x1, y1 = box
    pixels = frame.pixels[y0:y1, x0:x1].copy()
    padding = None if frame.padding is None else frame.padding[y0:y1, x0:x1].copy()
    if intruders is not None:
        pixels[intruders] = 0
        padding = intruders if padding is None else padding | intruders
    if padding is not None and not padding.any():
        padding = None
    moved = compose((1.0, 0.0, -float(x0), 0.0, 1.0, -float(y0)), frame.transform)
    return replace(frame, pixels=pixels, padding=padding, transform=moved)
