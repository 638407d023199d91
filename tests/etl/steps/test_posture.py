"""How a limb lies: the axis holds when the film shows less of it, and the way up changes its sign with the film."""

from __future__ import annotations

import numpy as np
import pytest

from etl.steps.limb_mask import Limb, find_limb
from etl.steps.parts import find_parts
from etl.steps.posture import Posture, posture
from etl.steps.thumbnail import thumbnail
from tests.etl.steps.films import Picture, hand, wrist


def seen(film: Picture) -> Posture:
    small = thumbnail(film)
    limb: Limb = find_limb(small)
    (part,) = find_parts(small, 0.5)
    return posture(limb, part.mask)


@pytest.mark.parametrize("tilt", [-40, -10, 0, 25])
def test_the_axis_holds_when_an_edge_cuts_the_limb(tilt: float) -> None:
    for film in (wrist(3, tilt_deg=tilt, rows_mm=260.0), hand(1, tilt_deg=tilt)):
        whole = seen(film)
        cut = seen(np.ascontiguousarray(film[40:-60, 30:-10]))

        assert abs((whole.turn_deg - cut.turn_deg + 90) % 180 - 90) < 3


@pytest.mark.parametrize("view", ["pa", "oblique", "lateral"])
def test_turned_round_the_far_end_is_told_below_as_surely_as_above(view: str) -> None:
    for seed in range(4):
        film = hand(seed, view=view)

        above, below = seen(film).upside_down, seen(np.ascontiguousarray(film[::-1, ::-1])).upside_down

        assert above < -0.5
        assert below == pytest.approx(-above, abs=0.15)


def test_a_round_thing_has_no_axis() -> None:
    y, x = np.mgrid[:400, :400]
    disc = np.clip(200 - np.hypot(x - 200, y - 200) * 1.2, 10, 160).astype(np.uint8)

    assert seen(disc).elongation < 1.1
