"""Cross-sections of a forearm: a study of many small slices that is no radiograph."""

from __future__ import annotations

import math

import numpy as np

from etl.phantom.body import Film
from etl.phantom.tissue import Grey


def draw_slice(number: int, side: int) -> Film:
    """Slice `number` (from 1) of a forearm, side x side pixels, as pixels 0..1 and limb mask; no parts."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    phase = 2 * math.pi * number / 195
    flesh = _disc(x, y, (0.0, 0.0), (0.36 + 0.03 * math.sin(phase), 0.26))
    pixels = 0.35 * flesh
    for centre, radius in ((-0.14 + 0.02 * math.sin(phase), 0.09), (0.15 - 0.02 * math.cos(phase), 0.07)):
        pixels += 0.6 * _disc(x, y, (centre, 0.03), (radius, radius))
        pixels -= 0.35 * _disc(x, y, (centre, 0.03), (0.6 * radius, 0.6 * radius))
    return Film(np.asarray(pixels, np.float32), flesh > 0.5, ())


def _disc(x: Grey, y: Grey, centre: tuple[float, float], half: tuple[float, float]) -> Grey:
    distance = np.sqrt(((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2)
    return np.asarray(np.clip((1 - distance) * 40 + 0.5, 0, 1), np.float32)
