"""Headers: every kind of file has its fate, no field stops a file, and nothing is read that is not needed."""

from __future__ import annotations

import csv
import io
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.filereader import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)

from etl.archive import headers
from etl.archive.dicom_reading import Unreadable, parse, transfer_syntax
from etl.archive.files import CHANGED, VANISHED
from etl.archive.listing import list_files
from etl.archive.walk import Found
from etl.study import Drop, Failure, Instance
from tests.etl.drawn import DATA, film, put

# pytest puts its own filters before ours; what reaches a user's screen is tested in a process of its own
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

KEEP = ("KVP", "ExposureTime", "DistanceSourceToDetector")
RADIOGRAPHS = {"CR", "DX", "MG", "RF", "XA", "IO", "PX", "RG"}
Read = Callable[..., Instance]
META = b"\0" * 128 + b"DICM"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_one(data: bytes, keep: tuple[str, ...] = KEEP) -> Instance:
        (instance,) = headers.read(put(tmp_path / "file", data), keep)
        return instance

    return read_one


def element(tag: int, vr: bytes, value: bytes, order: str = "<") -> bytes:
    value += b" " * (len(value) % 2)
    long = vr in (b"SQ", b"OB", b"UN", b"UT")
    return (
        struct.pack(order + "HH2s", tag >> 16, tag & 0xFFFF, vr)
        + struct.pack(order + ("xxI" if long else "H"), len(value))
        + value
    )


def meta(syntax: str = ExplicitVRLittleEndian, sop_class: str = "1.2.840.10008.5.1.4.1.1.1") -> bytes:
    return META + element(0x00020002, b"UI", sop_class.encode()) + element(0x00020010, b"UI", syntax.encode())


def test_the_facts_of_a_film_are_read_without_its_pixels(read: Read) -> None:
    instance = read(film(7, side=20, StudyDate="20200102", PatientAge="034Y", Laterality="L"))

    assert instance.fate is None
    assert (instance.rows, instance.columns, instance.bits_stored, instance.frames) == (20, 20, 12, 1)
    assert (instance.modality, instance.patient_id, instance.study_date) == ("CR", "P7", "20200102")
    assert (instance.patient_age, instance.laterality, instance.metadata) == ("034Y", "L", {"KVP": "55"})
    assert instance.transfer_syntax == ExplicitVRLittleEndian
    assert instance.header_problems == ()


@pytest.mark.parametrize("file", ["cr", "preamble only", "no preamble", "no meta"])
def test_a_film_is_recognised_without_preamble_or_meta_group(read: Read, file: str) -> None:
    data = film(1)
    whole = read(data)
    bare = data[data.index(struct.pack("<HH2s", 8, 0x16, b"UI")) :]

    instance = read({"cr": data, "preamble only": META + bare, "no preamble": data[132:], "no meta": bare}[file])

    assert instance.fate is None
    assert (instance.modality, instance.rows, instance.transfer_syntax) == ("CR", 16, whole.transfer_syntax)


