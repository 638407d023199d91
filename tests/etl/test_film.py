"""A file's bytes to a picture: real files and their fates, and mutated ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from etl.pixels.film import Film, read_film
from etl.study import IDENTITY, Drop, Failure
from schemas.recipe import Pixels
from tests.etl.pixel_files import DICOM, INVENTORY, dicom, needs_real_files, ramp, rows_with, shown, stored

GREY = ramp()
NOT_PICTURES = ("drop:not_an_image", "drop:dicomdir", "drop:not_dicom")

# Files that no decoder at hand could read when the inventory was made, and that are read here; their pixels
# are checked in test_decode.py, or against a twin below.
READ_ALL_THE_SAME = {
    "fo-dicom/FreezePattern.dcm",
    "fo-dicom/GH364.dcm",
    "pydicom-data/emri_small_jpeg_2k_lossless_too_short.dcm",
    "pydicom-data/liver_deflate.dcm",
    "pydicom-data/liver_nonbyte_aligned_deflate.dcm",
}


def fate(item: Film | Drop | Failure) -> str:
    if isinstance(item, Film):
        return "record"
    return f"drop:{item.reason}" if isinstance(item, Drop) else f"failure:{item.stage}"


@needs_real_files
@pytest.mark.parametrize("row", rows_with("fate_any_modality"))
def test_real_pictures_have_the_fate_the_inventory_gives_them(row: dict[str, str]) -> None:
    fates = {fate(item) for item in read_film((DICOM / row["file"]).read_bytes(), Pixels())}

    accepted = {row["fate_any_modality"], *row["also_acceptable"].split("|")}
    if "drop:not_dicom" in accepted:
        accepted.add("failure:read")  # the archive asks first whether a file is DICOM
    if row["file"] in READ_ALL_THE_SAME:
        assert fates == {"record"}
    elif row["fate_any_modality"] in NOT_PICTURES:  # the archive's business: here only nothing may be shown
        assert all(found.startswith("failure") for found in fates)
    else:
        assert len(fates) == 1
        assert fates <= accepted


@needs_real_files
def test_a_file_whose_last_bytes_are_missing_shows_what_its_whole_twin_shows() -> None:
    names = ("emri_small_jpeg_2k_lossless_too_short.dcm", "../pylibjpeg-data/emri_small_jpeg_2k_lossless.dcm")

    short, whole = (list(read_film((DICOM / "pydicom-data" / name).read_bytes(), Pixels())) for name in names)

    hashes = [[item.stored_sha256 for item in items if isinstance(item, Film)] for items in (short, whole)]
    assert hashes[0] == hashes[1]


@needs_real_files
def test_nine_encodings_of_one_hand_are_nine_equal_pictures() -> None:
    names = "explicit_le implicit_le explicit_be deflated rle jpeg_lossless_57 jpeg_lossless_70 jpegls_lossless j2k_lossless"

    films = [shown((DICOM / "derived" / f"hand_{name}.dcm").read_bytes()) for name in names.split()]

    assert len({film.stored_sha256 for film in films}) == 1
    assert all(np.array_equal(film.frame.pixels, films[0].frame.pixels) for film in films)


@needs_real_files
@pytest.mark.parametrize("name", ["monochrome1_true", "monochrome1_inverse_true", "signed_rescale"])
def test_the_same_hand_said_in_other_words_is_the_same_picture(name: str) -> None:
    hand = shown((DICOM / "derived" / "hand_explicit_le.dcm").read_bytes()).frame.pixels.astype(int)

    other = shown((DICOM / "derived" / f"hand_{name}.dcm").read_bytes()).frame.pixels.astype(int)

    assert np.abs(hand - other).max() <= 1


@needs_real_files
@pytest.mark.parametrize("name", ["monochrome1_but_positive", "monochrome2_but_negative"])
def test_a_lying_header_is_followed_and_left_to_the_inversion_step(name: str) -> None:
    hand = shown((DICOM / "derived" / "hand_explicit_le.dcm").read_bytes()).frame.pixels.astype(int)

    lie = shown((DICOM / "derived" / f"hand_{name}.dcm").read_bytes()).frame.pixels.astype(int)

    assert np.abs(255 - hand - lie).max() <= 1


FILMS = [
    parameter
    for parameter in rows_with("stored_bone")
    if parameter.values[0]["header_grey_true"] == "yes"
    and parameter.values[0]["fate_any_modality"] == "record"
    and parameter.values[0]["modality"] != "XA"  # vessels full of contrast are shown dark by custom
]


@needs_real_files
@pytest.mark.parametrize("row", FILMS)
def test_bone_is_bright_in_every_film_whose_header_tells_the_truth(row: dict[str, str]) -> None:
    data = (DICOM / row["file"]).read_bytes()
    picture, values = shown(data).frame.pixels, stored(data).pixels

    alike = np.corrcoef(picture[::4, ::4].ravel(), values[::4, ::4].ravel())[0, 1]

    assert (alike > 0) == (row["stored_bone"] == "bright")


def test_the_facts_are_the_manifests_columns() -> None:
    film = shown(
        dicom(
            GREY,
            BitsStored=12,
            WindowCenter=2048,
            WindowWidth=4096,
            PixelSpacing=[0.2, 0.1],
            BurnedInAnnotation="NO",
        )
    )

    assert dict(film.facts) == {
        "source_rows": 40,
        "source_columns": 30,
        "bits": 8,
        "photometric_interpretation": "MONOCHROME2",
        "transfer_syntax": "1.2.840.10008.1.2.1",
        "decoder": "native",
        "voi_source": "window",
        "window_center": 2048.0,
        "window_width": 4096.0,
        "pixel_spacing_row_mm": 0.2,
        "pixel_spacing_column_mm": 0.1,
        "header_problems": ("non_square_pixels",),
        "burned_in_annotation": "NO",
    }
    assert film.frame.transform == IDENTITY


@pytest.mark.parametrize(
    ("fields", "spacing", "problem"),
    [
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "EstimatedRadiographicMagnificationFactor": 1.25},
            0.16,
            "spacing:imager",
        ),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.15, 0.15]}, 0.15, None),
        ({"NominalScannedPixelSpacing": [0.1, 0.1]}, 0.1, "spacing:nominal_scanned"),
        ({"PixelSpacing": [0, 0]}, None, "spacing_invalid"),
        ({"PixelAspectRatio": [1, 2]}, None, "non_square_pixels"),
        ({}, None, None),
    ],
)
def test_spacing_says_where_it_comes_from(fields: dict[str, object], spacing: float | None, problem: str | None) -> None:
    facts = shown(dicom(GREY, **fields)).facts

    assert facts["pixel_spacing_row_mm"] == (None if spacing is None else pytest.approx(spacing))
    assert facts["header_problems"] == ((problem,) if problem else ())


def test_sixteen_bits_keep_what_eight_lose() -> None:
    film = shown(dicom(GREY, BitsStored=12, WindowCenter=2048, WindowWidth=4096), bits=16)

    assert film.frame.pixels.dtype == np.uint16
    assert len(np.unique(film.frame.pixels)) == len(np.unique(GREY))


def test_frames_come_one_by_one_in_order() -> None:
    frames = np.stack([ramp() // (index + 1) for index in range(3)])
    data = dicom(frames.tobytes(), Rows=40, Columns=30, NumberOfFrames=3, WindowCenter=2048, WindowWidth=4096)

    films = [item.frame.pixels for item in read_film(data, Pixels()) if isinstance(item, Film)]

    assert [int(film.max()) for film in films] == pytest.approx([255, 128, 85], abs=1)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_grey_in_colours_clothing_is_a_film_and_colour_is_not(photometric: str) -> None:
    grey = (GREY >> 4).astype(np.uint8)
    tinted = grey.copy()
    tinted[10:] = 40
    middle = np.full_like(grey, 128)
    channels = [grey, grey, grey] if photometric == "RGB" else [grey, middle, middle]

    film = shown(dicom(np.dstack(channels), PhotometricInterpretation=photometric, PlanarConfiguration=0))
    coloured = dicom(
        np.dstack([channels[0], tinted, channels[2]]),
        PhotometricInterpretation=photometric,
        PlanarConfiguration=0,
    )

    assert np.array_equal(film.frame.pixels, grey)
    assert film.facts["voi_source"] == "display_range"
    assert [fate(item) for item in read_film(coloured, Pixels())] == ["drop:not_greyscale"]


def test_text_of_the_file_is_in_no_fact() -> None:
    data = dicom(GREY, PhotometricInterpretation="DOE^JANE", BurnedInAnnotation="JANE", VOILUTFunction="DOE")

    film = shown(data)

    assert "DOE" not in str(film.facts)
    assert "JANE" not in str(film.facts)


def test_bytes_that_are_no_dicom_are_one_failure() -> None:
    for data in (b"", b"hello", bytes(500)):
        assert [fate(item) for item in read_film(data, Pixels())] == ["failure:read"]


SCRIPT = """
import random, sys
from pathlib import Path
from typing import Any
from etl.pixels.film import read_film
from schemas.recipe import Pixels
mutations = int(sys.argv[1])
for name in sys.argv[2:]:
    sound = Path(name).read_bytes()
    chance = random.Random(len(sound))
    pixels = max(sound.find(b"\\xe0\\x7f\\x10\\x00"), 200)
    for turn in range(mutations or 1):
        data = bytearray(sound)
        for _ in range(chance.choice([1, 4, 16]) if mutations else 0):
            end = chance.choice([min(pixels + 600, len(data)), len(data)])
            data[chance.randrange(chance.choice([132, pixels]), end)] = chance.randrange(256)
        for item in read_film(bytes(data), Pixels()):
            pass
