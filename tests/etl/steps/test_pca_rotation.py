from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from etl.steps import pca_rotation
from etl.steps.warp import turned
from etl.study import Frame
from schemas.steps import PcaRotation
from tests.etl.steps.films import brightest, framed, hand, point, same, wrist

ROBUST = PcaRotation()


def run(frame: Frame, settings: PcaRotation = ROBUST) -> Frame:
    frames = pca_rotation.apply(frame, settings)
    assert isinstance(frames, list)
    (only,) = frames
    return only


def off(found: float, true: float) -> float:
    """Difference of two angles in degrees, -180..180."""
    return (found - true + 180) % 360 - 180


@pytest.mark.parametrize("degrees", [-150, -90, -37.5, 0, 12, 90, 180])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_marked_point_lands_where_the_transform_says(degrees: float, dtype: type) -> None:
    pixels = np.zeros((301, 200), dtype)
    pixels[58:63, 138:143] = np.iinfo(dtype).max

    frame = turned(Frame(pixels=pixels), degrees)

    assert brightest(frame.pixels) == pytest.approx(point(frame.transform, 140, 60), abs=0.5)


def test_positive_degrees_turn_counter_clockwise_on_the_screen() -> None:
    arrow = np.zeros((200, 200), np.uint8)
    arrow[95:105, 150:195] = 255  # points right

    x, y = brightest(turned(Frame(pixels=arrow), 90).pixels)
    slanted_x, slanted_y = brightest(turned(Frame(pixels=arrow), 45).pixels)

    assert y < 60  # now up
    assert abs(x - 99.5) < 1
    side = turned(Frame(pixels=arrow), 45).pixels.shape[0]
    assert slanted_x > side / 2
    assert slanted_y < side / 2


def test_a_warped_copy_agrees_with_the_transform() -> None:
    film = hand(0)

    frame = turned(Frame(pixels=film), 33)

    matrix = np.array(frame.transform).reshape(2, 3)
    copy = cv2.warpAffine(film, matrix, frame.pixels.shape[::-1], flags=cv2.INTER_LINEAR)
    assert np.array_equal(copy, frame.pixels)


def test_quarter_turns_move_pixels_and_change_none() -> None:
    film = hand(1)

    for degrees, quarters in ((90, 1), (180, 2), (-90, 3)):
        frame = turned(Frame(pixels=film), degrees)
        assert np.array_equal(frame.pixels, np.rot90(film, quarters))
        assert frame.padding is None


