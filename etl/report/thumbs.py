"""Pictures of a version, made small enough to stand inside a page."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2

from etl.picture_store import shrink
from schemas.dataset import read_picture
from schemas.errors import RadforgeError

SIDE = 168
"""Pixels of the longer side on the page."""
_QUALITY = 72

Item = TypeVar("Item")
Result = TypeVar("Result")


def thumb(path: Path) -> str | None:
    """A PNG of the version as a JPEG data URL; None when it is missing or damaged: the page says so, `verify` says more."""
    try:
        picture = read_picture(path)
    except RadforgeError:
        return None
    small = shrink(picture, SIDE)
    times = max(1, SIDE // max(small.shape))  # a tiny film would be a dot on the page
    small = small.repeat(times, axis=0).repeat(times, axis=1)
    encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results in their order, worked out by threads: decoding holds no lock."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        yield from threads.map(work, items)