@pytest.mark.parametrize("claimed", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("written", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_meta_group_that_lies_about_the_encoding_is_not_believed(read: Read, written: str, claimed: str) -> None:
    tags = [
        (0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.1"),
        (0x00080060, b"CS", b"DX"),
        (0x00100020, b"LO", b"P1"),
    ]
    order = ">" if written == ExplicitVRBigEndian else "<"
    tags += [
        (0x00280010, b"US", struct.pack(order + "H", 300)),
        (0x00280011, b"US", struct.pack(order + "H", 200)),
    ]
    body = b"".join(element(*tag, order) for tag in tags)
    if written == ImplicitVRLittleEndian:
        body = b"".join(
            struct.pack("<HHI", t >> 16, t & 0xFFFF, len(v) + len(v) % 2) + v + b" " * (len(v) % 2) for t, _, v in tags
        )

    instance = read(meta(claimed) + body)

    assert (instance.modality, instance.rows, instance.columns) == ("DX", 300, 200)
    assert instance.transfer_syntax == written
    assert transfer_syntax(parse(meta(claimed) + body)) == written


def test_a_deflated_film_is_inflated_and_one_that_only_says_so_is_read_as_it_is(read: Read) -> None:
    plain = film(2)
    start = plain.index(struct.pack("<HH2s", 8, 0x16, b"UI"))
    packer = zlib.compressobj(wbits=-15)
    deflated = meta(DeflatedExplicitVRLittleEndian) + packer.compress(plain[start:]) + packer.flush()

    assert read(deflated).patient_id == "P2"
    assert parse(deflated).PixelData == parse(plain).PixelData
    assert transfer_syntax(parse(deflated)) == DeflatedExplicitVRLittleEndian
    lying = read(meta(DeflatedExplicitVRLittleEndian) + plain[start:])
    assert (lying.patient_id, lying.transfer_syntax) == ("P2", ExplicitVRLittleEndian)


def test_a_deflated_bomb_is_refused(read: Read) -> None:
    packer = zlib.compressobj(9, wbits=-15)
    pieces = [packer.compress(element(0x00080060, b"CS", b"CR"))]
    pieces += [packer.compress(bytes(1 << 20)) for _ in range(200)]
    bomb = meta(DeflatedExplicitVRLittleEndian) + b"".join(pieces) + packer.flush()

    assert read(bomb).fate == Failure("read", "the deflated data set grows more than 200 times")
    with pytest.raises(Unreadable, match="200 times"):
        parse(bomb)


def test_pixels_without_their_last_delimiter_and_garbage_behind_them_are_mended() -> None:
    body = film(3)
    pixels = body.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OW"))
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 4)
    encapsulated = (
        body[:pixels].replace(b"1.2.840.10008.1.2.1\0", str(JPEGLSLossless).encode().ljust(22, b"\0")[:20])
        + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF)
        + struct.pack("<HHI", 0xFFFE, 0xE000, 0) + item + b"abcd"
    )  # fmt: skip

    assert bytes(parse(encapsulated).get_item(0x7FE00010).value).endswith(b"abcd")
    assert parse(body + bytes(1000) + b"garbage").PixelData == parse(body).PixelData


def test_fields_of_a_wrong_form_are_taken_as_text_and_named_without_their_value(read: Read) -> None:
    data = (
        meta()
        + element(0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.1")
        + element(0x00080018, b"UI", b"1.2.PEREZ")
        + element(0x00080020, b"DA", b"2 mai 99")
        + element(0x00080060, b"CS", b"CR\\DX")
        + element(0x00101010, b"AS", b"old")
        + element(0x00180015, b"CS", b"HAND\\WRIST")
        + element(0x00180060, b"DS", b"55,5")
        + element(0x00181150, b"IS", b"twelve")
        + element(0x00280008, b"IS", b"none")
        + element(0x00280010, b"IS", b"12")
        + element(0x00280011, b"US", b"\1")
    )

    instance = read(data)

    assert instance.fate is None
    assert (instance.sop_instance_uid, instance.study_date, instance.modality) == (
        "1.2.PEREZ",
        "2 mai 99",
        "CR",
    )
    assert (instance.body_part_examined, instance.metadata) == ("HAND WRIST", {"KVP": "55.5"})
    assert (instance.rows, instance.frames) == (12, 1)
    assert set(instance.header_problems) == {
        "SOPInstanceUID:UI", "StudyDate:DA", "PatientAge:AS", "KVP:DS", "ExposureTime:IS",
        "NumberOfFrames:IS", "Rows:US",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("charset", "raw", "text", "troubled"),
    [
        ("ISO_IR 100", "muñeca".encode("latin-1"), "muñeca", False),
        ("ISO_IR 192", "muñeca".encode(), "muñeca", False),
        ("ISO_IR 192", "muñeca".encode("latin-1"), "muñeca", True),
        ("", "muñeca".encode(), "muñeca", True),
        ("", "muñeca".encode("latin-1"), "muñeca", True),
        ("LATIN ONE", b"wrist", "wrist", True),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", b"\x1b$B<j\x1b(B", "手", False),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", b"\x1b$B\xff\xff", None, True),
        ("GB18030", "手腕".encode("gb18030"), "手腕", False),
    ],
)
def test_text_of_every_character_set_is_decoded(read: Read, charset: str, raw: bytes, text: str, troubled: bool) -> None:
    data = meta() + element(0x00080005, b"CS", charset.encode()) + element(0x00080060, b"CS", b"CR")

    instance = read(data + element(0x00081030, b"LO", raw))

    assert text is None or instance.study_description == text
    assert bool(instance.header_problems) == troubled


def test_the_coded_region_is_read_and_a_damaged_one_is_named(read: Read) -> None:
    code = element(0x00080100, b"SH", b"74670003") + element(0x00080102, b"SH", b"SCT")
    code += element(0x00080104, b"LO", b"Wrist joint")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(code)) + code

    def with_region(value: bytes) -> Instance:
        return read(meta() + element(0x00080060, b"CS", b"CR") + element(0x00082218, b"SQ", value))

    assert with_region(item).anatomic_region == "SCT:74670003:Wrist joint"
    assert with_region(b"").anatomic_region == ""
    assert with_region(item[:11]).header_problems == ("AnatomicRegionSequence:SQ",)


def test_what_is_no_dicom_no_image_or_an_index_is_dropped(read: Read) -> None:
    modality = element(0x00080060, b"CS", b"PR")

    assert read(b"").fate == Drop("not_dicom", "an empty file")
    assert read(b"a letter, some words, DICM here and there\n" * 9).fate == Drop("not_dicom", "")
    assert read(b"\x1f\x8b" + bytes(100)).fate == Drop("not_dicom", "")
    assert read(b"x" * 128 + b"DICM").fate == Failure("read", "the file ends inside its header")
    assert read(meta(sop_class="1.2.840.10008.5.1.4.1.1.11.1") + modality).fate == Drop(
        "not_an_image", "Grayscale Softcopy Presentation State Storage"
    )
    assert read(meta(sop_class="1.2.3") + modality).fate == Drop("not_an_image", "without rows and columns")
    assert read(meta(sop_class="1.2.840.10008.1.3.10") + element(0x00041130, b"CS", b"DISC")).fate == Drop("dicomdir")


def test_files_that_vanish_change_or_may_not_be_read_are_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = put(tmp_path / "x", film())

    assert headers.read(found._replace(size=1))[0].fate == Failure("read", CHANGED)
    monkeypatch.setattr("os.open", _refuse)
    assert headers.read(found)[0].fate == Failure("read", "permission to read was denied")
    monkeypatch.undo()
    monkeypatch.setattr("os.pread", _fail)
    assert headers.read(found)[0].fate == Failure("read", "the disk failed while reading")
    monkeypatch.undo()
    (tmp_path / "x").unlink()
    assert headers.read(found)[0].fate == Failure("read", VANISHED)


def _refuse(path: str, _flags: int) -> int:
    raise PermissionError(13, "Permission denied", path)


def _fail(*_: int) -> bytes:
    raise OSError(5, "Input/output error")


def test_a_large_film_costs_its_head_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = put(tmp_path / "x", film() + bytes(20 << 20))
    sizes: list[int] = []
    pread = os.pread

    def counting(fd: int, size: int, offset: int) -> bytes:
        sizes.append(size)
        return pread(fd, size, offset)

    monkeypatch.setattr("os.pread", counting)

    started = time.process_time()
    for _ in range(20):
        assert headers.read(found)[0].rows == 16

    assert time.process_time() - started < 20 * 0.01  # 0.5 ms each on a quiet core
    assert sum(sizes) <= 20 * (1 << 16)


def test_a_header_longer_than_its_first_piece_is_read_to_its_end(read: Read) -> None:
    data = film(4)
    rows = data.index(struct.pack("<HH2s", 0x28, 2, b"US"))
    private = element(0x00190010, b"LO", b"US") + element(0x00191001, b"OB", bytes(300_000))

    instance = read(data[:rows] + private + data[rows:])

    assert (instance.fate, instance.rows, instance.patient_id) == (None, 16, "P4")


HOSTILE = {
    "sequences nested without end": (
        struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF)
        + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ) * 20_000,
    "a million empty items": struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 1_000_000,
    "zeros": bytes(10 << 20),
    "four gigabytes by its word": struct.pack("<HH2sHI", 9, 0x1001, b"OB", 0, 0xFFFFFFF0) + bytes(1000),
}  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_headers_made_to_exhaust_the_reader_fail_in_time(read: Read, body: bytes) -> None:
    data = meta() + element(0x00080060, b"CS", b"CR") + body
    started = time.process_time()

    instance = read(data)

    assert isinstance(instance.fate, Failure)
    assert time.process_time() - started < 1


