"""A film of which the truth is known: which way its greys run, which limbs it shows, how each of them lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Limb:
    """One limb: its `mask` (bool, rows x columns of the film) and the counter-clockwise `turn_deg` that sets it upright.

    `of` names the film it comes from and `mirrored` whether it was reflected since: its own upright run is looked up by these.
    `knows_up`: whether it can be said which end belongs above.
    """

    mask: Mask
    turn_deg: float
    of: str
    mirrored: bool = False
    knows_up: bool = True


@dataclass(frozen=True, eq=False)
class KnownFilm:
    """`pixels` uint8 (rows, columns) as the steps get them; `positive` the same film with dark air; `exposed` bool, where
    it shows what the X-rays made (no frame, no blade, no gap)."""

    pixels: Picture
    positive: Picture
    exposed: Mask
    limbs: tuple[Limb, ...]
    body_part: str | None = None


def plain(name: str, pixels: Picture, mask: Mask, turn_deg: float, *, knows_up: bool = True) -> KnownFilm:
    """A film of one limb as it came: dark air, exposed everywhere."""
    limb = Limb(mask, turn_deg, name, knows_up=knows_up)
    return KnownFilm(pixels, pixels, np.ones(pixels.shape, bool), (limb,))