print("alive")
"""


def run_apart(mutations: int, files: list[Path]) -> subprocess.CompletedProcess[str]:
    """In a process of its own: an abort in a decoder would end this one."""
    command = [sys.executable, "-c", SCRIPT, str(mutations), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=Path(__file__).parents[2])


@needs_real_files
def test_no_real_file_crashes_the_process() -> None:
    done = run_apart(0, [DICOM / row["file"] for row in INVENTORY])

    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")


@needs_real_files
def test_no_mutated_file_crashes_the_process_or_raises() -> None:
    small = [
        "derived/hand_jpeg_lossless_57.dcm",
        "derived/hand_j2k_lossy.dcm",
        "pydicom-data/JLSL_16_15_1_1F.dcm",
        "pydicom-data/JPEG-LL.dcm",
        "pydicom/JPGExtended.dcm",
        "pydicom/MR_small_RLE.dcm",
        "pydicom/SC_rgb_jpeg_gdcm.dcm",
        "pydicom/MR_small_jp2klossless.dcm",
        "pydicom/MR_small_jpeg_ls_lossless.dcm",
        "pydicom-data/liver_deflate.dcm",
        "pydicom-data/liver_nonbyte_aligned_rle.dcm",
        "pylibjpeg-data/JPEGBaseline_1s_1f_u_08_08.dcm",
        "derived/hand_voi_lut.dcm",
        "cornerstone-wado/CTImage_JPEGProcess6_8_1.2.840.10008.1.2.4.53.dcm",
        "pydicom/rtdose_expb_1frame.dcm",
    ]

    done = run_apart(60, [DICOM / name for name in small])

    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")


def test_opencv_sees_the_picture_that_was_meant() -> None:
    """The fast table lookup, against the slow way in numpy."""
    film = shown(dicom(GREY, BitsStored=12, WindowCenter=2048, WindowWidth=4096))

    slow = np.clip((GREY - 2047.5) / 4095 + 0.5, 0, 1) * 255

    assert cv2.absdiff(film.frame.pixels, np.rint(slow).astype(np.uint8)).max() == 0
