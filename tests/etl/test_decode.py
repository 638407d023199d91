"""Stored values: exact where they can be had, a failure where they cannot, nothing in between."""

from __future__ import annotations

import hashlib
import io
import struct
import tracemalloc
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.pixels import get_decoder

from etl.archive.dicom_reading import parse
from etl.pixels import compressed
from etl.pixels.claims import DecodeError, read_claims
from etl.pixels.decode import DECODERS, StoredFrame, decode
from etl.pixels.film import Film, read_film
from etl.pixels.fragments import split_frames
from schemas.recipe import Pixels
from tests.etl.pixel_files import DICOM, dicom, needs_real_files, ramp, rows_with, stored

GREY = ramp()

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
ENCODED = {
    "1.2.840.10008.1.2.1": GREY.tobytes(),
    "1.2.840.10008.1.2.4.50": [imagecodecs.jpeg8_encode((GREY >> 4).astype(np.uint8), level=90)],
    "1.2.840.10008.1.2.4.51": [imagecodecs.jpeg8_encode(GREY, bitspersample=12, level=95)],
    JPEG_LOSSLESS: [imagecodecs.jpeg8_encode(GREY, lossless=True, bitspersample=12, predictor=1)],
    "1.2.840.10008.1.2.4.80": [imagecodecs.jpegls_encode(GREY)],
    "1.2.840.10008.1.2.4.90": [imagecodecs.jpeg2k_encode(GREY, codecformat="j2k", level=0)],
    "1.2.840.10008.1.2.4.201": [imagecodecs.htj2k_encode(GREY, reversible=True)],
    "1.2.840.10008.1.2.4.110": [imagecodecs.jpegxl_encode(GREY, lossless=True)],
}
LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}


def encoded(syntax: str, **fields: Any) -> bytes:
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7} if syntax.endswith(".50") else {}
    return dicom(ENCODED[syntax], syntax, **{"Rows": 40, "Columns": 30, **bits, **fields})


@needs_real_files
@pytest.mark.parametrize("row", rows_with("sha256_of_decoded_pixels"))
def test_stored_values_of_real_files_are_those_two_other_decoders_agree_on(row: dict[str, str]) -> None:
    ds = parse((DICOM / row["file"]).read_bytes())
    digest = hashlib.sha256()

    for frame in decode(ds, read_claims(ds)):
        assert isinstance(frame, StoredFrame), frame
        assert not row["pixel_dtype"] or frame.pixels.dtype.itemsize == np.dtype(row["pixel_dtype"]).itemsize
        digest.update(np.ascontiguousarray(frame.pixels).tobytes())

    assert digest.hexdigest() == row["sha256_of_decoded_pixels"]


@needs_real_files
@pytest.mark.parametrize("twin", ["liver_nonbyte_aligned_deflate.dcm", "liver_nonbyte_aligned_j2k.dcm"])
def test_deflated_frames_hold_the_same_masks_as_the_uncompressed_file(twin: str) -> None:
    frames = [parse((DICOM / "pydicom-data" / name).read_bytes()) for name in (twin, "liver_nonbyte_aligned.dcm")]

    masks, expected = ([frame.pixels for frame in decode(ds, read_claims(ds))] for ds in frames)

    assert np.array_equal(masks, expected)


@needs_real_files
@pytest.mark.parametrize(
    ("name", "plugin"),
    [
        ("pylibjpeg-data/JPEGBaseline_1s_1f_u_08_08.dcm", "gdcm"),
        ("pylibjpeg-data/CT1_JLSN.dcm", "gdcm"),
        ("pydicom/JPEG2000.dcm", "gdcm"),
        ("pydicom/MR_small_RLE.dcm", "pydicom"),
        ("pydicom/MR_small_bigendian.dcm", None),
    ],
)
def test_pydicoms_named_plugins_see_the_same_values(name: str, plugin: str | None) -> None:
    ds = pydicom.dcmread(DICOM / name)
    options = {"decoding_plugin": plugin} if plugin else {}

    reference, _ = get_decoder(ds.file_meta.TransferSyntaxUID).as_array(ds, raw=True, **options)

    assert np.array_equal(stored((DICOM / name).read_bytes()).pixels, reference)


@pytest.mark.parametrize("syntax", ENCODED)
def test_each_syntax_gives_back_what_was_encoded(syntax: str) -> None:
    frame = stored(encoded(syntax))

    tolerance = 40 if syntax in LOSSY else 0
    expected = GREY >> 4 if syntax.endswith(".50") else GREY
    assert np.abs(frame.pixels.astype(int) - expected).max() <= tolerance
    assert frame.decoder == DECODERS[syntax].name