def test_an_endless_region_sequence_is_not_unpacked(read: Read) -> None:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 1_000_000
    started = time.process_time()

    instance = read(meta() + element(0x00080060, b"CS", b"CR") + element(0x00082218, b"SQ", items))

    assert instance.header_problems == ("AnatomicRegionSequence:SQ",)
    assert time.process_time() - started < 1


def test_a_film_cut_at_any_length_is_read_or_fails_but_never_raises(read: Read) -> None:
    data = film(5, StudyDescription="Muñeca", SpecificCharacterSet="ISO_IR 192")

    for length in range(len(data)):
        instance = read(data[:length])

        assert isinstance(instance, Instance)
        if instance.fate is None:
            assert instance.modality == "CR"


def test_mutated_headers_never_raise_and_never_take_a_second(read: Read) -> None:
    originals = [
        film(6),
        _implicit(film(6)),
        meta() + element(0x00080060, b"CS", b"CR") + HOSTILE["zeros"][:500],
    ]
    for seed in range(1500):
        rng = random.Random(seed)
        data = bytearray(originals[seed % 3])
        for _ in range(rng.choice([1, 2, 8, 30])):
            data[rng.randrange(128, min(len(data), 900))] = rng.choice([0, 0xFF, 0x53, 0x51, rng.randrange(256)])
        started = time.process_time()

        instance = read(bytes(data))
        with suppress(Unreadable):
            parse(bytes(data))

        assert time.process_time() - started < 1
        assert all(problem.count(":") == 1 for problem in instance.header_problems)


