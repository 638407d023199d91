"""Metal in a limb: found where it is, and nowhere else."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from etl.metal import metal_fraction, metal_of_limb
from etl.phantom import draw
from etl.phantom.plan import plan
from etl.phantom.wishes import mixture
from etl.phantom.wrist import draw_wrist
from etl.study import Frame, Pixels
from schemas.errors import RadforgeError

PLATE, WIRES = (3,), (4,)  # seeds of implants.py


def film(seed: int, implant: tuple[int, ...] | None = None, gain: float = 0.85) -> Pixels:
    """A wrist of 640 x 512 pixels, uint8, air 0, with noise; `gain` is the grey of what lets nothing but metal through."""
    drawn = draw_wrist(np.random.default_rng(seed), 640, 512, implant=implant)
    noise = np.random.default_rng(seed + 1).normal(0, 0.01, drawn.pixels.shape)
    return np.asarray(np.clip(255 * (0.05 + gain * drawn.pixels + noise), 0, 255), np.uint8)


@pytest.mark.parametrize("implant", [PLATE, WIRES])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_implant_is_seen_and_the_same_wrist_without_it_shows_none(seed: int, implant: tuple[int, ...]) -> None:
    with_it, without = metal_fraction(film(seed, implant)), metal_fraction(film(seed))

    assert with_it is not None
    assert with_it > 0.002
    assert without == pytest.approx(0, abs=0.001)


def test_8_and_16_bits_say_the_same() -> None:
    eight = film(1, PLATE)

    assert metal_fraction(eight.astype(np.uint16) * 257) == pytest.approx(metal_fraction(eight), rel=0.05)


def test_letters_frames_and_white_paper_beside_the_limb_are_no_metal() -> None:
    lettered = film(1)
    cv2.putText(lettered, "R", (20, 120), cv2.FONT_HERSHEY_SIMPLEX, 3, 255, 8)
    framed = film(2)
    framed[:14], framed[-14:], framed[:, :14], framed[:, -14:] = 255, 255, 255, 255
    blank = np.full((300, 300), 255, np.uint8)

    for picture in (lettered, framed, blank):
        assert (metal_fraction(picture) or 0) < 0.001


def test_a_window_that_clips_the_cortex_makes_no_metal() -> None:
    for seed in (1, 2, 3):
        assert metal_fraction(film(seed, gain=1.15)) == pytest.approx(0, abs=0.002)


def test_metal_is_sought_in_limbs_only() -> None:
    assert metal_of_limb(Frame(pixels=film(1, PLATE), body_part="chest")) is None
    assert metal_of_limb(Frame(pixels=film(1, PLATE), body_part="wrist")) is not None


def test_implants_change_nothing_else_in_an_archive() -> None:
    plain, filled = (plan(mixture(30, 5, (160, 128), None, None, implants=rate)) for rate in ((0.0, 0.0), (0.9, 0.1)))

    assert [study.study_instance_uid for study in plain] == [study.study_instance_uid for study in filled]
    for a, b in zip(plain, filled, strict=True):
        assert [vars(film) | {"implant": None} for film in b.films] == [vars(film) for film in a.films]
    rates = {label: [s.films[0].implant is not None for s in filled if s.label == label] for label in (0, 1)}
    assert np.mean(rates[1]) > 0.6
    assert np.mean(rates[0]) < 0.3
    assert not any(film.implant for study in filled if study.body_part != "wrist" for film in study.films)


def test_the_truth_tells_the_metal_and_the_wrong_tags(tmp_path: Path) -> None:
    draw(tmp_path / "a", 6, 1, size=(160, 128), implants=(1.0, 1.0), mistagged=0.5)

    with (tmp_path / "a" / "truth.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    records = [row for row in rows if row["fate"] == "record"]
    assert all(0.001 < float(row["metal_fraction"]) < 0.2 for row in records if row["body_part"] == "wrist")
    chests = [row for row in records if row["body_part"] == "chest"]
    assert len({row["study_instance_uid"] for row in chests}) == 3
    assert {row["mistagged"] for row in chests} == {"true"}


def test_a_rate_that_is_none_is_refused() -> None:
    with pytest.raises(RadforgeError, match="--implants"):
        mixture(4, 0, None, None, None, implants=(1.5, 0.0))
