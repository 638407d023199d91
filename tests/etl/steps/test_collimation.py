"""The exposed field: blades and frames are found, skin and bones are not taken for them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from etl.steps.collimation import exposure
from etl.steps.thumbnail import thumbnail
from tests.etl.steps.films import Picture, collimated, framed, hand, wrist


def field(film: Picture) -> np.ndarray:
    inside = exposure(thumbnail(film)).inside.astype(np.uint8)
    return cv2.resize(inside, film.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("grey", [0, 70, 255])
@pytest.mark.parametrize("degrees", [-12, 0, 5])
def test_blades_of_any_grey_are_found(grey: int, degrees: float) -> None:
    for film in (wrist(0), hand(1)):
        inside = collimated(np.ones_like(film), 0, degrees) > 0

        found = field(collimated(film, grey, degrees))
        assert (found & inside).sum() > 0.93 * inside.sum()  # of the film nothing but a soft edge is lost
        assert overlap(found, inside) > 0.83  # where a limb is as grey as the blade, a side may be missed


def test_a_field_much_smaller_than_the_film_is_found() -> None:
    film = np.full((1200, 1000), 250, np.uint8)
    film[700:1180, 90:450] = hand(0)[60:540, 20:380]
    inside = np.zeros(film.shape, bool)
    inside[700:1180, 90:450] = True

    assert overlap(field(film), inside) > 0.9


@pytest.mark.parametrize("view", ["pa", "lateral"])
def test_the_skin_of_a_straight_forearm_is_no_blade(view: str) -> None:
    for seed in range(4):
        film = wrist(seed, view=view, rows_mm=260.0)

        assert field(film).mean() > 0.97


def test_a_frame_around_a_frame_is_found() -> None:
    film = hand(2)
    inside = np.pad(np.ones(film.shape, bool), 60)

    assert overlap(field(framed(framed(film, 0, 25), 255, 35)), inside) > 0.85
