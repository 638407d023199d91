"""Whatever kills a run, the same command goes on, and the result is byte for byte that of an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from etl import journal, run
from etl.order import Built
from etl.process import process
from etl.verify import verify
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from tests.end_to_end.conftest import bytes_of

ETL = str(Path(sys.executable).parent / "etl")


def start(drawn: Path, out: Path, key: Path, workers: int = 2) -> subprocess.Popen[bytes]:
    command = [
        ETL,
        "run",
        str(drawn / "archive"),
        "--out",
        str(out),
        "--recipe",
        "wrist",
        "--labels",
        str(drawn / "labels.csv"),
        "--key",
        str(key),
        "--workers",
        str(workers),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def lines_of(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob(f".building-*/{journal.NAME}"))


def wait_for_lines(out: Path, number: int, runner: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while lines_of(out) < number and runner.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def kill(runner: subprocess.Popen[bytes]) -> None:
    """kill -9 of a run and its workers; one that has ended already is left in peace."""
    with suppress(ProcessLookupError):
        os.killpg(runner.pid, signal.SIGKILL)
    runner.communicate()


def kill_and_resume(drawn: Path, out: Path, key: Path, built: Built, after_lines: int) -> int:
    """Kill -9 after so many finished studies, run again, compare; returns how many studies had been finished."""
    runner = start(drawn, out, key)
    wait_for_lines(out, after_lines, runner)
    kill(runner)
    finished = lines_of(out)

    again = start(drawn, out, key)
    _, told = again.communicate(timeout=300)

    assert again.returncode == 0, told.decode()
    assert (b"going on where the last run stopped" in told) == (finished > 0)
    version = DatasetVersion.open(out)
    assert version.version == built.version
    assert bytes_of(version.folder) == bytes_of(built.folder)
    assert not list(out.glob(".building-*"))
    return finished


def test_kill_9_and_the_same_command_give_the_same_bytes(drawn: Path, key: Path, built: Built, tmp_path: Path) -> None:
    finished = kill_and_resume(drawn, tmp_path / "ds", key, built, after_lines=3)

    assert finished >= 3


@pytest.mark.acceptance
@pytest.mark.parametrize("moment", range(40))
def test_kill_9_at_any_moment(drawn: Path, key: Path, built: Built, tmp_path: Path, moment: int) -> None:
    out = tmp_path / "ds"
    runner = start(drawn, out, key)
    time.sleep(0.25 * moment)
    kill(runner)

    kill_and_resume(drawn, out, key, built, after_lines=lines_of(out) + 1)

    assert verify(DatasetVersion.open(out)) == []


def test_ctrl_c_ends_with_130_and_loses_nothing(drawn: Path, key: Path, built: Built, tmp_path: Path) -> None:
    out = tmp_path / "ds"
    runner = start(drawn, out, key, workers=1)
    wait_for_lines(out, 1, runner)
    os.killpg(runner.pid, signal.SIGINT)  # as a terminal sends it: to the workers as well
    _, told = runner.communicate(timeout=60)

    assert runner.returncode == 130
    assert told.decode().endswith("interrupted: run the same command again to go on\n")
    assert "Traceback" not in told.decode()
    finished = lines_of(out)
    assert finished >= 1

    assert kill_and_resume(drawn, out, key, built, after_lines=finished + 1) >= finished


def crash_on(source_id: str) -> Callable[..., object]:
    """The work of a worker, but a segfault on one film."""

    def work(task: object, recipe: object, store: object) -> object:
        if any(film.source_id == source_id for film in task.films):  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGSEGV)
        return process(task, recipe, store)  # type: ignore[arg-type]

    return work


def test_a_film_that_crashes_the_decoder_is_one_failure_and_everything_else_proceeds(
    build: Callable[..., Built], built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = DatasetVersion.open(built.folder).table("manifest").to_pylist()
    studies = [row["study_id"] for row in records]
    victim = next(row for row in records if studies.count(row["study_id"]) > 1 and row["region_count"] == 1)
    monkeypatch.setattr(run, "process", crash_on(victim["source_id"]))

    crashed = build(tmp_path / "ds")

    version = DatasetVersion.open(crashed.folder)
    failures = [row for row in version.table("failures").to_pylist() if row["stage"] == "crash"]
    assert [row["source_id"] for row in failures] == [victim["source_id"]]
    assert crashed.counts["records"] == built.counts["records"] - 1
    assert verify(version) == []


def test_a_full_disk_is_told_and_the_same_command_goes_on(
    build: Callable[..., Built], built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "process", no_space)
    with pytest.raises(RadforgeError, match="the disk of the dataset is full") as error:
        build(tmp_path / "ds")
    assert error.value.exit_code == 2
    monkeypatch.undo()

    assert build(tmp_path / "ds").version == built.version


def no_space(task: object, recipe: object, store: object) -> object:
    """A worker whose disk is full."""
    import errno

    from etl.picture_store import disk_error

    raise disk_error(OSError(errno.ENOSPC, "no space"))


def test_a_torn_journal_line_is_cut_off(tmp_path: Path) -> None:
    from etl.study import StudyOutcome

    works = {"one": "a", "two": "b", "four": "d"}
    with journal.Journal(tmp_path) as log:
        log.append([StudyOutcome("one"), StudyOutcome("two")], works)
    path = tmp_path / journal.NAME
    path.write_bytes(path.read_bytes() + b'{"study":"three","rec')

    with journal.Journal(tmp_path) as log:
        log.append([StudyOutcome("four")], works)

    assert [outcome.study_id for outcome in journal.read(tmp_path, works)] == ["one", "two", "four"]


def test_a_study_whose_work_has_changed_is_done_again(tmp_path: Path) -> None:
    from etl.study import StudyOutcome

    with journal.Journal(tmp_path) as log:
        log.append([StudyOutcome("one"), StudyOutcome("two")], {"one": "a", "two": "b"})

    assert [outcome.study_id for outcome in journal.read(tmp_path, {"one": "other", "two": "b"})] == ["two"]
