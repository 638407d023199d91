"""Pictures of the dataset, made small enough to stand inside a page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError

LONGEST = 260
"""Pixels of the longer side on the page."""


def data_url(version: DatasetVersion, row: Mapping[str, Any]) -> str | None:
    """The picture of a manifest row as a JPEG data URL, 0 = air = black; None when its file is missing or damaged: the
    figures of a run outlive its pictures.
    """
    try:
        picture = version.picture(row)
    except RadforgeError:
        return None
    grey = (picture // 257).astype(np.uint8) if picture.dtype == np.uint16 else picture
    scale = LONGEST / max(grey.shape)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=how)
    encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
