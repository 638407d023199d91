"""index.html: the explained studies on one self-contained page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.evaluate.report import template


@dataclass(frozen=True)
class ShownView:
    """One view of a study on the page."""

    image_id: str
    view_position: str
    plain: str | None
    """Data URLs of the picture as it is, and with its heat."""
    heated: str
    weight: float
    logit: float
    total: float


@dataclass(frozen=True)
class ShownStudy:
    """One study on the page."""

    study_id: str
    verdict: str
    label: str
    probability: float
    views: tuple[ShownView, ...]


def render(facts: Mapping[str, Any], studies: Sequence[ShownStudy]) -> str:
    """The page as HTML: no link, no script, every picture inside. `facts`: what `explain` gives back."""
    page = template("page.html.j2", escape=True, folder=Path(__file__).parent)
    return page.render(facts=facts, studies=studies)


def data_url(picture: NDArray[np.uint8]) -> str:
    """uint8 (rows, columns, 3), blue green red, as a JPEG data URL."""
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
