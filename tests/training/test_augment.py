from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from schemas.train_recipe import Augment
from training.data.augment import augment, picture_seed

STILL = Augment(crop=1, flip=0)


def ramp() -> Tensor:
    """uint8 (1, 64, 48): greys rise with the column and, less, with the row."""
    return (torch.arange(48)[None, None, :] * 3 + torch.arange(64)[None, :, None]).to(torch.uint8)


def drawn(settings: Augment, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return augment(ramp(), settings)


def test_nothing_happens_when_nothing_is_asked_for() -> None:
    assert torch.equal(drawn(STILL, 0), ramp())


def test_shape_and_type_stay_whatever_happens() -> None:
    for seed in range(10):
        found = drawn(Augment(invert=0.5, rotate_deg=20, intensity=0.3), seed)
        assert (found.shape, found.dtype) == ((1, 64, 48), torch.uint8)


@pytest.mark.parametrize("crop_of", ["side", "area"])
def test_a_crop_keeps_between_the_smallest_share_and_all(crop_of: Literal["side", "area"]) -> None:
    settings = STILL.model_copy(update={"crop": 0.64, "crop_of": crop_of})

    found = [drawn(settings, seed)[0].int() for seed in range(300)]

    # On the ramp the number of columns that are left is the rise of the grey along a row.
    shares = [(picture[32, -1] - picture[32, 0]).item() / (3 * 47) for picture in found]
    least = 0.64 if crop_of == "side" else 0.8
    assert min(shares) == pytest.approx(least, abs=0.04)
    assert max(shares) == pytest.approx(1, abs=0.04)
    downward = [(picture[-1, 24] - picture[0, 24]).item() / 63 for picture in found]
    assert downward == pytest.approx(shares, abs=0.06)  # the aspect stays
    starts = {picture[0, 0].item() for picture in found}
    assert len(starts) > 10


@pytest.mark.parametrize(("chance", "share"), [(0, 0), (1, 1), (0.5, 0.5)])
def test_a_mirror_image_comes_with_its_chance(chance: float, share: float) -> None:
    found = [drawn(STILL.model_copy(update={"flip": chance}), seed) for seed in range(400)]

    assert all(torch.equal(picture, ramp()) or torch.equal(picture, ramp().flip(-1)) for picture in found)
    assert sum(torch.equal(picture, ramp().flip(-1)) for picture in found) / 400 == pytest.approx(share, abs=0.08)


def test_inversion_turns_the_greys() -> None:
    assert torch.equal(drawn(STILL.model_copy(update={"invert": 1.0}), 0), 255 - ramp())


def test_rotation_stays_within_its_limit_and_brings_in_black() -> None:
    bar = torch.zeros((1, 64, 64), dtype=torch.uint8)
    bar[0, :, 30:34] = 200
    angles = []
    for seed in range(100):
        torch.manual_seed(seed)
        found = augment(bar, STILL.model_copy(update={"rotate_deg": 10.0}))[0].double()
        columns = torch.arange(64, dtype=torch.float64)
        tops, bottoms = ((found[row] * columns).sum() / found[row].sum() for row in (8, 55))
        angles.append(torch.rad2deg(torch.atan2(bottoms - tops, torch.tensor(47.0, dtype=torch.float64))).item())

    assert max(angles) == pytest.approx(10, abs=1)
    assert min(angles) == pytest.approx(-10, abs=1)


def test_intensity_changes_greys_and_not_places() -> None:
    found = drawn(STILL.model_copy(update={"intensity": 0.3}), 1)[0].int()

    assert not torch.equal(found, ramp()[0].int())
    assert (found.diff(dim=1) >= 0).all()


def test_a_pictures_seed_depends_on_each_of_its_parts() -> None:
    keys = [(seed, epoch, position) for seed in range(4) for epoch in range(4) for position in range(50)]

    assert len({picture_seed(*key) for key in keys}) == len(keys)
    assert picture_seed(1, 2, 3) == picture_seed(1, 2, 3)
