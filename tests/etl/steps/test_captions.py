"""Writing beside a film is kept out of every judgement."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from etl.steps import inversion, otsu_split, pca_rotation
from etl.steps.captions import without_captions
from etl.steps.thumbnail import thumbnail
from etl.study import Frame
from schemas.steps import Inversion, OtsuSplit, PcaRotation
from tests.etl.steps.films import Picture, hand, negative, wrist


def captioned(film: Picture, paper: int, *, below: bool = True) -> Picture:
    band = np.full((90, film.shape[1]), paper, np.uint8)
    for line in (30, 62):
        cv2.putText(band, "kV 52  mAs 2.5  FFD 110", (12, line), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255 - paper, 1, cv2.LINE_AA)
    return np.vstack((film, band) if below else (band, film))


@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("paper", [0, 255])
def test_a_band_of_writing_is_found_on_either_side(paper: int, below: bool) -> None:
    film = np.clip(hand(0).astype(np.int32) + 30, 0, 255).astype(np.uint8)  # its air is not the paper's grey

    rows, columns = without_captions(thumbnail(captioned(film, paper, below=below)))

    small = thumbnail(captioned(film, paper, below=below)).shape
    share = (rows.stop - rows.start) / small[0]
    assert share == pytest.approx(film.shape[0] / (film.shape[0] + 90), abs=0.02)
    assert (rows.start == 0) == below
    assert (columns.start, columns.stop) == (0, small[1])


def test_films_without_writing_have_none() -> None:
    for seed in range(6):
        for film in (wrist(seed), hand(seed), negative(wrist(seed, view="lateral"))):
            small = thumbnail(film)
            assert without_captions(small) == (slice(0, small.shape[0]), slice(0, small.shape[1]))


@pytest.mark.parametrize("paper", [0, 255])
def test_writing_is_no_limb_and_turns_nothing(paper: int) -> None:
    film = captioned(hand(0, tilt_deg=20), paper)

    (frame,) = inversion.apply(Frame(pixels=film), Inversion())
    (whole,) = otsu_split.apply(frame, OtsuSplit())
    (upright,) = pca_rotation.apply(whole, PcaRotation())

    assert not frame.done["inverted"]
    assert upright.done["rotation_deg"] == pytest.approx(20, abs=5)
