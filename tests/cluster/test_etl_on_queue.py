"""`etl run --site`: whatever happens to the workers' jobs, the version is byte for byte that of a run on one machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cluster import pool, queue_supply
from cluster.span import Span
from etl import journal, phantom, run
from etl.order import Built, Order
from etl.process import process
from etl.verify import verify
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.loading import load
from schemas.recipe import EtlRecipe
from schemas.site import load_site
from tests.cluster.test_queue_pool import CANCEL, Told
from tests.lab.lab import Lab
from tests.lab.processes import true_within

ETL = str(Path(sys.executable).parent / "etl")


@dataclass(frozen=True)
class Drawn:
    archive: Path
    key: Path
    built: Built
    """What a run on this machine makes of it."""


def order(archive: Path, key: Path, out: Path, **changes: Any) -> Order:
    return Order((archive,), out, load(EtlRecipe, "wrist", "etl"), key=key, **changes)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    folder = tmp_path_factory.mktemp("drawn")
    phantom.draw(folder / "phantom", studies=14, seed=5, size=(480, 400))
    key = folder / "key"
    key.write_text("a key that is no secret at all")
    archive = folder / "phantom/archive"
    return Drawn(archive, key, run.run(order(archive, key, folder / "ds", workers=Span(2, 2)), Told()))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def build(drawn: Drawn, lab: Lab, out: Path, say: Told, workers: str = "2") -> Built:
    site = load_site(str(lab.site()))
    return run.run(order(drawn.archive, drawn.key, out, workers=Span.parse(workers), site=site), say)


def lines_of(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob(f".building-*/{journal.NAME}"))


def each_after(seconds: float) -> Callable[..., object]:
    """The work of a worker, but slow enough that something can happen meanwhile."""

    def work(task: object, recipe: object, store: object) -> object:
        time.sleep(seconds)
        return process(task, recipe, store)  # type: ignore[arg-type]

    return work


def once(condition: Callable[[], bool], then: Callable[[], object]) -> Thread:
    """Do something when the condition has come true; the test joins the thread, and so knows that it has."""

    def watch() -> None:
        assert true_within(60, condition)
        then()

    thread = Thread(target=watch)
    thread.start()
    return thread


def test_a_job_that_is_cancelled_half_way_changes_nothing(
    drawn: Drawn, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "process", each_after(0.4))
    say, out = Told(), tmp_path / "ds"
    cancelled = once(lambda: lines_of(out) >= 2, lambda: lab.kill(lab.jobs()[0]))

    built = build(drawn, lab, out, say, "1:3")

    cancelled.join()
    assert "a worker's job ended (cancelled" in say.text
    assert "a worker was lost" not in say.text
    assert bytes_of(built.folder) == bytes_of(drawn.built.folder)
    assert verify(DatasetVersion.open(built.folder)) == []
    lab.wait_until(lambda: not lab.jobs(), 10)


def test_a_power_cut_half_way_changes_nothing(
    drawn: Drawn, slurm: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "process", each_after(0.4))
    monkeypatch.setattr(queue_supply, "SECONDS_TO_DECIDE", 3.0)
    say, out = Told(), tmp_path / "ds"
    cut = once(lambda: lines_of(out) >= 2, lambda: slurm.power_cut("lab1"))

    built = build(drawn, slurm, out, say, "2")

    cut.join()
    assert "a worker's job ended (node fail" in say.text
    assert "a worker was lost" not in say.text
    assert bytes_of(built.folder) == bytes_of(drawn.built.folder)


def test_a_film_that_ends_every_job_it_is_given_to_is_one_failure(
    drawn: Drawn, slurm: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "JOBS_AN_ITEM_MAY_LOSE", 1)
    records = DatasetVersion.open(drawn.built.folder).table("manifest").to_pylist()
    studies = [row["study_id"] for row in records]
    victim = next(row["source_id"] for row in records if studies.count(row["study_id"]) == 1)

    def work(task: Any, recipe: Any, store: Any) -> object:
        if any(film.source_id == victim for film in task.films):
            subprocess.run(CANCEL, shell=True, check=False)
            time.sleep(100)
        return process(task, recipe, store)

    monkeypatch.setattr(run, "process", work)

    built = build(drawn, slurm, tmp_path / "ds", Told())

    failures = DatasetVersion.open(built.folder).table("failures").to_pylist()
    assert [row["source_id"] for row in failures if row["stage"] == "crash"] == [victim]
    assert built.counts["records"] == drawn.built.counts["records"] - 1
    assert verify(DatasetVersion.open(built.folder)) == []


def start(drawn: Drawn, lab: Lab, out: Path, **site: Any) -> subprocess.Popen[bytes]:
    words = ["run", drawn.archive, "--out", out, "--recipe", "wrist", "--key", drawn.key]
    words += ["--site", lab.site(shared=None, **site), "--workers", "1:2"]
    return subprocess.Popen([ETL, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def test_a_driver_that_is_killed_leaves_nothing_and_the_same_command_goes_on(drawn: Drawn, lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "ds"
    runner = start(drawn, lab, out)
    assert true_within(60, lambda: lines_of(out) >= 1 or runner.poll() is not None)
    os.kill(runner.pid, signal.SIGKILL)
    runner.communicate()
    (keys,) = out.with_name("ds.private").glob("workers-*")
    lab.wait_until(lambda: not lab.jobs(), 30)  # the workers end by themselves

    again = start(drawn, lab, out)
    _, told = again.communicate(timeout=60)

    assert again.returncode == 0, told.decode()
    assert b"going on where the last run stopped" in told
    assert bytes_of(out / drawn.built.version) == bytes_of(drawn.built.folder)
    assert not keys.exists()
    lab.wait_until(lambda: not lab.jobs(), 10)


def test_ctrl_c_cancels_the_jobs_and_ends_with_130(drawn: Drawn, lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "ds"
    runner = start(drawn, lab, out)
    assert true_within(60, lambda: lines_of(out) >= 1 or runner.poll() is not None)
    os.killpg(runner.pid, signal.SIGINT)  # as a terminal sends it
    _, told = runner.communicate(timeout=60)

    assert runner.returncode == 130, told.decode()
    assert told.decode().endswith("interrupted: run the same command again to go on\n")
    assert "Traceback" not in told.decode()
    lab.wait_until(lambda: not lab.jobs(), 10)
    assert not list(tmp_path.rglob("*.pem"))


def test_a_refused_job_ends_the_run_with_2_and_the_queues_words(drawn: Drawn, lab: Lab, tmp_path: Path) -> None:
    runner = start(drawn, lab, tmp_path / "ds", cpu={"queue": "nosuch"})
    _, told = runner.communicate(timeout=60)

    words = {"slurm": "invalid partition specified: nosuch", "lsf": "nosuch: No such queue. Job not submitted."}
    assert runner.returncode == 2
    assert told.decode().count(words[lab.kind]) == 1
    assert "Traceback" not in told.decode()
    assert not lab.jobs()


@pytest.mark.parametrize("text", ["0", "0:4", "two", "1:2:3", "-1", ""])
def test_nonsense_for_workers_is_one_clear_message(text: str) -> None:
    with pytest.raises(RadforgeError, match=r"--workers: not understood.*e\.g\. 4 or 4:48"):
        Span.parse(text)


def test_workers_are_a_number_or_from_to() -> None:
    assert Span.parse("4") == Span(4, 4)
    assert Span.parse("4:48") == Span(4, 48)


def test_a_span_the_wrong_way_round_is_told_so() -> None:
    with pytest.raises(RadforgeError, match=r"MIN is more than MAX; found '4:2'; expected e\.g\. 2:4"):
        Span.parse("4:2")