@pytest.mark.parametrize("syntax", ENCODED)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.99])
def test_a_cut_file_is_a_failure_and_never_half_a_picture(syntax: str, part: float) -> None:
    whole = encoded(syntax)
    start = whole.index(b"\xe0\x7f\x10\x00")

    items = list(read_film(whole[: start + int((len(whole) - 20 - start) * part)], Pixels()))

    assert [type(item).__name__ for item in items] == ["Failure"]


@pytest.mark.parametrize("syntax", [syntax for syntax in ENCODED if not syntax.endswith(".1")])
@pytest.mark.parametrize("ending", [b"", b"\xff\xd9"], ids=["open", "closed again"])
def test_a_cut_stream_in_sound_fragments_is_a_failure(syntax: str, ending: bytes) -> None:
    stream = ENCODED[syntax][0]
    assert isinstance(stream, bytes)
    half = stream[: int(len(stream) * 0.6)] + ending

    with pytest.raises(DecodeError):
        stored(dicom([half], syntax, Rows=40, Columns=30, **({"BitsStored": 8} if syntax.endswith(".50") else {})))


@needs_real_files
@pytest.mark.parametrize("name", ["jpeg_lossless_57", "jpegls_near", "j2k_lossy", "jpeg_extended_12bit", "rle"])
def test_a_real_film_cut_and_closed_again_is_a_failure(name: str) -> None:
    ds = parse((DICOM / "derived" / f"hand_{name}.dcm").read_bytes())
    stream = split_frames(ds.PixelData, 1)[0][0]

    with pytest.raises(DecodeError):
        stored(
            dicom(
                [stream[: len(stream) * 6 // 10] + b"\xff\xd9"],
                ds.file_meta.TransferSyntaxUID,
                Rows=624,
                Columns=512,
            )
        )


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, "1.2.840.10008.1.2.4.80"])
def test_a_whole_stream_without_end_marker_is_read_and_marked(syntax: str) -> None:
    stream = ENCODED[syntax][0]
    assert isinstance(stream, bytes)

    frame = stored(dicom([stream[: stream.rfind(b"\xff\xd9")]], syntax, Rows=40, Columns=30))

    assert np.array_equal(frame.pixels, GREY)
    assert "end_marker_missing" in frame.problems
    if syntax == JPEG_LOSSLESS:
        assert frame.decoder == "gdcm:end_marker_missing"


def test_lossless_values_beyond_bits_stored_go_to_gdcm_and_are_told_of() -> None:
    frame = stored(encoded(JPEG_LOSSLESS, BitsStored=10, HighBit=9))

    assert np.array_equal(frame.pixels, GREY)
    assert frame.decoder == "gdcm:out_of_range"
    assert {"out_of_range", "bits_stored_codestream"} <= set(frame.problems)


def test_size_is_the_streams_where_the_header_swaps_rows_and_columns() -> None:
    frame = stored(encoded(JPEG_LOSSLESS, Rows=30, Columns=40))

    assert np.array_equal(frame.pixels, GREY)
    assert "rows_columns_codestream" in frame.problems


def test_a_stream_of_another_kind_than_the_syntax_says_is_read_and_told_of() -> None:
    frame = stored(dicom(ENCODED["1.2.840.10008.1.2.4.80"], JPEG_LOSSLESS, Rows=40, Columns=30))

    assert np.array_equal(frame.pixels, GREY)
    assert frame.decoder == "imagecodecs-jpegls"
    assert "transfer_syntax_codestream" in frame.problems


def test_decoders_complaints_do_not_reach_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    stream = ENCODED[JPEG_LOSSLESS][0]
    assert isinstance(stream, bytes)

    with pytest.raises(DecodeError, match="GDCM finds the JPEG stream damaged"):
        stored(dicom([stream[:900] + b"\xff\xd9"], JPEG_LOSSLESS, Rows=40, Columns=30, BitsStored=4, HighBit=3))

    assert capfd.readouterr().err == ""