def test_the_canvas_grows_and_what_it_gains_is_air_and_padding() -> None:
    film = np.full((300, 200), 200, np.uint8)

    frame = turned(Frame(pixels=film), 30)

    rows, columns = frame.pixels.shape
    assert (rows, columns) == (
        math.ceil(300 * math.cos(math.pi / 6) + 100),
        math.ceil(200 * math.cos(math.pi / 6) + 150),
    )
    assert frame.padding is not None
    assert frame.padding[0, 0]
    assert not frame.padding[rows // 2, columns // 2]
    assert (frame.pixels[~frame.padding] >= 100).all()
    assert frame.pixels.astype(float).sum() == pytest.approx(film.astype(float).sum(), rel=0.01)


@pytest.mark.parametrize("degrees", [-170.3, -44, 3, 61.7, 89.5])
@pytest.mark.parametrize("shape", [(300, 200), (101, 333)])
def test_padding_is_drawn_as_it_would_be_turned(degrees: float, shape: tuple[int, int]) -> None:
    film = np.full(shape, 200, np.uint8)

    drawn, warped = turned(Frame(pixels=film), degrees), turned(Frame(pixels=film, padding=film == 0), degrees)

    assert drawn.padding is not None
    assert warped.padding is not None
    beyond = cv2.copyMakeBorder(warped.padding.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=[1])
    rim = cv2.dilate(beyond, np.ones((3, 3), np.uint8))[1:-1, 1:-1].astype(bool)
    assert (drawn.padding >= warped.padding).all()
    assert (drawn.padding <= rim).all()  # and at most a pixel of the film's own border


def test_tilted_hands_are_set_upright() -> None:
    errors = []
    for seed, tilt in enumerate((-60, -35, -12, 8, 25, 48)):
        frame = run(Frame(pixels=hand(seed, tilt_deg=tilt)))
        errors.append(abs(off(2 * frame.done["rotation_deg"], 2 * tilt)) / 2)

    assert np.mean(errors) < 4
    assert max(errors) < 9


def test_upside_down_hands_are_turned_round() -> None:
    right = 0
    for seed, tilt in enumerate((-40, -15, 0, 20, 45, 10)):
        frame = run(Frame(pixels=hand(seed, tilt_deg=tilt, upside_down=True)))
        right += abs(off(frame.done["rotation_deg"], tilt + 180)) < 90

    assert right == 6


def test_half_a_turn_is_exact() -> None:
    film = np.ascontiguousarray(run(Frame(pixels=hand(0))).pixels[::-1, ::-1])

    frame = run(Frame(pixels=film))

    assert frame.done["rotation_deg"] == 180
    assert np.array_equal(frame.pixels, film[::-1, ::-1])
    assert frame.padding is None


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("tilt", [-47, 3, 30, 170])
def test_a_second_run_changes_nothing(tilt: float, bits: int) -> None:
    for film in (wrist(1, tilt_deg=tilt, bits=bits), hand(2, tilt_deg=tilt, bits=bits)):
        once = run(Frame(pixels=film))
        assert same(run(once), once)
        assert once.pixels.dtype == film.dtype


def test_a_turn_is_added_to_that_of_an_earlier_run() -> None:
    film = hand(0, tilt_deg=30)
    alone = run(Frame(pixels=film)).done["rotation_deg"]

    after = run(Frame(pixels=film, done={"rotation_deg": -50.0})).done["rotation_deg"]

    assert after == pytest.approx(alone - 50)


def test_small_turns_are_not_applied() -> None:
    upright = run(Frame(pixels=hand(0))).pixels
    frame = Frame(pixels=upright)

    assert run(frame, PcaRotation(dead_band_deg=10)).pixels is upright


def test_what_has_no_axis_is_left_and_says_so() -> None:
    ball = np.zeros((400, 400), np.uint8)
    cv2.circle(ball, (200, 200), 90, 140, -1)
    cv2.circle(ball, (200, 200), 40, 220, -1)

    for film in (ball, np.zeros((300, 300), np.uint8)):
        frame = run(Frame(pixels=film))
        assert frame.pixels is film
        assert frame.done["rotation_deg"] == 0
        assert frame.done["rotation_confidence"] == 0


def test_a_frame_does_not_draw_the_axis_off() -> None:
    film = hand(1, tilt_deg=25)

    plain, inside = run(Frame(pixels=film)), run(Frame(pixels=framed(film, 255)))

    assert abs(off(plain.done["rotation_deg"], inside.done["rotation_deg"])) < 5


def test_a_film_of_another_body_part_passes_with_its_pixels() -> None:
    frame = Frame(pixels=hand(0, tilt_deg=40), body_part="skull")

    assert run(frame).pixels is frame.pixels


def test_a_hanging_limb_is_never_turned_round() -> None:
    frame = run(Frame(pixels=hand(0, upside_down=True), body_part="knee"))

    assert abs(frame.done["rotation_deg"]) < 90


def test_the_thesis_method_knows_no_sign() -> None:
    settings = PcaRotation(method="thesis")

    left = run(Frame(pixels=wrist(0, tilt_deg=30)), settings)
    right = run(Frame(pixels=wrist(0, tilt_deg=-30)), settings)

    assert left.done["rotation_deg"] == pytest.approx(30, abs=8)
    assert right.done["rotation_deg"] == pytest.approx(30, abs=8)
    assert same(run(left, settings), left)
