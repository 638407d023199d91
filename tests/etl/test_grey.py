"""From stored values to greys: the standard's formulas, and headers that cannot be followed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from etl.pixels.grey import render, window_function
from etl.pixels.lookup import read_table
from etl.pixels.presentation import Presentation, Rescale, Window, read_presentation
from schemas.recipe import Pixels
from tests.etl.pixel_files import dicom, ramp, shown

GREY = ramp()
SETTINGS = Pixels()


def standard_window(x: float, center: float, width: float, function: str) -> float:
    """PS3.3 C.11.2.1.2.1 and C.11.2.1.3 as the standard writes them, for an output of 0..1."""
    if function == "SIGMOID":
        return 1 / (1 + math.exp(min(-4 * (x - center) / width, 700)))
    if function == "LINEAR_EXACT":
        if x <= center - width / 2:
            return 0
        if x > center + width / 2:
            return 1
        return (x - center) / width + 0.5
    if x <= center - 0.5 - (width - 1) / 2:
        return 0
    if x > center - 0.5 + (width - 1) / 2:
        return 1
    return (x - (center - 0.5)) / (width - 1) + 0.5


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (2047.5, 4095), (40, 400), (100, 2), (0, 1), (-600, 1500.5)])
def test_windows_follow_the_standards_pseudo_code(function: Any, center: float, width: float) -> None:
    values = np.arange(-1200, 4300, dtype=np.float64)

    found = window_function(Window(center, width, function))(values)

    expected = [standard_window(x, center, width, function) for x in values]
    assert np.allclose(found, expected, atol=1e-12)


def lut_item(entries: Any, descriptor: list[int]) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = descriptor
    item.LUTData = entries
    item["LUTData"].VR = "OW" if isinstance(entries, bytes) else "US"
    return item


def render_with(stored: np.ndarray, **header: Any) -> np.ndarray:
    return render(stored, Presentation(**header), SETTINGS).pixels


# ---- order and range


def test_rescale_comes_before_the_window() -> None:
    plain = render_with(GREY, window=Window(2048, 4096))

    shifted = render_with(GREY.astype(np.int16) - 2048, modality=Rescale(1, 2048), window=Window(2048, 4096))

    assert np.array_equal(shifted, plain)


def test_greys_are_rounded_once_and_not_cut() -> None:
    pixels = render_with(GREY, window=Window(2048, 4096))

    expected = [[round(standard_window(x, 2048, 4096, "LINEAR") * 255) for x in row] for row in GREY.tolist()]
    assert np.array_equal(pixels, expected)


def test_a_window_wider_than_the_film_is_not_stretched_again() -> None:
    pixels = render_with(GREY // 4, window=Window(2048, 4096))

    assert pixels.max() <= 64


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.uint32, np.int32, np.float32])
def test_table_and_plain_computation_agree(bits: Any, dtype: type) -> None:
    values = (GREY // 16).astype(dtype)
    header = Presentation(modality=Rescale(1.5, -20), window=Window(100, 300, "SIGMOID"))

    found = render(values, header, Pixels(bits=bits)).pixels

    top = 2**bits - 1
    expected = np.rint([[standard_window(x * 1.5 - 20, 100, 300, "SIGMOID") * top for x in row] for row in values.tolist()])
    assert found.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert np.array_equal(found, expected)


# ---- grey sense


@pytest.mark.parametrize(
    ("photometric", "shape", "turned", "conflict"),
    [
        ("MONOCHROME2", "", False, False),
        ("MONOCHROME2", "IDENTITY", False, False),
        ("MONOCHROME2", "INVERSE", False, True),
        ("MONOCHROME1", "", True, False),
        ("MONOCHROME1", "INVERSE", True, False),
        ("MONOCHROME1", "IDENTITY", True, True),
    ],
)
def test_the_photometric_interpretation_alone_turns_greys_once(
    photometric: str, shape: str, turned: bool, conflict: bool
) -> None:
    fields = {"PresentationLUTShape": shape} if shape else {}

    film = shown(dicom(GREY, PhotometricInterpretation=photometric, WindowCenter=2048, WindowWidth=4096, **fields))

    assert (film.frame.pixels[0, 0] > 128) == turned
    assert ("presentation_lut_shape_conflict" in film.facts["header_problems"]) == conflict


def test_greys_are_turned_about_the_range_and_not_about_the_maximum() -> None:
    straight = render_with(GREY // 2, window=Window(2048, 4096))
    turned = render_with(GREY // 2, window=Window(2048, 4096), negative=True)

    assert np.array_equal(turned, 255 - straight)


# ---- VOI that helps nothing


@pytest.mark.parametrize(
    ("window", "source"),
    [
        (Window(30000, 100), "percentile:window_outside_data"),
        (Window(-5000, 4000), "percentile:window_outside_data"),
        (Window(32768, 65535), "percentile:window_too_wide"),
        (Window(2000, 0), "percentile:window_width"),
        (Window(2000, -400), "percentile:window_width"),
        (Window(2000, 0.5), "percentile:window_width"),
        (Window(2000, 0.5, "LINEAR_EXACT"), "window_linear_exact"),
        (Window(2000, 1), "window"),
        (Window(2048, 4096), "window"),
    ],
)
def test_a_window_that_shows_nothing_gives_way_to_percentiles(window: Window, source: str) -> None:
    grey = render(GREY, Presentation(window=window), SETTINGS)

    assert grey.voi_source == source
    assert (grey.window_center is None) == source.startswith("percentile")
    assert int(grey.pixels.max()) - int(grey.pixels.min()) > 200


def test_percentiles_leave_out_marker_and_padding() -> None:
    stored = GREY // 8 + 1000
    stored[:2, :10] = 4095  # a lead marker
    stored[20:, :] = 0  # padding, half the film
    settings = Pixels(low_percentile=1, high_percentile=90)

    grey = render(stored, Presentation(padding=(0, 0)), settings)

    exposed = stored[:20]
    low, high = np.percentile(exposed, [1, 90], method="inverted_cdf")
    assert np.array_equal(grey.pixels[:20], np.rint(np.clip((exposed - float(low)) / float(high - low), 0, 1) * 255))


def test_a_mask_with_few_pixels_set_is_not_lost() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[50, 50:53] = 1

    assert sorted(np.unique(render_with(mask))) == [0, 255]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_a_film_of_one_value_does_not_divide_by_nothing(dtype: type) -> None:
    assert render_with(np.full((9, 9), 7, dtype)).max() == 0


# ---- padding


@pytest.mark.parametrize("negative", [False, True])
def test_padding_is_painted_as_air_and_masked(negative: bool) -> None:
    stored = GREY.astype(np.int16)
    stored[:, :5] = -2000

    grey = render(stored, Presentation(padding=(-2000, -1990), window=Window(2048, 4096), negative=negative), SETTINGS)

    assert grey.padding is not None
    assert np.array_equal(grey.padding, stored == -2000)
    assert grey.pixels[:, :5].max() == 0


def test_a_padding_value_with_the_wrong_sign_is_taken_for_its_bits() -> None:
    ds = Dataset()
    ds.PixelRepresentation = 0
    ds.PixelPaddingValue = 63536

    header = read_presentation(ds, 0, signed=True, bits_allocated=16, photometric="MONOCHROME2")

    assert header.padding == (-2000, -2000)


def test_a_film_of_nothing_but_padding_is_shown_all_the_same() -> None:
    grey = render(np.zeros((8, 8), np.uint16), Presentation(padding=(0, 0)), SETTINGS)

    assert grey.padding is None
    assert grey.problems == ("padding_everywhere",)


def test_nan_is_padding() -> None:
    stored = GREY.astype(np.float32)
    stored[0] = np.nan

    grey = render(stored, Presentation(), SETTINGS)

    assert grey.padding is not None
    assert grey.padding[0].all()
    assert not grey.padding[1:].any()


# ---- lookup tables


def test_a_voi_lut_goes_before_the_window() -> None:
    gamma = (np.linspace(0, 1, 4096) ** 0.5 * 4095).astype("<u2")
    data = dicom(
        GREY, BitsStored=12, WindowCenter=2048, WindowWidth=4096,
        VOILUTSequence=[lut_item(gamma.tobytes(), [4096, 0, 12])],
    )  # fmt: skip

    film = shown(data)

    assert film.facts["voi_source"] == "lut"
    assert np.array_equal(film.frame.pixels, np.rint(gamma[GREY] / 4095 * 255))


def test_a_modality_lut_goes_before_the_voi() -> None:
    table = np.arange(4096)[::-1].astype("<u2")
    sequence = lut_item(table.tobytes(), [4096, 0, 16])
    sequence.ModalityLUTType = "US"

    film = shown(dicom(GREY, BitsStored=12, ModalityLUTSequence=[sequence], WindowCenter=2048, WindowWidth=4096))

    turned = shown(dicom((4095 - GREY).astype(np.uint16), BitsStored=12, WindowCenter=2048, WindowWidth=4096))
    assert np.array_equal(film.frame.pixels, turned.frame.pixels)


def test_no_entries_in_a_descriptor_mean_65536() -> None:
    table, problems = read_table(
        lut_item(np.arange(65536).astype("<u2").tobytes(), [0, 0, 16]),
        "LUTDescriptor",
        "LUTData",
        signed=False,
    )

    assert table is not None
    assert table.entries.size == 65536
    assert problems == ()


@pytest.mark.parametrize(("signed", "first"), [(True, -2048), (False, 63488)])
def test_the_first_mapped_value_is_signed_only_where_it_is_said_to_be(signed: bool, first: int) -> None:
    item = lut_item(list(range(10)), [10, 63488, 8])

    table, _ = read_table(item, "LUTDescriptor", "LUTData", signed=signed)

    assert table is not None
    assert table.first == first
    assert table.apply(np.array([first - 5.0, first + 3.0, first + 99.0])).tolist() == [0, 3, 9]


@pytest.mark.parametrize(
    ("modality", "signed", "first"),
    [
        (Rescale(), False, 63488),
        (Rescale(), True, -2048),
        (Rescale(1, -1024), False, -2048),
        (Rescale(2, 0), False, 63488),
    ],
)
def test_a_voi_luts_first_value_is_signed_where_its_input_can_be_negative(modality: Rescale, signed: bool, first: int) -> None:
    ds = Dataset()
    ds.PixelRepresentation = 0
    ds.RescaleSlope, ds.RescaleIntercept = modality.slope, modality.intercept
    ds.VOILUTSequence = [lut_item(list(range(10)), [10, 63488, 4])]

    header = read_presentation(ds, 0, signed=signed, bits_allocated=16, photometric="MONOCHROME2")

    assert header.voi_lut is not None
    assert header.voi_lut.first == first


def test_bits_that_lie_give_way_to_the_datas_own_range() -> None:
    table, problems = read_table(lut_item(list(range(4096)), [4096, 0, 8]), "LUTDescriptor", "LUTData", signed=False)

    assert table is not None
    assert table.bits == 12
    assert problems == ("lut_bits",)


@pytest.mark.parametrize(
    "data",
    [bytes(range(200)), list(np.frombuffer(bytes(range(200)), "<u2")), list(range(200))],
    ids=["bytes", "packed in words", "one to a word"],
)
def test_entries_of_eight_bits_may_be_packed(data: Any) -> None:
    item = lut_item([int(v) for v in data] if isinstance(data, list) else data, [200, 0, 8])

    table, _ = read_table(item, "LUTDescriptor", "LUTData", signed=False)

    assert table is not None
    assert table.entries.tolist() == list(range(200))


@pytest.mark.parametrize("broken", [lut_item(b"\0\0", [4096, 0, 12]), lut_item(list(range(9)), [9, 0])])
def test_a_table_that_cannot_be_read_gives_way_to_the_window(broken: Dataset) -> None:
    film = shown(dicom(GREY, BitsStored=12, VOILUTSequence=[broken], WindowCenter=2048, WindowWidth=4096))

    assert film.facts["voi_source"] == "window"
    assert any(problem.startswith("voi_lut_") for problem in film.facts["header_problems"])


# ---- reading the header


def test_the_first_of_several_windows_is_the_default() -> None:
    film = shown(dicom(GREY, BitsStored=12, WindowCenter=[1000, 2048], WindowWidth=[500, 4096]))

    assert (film.facts["window_center"], film.facts["window_width"]) == (1000, 500)


def test_a_decimal_comma_does_not_stop_a_film() -> None:
    data = dicom(GREY, BitsStored=12, WindowCenter="2048.5", WindowWidth="4096").replace(b"2048.5", b"2048,5")

    assert shown(data).facts["window_center"] == 2048.5


def test_each_frame_has_its_own_window_in_functional_groups() -> None:
    groups = []
    for center in (500, 3000):
        group, voi = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = center, 800
        group.FrameVOILUTSequence = [voi]
        groups.append(group)
    ds = Dataset()
    ds.PerFrameFunctionalGroupsSequence = groups

    windows = [
        read_presentation(ds, frame, signed=False, bits_allocated=16, photometric="MONOCHROME2").window for frame in (0, 1)
    ]

    assert windows == [Window(500, 800), Window(3000, 800)]


def test_images_for_processing_are_marked() -> None:
    film = shown(dicom(GREY, PresentationIntentType="FOR PROCESSING"))

    assert "for_processing" in film.facts["header_problems"]


def test_a_slope_of_zero_does_not_flatten_the_film() -> None:
    film = shown(dicom(GREY, RescaleSlope=0, RescaleIntercept=0))

    assert film.frame.pixels.std() > 50
    assert "rescale_slope_zero" in film.facts["header_problems"]
