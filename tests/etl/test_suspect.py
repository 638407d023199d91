"""A chest that is called a wrist is told; limbs are left in peace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from etl.archive import headers
from etl.deidentify import Key
from etl.doubts import doubts
from etl.phantom.bodies import draw_region
from etl.phantom.wrist import draw_wrist
from etl.picture_store import PictureStore, make_folders
from etl.plan import plan_part
from etl.process import process
from etl.study import Frame, Pixels
from etl.suspect import body_part_suspect
from schemas.recipe import EtlRecipe, Review
from tests.etl.drawn import put
from tests.etl.pixel_files import dicom


def film(part: str, seed: int) -> Pixels:
    """A film of 500 x 400 pixels, uint8, air 0, with noise."""
    rng = np.random.default_rng(seed)
    drawn = (
        draw_wrist(rng, 500, 400) if part == "wrist" else draw_region(rng, part, 500, 400, tilt_deg=float(rng.uniform(-5, 5)))
    )
    noise = rng.normal(0, 0.012, drawn.pixels.shape)
    return np.asarray(np.clip(255 * (0.05 + 0.85 * drawn.pixels + noise), 0, 255), np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_a_chest_tagged_as_a_limb_is_suspect_in_either_grey_sense(seed: int) -> None:
    chest = film("chest", seed)

    assert body_part_suspect(Frame(pixels=chest, body_part="wrist")) is True
    assert body_part_suspect(Frame(pixels=255 - chest, body_part="forearm")) is True


@pytest.mark.parametrize("part", ["wrist", "hand", "elbow", "knee"])
def test_limbs_are_not(part: str) -> None:
    for seed in range(4):
        assert body_part_suspect(Frame(pixels=film(part, seed), body_part=part)) is False


def test_other_tags_are_not_judged() -> None:
    chest = film("chest", 1)

    assert body_part_suspect(Frame(pixels=chest, body_part="chest")) is None
    assert body_part_suspect(Frame(pixels=chest)) is None


def test_somebody_should_look_at_a_suspect_film() -> None:
    assert doubts({"body_part_suspect": True}, Review()) == ["body_part"]
    assert doubts({"body_part_suspect": False}, Review()) == []


def test_a_suspect_film_is_neither_cut_nor_turned_and_keeps_its_tag(tmp_path: Path) -> None:
    found = put(
        tmp_path / "chest.dcm",
        dicom(film("chest", 1), Modality="CR", BodyPartExamined="WRIST", PatientID="p", StudyInstanceUID="1.2.3"),
    )
    make_folders(tmp_path)
    (task,) = plan_part(headers.read(found), EtlRecipe(), Key(b"no secret")).tasks

    with PictureStore(tmp_path) as store:
        (row,) = process(task, EtlRecipe(), store).records

    assert (row["body_part"], row["body_part_suspect"]) == ("wrist", True)
    assert (row["region_count"], row["rotation_deg"], row["rotation_confidence"]) == (1, 0.0, None)
    assert row["review_reasons"] == ["body_part"]
