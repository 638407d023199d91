from __future__ import annotations

import numpy as np
import pytest

from etl.steps import inversion
from etl.study import Frame
from schemas.steps import Inversion
from tests.etl.steps.films import collimated, framed, hand, negative, same, wrist

EVIDENCE, THESIS = Inversion(), Inversion(method="thesis")


def run(frame: Frame, settings: Inversion = EVIDENCE) -> Frame:
    frames = inversion.apply(frame, settings)
    assert isinstance(frames, list)
    (only,) = frames
    return only


def surrounded(pixels: np.ndarray, how: str) -> np.ndarray:
    noise = np.random.default_rng(5).integers(0, 30, (pixels.shape[0] + 80, pixels.shape[1] + 80))
    match how:
        case "plain":
            return pixels
        case "white frame":
            return framed(pixels, 255)
        case "black frame":
            return framed(pixels, 0)
        case "noisy white frame":
            out = framed(pixels, 255)
            edge = framed(np.ones_like(pixels), 0) == 0
            return np.where(edge, 255 - noise, out).astype(np.uint8)
        case "black in white":
            return framed(framed(pixels, 0, 25), 255, 25)
        case "white in black":
            return framed(framed(pixels, 255, 25), 0, 25)
        case "tilted white blades":
            return collimated(pixels, 250, 8)
        case "tilted black blades":
            return collimated(pixels, 5, -11)
        case _:
            grain = np.random.default_rng(6).normal(0, 25, pixels.shape)
            return np.clip(pixels + grain, 0, 255).astype(np.uint8)


SURROUNDINGS = (
    "plain", "white frame", "black frame", "noisy white frame", "black in white", "white in black",
    "tilted white blades", "tilted black blades", "strong noise",
)  # fmt: skip


@pytest.mark.parametrize("how", SURROUNDINGS)
@pytest.mark.parametrize("turned", [False, True])
def test_a_film_ends_with_dark_air_whatever_surrounds_it(how: str, turned: bool) -> None:
    films = [hand(seed) for seed in (0, 1)] + [wrist(2), wrist(3, view="oblique")]
    right = 0
    for film in films:
        frame = run(Frame(pixels=surrounded(negative(film) if turned else film, how)))
        right += frame.done["inverted"] is turned

    assert right == len(films)


def test_a_limb_that_touches_all_corners_is_judged_by_its_bones() -> None:
    close = wrist(4, rows_mm=170)[200:430, 130:330]

    assert run(Frame(pixels=close)).done["inverted"] is False
    assert run(Frame(pixels=negative(close))).done["inverted"] is True


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("settings", [EVIDENCE, THESIS], ids=["evidence", "thesis"])
def test_a_turned_film_is_the_range_minus_itself_and_a_second_run_changes_nothing(bits: int, settings: Inversion) -> None:
    film = hand(1, bits=bits)

    once = run(Frame(pixels=negative(film)), settings)
    twice = run(once, settings)

    assert np.array_equal(once.pixels, film)
    assert once.pixels.dtype == film.dtype
    assert same(once, twice)


def test_the_score_says_which_way_and_the_negative_scores_the_opposite() -> None:
    film = hand(2)

    dark, bright = run(Frame(pixels=film)), run(Frame(pixels=negative(film)))

    assert -1 <= dark.done["inversion_score"] < -0.5
    assert dark.done["inversion_score"] == pytest.approx(-bright.done["inversion_score"], abs=0.05)


def test_padding_stays_air() -> None:
    film = negative(hand(0))
    padding = np.zeros(film.shape, bool)
    padding[:, :60] = True
    film[padding] = 0

    frame = run(Frame(pixels=film, padding=padding))

    assert frame.done["inverted"] is True
    assert not frame.pixels[padding].any()


def test_an_earlier_runs_turn_is_combined_by_exclusive_or() -> None:
    frame = run(Frame(pixels=negative(hand(0)), done={"inverted": True}))

    assert frame.done["inverted"] is False


def test_a_chest_is_judged_by_lungs_and_mediastinum() -> None:
    chest = np.full((300, 300), 150, np.uint8)
    chest[60:240, 40:120] = chest[60:240, 180:260] = 60
    chest[:, 130:170] = 230

    assert run(Frame(pixels=chest, body_part="chest")).done["inverted"] is False
    assert run(Frame(pixels=negative(chest), body_part="chest")).done["inverted"] is True


def test_the_thesis_rule_takes_the_mean_of_four_corners() -> None:
    dark, bright = np.full((100, 80), 99, np.uint8), np.full((100, 80), 100, np.uint8)

    assert run(Frame(pixels=dark), THESIS).done["inverted"] is False
    assert run(Frame(pixels=bright), THESIS).done["inverted"] is True
    assert run(Frame(pixels=(bright * np.uint16(257))), THESIS).done["inverted"] is True


def test_a_picture_without_content_is_left_alone() -> None:
    for film in (np.zeros((100, 100), np.uint8), np.full((100, 100), 255, np.uint8), np.ones((3, 2), np.uint16)):
        frame = run(Frame(pixels=film))
        assert frame.done["inverted"] is False
        assert frame.done["inversion_score"] == 0
