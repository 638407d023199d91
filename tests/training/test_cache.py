from __future__ import annotations

import errno
import fcntl
import io
import multiprocessing
import os
import pickle
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import pytest
from rich.console import Console

from cluster.progress import Reporter
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.train_recipe import Data
from tests.training.drawn_dataset import drawn_version
from training.data import cache, packing
from training.data.cache import Pictures, open_cache
from training.data.films import Films, read_films
from training.data.fit import fit

DATA = Data(size=(24, 32), label="fracture")
LABELS: dict[str, Callable[[int, bool], Any]] = {
    "fracture": lambda study, positive: int(positive),
    "cast": lambda study, positive: None if study in (2, 3) else int(positive),
}


@pytest.fixture
def version(tmp_path: Path) -> DatasetVersion:
    return drawn_version(tmp_path / "ds", 16, labels=LABELS)


def opened(films: Films, folder: Path | None, data: Data = DATA) -> tuple[Pictures, str]:
    said = io.StringIO()
    return open_cache(films, data, folder, Reporter(Console(file=said))), said.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


def test_each_row_is_its_film_fitted(version: DatasetVersion, tmp_path: Path) -> None:
    films = read_films(version, DATA)

    pictures, said = opened(films, tmp_path / "cache")

    rows = films.rows.to_pylist()
    assert pictures.shape == (len(rows), 32, 24)
    for position, row in enumerate(rows):
        assert (pictures[position] == fit(version.picture(row), DATA.size, DATA.fit, films.largest)).all()
    assert (pictures[np.array([3, 0])] == np.stack([pictures[3], pictures[0]])).all()
    assert f"decoding {len(rows)} pictures" in said
    assert f"{len(rows) * 32 * 24 / 1e6:.1f} MB" in said
    assert names(tmp_path / "cache") == [".npy"]


def test_the_second_time_nothing_is_decoded(version: DatasetVersion, tmp_path: Path) -> None:
    films = read_films(version, DATA)
    first, _ = opened(films, tmp_path / "cache")
    shutil.rmtree(version.folder / "images")

    second, said = opened(films, tmp_path / "cache")

    assert (second[:] == first[:]).all()
    assert said == ""


def test_another_label_with_other_films_uses_the_same_file(version: DatasetVersion, tmp_path: Path) -> None:
    all_films, fewer = read_films(version, DATA), read_films(version, DATA.model_copy(update={"label": "cast"}))
    everything, _ = opened(all_films, tmp_path / "cache")

    some, said = opened(fewer, tmp_path / "cache")

    assert said == ""
    assert 0 < len(some) < len(everything)
    place = all_films.rows["image_id"].to_pylist().index(fewer.rows["image_id"][4].as_py())
    assert (some[4] == everything[place]).all()


@pytest.mark.parametrize("other", [{"size": (32, 24)}, {"fit": "stretch"}, {"fit": "pad_largest"}])
def test_another_size_or_fit_is_another_file(version: DatasetVersion, tmp_path: Path, other: dict[str, Any]) -> None:
    films = read_films(version, DATA)
    opened(films, tmp_path / "cache")

    opened(films, tmp_path / "cache", DATA.model_copy(update=other))

    assert names(tmp_path / "cache") == [".npy", ".npy"]


def test_the_pictures_cannot_be_written(version: DatasetVersion, tmp_path: Path) -> None:
    pictures, _ = opened(read_films(version, DATA), tmp_path / "cache")

    with pytest.raises(ValueError, match="read-only"):
        pictures[0][0, 0] = 1


def test_a_worker_gets_the_path_and_not_the_pixels(version: DatasetVersion, tmp_path: Path) -> None:
    pictures, _ = opened(read_films(version, DATA), tmp_path / "cache")
    pixels = pictures[:]

    sent = pickle.dumps(pictures)

    assert len(sent) < 2000 < pixels.size
    assert (pickle.loads(sent)[:] == pixels).all()


