from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from etl.steps import otsu_split
from etl.study import Drop, Frame
from schemas.steps import OtsuSplit
from tests.etl.steps.films import framed, hand, point, same, two_wrists, wrist

ROBUST = OtsuSplit()


def run(pixels: np.ndarray, settings: OtsuSplit = ROBUST, **fields: object) -> list[Frame]:
    frames = otsu_split.apply(Frame(pixels=pixels, **fields), settings)  # type: ignore[arg-type]
    assert isinstance(frames, list)
    return frames


def box(frame: Frame) -> tuple[float, float, float, float]:
    """Where a part lies on the film it was cut from."""
    rows, columns = frame.pixels.shape
    x0, y0 = -frame.transform[2], -frame.transform[5]
    return x0, y0, x0 + columns, y0 + rows


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    across = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return across / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - across)


def with_letters(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.putText(pixels.copy(), "L AP", (5, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.8, 255, 6))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_wrists_become_two_pictures_in_reading_order(seed: int, bits: int) -> None:
    film, boxes = two_wrists(seed, bits=bits, tilts_deg=(6, -8))

    parts = run(film)

    assert len(parts) == 2
    assert [part.pixels.dtype for part in parts] == [film.dtype] * 2
    for part, truth in zip(parts, boxes, strict=True):
        assert overlap(box(part), truth) > 0.85


def test_a_part_holds_the_films_own_pixels_where_its_transform_says() -> None:
    film, _ = two_wrists(3)

    for part in run(film):
        x, y = point(part.transform, 0, 0)
        rows, columns = part.pixels.shape
        original = film[int(-y) : int(-y) + rows, int(-x) : int(-x) + columns]
        kept = np.ones(part.pixels.shape, bool) if part.padding is None else ~part.padding
        assert np.array_equal(part.pixels[kept], original[kept])


def test_a_dark_limb_beside_a_bright_one_is_found_too() -> None:
    film, _ = two_wrists(1)
    film[:, 400:] = (film[:, 400:] * 0.5).astype(np.uint8)

    assert len(run(film)) == 2


def test_joined_films_of_different_air_are_told_apart() -> None:
    left, right = hand(0), hand(1)
    lighter = np.clip(right * 0.7 + 60, 0, 255).astype(np.uint8)

    assert len(run(np.hstack((left, lighter)))) == 2
    assert len(run(np.hstack((left, np.full((600, 16), 255, np.uint8), right)))) == 2
    assert len(run(np.vstack((left[:, 60:390], np.zeros((16, 330), np.uint8), right[:, 60:390])))) == 2


@pytest.mark.parametrize("view", ["pa", "oblique", "lateral"])
@pytest.mark.parametrize("around", ["plain", "letters", "white frame", "black in white"])
def test_a_single_film_is_never_cut(view: str, around: str) -> None:
    for seed in (0, 1, 2):
        film = wrist(seed, view=view, tilt_deg=15 * seed - 10) if seed < 2 else hand(seed, view=view)
        match around:
            case "letters":
                film = with_letters(film)
            case "white frame":
                film = framed(film, 255)
            case "black in white":
                film = framed(framed(film, 0, 20), 255, 20)
        frame = Frame(pixels=film)

        frames = otsu_split.apply(frame, ROBUST)

        assert isinstance(frames, list)
        assert len(frames) == 1
        assert frames[0].pixels is frame.pixels
        assert frames[0].transform == frame.transform


@pytest.mark.parametrize("crop", [False, True])
def test_a_second_run_changes_nothing(crop: bool) -> None:
    film, _ = two_wrists(2, tilts_deg=(-5, 12))
    settings = OtsuSplit(crop=crop)

    cut_by_thesis = [replace(frame, done={"split_score": 1.0}) for frame in run(film, OtsuSplit(method="thesis"))]
    for frame in [*run(film, settings), *run(hand(1), settings), *cut_by_thesis]:
        again = otsu_split.apply(frame, settings)
        assert isinstance(again, list)
        assert len(again) == 1
        assert crop or same(again[0], frame)
        (third,) = run(again[0].pixels, settings)
        assert third.pixels.shape == again[0].pixels.shape


def test_a_single_limb_is_cropped_only_when_asked() -> None:
    film = np.full((700, 900), 12, np.uint8)
    film[50:650, 200:650] = hand(0)

    assert run(film)[0].pixels.shape == film.shape
    assert run(film, OtsuSplit(crop=True))[0].pixels.shape[1] < 600


def test_a_film_of_another_body_part_passes_unchanged() -> None:
    film, _ = two_wrists(0)
    frame = Frame(pixels=film, body_part="chest")

    assert otsu_split.apply(frame, ROBUST) == [frame]


def test_a_picture_too_small_for_a_limb_is_dropped() -> None:
    assert otsu_split.apply(Frame(pixels=np.zeros((16, 200), np.uint8)), ROBUST) == Drop(
        "region_too_small", "16x200 pixels, at least 64 needed"
    )


def test_the_thesis_method_finds_two_wrists_of_like_exposure() -> None:
    film, _ = two_wrists(0)

    assert len(run(film, OtsuSplit(method="thesis"))) == 2
