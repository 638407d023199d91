"""A place on the network's input is the same place on the stored film."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from schemas.train_recipe import Data, ResNetModel, RxModel
from training.data.fit import fit
from training.explain.back import as_grey, film_to_input, inverse, moved, on_film
from training.explain.cells import Cells, enlarge, find_cells
from training.explain.heat import peak
from training.models.build import build

SIZE = (96, 128)


def film_row(turns: int = 0) -> dict[str, object]:
    """A stored film of 300 x 200: the picture is a cut from (30, 20) on, halved, and turned `turns` times by a quarter."""
    transform = np.array([[0.5, 0, -15.25], [0, 0.5, -10.25]])
    rows, columns = 130, 80
    for _ in range(turns):  # counter-clockwise: x' = y, y' = columns - 1 - x
        transform = np.array([[0, 1], [-1, 0]]) @ transform + np.array([[0, 0, 0], [0, 0, columns - 1]])
        rows, columns = columns, rows
    return {"rows": rows, "columns": columns, "transform": transform.ravel().tolist()}


@pytest.mark.parametrize("how", ["pad", "pad_largest", "stretch"])
@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_point_goes_to_the_input_and_back(how: str, turns: int) -> None:
    to_input = film_to_input(film_row(turns), Data(size=SIZE, fit=how), (150, 160))

    there_and_back = moved(moved((101.25, 77.5), to_input), inverse(to_input))

    assert there_and_back == pytest.approx((101.25, 77.5), abs=1e-9)


@pytest.mark.parametrize("turns", [0, 1])
def test_a_mark_on_the_film_lies_on_the_input_where_the_affine_says(turns: int) -> None:
    film = np.zeros((300, 200), np.float32)
    film[120:128, 90:98] = 255  # centre (93.5, 123.5)
    halved = film.reshape(150, 2, 100, 2).mean(axis=(1, 3))[10:140, 15:95].astype(np.uint8)
    picture = np.rot90(halved, turns)
    row = film_row(turns)

    given = fit(np.ascontiguousarray(picture), SIZE, "pad", (0, 0)).astype(np.float64)

    assert picture.shape == (row["rows"], row["columns"])
    y, x = np.indices(given.shape)
    centre = (float((x * given).sum() / given.sum()), float((y * given).sum() / given.sum()))
    assert centre == pytest.approx(moved((93.5, 123.5), film_to_input(row, Data(size=SIZE), (0, 0))), abs=0.05)


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_heat_comes_back_to_the_place_on_the_film(turns: int) -> None:
    row = film_row(turns) | {"source_rows": 300, "source_columns": 200}
    place = moved((110.0, 140.0), film_to_input(row, Data(size=SIZE), (0, 0)))
    y, x = np.indices((128, 96))
    heat = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 18).astype(np.float32)

    found = on_film(heat, row, Data(size=SIZE), (0, 0))

    assert found.shape == (300, 200)
    assert peak(found) == pytest.approx((110, 140), abs=1)


def test_black_borders_of_the_input_put_no_heat_on_parts_that_were_cut_away() -> None:
    row = film_row() | {"source_rows": 300, "source_columns": 200}

    found = on_film(np.ones((128, 96), np.float32), row, Data(size=SIZE), (0, 0))

    shown = np.argwhere(found > 0)
    assert shown.min(axis=0).tolist() == [20, 30]
    assert shown.max(axis=0).tolist() == [279, 189]


def test_grey_128_says_nothing_and_both_signs_reach_as_far() -> None:
    grey = as_grey(np.array([[0, 1, -1, 0.001, 2]], np.float32))

    assert grey.tolist() == [[128, 255, 1, 128, 255]]


@pytest.mark.parametrize(
    ("settings", "side"),
    [(RxModel(norm="none"), 128), (RxModel(padding=0, norm="none"), 128), (RxModel(blocks=2), 64), (ResNetModel(), 512)],
    ids=["rx", "rx without padding", "two blocks", "resnet18"],
)
def test_a_cell_lies_in_the_middle_of_the_pixels_that_move_it(settings: RxModel | ResNetModel, side: int) -> None:
    network = build(settings, SIZE).eval()
    images = torch.ones(1, 1, side, side)
    where = find_cells(network.features, images, network.features(images))
    _all_weights_alike(network.features)

    images.requires_grad_()
    maps = network.features(images)
    cell = maps.shape[2] // 2
    (moves,) = torch.autograd.grad(maps[0, :, cell, cell].sum(), images)

    y, x = np.nonzero(moves[0, 0].numpy())
    assert x.min() > 0  # the whole of the field lies on the picture
    assert (x.min() + x.max()) / 2 == where.left + cell * where.step_x
    assert (y.min() + y.max()) / 2 == where.top + cell * where.step_y


def _all_weights_alike(features: torch.nn.Module) -> None:
    """Weights that cannot cancel, and averages in the place of maxima: then every pixel of the receptive field counts."""
    for module in list(features.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.MaxPool2d):
                setattr(module, name, torch.nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
            if isinstance(child, torch.nn.Conv2d):
                torch.nn.init.constant_(child.weight, 0.05)


def test_an_enlarged_cell_peaks_at_its_centre() -> None:
    cells = np.zeros((3, 4), np.float32)
    cells[0, 3] = 1

    large = enlarge(cells, Cells(left=5, top=7, step_x=10, step_y=20), rows=60, columns=50)

    assert peak(large) == (35.0, 7.0)
    assert large[7, 30] == pytest.approx(0.5)
    assert large[27, 35] == 0