def _implicit(data: bytes) -> bytes:
    dataset = dcmread(io.BytesIO(data))
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=True, little_endian=True)
    return buffer.getvalue()


def test_nothing_of_a_patient_reaches_a_log_or_the_screen(tmp_path: Path) -> None:
    secret = b"GARCIA^MARIA"
    data = (
        meta()
        + element(0x00080005, b"CS", secret)
        + element(0x00080018, b"UI", secret)
        + element(0x00080060, b"CS", secret * 9)
        + element(0x00081111, b"SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 20) + element(0x00080005, b"CS", secret))
        + element(0x00100020, b"LO", secret + b"\xff\xfe\x1b")
        + element(0x00280008, b"IS", secret)
    )
    put(tmp_path / "file", data)
    script = (
        "import logging, sys; from pathlib import Path; logging.basicConfig(level=0)\n"
        "from etl.archive import headers, listing; from etl.archive.dicom_reading import parse\n"
        "(found,) = listing.list_files([Path(sys.argv[1])]); assert headers.read(found)[0].modality\n"
        "data_set = parse(Path(found.path).read_bytes())\n"
        "print(len([data_set.get(tag) for tag in (0x00080018, 0x00080060, 0x00100020)]))"
    )

    run = subprocess.run(  # everything on: -W always, every logger
        [sys.executable, "-W", "always", "-c", script, str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip

    assert run.stdout == "3\n"
    assert "GARCIA" not in run.stderr


def _rows() -> list[dict[str, str]]:
    with (DATA / "inventory.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_real_file_has_a_fate_that_its_inventory_allows() -> None:
    if not (DATA / "dicom").is_dir():
        pytest.skip("../shared/data is absent: no real DICOM files to test on")
    found: dict[str, Found] = {one.name: one for one in list_files([DATA / "dicom"])}
    wrong = []
    for row in _rows():
        (instance,) = headers.read(found[row["file"]])
        allowed = {row["expected_fate"], *filter(None, row["also_acceptable"].split("|"))}
        match instance.fate:
            case Drop(reason, _):
                right = f"drop:{reason}" in allowed
            case Failure(stage, _):
                right = f"failure:{stage}" in allowed
            case None if instance.modality not in RADIOGRAPHS:
                right = "drop:modality" in allowed
            case None:  # the pixels will tell
                right = bool(allowed & {"record", "failure:decode", "drop:not_greyscale"})
        if not right:
            wrong.append((row["file"], instance.fate, allowed))

    assert wrong == []


def test_what_the_headers_of_real_files_say_is_what_the_inventory_says() -> None:
    if not (DATA / "dicom").is_dir():
        pytest.skip("../shared/data is absent: no real DICOM files to test on")
    found = {one.name: one for one in list_files([DATA / "dicom"])}
    films = [row for row in _rows() if row["expected_fate"] == "record"]
    assert len(films) == 38

    for row in films:
        (instance,) = headers.read(found[row["file"]])
        assert (instance.modality, str(instance.rows), str(instance.columns)) == (
            row["modality"], row["rows"], row["columns"],
        )  # fmt: skip
        assert (instance.photometric_interpretation, str(instance.bits_stored), str(instance.frames)) == (
            row["photometric"], row["bits_stored"], row["frames"],
        )  # fmt: skip
