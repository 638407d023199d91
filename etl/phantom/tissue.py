"""Shadows of soft tissue and bone: closed outlines in millimetres become attenuation in pixels.

A body of round cross-section of half-width w, seen from the front, is sqrt(d (2w - d)) thick at distance d
from its edge. Bone is a dense shell (cortex) around a lighter inside (marrow and trabeculae), which is why
its edges are bright.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (n, 2): x, y; millimetres (y up) before placement, pixels (y down) after
Grey = NDArray[np.float32]  # (rows, columns)
Mask = NDArray[np.bool_]  # (rows, columns)

_SUBPIXEL_BITS = 4  # cv2.fillPoly takes fixed-point coordinates
_CORTEX = 1.15  # attenuation of cortex and of marrow beside soft tissue's, per half-width
_MARROW = 0.42


@dataclass(frozen=True)
class Placement:
    """Where millimetres of a body (x right, y up, seen upright) fall on a film (x right, y down, pixels)."""

    scale: float  # pixels per millimetre
    tilt_deg: float  # the counter-clockwise turn of the picture that would make the body upright
    origin_mm: tuple[float, float]  # the body point that lies at centre_px
    centre_px: tuple[float, float]
    mirrored: bool = False

    def __call__(self, points: Points) -> Points:
        """Body points (n, 2) in mm to film points (n, 2) in pixels (pixel centres at whole numbers)."""
        local = np.asarray(points, float) - np.array(self.origin_mm)
        if self.mirrored:
            local = local * np.array([-1.0, 1.0])
        angle = math.radians(-self.tilt_deg)  # the body is turned clockwise by what turning it back needs
        x = local[:, 0] * math.cos(angle) - local[:, 1] * math.sin(angle)
        y = local[:, 0] * math.sin(angle) + local[:, 1] * math.cos(angle)
        return np.stack([self.centre_px[0] + self.scale * x, self.centre_px[1] - self.scale * y], axis=1)


def rounded(corners: Sequence[tuple[float, float]] | Points, times: int = 3) -> Points:
    """Closed outline with its corners cut `times` times (Chaikin 1974): smooth from a handful of points."""
    points = np.asarray(corners, float)
    for _ in range(times):
        following = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], 1).reshape(-1, 2)
    return points


def long_bone(
    start: tuple[float, float], end: tuple[float, float], start_width: float, shaft: float, end_width: float
) -> Points:
    """Outline of a tubular bone from `start` to `end` (mm): flared ends, waisted shaft."""
    p, q = np.array(start, float), np.array(end, float)
    along = (q - p) / np.linalg.norm(q - p)
    across = np.array([-along[1], along[0]])
    t = np.linspace(0, 1, 41)
    half = shaft + (start_width - shaft) * np.exp(-((t / 0.22) ** 2))
    half = 0.5 * (half + (end_width - shaft) * np.exp(-(((1 - t) / 0.2) ** 2)))
    edge = np.minimum(t, 1 - t) / 0.07
    half = half * np.sqrt(1 - np.clip(1 - edge, 0, 1) ** 2)
    middle = p + t[:, None] * (q - p)
    return np.concatenate([middle + across * half[:, None], (middle - across * half[:, None])[::-1]])


def ellipse(centre: tuple[float, float], size: tuple[float, float], turn_deg: float = 0.0, lump: float = 0.0) -> Points:
    """Outline of an ellipse (mm; full axes in `size`), with a third-order lump for an irregular little
    bone.
    """
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    radius = 0.5 * (1 + lump * np.cos(3 * t + 10 * lump))
    x, y = size[0] * radius * np.cos(t), size[1] * radius * np.sin(t)
    c, s = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    return np.stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y], axis=1)


def capsule(start: tuple[float, float], end: tuple[float, float], start_radius: float, end_radius: float) -> Points:
    """Outline of a finger-like body: two circles (mm) and their hull."""
    circles = [
        ellipse(start, (2 * start_radius, 2 * start_radius)),
        ellipse(end, (2 * end_radius, 2 * end_radius)),
    ]
    hull = cv2.convexHull(np.concatenate(circles).astype(np.float32))
    return np.asarray(hull[:, 0, :], float)


def fill(shape: tuple[int, int], outline_px: Points) -> NDArray[np.uint8]:
    """uint8 (rows, columns), 255 inside the outline (pixels)."""
    mask = np.zeros(shape, np.uint8)
    fixed = np.round(outline_px * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(mask, [fixed[:, None, :]], 255, cv2.LINE_8, _SUBPIXEL_BITS)
    return mask


def soft_tissue(shape: tuple[int, int], outlines_px: Sequence[Points], scale: float, depth_mm: float) -> tuple[Grey, Mask]:
    """Flesh within the union of outlines: relative thickness (rows, columns) float32 0..1, and its bool mask.

    Corners between the outlines (webs of the fingers) are filled in smoothly.
    """
    mask = np.zeros(shape, np.uint8)
    for outline in outlines_px:
        mask |= fill(shape, outline)
    smooth = cv2.GaussianBlur(mask, (0, 0), max(2.0 * scale, 0.6), borderType=cv2.BORDER_REPLICATE)
    mask = np.where(smooth > 127, np.uint8(255), np.uint8(0))
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    flesh = _round(distance / max(depth_mm * scale, 0.5))
    flesh *= 1 + 0.035 * _tile(shape[0], shape[1], np.zeros(2, int), 3.0 * scale)  # muscle and fat
    flesh = cv2.GaussianBlur(flesh, (0, 0), max(0.7 * scale, 0.5), borderType=cv2.BORDER_REPLICATE)
    return flesh, mask > 0


def bone(shape: tuple[int, int], outline_px: Points, scale: float, cortex_mm: float) -> tuple[Grey, tuple[slice, slice]]:
    """Attenuation (float32) of one bone within the returned window of the film; an empty window when outside
    it.

    Cortex of `cortex_mm` around marrow crossed by trabeculae.
    """
    pad = 4
    low = np.maximum(np.floor(outline_px.min(0)).astype(int) - pad, 0)
    high = np.minimum(np.ceil(outline_px.max(0)).astype(int) + pad + 1, [shape[1], shape[0]])
    window = (slice(low[1], max(high[1], low[1])), slice(low[0], max(high[0], low[0])))
    rows, columns = window[0].stop - window[0].start, window[1].stop - window[1].start
    if min(rows, columns) == 0:
        return np.zeros((rows, columns), np.float32), window
    mask = fill((rows, columns), outline_px - low)
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    widest = max(float(distance.max()), 1.0)
    reach = 2 * round(widest) + 1
    local = cv2.dilate(distance, np.ones((reach, reach), np.uint8), borderType=cv2.BORDER_REPLICATE)
    local = cv2.blur(np.maximum(local, 1), (reach, reach), borderType=cv2.BORDER_REPLICATE)  # half-width hereabouts
    waist = np.clip(1.6 * (1 - local / widest), 0, 1)  # 0 at the flared ends, 1 along a narrow shaft
    shell = np.maximum(cortex_mm * scale * (0.55 + 0.85 * waist), 0.6)
    outer = _round(distance / local)
    inside = np.maximum(local - shell, 0.5)
    inner = _round(np.maximum(distance - shell, 0) / inside) * np.maximum(1 - shell / local, 0)
    trabeculae = 1 + 0.2 * _tile(rows, columns, low, scale) * (1 - 0.7 * waist)
    shadow = _CORTEX * (outer - inner) + _MARROW * inner * trabeculae
    return cv2.GaussianBlur(shadow.astype(np.float32), (0, 0), max(0.22 * scale, 0.45)), window


def _round(depth: NDArray[np.floating]) -> Grey:
    """Thickness 0..1 of a round body at `depth`, the distance from its edge per half-width."""
    depth = np.clip(depth, 0, 1)
    return np.asarray(np.sqrt(depth * (2 - depth)), np.float32)


def _tile(rows: int, columns: int, low: NDArray[np.int_], scale: float) -> Grey:
    texture = _texture(round(scale, 2))
    side = texture.shape[0]
    y = (np.arange(rows) + int(low[1])) % side
    x = (np.arange(columns) + int(low[0])) % side
    return np.asarray(texture[np.ix_(y, x)])


@lru_cache(maxsize=8)
def _texture(scale: float) -> Grey:
    noise = _white()
    fine = cv2.GaussianBlur(noise, (0, 0), max(0.45 * scale, 0.5), borderType=cv2.BORDER_REFLECT)
    coarse = cv2.GaussianBlur(noise, (0, 0), max(1.6 * scale, 1.5), borderType=cv2.BORDER_REFLECT)
    band = fine - coarse
    return np.asarray(np.clip(band / (band.std() + 1e-6), -2.5, 2.5), np.float32)


@lru_cache(maxsize=1)
def _white() -> Grey:
    return np.random.default_rng(7).standard_normal((512, 512)).astype(np.float32)
