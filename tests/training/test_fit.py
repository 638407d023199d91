from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from training.data.fit import fit, fit_transform

Fit = Literal["pad", "pad_largest", "stretch"]
HOWS: tuple[Fit, ...] = ("pad", "pad_largest", "stretch")


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("shape", [(300, 120), (90, 410), (60, 40), (512, 341), (33, 700)])
def test_a_dot_comes_to_lie_where_the_transform_says(how: Fit, shape: tuple[int, int]) -> None:
    rows, columns = shape
    size, largest = (96, 128), (700, 520)
    x, y = columns * 0.7, rows * 0.3
    grid_y, grid_x = np.mgrid[:rows, :columns]
    spread = max(rows, columns) / 12  # a soft dot, so that its centre of mass is not a matter of single pixels
    dot = (250 * np.exp(-((grid_x - x) ** 2 + (grid_y - y) ** 2) / (2 * spread**2))).astype(np.uint8)
    mass = dot.astype(np.float64)
    x, y = (mass * grid_x).sum() / mass.sum(), (mass * grid_y).sum() / mass.sum()

    found = fit(dot, size, how, largest).astype(np.float64)

    a, b, c, d, e, f = fit_transform(rows, columns, size, how, largest)
    there_y, there_x = np.mgrid[: size[1], : size[0]]
    assert (found * there_x).sum() / found.sum() == pytest.approx(a * x + b * y + c, abs=0.15)
    assert (found * there_y).sum() / found.sum() == pytest.approx(d * x + e * y + f, abs=0.15)


@pytest.mark.parametrize("how", HOWS)
def test_the_corners_of_what_is_bright_are_where_the_transform_says(how: Fit) -> None:
    rows, columns, size, largest = 200, 100, (341, 512), (400, 300)
    picture = np.full((rows, columns), 200, dtype=np.uint8)

    found = fit(picture, size, how, largest)

    x, _, c, _, y, f = fit_transform(rows, columns, size, how, largest)
    edges = [x * -0.5 + c + 0.5, x * (columns - 0.5) + c + 0.5, y * -0.5 + f + 0.5, y * (rows - 0.5) + f + 0.5]
    inside = np.argwhere(found > 100)
    assert found.shape == (512, 341)
    assert [inside[:, 1].min(), inside[:, 1].max() + 1] == pytest.approx(edges[:2], abs=1.0)
    assert [inside[:, 0].min(), inside[:, 0].max() + 1] == pytest.approx(edges[2:], abs=1.0)


def test_padding_keeps_the_aspect_and_stretching_fills_the_input() -> None:
    picture = np.full((100, 200), 200, dtype=np.uint8)

    padded, stretched = fit(picture, (60, 90), "pad", (0, 0)), fit(picture, (60, 90), "stretch", (0, 0))

    assert [(padded > 100).any(axis=axis).sum() for axis in (0, 1)] == [60, 30]
    assert (stretched == 200).all()
    assert (padded[:29] == 0).all()
    assert (padded[-29:] == 0).all()


def test_padding_to_the_largest_makes_small_pictures_small() -> None:
    picture = np.full((100, 100), 200, dtype=np.uint8)

    found = fit(picture, (80, 80), "pad_largest", (400, 200))

    assert (found > 100).sum() == pytest.approx(20 * 20, rel=0.15)


def test_a_picture_larger_than_the_largest_still_fits() -> None:
    found = fit(np.full((100, 100), 200, dtype=np.uint8), (50, 50), "pad_largest", (80, 20))

    assert (found == 200).all()


def test_shrinking_takes_area_means() -> None:
    picture = np.zeros((64, 64), dtype=np.uint8)
    picture[::4, ::4] = 160  # a linear reading of every fourth pixel would see only these, or none

    found = fit(picture, (16, 16), "stretch", (0, 0))

    assert (found == 10).all()


def test_one_side_may_shrink_while_the_other_grows() -> None:
    picture = np.tile(np.array([0, 200], dtype=np.uint8), (4, 40))

    found = fit(picture, (10, 16), "stretch", (0, 0))

    assert found.shape == (16, 10)
    assert (found == 100).all()


def test_sixteen_bits_become_eight() -> None:
    picture = np.array([[0, 257, 65535], [32896, 128, 129]], dtype=np.uint16)

    assert fit(picture, (3, 2), "stretch", (0, 0)).tolist() == [[0, 1, 255], [128, 0, 1]]


def test_a_picture_of_the_right_size_is_left_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (30, 20), dtype=np.uint8)

    assert (fit(picture, (20, 30), "pad", (0, 0)) == picture).all()
    assert fit_transform(30, 20, (20, 30), "pad", (0, 0)).tolist() == [1, 0, 0, 0, 1, 0]
