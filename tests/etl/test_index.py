"""The index answers for what has not changed, and for nothing else."""

from __future__ import annotations

import os
import stat
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.pool import Lost
from etl.archive import headers
from etl.archive.index import instances_in, load, rows_of, save
from etl.archive.listing import list_files
from etl.archive.scan import Batch, scan
from etl.archive.walk import Found
from etl.scratch import Scratch
from etl.study import Failure, Instance
from tests.etl.drawn import film, put

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
    return {found: headers.read(found, keep) for found in list_files([archive])}


def keep_index(path: Path, entries: dict[Found, list[Instance]], keep: tuple[str, ...] = KEEP) -> None:
    save(path, [rows_of(entries.items(), keep)], keep)


def stored(path: Path) -> list[Instance]:
    index = load(path)
    return [instance for table in index.tables() for instance in instances_in(table, index.keep)] if index else []


def no_pool() -> Any:
    raise AssertionError("a worker was asked")


class Here:
    """A pool of this process; the batches of `lost` files come back lost. Batches come back last first."""

    def __init__(self, lost: frozenset[str] = frozenset()) -> None:
        self.lost = lost
        self.read: list[str] = []

    def map(self, work: Any, items: Iterable[Batch], seconds: Any) -> Iterator[tuple[Batch, Any]]:
        while batches := list(items):
            for batch in reversed(batches):
                self.read += [found.name for found in batch]
                yield batch, Lost("crash") if {found.name for found in batch} & self.lost else work(batch)


def scan_of(archive: Path, folder: Path, pool: Any, keep: tuple[str, ...] = KEEP) -> list[Instance]:
    folder.mkdir(exist_ok=True)
    with Scratch(folder / "work") as scratch:
        index = scan(list_files([archive]), folder / "index", keep, pool, lambda count: None, scratch)
    return [instance for table in index.tables() for instance in instances_in(table, keep)]


def flat(entries: dict[Found, list[Instance]]) -> list[Instance]:
    return [instance for instances in entries.values() for instance in instances]


def test_every_instance_comes_back_as_it_was(archive: Path, tmp_path: Path) -> None:
    entries = scanned(archive)

    keep_index(tmp_path / "private" / "index.parquet", entries)

    assert len(entries) == 5
    assert stored(tmp_path / "private" / "index.parquet") == flat(entries)
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
    first = scan_of(archive, tmp_path / "work", Here)
    assert any(path.startswith(str(archive)) for path in _opened)

    _opened = []
    again = scan_of(archive, tmp_path / "work", no_pool)

    opened, _opened = _opened, None
    assert again == first == flat(scanned(archive))
    assert not [path for path in opened if path.startswith(str(archive))]


def test_only_what_changed_came_or_is_asked_for_more_is_read_again(archive: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    scan_of(archive, work, Here)
    os.utime(archive / "a", ns=(1, 1))
    (archive / "a2").write_bytes(film(7))
    (archive / "text").unlink()
    some, all_ = Here(), Here()

    changed = scan_of(archive, work, lambda: some)
    scan_of(archive, work, lambda: all_, ("KVP",))

    assert sorted(some.read) == ["a", "a2"]
    assert changed == flat(scanned(archive))
    assert len(all_.read) == len(scanned(archive))


def test_many_files_come_out_by_name_whichever_batch_was_first(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for number in range(200):
        (archive / f"{number}").write_bytes(b"no film")
    scan_of(archive, tmp_path / "work", Here)
    for number in range(0, 200, 3):
        (archive / f"{number}").write_bytes(b"another text")

    instances = scan_of(archive, tmp_path / "work", Here)

    assert [instance.source.name for instance in instances] == sorted(map(str, range(200)))
    assert instances == flat(scanned(archive))


def test_a_file_whose_worker_was_lost_is_a_failure_now_and_is_tried_again(archive: Path, tmp_path: Path) -> None:
    pool, again = Here(frozenset({"text"})), Here()

    fates = {i.source.name: i.fate for i in scan_of(archive, tmp_path / "work", lambda: pool)}
    scan_of(archive, tmp_path / "work", lambda: again)

    assert fates["text"] == Failure("crash", "reading the header ended its worker")
    assert fates["a"] is None
    assert again.read == ["text"]


def test_failures_of_the_moment_are_tried_again(archive: Path, tmp_path: Path) -> None:
    listing = list_files([archive])
    (archive / "a").rename(tmp_path / "away")
    again = Here()
    work = tmp_path / "work"
    work.mkdir()
    with Scratch(work / "work") as scratch:
        scan(listing, work / "index", KEEP, Here, lambda count: None, scratch)  # type: ignore[arg-type]
    (tmp_path / "away").rename(archive / "a")

    scan_of(archive, work, lambda: again)

    assert again.read == ["a"]


def test_what_was_read_before_an_interruption_is_kept(archive: Path, tmp_path: Path) -> None:
    for number in range(100):
        (archive / f"b{number}").write_bytes(b"no film")

    class First(Here):
        def map(self, work: Any, items: Iterable[Batch], seconds: Any) -> Iterator[tuple[Batch, Any]]:
            batch = next(iter(items))
            yield batch, work(batch)
            raise KeyboardInterrupt

    rest = Here()
    with pytest.raises(KeyboardInterrupt):
        scan_of(archive, tmp_path / "work", First)

    instances = scan_of(archive, tmp_path / "work", lambda: rest)

    assert len(rest.read) == len(list_files([archive])) - 64
    assert instances == flat(scanned(archive))


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "flipped", "other"])
def test_a_damaged_index_is_as_good_as_none(archive: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "index"
    keep_index(path, scanned(archive))
    data = path.read_bytes()
    if damage == "absent":
        path.unlink()
    else:
        half = len(data) // 4
        flipped = data[:half] + bytes(byte ^ 0xFF for byte in data[half : half + 40]) + data[half + 40 :]
        path.write_bytes({"empty": b"", "cut": data[:-100], "flipped": flipped, "other": b"PAR1hello"}[damage])

    assert load(path) is None


def test_nothing_to_keep_is_an_index_too(tmp_path: Path) -> None:
    save(tmp_path / "index", [])

    assert load(tmp_path / "index") is not None
    assert stored(tmp_path / "index") == []


def test_an_index_that_could_not_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = put(tmp_path / "x", film())
    keep_index(tmp_path / "index", {found: headers.read(found)}, ())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        save(tmp_path / "index", [])

    assert stored(tmp_path / "index") == headers.read(found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "x"]
