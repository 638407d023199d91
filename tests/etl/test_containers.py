"""Members of zip and tar files are read in place, equal to plain files, and hostile ones are refused."""

from __future__ import annotations

import io
import random
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from etl.archive import headers
from etl.archive.containers import kind, read_bytes
from etl.archive.dicom_reading import Unreadable
from etl.archive.files import CHANGED, VANISHED
from etl.archive.walk import Found
from etl.study import Drop, Failure, Instance
from tests.etl.drawn import film, listed, put

Packer = Callable[[Path, dict[str, bytes]], Found]


def zipped(path: Path, members: dict[str, bytes]) -> Found:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return listed(path)


def _tarred(path: Path, members: dict[str, bytes], mode: str, **how: int) -> Found:
    with tarfile.open(path, mode, **how) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return listed(path)


def tarred(path: Path, members: dict[str, bytes]) -> Found:
    return _tarred(path, members, "w")


def gzipped(path: Path, members: dict[str, bytes]) -> Found:
    return _tarred(path, members, "w:gz", compresslevel=1)


packers = pytest.mark.parametrize("pack", [zipped, tarred, gzipped])


def by_name(found: Found) -> dict[str, Instance]:
    return {instance.source.name: instance for instance in headers.read(found)}


@packers
def test_members_equal_plain_files(tmp_path: Path, pack: Packer) -> None:
    films = {f"deep/er/IM{seed}": film(seed, side=200) for seed in range(4)}
    plain = {name: headers.read(put(tmp_path / "plain", data))[0] for name, data in films.items()}

    instances = by_name(pack(tmp_path / "no_extension", films))

    assert list(instances) == [f"no_extension!/{name}" for name in films]
    for name, data in films.items():
        instance = instances[f"no_extension!/{name}"]
        assert read_bytes(instance.source) == data
        assert instance._replace(source=plain[name].source) == plain[name]


@packers
def test_members_with_names_that_climb_out_are_refused_and_the_others_read(tmp_path: Path, pack: Packer) -> None:
    names = ["/etc/x", "../x", "a/../../x", "C:\\x", "..\\x"]
    instances = by_name(pack(tmp_path / "c", dict.fromkeys(names, film()) | {"a/good..dcm": film()}))

    assert instances.pop("c!/a/good..dcm").fate is None
    assert len(instances) == len(names)
    for instance in instances.values():
        assert isinstance(instance.fate, Failure)
        with pytest.raises(Unreadable, match="name"):
            read_bytes(instance.source)


@packers
def test_a_container_in_a_container_is_a_failure_and_a_text_file_no_dicom(tmp_path: Path, pack: Packer) -> None:
    inner = (zipped(tmp_path / "inner", {"x": film()}), (tmp_path / "inner").read_bytes())[1]

    instances = by_name(pack(tmp_path / "c", {"in.zip": inner, "note.txt": b"hello", "empty": b""}))

    assert [type(instance.fate) for instance in instances.values()] == [Failure, Drop, Drop]
    assert instances["c!/note.txt"].fate == Drop("not_dicom", "")


@packers
def test_two_members_of_one_name_are_two_files(tmp_path: Path, pack: Packer) -> None:
    pack(tmp_path / "one", {"x.dcm": film(1)})
    if pack is zipped:
        with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "one", "a") as archive:
            archive.writestr("x.dcm", film(2))
    else:
        with tarfile.open(tmp_path / "t", "w" if pack is tarred else "w:gz") as archive:
            for seed in (1, 2):
                info = tarfile.TarInfo("x.dcm")
                info.size = len(film(seed))
                archive.addfile(info, io.BytesIO(film(seed)))
        (tmp_path / "t").replace(tmp_path / "one")

    instances = headers.read(listed(tmp_path / "one"))

    assert [instance.source.name for instance in instances] == ["one!/x.dcm", "one!/x.dcm#2"]
    assert [read_bytes(instance.source) for instance in instances] == [film(1), film(2)]


@packers
def test_a_cut_container_is_a_failure_and_what_lies_before_the_cut_is_read(tmp_path: Path, pack: Packer) -> None:
    found = pack(tmp_path / "c", {f"{seed}.dcm": film(seed, side=100) for seed in range(5)})
    data = (tmp_path / "c").read_bytes()

    instances = by_name(put(tmp_path / "c", data[: found.size * 6 // 10]))

    assert isinstance(instances.pop("c").fate, Failure)
    if pack is not zipped:  # a zip's directory stands at its end
        assert instances["c!/0.dcm"].fate is None
        assert len(instances) >= 2


def test_an_empty_container_is_not_lost(tmp_path: Path) -> None:
    assert headers.read(zipped(tmp_path / "z", {}))[0].fate == Drop("not_dicom", "an empty container")


def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t", "w") as archive:
        for name, kind_of in (("s", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE), ("d", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind_of, "/etc/passwd"
            archive.addfile(info)
        archive.addfile(_directory("folder"))

    fates = [instance.fate for instance in headers.read(listed(tmp_path / "t"))]

    assert [type(fate) for fate in fates] == [Failure] * 3


def _directory(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    zipped(tmp_path / "z", {"x": film()})
    data = bytearray((tmp_path / "z").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1

    (instance,) = headers.read(put(tmp_path / "z", bytes(data)))

    assert instance.fate == Failure("read", "the member is encrypted")


def bomb(path: Path, size: int) -> Found:
    """A zip whose one member of zeros grows a thousandfold."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as member:
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return listed(path)


def overlapping(path: Path) -> Found:
    """A zip of 2,000 members that all share one kernel of compressed zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = packer.compress(bytes(60 << 20)) + packer.flush()
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, 0, len(kernel), 60 << 20, 1, 0) + b"0"
    entries = [
        struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, 0, len(kernel), 60 << 20, 4, 0, 0, 0, 0, 0, 0)
        + b"%04d" % number
        for number in range(2000)
    ]
    directory = b"".join(entries)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2000, 2000, len(directory), len(local) + len(kernel), 0)
    return put(path, local + kernel + directory + end)


def gzip_bomb(path: Path) -> Found:
    """A .tar.gz whose first member is 300 MiB of zeros."""
    info = tarfile.TarInfo("zeros")
    info.size = 300 << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [packer.compress(info.tobuf())]
    pieces += [packer.compress(bytes(1 << 20)) for _ in range(300)]
    return put(path, b"".join(pieces) + packer.compress(bytes(1024)) + packer.flush())


@pytest.mark.parametrize("make", [lambda p: bomb(p, 100 << 20), overlapping, gzip_bomb])
def test_bombs_are_refused_within_a_second_and_without_memory(tmp_path: Path, make: Callable[[Path], Found]) -> None:
    found = make(tmp_path / "bomb")
    tracemalloc.start()
    started = time.process_time()

    instances = headers.read(found)

    seconds = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert any(isinstance(instance.fate, Failure) for instance in instances)
    assert not any(instance.fate is None for instance in instances)
    assert seconds < 1
    assert peak < 20 << 20


def test_a_member_that_lies_about_its_size_never_gives_more_than_it_says(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", film() + bytes(1 << 20))
    data = bytearray((tmp_path / "z").read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, 1000)

    (instance,) = headers.read(put(tmp_path / "z", bytes(data)))

    assert instance.source.size == 1000
    with pytest.raises(Unreadable, match="damaged"):  # its checksum does not fit
        read_bytes(instance.source)


def test_damaged_containers_never_raise_and_never_hang(tmp_path: Path) -> None:
    members = {f"{seed}.dcm": film(seed) for seed in range(3)}
    for pack in (zipped, tarred, gzipped):
        pack(tmp_path / "c", members)
        original = (tmp_path / "c").read_bytes()
        for seed in range(150):
            rng = random.Random(seed)
            data = bytearray(original)
            for _ in range(rng.choice([1, 4])):
                data[rng.randrange(len(data))] = rng.choice([0, 0xFF, 0x80, rng.randrange(256)])
            started = time.process_time()

            instances = headers.read(put(tmp_path / f"{pack.__name__}{seed}", bytes(data)))
            for instance in instances:
                if instance.fate is None:
                    with suppress(Unreadable):
                        read_bytes(instance.source)

            assert instances
            assert time.process_time() - started < 1


def test_a_gzip_stream_is_unpacked_once_not_once_for_each_member(tmp_path: Path) -> None:
    members = {f"{seed:03}": film(seed, side=400) for seed in range(100)}  # 32 MB
    found = gzipped(tmp_path / "t", members)
    sources = [instance.source for instance in headers.read(found)]
    started = time.process_time()
    zlib.decompress((tmp_path / "t").read_bytes(), 31)
    once = time.process_time() - started

    started = time.process_time()
    for source in reversed(sources):
        assert read_bytes(source) == members[source.member]

    assert time.process_time() - started < 25 * once  # from the start each time it would be 50 times


def test_bytes_of_a_file_that_vanished_changed_or_is_too_large_are_refused(tmp_path: Path) -> None:
    plain = headers.read(put(tmp_path / "x", film()))[0].source
    member = headers.read(zipped(tmp_path / "z", {"x": film()}))[0].source
    assert read_bytes(plain, limit=plain.size) == film()

    with pytest.raises(Unreadable, match="larger than 100 bytes"):
        read_bytes(plain, limit=100)
    put(tmp_path / "x", film(1, side=17))
    zipped(tmp_path / "z", {"x": film(1, side=17)})
    for source in (plain, member):
        with pytest.raises(Unreadable, match=CHANGED):
            read_bytes(source)
        Path(source.path).unlink()
        with pytest.raises(Unreadable, match=VANISHED):
            read_bytes(source)


def test_containers_are_recognised_by_content(tmp_path: Path) -> None:
    for pack, expected in ((zipped, "zip"), (tarred, "tar"), (gzipped, "tar.gz")):
        pack(tmp_path / "c", {"x": film()})
        assert kind((tmp_path / "c").read_bytes()[:1024]) == expected
    assert not any(kind(data) for data in (b"", b"PK", film(), b"\x1f\x8b\x08garbage", bytes(1024)))


def test_a_member_without_a_name_is_refused_and_is_not_taken_for_its_container(tmp_path: Path) -> None:
    found = zipped(tmp_path / "z", {"x": film(), "y": film(1)})
    data = (tmp_path / "z").read_bytes()
    entry = data.index(b"PK\x01\x02")
    data = data[: entry + 28] + b"\0\0" + data[entry + 30 : entry + 46] + data[entry + 47 :]  # its name has no letter
    data = data[:-10] + struct.pack("<I", struct.unpack("<I", data[-10:-6])[0] - 1) + data[-6:]

    instances = by_name(put(tmp_path / "z", data))

    assert instances["z!/#"].fate == Failure("read", "the member has no name")
    assert instances["z!/y"].fate is None
    assert found.name not in instances
