"""How a limb lies: its long axis, and which of its ends is the far one (fingers, toes)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etl.steps.axis import axis
from etl.steps.far_end import far_end_below
from etl.steps.limb_mask import Limb


@dataclass(frozen=True, slots=True)
class Posture:
    """`turn_deg`: the counter-clockwise turn, -90..90, that sets the axis upright; `elongation`: axis ratio,
    1 and up; `upside_down`: -1..1, above 0 when, so turned, the far end would be below."""

    turn_deg: float
    elongation: float
    upside_down: float


def posture(limb: Limb, mask: NDArray[np.bool_]) -> Posture:
    """Judge one limb: `mask` bool (rows, columns), a part of `limb`. Raises ValueError when the mask is
    empty."""
    angle, elongation = axis(limb, mask)
    # The axis runs `angle` clockwise from level on the screen (y down), and upright is 90 degrees of that.
    turn = math.degrees(angle) % 180.0 - 90.0
    return Posture(turn, elongation, far_end_below(limb, mask, turn))
