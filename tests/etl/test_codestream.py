"""What a compressed stream says of itself."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest

from etl.pixels.claims import DecodeError
from etl.pixels.codestream import is_orderly, read_header
from tests.etl.pixel_files import ramp

GREY = ramp(40, 30)

STREAMS = {
    "jpeg": imagecodecs.jpeg8_encode((GREY >> 4).astype(np.uint8)),
    "jpeg lossless": imagecodecs.jpeg8_encode(GREY, lossless=True, bitspersample=12, predictor=1),
    "jpeg_ls": imagecodecs.jpegls_encode(GREY),
    "jpeg_2000": imagecodecs.jpeg2k_encode(GREY, codecformat="j2k", level=0),
    "jpeg_2000 in jp2": imagecodecs.jpeg2k_encode(GREY, codecformat="jp2", level=0),
    "htj2k": imagecodecs.htj2k_encode(GREY, reversible=True),
    "jpeg_xl": imagecodecs.jpegxl_encode(GREY, lossless=True),
    "jpeg_xl in boxes": imagecodecs.jpegxl_encode(GREY, lossless=True, usecontainer=True),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_the_header_tells_kind_and_size_of_what_was_encoded(kind: str) -> None:
    header = read_header(STREAMS[kind])

    assert header is not None
    assert header.kind == kind.split(maxsplit=1)[0]
    assert (header.rows, header.columns) == (40, 30)
    assert header.samples in (0, 1)  # JPEG XL does not tell before it is decoded


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_cut_inside_its_header_is_an_error_and_not_a_crash(kind: str) -> None:
    for length in range(12, 40, 4):
        try:
            header = read_header(STREAMS[kind][:length])
        except DecodeError:
            continue
        assert header is None or header.rows == 40


@pytest.mark.parametrize("kind", [kind for kind in STREAMS if not kind.startswith("jpeg_xl")])
def test_a_missing_end_marker_is_noticed(kind: str) -> None:
    end = STREAMS[kind].rfind(b"\xff\xd9")

    assert read_header(STREAMS[kind]).complete  # type: ignore[union-attr]
    assert not read_header(STREAMS[kind][:end]).complete  # type: ignore[union-attr]


def test_precision_and_sign_come_from_the_stream() -> None:
    signed = imagecodecs.jpeg2k_encode(GREY.astype(np.int16) - 2000, codecformat="j2k", level=0)

    header = read_header(signed)
    lossless = read_header(STREAMS["jpeg lossless"])

    assert header is not None
    assert header.signed
    assert lossless is not None
    assert (lossless.precision, lossless.lossless) == (12, True)
    assert not read_header(STREAMS["jpeg"]).lossless  # type: ignore[union-attr]


def test_bytes_that_are_no_stream_have_no_header() -> None:
    assert read_header(bytes(100)) is None
    assert read_header(b"") is None


def test_a_jpeg_without_a_frame_header_is_an_error() -> None:
    scan_first = b"\xff\xd8\xff\xda" + struct.pack(">H", 8) + bytes(6)

    with pytest.raises(DecodeError, match="SOF"):
        read_header(scan_first)


def test_a_box_that_claims_no_length_does_not_loop_for_ever() -> None:
    looping = b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I4s", 4, b"free") + bytes(64)

    with pytest.raises(DecodeError, match="box"):
        read_header(looping)


def test_disorder_in_a_jpeg_header_is_noticed_because_gdcm_aborts_on_it() -> None:
    sound = STREAMS["jpeg lossless"]
    at = sound.index(b"\xff\xc4")

    assert is_orderly(sound)
    assert not is_orderly(sound[:at] + b"garbage" + sound[at:])


def test_colour_models_are_read_from_markers() -> None:
    colour = np.dstack([ramp(32, 32, 255).astype(np.uint8)] * 3)

    ybr = read_header(imagecodecs.jpeg8_encode(colour))
    rgb = read_header(imagecodecs.jpeg8_encode(colour, colorspace="RGB", outcolorspace="RGB"))

    assert ybr is not None
    assert rgb is not None
    assert (ybr.colour, rgb.colour) == ("ybr", "rgb")
