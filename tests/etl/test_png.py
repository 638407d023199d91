"""PNG written by hand, read by others."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from etl.pixels import png


def read_back(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (64, 64), (65, 33), (200, 131)])
def test_every_pixel_survives(dtype: type, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)

    back = read_back(png.encode(pixels))

    assert back.dtype == dtype
    assert np.array_equal(back, pixels)


def test_a_cut_out_of_a_larger_picture_is_encoded_as_it_looks() -> None:
    film = np.random.default_rng(0).integers(0, 256, (90, 80)).astype(np.uint8)

    assert np.array_equal(read_back(png.encode(film[10:70, 5:66])), film[10:70, 5:66])


def test_the_file_holds_three_chunks_with_right_checksums_and_no_metadata() -> None:
    data = png.encode(np.arange(600, dtype=np.uint16).reshape(20, 30))

    kinds, at = [], 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        kinds.append(kind)
        at += 12 + length

    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


def test_the_same_pixels_give_the_same_bytes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 100)).astype(np.uint8)

    assert png.encode(pixels) == png.encode(np.asfortranarray(pixels))


def test_a_noisy_film_is_smaller_than_by_opencv() -> None:
    rng = np.random.default_rng(0)
    film = (cv2.GaussianBlur(rng.normal(120, 900, (400, 400)), (0, 0), 30) + rng.normal(0, 3, (400, 400))).clip(0, 255)

    assert len(png.encode(film.astype(np.uint8))) < cv2.imencode(".png", film.astype(np.uint8))[1].size


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)])
def test_anything_else_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8 or uint16"):
        png.encode(wrong)
