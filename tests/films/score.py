"""What the steps make of a known film, judged on the pixels they return."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from etl.process import apply_steps
from etl.steps.parts import bounding_box
from etl.study import Affine, Frame
from schemas.recipe import EtlRecipe
from schemas.steps import Inversion, OtsuSplit, PcaRotation
from tests.films.known import KnownFilm, Limb, Mask, Picture

Method = Literal["ours", "thesis"]
RECIPES = {
    "ours": EtlRecipe(),
    "thesis": EtlRecipe(
        inversion=Inversion(method="thesis"), otsu_split=OtsuSplit(method="thesis"), pca_rotation=PcaRotation(method="thesis")
    ),
}


@dataclass
class Score:
    """One case. Lists have one entry a limb; they are empty where the count was wrong.

    `away_deg`: the turn that the result still needs, -180..180, against the truth (drawn films) or the label.
    """

    polarity: bool
    count: bool
    found: int
    limb_iou: list[float] = field(default_factory=list)
    box_iou: list[float] = field(default_factory=list)  # of films with several limbs: a single limb's film is kept whole
    away_deg: list[float] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    settled: bool = True
    transform: bool = True
    given: Picture = field(default_factory=lambda: np.zeros((8, 8), np.uint8))
    leaves: list[Frame] = field(default_factory=list)
    matched: list[Limb] = field(default_factory=list)


def score(film: KnownFilm, method: Method) -> Score:
    """Run inversion, splitting and rotation on the film and look at what comes out."""
    recipe = RECIPES[method]
    start = Frame(pixels=film.pixels, body_part=film.body_part)
    leaves = [leaf for leaf in apply_steps([start], recipe) if isinstance(leaf, Frame)]
    polarity = all(_right_way(leaf, film) for leaf in leaves)
    result = Score(polarity, len(leaves) == len(film.limbs), len(leaves), given=film.pixels, leaves=leaves)
    result.transform = all(_lands(leaf, film) for leaf in leaves)
    result.settled = all(_settled(leaf, recipe) for leaf in leaves)
    if not result.count:
        return result
    for leaf in leaves:
        seen = seen_by(leaf, film.pixels.shape)
        limb = film.limbs[int(np.argmax([np.count_nonzero(part.mask & seen) for part in film.limbs]))]
        every = np.logical_or.reduce([part.mask for part in film.limbs])
        result.limb_iou.append(float((limb.mask & seen).sum() / max(1, (limb.mask | (every & seen)).sum())))
        if len(film.limbs) > 1:
            result.box_iou.append(_overlap(seen, limb.mask))
        away = limb.turn_deg - turn_of(leaf.transform)
        result.away_deg.append((away + 180) % 360 - 180)
        result.confidence.append(float(leaf.done.get("rotation_confidence") or 0.0))
        result.matched.append(limb)
    return result


def _overlap(seen: Mask, limb: Mask) -> float:
    """Intersection over union of what is shown and of the limb's box with the margin that is left around it."""
    if not seen.any() or not limb.any():
        return 0.0
    x0, y0, x1, y1 = bounding_box(limb)
    air = round(RECIPES["ours"].otsu_split.margin * max(x1 - x0, y1 - y0))
    box = np.zeros(limb.shape, bool)
    box[max(0, y0 - air) : y1 + air, max(0, x0 - air) : x1 + air] = True
    x0, y0, x1, y1 = bounding_box(seen)
    shown = np.zeros(limb.shape, bool)
    shown[y0:y1, x0:x1] = True
    return float((box & shown).sum() / (box | shown).sum())


def turn_of(transform: Affine) -> float:
    """Counter-clockwise degrees that a transform turned the picture by (y grows downwards)."""
    return math.degrees(math.atan2(transform[1], transform[0]))


def seen_by(leaf: Frame, shape: tuple[int, ...]) -> Mask:
    """bool (rows, columns) of the film: which of its pixels the result shows."""
    shown = np.ones(leaf.pixels.shape, np.uint8)
    if leaf.padding is not None:
        shown[leaf.padding] = 0
    matrix = np.array(leaf.transform).reshape(2, 3)
    back = cv2.warpAffine(shown, matrix, shape[::-1], flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderValue=0)
    return np.asarray(back > 0, np.bool_)


def _warped(picture: np.ndarray, leaf: Frame) -> np.ndarray:
    matrix = np.array(leaf.transform).reshape(2, 3)
    return np.asarray(cv2.warpAffine(picture, matrix, leaf.pixels.shape[::-1], flags=cv2.INTER_LINEAR))


def _right_way(leaf: Frame, film: KnownFilm) -> bool:
    """Whether greys run with those of the positive film, over the exposed part that the result shows."""
    where = _warped(film.exposed.astype(np.uint8), leaf) > 0
    if leaf.padding is not None:
        where &= ~leaf.padding
    truth, ours = _warped(film.positive, leaf)[where].astype(np.float64), leaf.pixels[where].astype(np.float64)
    return bool(((truth - truth.mean()) * (ours - ours.mean())).sum() > 0) if truth.size else False


def _lands(leaf: Frame, film: KnownFilm) -> bool:
    """Whether the film, carried over by `transform` alone, is the picture, up to grey sense and half a pixel."""
    copy = _warped(film.pixels, leaf).astype(np.float32)
    ours = leaf.pixels.astype(np.float32)
    inner = _warped(np.pad(np.ones(np.subtract(film.pixels.shape, 6), np.uint8), 3), leaf) > 0
    if leaf.padding is not None:
        inner &= cv2.dilate(leaf.padding.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    if leaf.done.get("inverted"):
        copy = 255 - copy
    if not inner.any():
        return True
    return bool(np.abs(copy - ours)[inner].mean() < 1.0 and math.hypot(*_shift(copy, ours, inner)) < 0.5)


def _shift(copy: np.ndarray, ours: np.ndarray, inner: Mask) -> tuple[float, float]:
    """By how many pixels (x, y) one picture lies off the other: least squares over the gradient (Lucas and Kanade 1981)."""
    gy, gx = np.gradient(ours)
    sides = np.stack((gx[inner], gy[inner]), axis=1)
    dx, dy = np.linalg.lstsq(sides, (copy - ours)[inner], rcond=None)[0]
    return float(dx), float(dy)


def _settled(leaf: Frame, recipe: EtlRecipe) -> bool:
    """Whether the steps leave their own output as it is."""
    again = list(apply_steps([leaf], recipe))
    return len(again) == 1 and isinstance(again[0], Frame) and np.array_equal(again[0].pixels, leaf.pixels)