def test_complaints_are_collected_and_the_terminal_is_given_back(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    with compressed.complaints() as heard:
        os.write(2, b"Corrupt JPEG data\n")
    os.write(2, b"afterwards\n")

    assert heard.damage
    assert capfd.readouterr().err == "afterwards\n"


# ---- native


def test_bits_above_bits_stored_are_not_the_picture() -> None:
    overlaid = GREY | np.uint16(0xA000)

    assert np.array_equal(stored(dicom(overlaid, BitsStored=12)).pixels, GREY)


def test_high_bit_shifts_the_values_down() -> None:
    frame = stored(dicom(GREY << 4, BitsStored=12, HighBit=15))

    assert np.array_equal(frame.pixels, GREY)
    assert "high_bit" in frame.problems


def test_the_sign_is_that_of_the_highest_stored_bit() -> None:
    signed = GREY.astype(np.int16) - 2048
    rubbish_above = (signed & 0x0FFF).astype(np.uint16) | np.uint16(0x5000)

    frame = stored(dicom(rubbish_above, BitsStored=12, PixelRepresentation=1))

    assert np.array_equal(frame.pixels, signed)


def test_single_bits_of_several_frames_follow_without_a_gap() -> None:
    masks = np.random.default_rng(0).integers(0, 2, (3, 7, 5)).astype(np.uint8)
    packed = np.packbits(masks.ravel(), bitorder="little").tobytes()
    ds = parse(dicom(packed, Rows=7, Columns=5, NumberOfFrames=3, BitsAllocated=1, BitsStored=1, HighBit=0))

    frames = [frame.pixels for frame in decode(ds, read_claims(ds)) if isinstance(frame, StoredFrame)]

    assert np.array_equal(frames, masks)


def test_twelve_bit_cells_are_unpacked() -> None:
    values = ramp(4, 6).ravel().astype(int)
    octets = bytearray()
    for first, second in zip(values[::2], values[1::2], strict=True):
        octets += bytes([first & 255, first >> 8 | (second & 15) << 4, second >> 4])

    frame = stored(dicom(bytes(octets), Rows=4, Columns=6, BitsAllocated=12))

    assert np.array_equal(frame.pixels.ravel(), values)


def test_spare_bytes_at_the_end_are_left_and_told_of() -> None:
    frame = stored(dicom(GREY.tobytes() + bytes(100), Rows=40, Columns=30))

    assert np.array_equal(frame.pixels, GREY)
    assert "trailing_bytes" in frame.problems


def test_float_pixels_keep_their_values() -> None:
    data = dicom(b"\0\0", Rows=3, Columns=2, BitsAllocated=32, FloatPixelData=np.arange(6, dtype="<f4").tobytes())
    ds = pydicom.dcmread(io.BytesIO(data))
    del ds.PixelData
    buffer = io.BytesIO()
    ds.save_as(buffer)

    assert stored(buffer.getvalue()).pixels.tolist() == [[0, 1], [2, 3], [4, 5]]


# ---- claims before memory


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1", JPEG_LOSSLESS])
def test_a_small_file_that_claims_gigabytes_fails_without_taking_memory(syntax: str) -> None:
    claim = {"Rows": 65535, "Columns": 65535}
    body: bytes | list[bytes] = (
        bytes(1500) if syntax.endswith("1.2.1") else [struct.pack("<16I", 2, 64, 700, *[0] * 13) + bytes(1400)]
    )
    if syntax == JPEG_LOSSLESS:
        stream = bytearray(ENCODED[JPEG_LOSSLESS][0])  # type: ignore[arg-type]
        at = stream.index(b"\xff\xc3")
        stream[at + 5 : at + 9] = b"\xff\xff\xff\xff"
        body = [bytes(stream[:1500]) + b"\xff\xd9"]
    data = dicom(body, syntax, **claim)
    tracemalloc.start()

    items = list(read_film(data, Pixels()))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(item).__name__ for item in items] == ["Failure"]
    assert "8,589" in items[0].error or "to 1" in items[0].error  # type: ignore[union-attr]
    assert peak < 4_000_000


def test_the_native_sentence_names_what_was_found_and_what_was_needed() -> None:
    with pytest.raises(DecodeError) as caught:
        stored(dicom(bytes(1024), Rows=50000, Columns=50000, NumberOfFrames=2))

    assert str(caught.value) == (
        "PixelData (7FE0,0010) holds 1,024 bytes,"
        " 50000 rows x 50000 columns x 1 samples x 16 bits x 2 frames needs 10,000,000,000"
    )


def test_a_deflated_frame_is_not_inflated_beyond_its_claim() -> None:
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(30_000_000)) + packer.flush()
    tracemalloc.start()

    frame = stored(dicom([bomb + bytes(len(bomb) % 2)], "1.2.840.10008.1.2.8.1", Rows=40, Columns=30))

    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    assert frame.pixels.shape == (40, 30)


