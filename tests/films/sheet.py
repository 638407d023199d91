"""The worst decisions as a contact sheet: the film as it was given, then what came out."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.films.table import Row

TILE, CAPTION, ACROSS = 150, 26, 5


def worst(rows: Sequence[Row], number: int = 40) -> NDArray[np.uint8]:
    """uint8 (rows, columns): the cases with the heaviest mistakes of our method, heaviest first."""
    ranked = sorted(rows, key=weight, reverse=True)[:number]
    strips = [_strip(row) for row in ranked]
    blank = np.full_like(strips[0], 96)
    strips += [blank] * (-len(strips) % ACROSS)
    return np.vstack([np.hstack(strips[start : start + ACROSS]) for start in range(0, len(strips), ACROSS)])


def weight(row: Row) -> float:
    """How bad our mistakes on a case are; 0 for none."""
    ours = row.scores["ours"]
    total = 100.0 * (not ours.polarity) + 80.0 * (not ours.count) + 60.0 * any(below for below, _ in row.below["ours"])
    total += 50.0 * (not ours.transform) + 10.0 * (not ours.settled)
    return total + max(row.tilts["ours"], default=0.0) + 20 * (1 - min(ours.limb_iou, default=1.0))


def _strip(row: Row) -> NDArray[np.uint8]:
    ours = row.scores["ours"]
    pictures = [ours.given, *(leaf.pixels for leaf in ours.leaves[:2])]
    pictures += [np.zeros((8, 8), np.uint8)] * (3 - len(pictures))
    tiles = np.hstack([_tile(picture) for picture in pictures])
    caption = np.full((CAPTION, tiles.shape[1]), 30, np.uint8)
    tilt = max(row.tilts["ours"], default=0.0)
    words = [] if ours.polarity else ["NEGATIVE"]
    words += [] if ours.count else [f"{ours.found} PARTS"]
    words += ["BELOW"] if any(below for below, _ in row.below["ours"]) else []
    words += [f"tilt {tilt:.1f}", "" if ours.settled else "unsettled", "" if ours.transform else "TRANSFORM"]
    cv2.putText(caption, f"{row.case} | {row.film[-22:]}", (4, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.36, 255, 1, cv2.LINE_AA)
    cv2.putText(caption, " ".join(words), (4, 23), cv2.FONT_HERSHEY_SIMPLEX, 0.36, 200, 1, cv2.LINE_AA)
    return np.vstack([caption, tiles])


def _tile(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = (TILE - 6) / max(picture.shape)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile = np.full((TILE, TILE), 96, np.uint8)
    top, left = (TILE - small.shape[0]) // 2, (TILE - small.shape[1]) // 2
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile
