"""The index answers for what has not changed, and for nothing else."""

from __future__ import annotations

import os
import stat
import sys
import time
import zipfile
from pathlib import Path

import pytest

from etl.archive import headers
from etl.archive.index import load, save
from etl.archive.walk import Found, walk
from etl.study import Failure, Instance
from tests.etl.drawn import film, listed, put

KEEP = ("KVP", "ExposureTime")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A plain film, one whose name is no text, a zip, a text file, a broken link."""
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "a").write_bytes(film(1, PatientAge="many"))
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(film(2))
    with zipfile.ZipFile(folder / "z", "w") as packed:
        packed.writestr("é/3", film(3))
        packed.writestr("../4", film(4))
    (folder / "text").write_text("hello")
    (folder / "lost").symlink_to("nowhere")
    return folder


def scanned(archive: Path, keep: tuple[str, ...] = KEEP) -> dict[Found, list[Instance]]:
    return {found: headers.read(found, keep) for found in walk([archive])}


def test_every_instance_comes_back_as_it_was(archive: Path, tmp_path: Path) -> None:
    entries = scanned(archive)

    save(tmp_path / "private" / "index.parquet", entries, KEEP)

    index = load(tmp_path / "private" / "index.parquet")
    assert len(index) == len(entries) == 5
    assert {found: index.known(found, KEEP) for found in entries} == entries
    assert stat.S_IMODE((tmp_path / "private" / "index.parquet").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "private").iterdir()] == ["index.parquet"]


_opened: list[str] | None = None


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None:
        _opened.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else "")


sys.addaudithook(_note)


def test_a_second_scan_of_an_unchanged_archive_opens_no_file_of_it(archive: Path, tmp_path: Path) -> None:
    global _opened  # noqa: PLW0603 - an audit hook cannot be taken off
    _opened = []
    entries = scanned(archive)
    assert any(path.startswith(str(archive)) for path in _opened)
    save(tmp_path / "index", entries, KEEP)

    _opened = []
    index = load(tmp_path / "index")
    again = {found: index.known(found, KEEP) for found in walk([archive])}

    opened, _opened = _opened, None
    assert again == entries
    assert not [path for path in opened if path.startswith(str(archive))]


def test_what_changed_is_not_known(archive: Path, tmp_path: Path) -> None:
    entries = scanned(archive)
    save(tmp_path / "index", entries, KEEP)
    index = load(tmp_path / "index")
    found = listed(archive / "a")._replace(name="a")
    assert index.known(found, KEEP)

    assert index.known(found._replace(size=found.size + 1), KEEP) is None
    assert index.known(found._replace(mtime_ns=found.mtime_ns + 1), KEEP) is None
    assert index.known(found._replace(path="/elsewhere"), KEEP) is None
    assert index.known(found, ("KVP",)) is None


def test_failures_of_the_moment_are_tried_again(tmp_path: Path) -> None:
    found = put(tmp_path / "x", film())
    (tmp_path / "x").unlink()
    instances = headers.read(found)
    assert isinstance(instances[0].fate, Failure)

    save(tmp_path / "index", {found: instances})

    assert load(tmp_path / "index").known(found) is None


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "flipped", "other"])
def test_a_damaged_index_is_as_good_as_none(archive: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "index"
    save(path, scanned(archive), KEEP)
    data = path.read_bytes()
    if damage == "absent":
        path.unlink()
    else:
        half = len(data) // 4
        flipped = data[:half] + bytes(byte ^ 0xFF for byte in data[half : half + 40]) + data[half + 40 :]
        path.write_bytes({"empty": b"", "cut": data[:-100], "flipped": flipped, "other": b"PAR1hello"}[damage])

    assert len(load(path)) == 0


def test_nothing_to_keep_is_an_index_too(tmp_path: Path) -> None:
    save(tmp_path / "index", {})

    assert len(load(tmp_path / "index")) == 0


def test_an_index_that_could_not_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = put(tmp_path / "x", film())
    save(tmp_path / "index", {found: headers.read(found)})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        save(tmp_path / "index", {})

    assert load(tmp_path / "index").known(found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "x"]


def test_a_hundred_thousand_instances_load_quickly(tmp_path: Path) -> None:
    (instance,) = headers.read(put(tmp_path / "x", film()))
    save(tmp_path / "index", {Found(f"f/{n}", f"/archive/f/{n}", n, n): [instance] for n in range(100_000)})

    started = time.perf_counter()
    index = load(tmp_path / "index")

    assert len(index) == 100_000
    assert time.perf_counter() - started < 10  # a second on a quiet core
