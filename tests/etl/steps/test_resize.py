from __future__ import annotations

import numpy as np
import pytest

from etl.steps import resize
from etl.study import Frame
from schemas.steps import Resize
from tests.etl.steps.films import brightest, point, same, wrist


def run(frame: Frame, settings: Resize) -> Frame:
    frames = resize.apply(frame, settings)
    assert isinstance(frames, list)
    (only,) = frames
    return only


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(600, 450), (300, 900), (64, 48), (512, 341)])
def test_a_frame_gets_the_asked_size_and_a_second_run_changes_nothing(shape: tuple[int, int], dtype: type) -> None:
    frame = Frame(pixels=np.full(shape, 100, dtype))

    once = run(frame, Resize())
    twice = run(once, Resize())

    assert once.pixels.shape == (512, 341)
    assert once.pixels.dtype == dtype
    assert same(once, twice)


@pytest.mark.parametrize("shape", [(700, 500), (300, 900), (150, 80)])
def test_a_spot_lies_where_the_transform_says(shape: tuple[int, int]) -> None:
    pixels = np.zeros(shape, np.uint8)
    x, y = shape[1] // 3, shape[0] // 4
    pixels[y - 4 : y + 5, x - 4 : x + 5] = 255

    frame = run(Frame(pixels=pixels), Resize())

    assert brightest(frame.pixels) == pytest.approx(point(frame.transform, x, y), abs=0.5)


def test_what_is_added_is_air_and_padding() -> None:
    frame = run(Frame(pixels=np.full((100, 400), 200, np.uint8)), Resize())

    assert frame.padding is not None
    assert frame.pixels[0].max() == 0
    assert frame.padding[0].all()
    assert not frame.padding[256].any()
    assert frame.pixels[256].min() == 200


def test_known_padding_is_carried_along() -> None:
    padding = np.zeros((1024, 682), bool)
    padding[:100] = True

    frame = run(Frame(pixels=wrist(rows=1024, columns=682), padding=padding), Resize())

    assert frame.padding is not None
    assert frame.padding[:49].all()
    assert not frame.padding[51:].any()