@pytest.mark.parametrize(
    ("field", "value"), [("Rows", 0), ("BitsAllocated", 24), ("SamplesPerPixel", 4), ("NumberOfFrames", -1)]
)
def test_claims_that_make_no_sense_are_failures(field: str, value: int) -> None:
    with pytest.raises(DecodeError):
        stored(dicom(GREY.tobytes(), **{"Rows": 40, "Columns": 30, field: value}))


def test_bits_stored_beyond_bits_allocated_are_settled_and_told_of() -> None:
    frame = stored(dicom(GREY.tobytes(), Rows=40, Columns=30, BitsStored=20, HighBit=19))

    assert np.array_equal(frame.pixels, GREY)
    assert "bits_stored_exceeds_allocated" in frame.problems


def test_a_number_under_the_wrong_vr_does_not_stop_a_film() -> None:
    sound = dicom(GREY, BitsStored=12)
    assert np.array_equal(stored(sound.replace(b"\x03\x01US\x02\x00", b"\x03\x01SL\x02\x00")).pixels, GREY)


def test_an_unknown_syntax_is_a_failure_that_does_not_quote_it() -> None:
    with pytest.raises(DecodeError) as caught:
        stored(dicom(GREY.tobytes(), "1.2.3.4.5", Rows=40, Columns=30))

    assert "1.2.3.4.5" not in str(caught.value)


# ---- fragments


def items(*values: bytes) -> bytes:
    return b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(value)) + value for value in values)


def soi(letter: bytes) -> bytes:
    return b"\xff\xd8\xff" + letter


def test_fragments_of_one_frame_are_joined() -> None:
    assert split_frames(items(b"", b"ab", b"cd"), 1)[0] == [b"abcd"]


def test_frames_begin_where_the_offset_table_says() -> None:
    table = struct.pack("<2I", 0, 20)

    assert split_frames(items(table, b"ab", b"cd", b"ef"), 2)[0] == [b"abcd", b"ef"]


@pytest.mark.parametrize("table", [b"", struct.pack("<2I", 0, 9999)], ids=["empty", "lying"])
def test_without_a_table_frames_begin_with_a_signature(table: bytes) -> None:
    frames, _ = split_frames(items(table, soi(b"1"), b"xx", soi(b"2"), b"yy"), 2)

    assert frames == [soi(b"1") + b"xx", soi(b"2") + b"yy"]


def test_a_missing_table_is_noticed() -> None:
    frames, problems = split_frames(items(soi(b"1"), soi(b"2")), 2)

    assert frames == [soi(b"1"), soi(b"2")]
    assert problems == ("offset_table_missing",)


def test_more_frames_than_claimed_are_left_and_told_of() -> None:
    frames, problems = split_frames(items(b"", soi(b"1"), soi(b"2")), 1)

    assert (frames, problems) == ([soi(b"1")], ("more_frames_than_claimed",))


@pytest.mark.parametrize(
    "data",
    [
        items(b"", b"ab")[:-1],  # cut
        items(b"", b"abcd") + b"garbage!",
        items(b""),  # a table and nothing more
        items(b"", b"ab"),  # one frame of two
    ],
)
def test_fragments_that_do_not_fit_are_an_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        split_frames(data, 2)


def test_a_bad_frame_is_a_failure_in_its_place_and_the_others_are_read() -> None:
    stream = ENCODED["1.2.840.10008.1.2.4.80"][0]
    assert isinstance(stream, bytes)
    data = dicom(
        [stream, stream[:-300] + b"\xff\xd9", stream],
        "1.2.840.10008.1.2.4.80",
        Rows=40,
        Columns=30,
        NumberOfFrames=3,
    )

    kinds = [type(item).__name__ for item in read_film(data, Pixels())]

    assert kinds == ["Film", "Failure", "Film"]
    assert Film.__name__ == kinds[0]


@pytest.mark.parametrize("precision", [0, 1, 17, 152])
def test_a_precision_that_no_jpeg_has_is_a_failure_and_no_abort(precision: int) -> None:
    stream = bytearray(ENCODED[JPEG_LOSSLESS][0])  # type: ignore[arg-type]
    stream[stream.index(b"\xff\xc3") + 4] = precision

    with pytest.raises(DecodeError, match=f"claims {precision} bits"):
        stored(dicom([bytes(stream)], JPEG_LOSSLESS, Rows=40, Columns=30))