@pytest.mark.parametrize("length", [0, 10, 5000])
def test_a_file_that_was_cut_short_is_never_used(version: DatasetVersion, tmp_path: Path, length: int) -> None:
    films = read_films(version, DATA)
    pictures, _ = opened(films, tmp_path / "cache")
    whole = pictures.path.read_bytes()
    pictures.path.write_bytes(whole[:length])

    again, said = opened(films, tmp_path / "cache")

    assert "decoding" in said
    assert again.path.read_bytes() == whole


def _flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [Path.unlink, _flip_a_bit, lambda path: path.write_bytes(b"")])
def test_missing_and_damaged_pictures_are_named(version: DatasetVersion, tmp_path: Path, harm: Callable[[Path], Any]) -> None:
    films = read_films(version, DATA)
    rows = films.rows.to_pylist()
    for row in rows[2:9]:
        harm(version.folder / row["image_path"])

    with pytest.raises(RadforgeError, match="etl verify") as error:
        opened(films, tmp_path / "cache")

    text = str(error.value)
    assert f"found 7 of {len(rows)}: " in text
    assert sum(row["image_id"] in text for row in rows[2:9]) == 5
    assert not any(row["image_id"] in text for row in rows[:2] + rows[9:])
    assert names(tmp_path / "cache") == []


def test_a_disk_that_fills_up_is_told_and_nothing_is_left(
    version: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def pwrite(file: int, data: bytes, offset: int) -> int:
        written.append(offset)
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)

    monkeypatch.setattr(packing.os, "pwrite", pwrite)

    with pytest.raises(RadforgeError, match=r"No space left on device.*--cache"):
        opened(read_films(version, DATA), tmp_path / "cache")

    assert names(tmp_path / "cache") == []


def test_a_disk_without_room_is_told_before_anything_is_decoded(
    version: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 1000))  # type: ignore[attr-defined]
    monkeypatch.setattr(cache, "pack", None)

    with pytest.raises(RadforgeError, match=r"No space left.*room for 0\.0 MB; --cache"):
        opened(read_films(version, DATA), tmp_path / "cache")


def test_a_place_that_cannot_be_written_is_told(version: DatasetVersion, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RadforgeError, match=r"file.*Not a directory.*--cache"):
        opened(read_films(version, DATA), tmp_path / "file" / "cache")


@pytest.mark.parametrize("locks", [True, False])
def test_several_builders_at_once_all_succeed(
    version: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    def no_locks(file: IO[str], operation: int) -> NoReturn:
        raise OSError(errno.ENOLCK, "No locks available")

    if not locks:
        monkeypatch.setattr(fcntl, "flock", no_locks)
    films = read_films(version, DATA)

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: opened(films, tmp_path / "cache"), range(6)))

    assert all((pictures[:] == results[0][0][:]).all() for pictures, _ in results)
    if locks:
        assert sum("pictures once" in said for _, said in results) == 1
        assert names(tmp_path / "cache") == [".npy"]
    else:
        assert ".part" not in names(tmp_path / "cache")


def _die_half_way(films: Films, folder: Path) -> None:
    def half(file: IO[bytes], *rest: Any) -> None:
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    cache.pack = half
    opened(films, folder)


def test_what_a_killed_builder_leaves_is_cleared_away(version: DatasetVersion, tmp_path: Path) -> None:
    films = read_films(version, DATA)
    killed = multiprocessing.get_context("fork").Process(target=_die_half_way, args=(films, tmp_path / "cache"))
    killed.start()
    killed.join()
    assert ".part" in names(tmp_path / "cache")

    pictures, _ = opened(films, tmp_path / "cache")

    assert len(pictures) == films.rows.num_rows
    assert names(tmp_path / "cache") == [".npy"]


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"RADFORGE_CACHE": "a", "XDG_CACHE_HOME": "b", "HOME": "c"}, "a"),
        ({"XDG_CACHE_HOME": "b", "HOME": "c"}, "b/radforge"),
        ({"HOME": "c"}, "c/.cache/radforge"),
    ],
)
def test_the_cache_lies_where_the_user_says(
    version: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], place: str
) -> None:
    for name in ("RADFORGE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in settings.items():
        monkeypatch.setenv(name, str(tmp_path / folder))

    pictures, _ = opened(read_films(version, DATA), None)

    assert pictures.path.parent == tmp_path / place
