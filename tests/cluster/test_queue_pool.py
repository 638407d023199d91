"""Workers from a queue: whatever the queue, a job or an item does, each item has one outcome and no job is left behind."""

from __future__ import annotations

import importlib
import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client
from rich.console import Console

from cluster import certificates, queue_supply
from cluster.pool import Lost
from cluster.progress import Reporter
from cluster.queue_pool import on_queue
from cluster.span import Span
from cluster.worker_jobs import WorkerJobs
from schemas.errors import RadforgeError
from schemas.site import load_site
from tests.lab.lab import Lab

MEMORY = 400 * 10**6
CANCEL = "scancel $SLURM_JOB_ID 2>/dev/null || bkill $LSB_JOBID"


def job() -> str:
    return os.environ.get("SLURM_JOB_ID") or os.environ["LSB_JOBID"]


def upper(item: str) -> str:
    return item.upper()


def slow(item: int, seconds: float) -> tuple[int, str]:
    time.sleep(seconds)
    return item, job()


def as_long_as_it_is(item: float) -> None:
    time.sleep(item)


def processes(_: int) -> tuple[int, int]:
    time.sleep(0.5)
    return os.getpid(), os.getppid()


def behave(item: str) -> str:
    if item == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "hang":
        time.sleep(1000)
    if item == "hog":
        hog = []
        while True:
            hog.append(bytearray(b"x" * 20_000_000))
            time.sleep(0.02)
    if item == "cancel its job":
        subprocess.run(CANCEL, shell=True, check=False)
        time.sleep(1000)
    time.sleep(0.2)
    return item.upper()


class Told(Reporter):
    """What was said; `when` is called with each warning."""

    def __init__(self, when: Callable[[str], object] = lambda _: None) -> None:
        self._out = StringIO()
        self._when = when
        super().__init__(Console(file=self._out, width=300))

    def warn(self, text: str) -> None:
        super().warn(text)
        self._when(text)

    @property
    def text(self) -> str:
        return self._out.getvalue()


def pool_on(lab: Lab, workers: str = "2", say: Reporter | None = None, lifetime_s: float | None = None, **site: Any) -> Any:
    """The pool on a lab, which `with` enters."""
    settings = load_site(str(lab.site(**site)))
    beside = lab.folder / "a shared folder"
    return on_queue(settings, Span.parse(workers), MEMORY, beside, say or Told(), lifetime_s=lifetime_s)


def folder_of(lab: Lab) -> Path:
    (folder,) = (lab.folder / "a shared folder").glob("workers-*")
    return folder


def test_results_come_back_by_no_more_jobs_than_there_is_work_and_nothing_is_left(lab: Lab) -> None:
    say = Told()

    with pool_on(lab, "1:4", say) as pool:
        results = dict(pool.map(upper, ["a", "b"]))
        asked = len(lab.jobs())
        again = dict(pool.map(upper, ["e"]))

    assert results == {"a": "A", "b": "B"}
    assert again == {"e": "E"}
    assert asked == 2
    assert f"asking {lab.kind} (site lab-{lab.kind}, queue cpu) for 1 to 4 workers" in say.text
    lab.wait_until(lambda: not lab.jobs(), 10)
    assert list((lab.folder / "a shared folder").iterdir()) == []


def test_jobs_without_work_are_let_go_while_others_work(lsf: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_supply, "SECONDS_IDLE", 1.0)

    with pool_on(lsf, "3") as pool:
        asked, results = 0, []
        for item, _ in pool.map(as_long_as_it_is, [0.1, 0.2, 8.0]):
            results.append(item)
            asked = max(asked, len(lsf.jobs()))
        left = len(lsf.jobs())

    assert results == [0.1, 0.2, 8.0]
    assert asked == 3
    assert left == 1


def test_a_later_refusal_is_told_and_the_jobs_there_are_do_the_work(lsf: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    submit, say = WorkerJobs.submit, Told()

    def at_most_two(jobs: WorkerJobs) -> None:
        if len(jobs.here) == 2:
            raise RadforgeError("the queue refused the job", "bsub", "User job limit has been reached")
        submit(jobs)

    monkeypatch.setattr(WorkerJobs, "submit", at_most_two)

    with pool_on(lsf, "4", say) as pool:
        results = dict(pool.map(upper, ["a", "b", "c", "d"]))

    assert results == {"a": "A", "b": "B", "c": "C", "d": "D"}
    assert say.text.count("warning: no more than 2 jobs for now: bsub: the queue refused the job; found User job limit") == 1


def test_nothing_listens_but_on_loopback(lab: Lab) -> None:
    with pool_on(lab) as pool:
        pids = {os.getpid()}.union(*(found for _, found in pool.map(processes, range(6))))
        ports = [c.laddr.ip for c in psutil.net_connections("inet") if c.status == "LISTEN" and c.pid in pids]

    assert len(ports) >= 5  # scheduler and its dashboard; nanny, worker and dashboard of each worker
    assert set(ports) == {"127.0.0.1"}
    assert pool.dashboard.startswith("http://127.0.0.1:")


def test_who_has_no_certificate_cannot_connect_and_nobody_else_can_read_the_key(lab: Lab, tmp_path: Path) -> None:
    with pool_on(lab, "1") as pool:
        list(pool.map(upper, ["a"]))
        address = pool._client.scheduler.address
        folder = folder_of(lab)
        modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
        key = (folder / certificates.KEY).read_text().splitlines()[1]
        commands = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
        script = (folder / "worker.sh").read_text()

        for stranger in (None, certificates.make(tmp_path)):
            with pytest.raises((OSError, TypeError)):
                Client(address, security=stranger, timeout=2, set_as_default=False)

    assert address.startswith("tls://127.0.0.1:")
    assert modes[folder.name] == 0o700
    assert modes[certificates.KEY] == modes[certificates.CERTIFICATE] == 0o600
    assert not any(key in text for text in (script, *commands))


def test_without_tls_there_are_no_keys(lsf: Lab) -> None:
    with pool_on(lsf, "1", tls=False) as pool:
        results = dict(pool.map(upper, ["a"]))
        keys = list(folder_of(lsf).glob("*.pem"))

    assert results == {"a": "A"}
    assert keys == []


def test_an_item_is_lost_alone_and_its_reason_is_told(slurm: Lab) -> None:
    with pool_on(slurm) as pool:
        results = dict(pool.map(behave, ["segfault", "hog", "hang", "a", "b"], lambda item: 3.0 if item == "hang" else 60.0))

    assert results == {
        "segfault": Lost("crash"),
        "hog": Lost("memory"),
        "hang": Lost("timeout"),
        "a": "A",
        "b": "B",
    }


def test_an_item_that_ends_its_whole_job_again_and_again_is_given_up(slurm: Lab) -> None:
    say = Told()

    with pool_on(slurm, "2", say) as pool:
        results = dict(pool.map(behave, ["cancel its job", "a", "b", "c"]))

    assert results == {"cancel its job": Lost("crash"), "a": "A", "b": "B", "c": "C"}
    assert say.text.count("a worker's job ended") >= 2


def test_workers_that_leave_at_the_end_of_their_lifetime_cost_nothing_but_time(lsf: Lab) -> None:
    results: list[Any] = []

    def until_a_third_job() -> Iterator[int]:
        yield from itertools.takewhile(lambda n: n < 60 and len({job for _, (_, job) in results}) < 3, itertools.count())

    with pool_on(lsf, "2", lifetime_s=4) as pool:
        for item, result in pool.map(partial(slow, seconds=1), until_a_third_job()):
            assert not isinstance(result, Lost)
            results.append((item, result))

    assert sorted(item for item, _ in results) == list(range(len(results)))
    assert len({job for _, (_, job) in results}) >= 3


def test_the_time_limit_of_a_job_costs_nothing_but_time(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSF_LAB_MINUTE", "8")
    say, results = Told(), []

    def until_told() -> Iterator[int]:
        yield from itertools.takewhile(lambda n: n < 120 and "a worker's job ended" not in say.text, itertools.count())

    with pool_on(lab, "1", say, cpu={"walltime": "00:01"}) as pool:
        for item, result in pool.map(partial(slow, seconds=0.5), until_told()):
            results.append((item, result))
            if lab.kind == "slurm" and len(results) == 1:  # its own minute would be 80 s
                lab.run("scontrol", "update", f"jobid={result[1]}", "timelimit=0")

    assert sorted(item for item, _ in results) == list(range(len(results)))
    assert not any(isinstance(result, Lost) for _, result in results)
    assert "a worker's job ended (timeout" in say.text


def test_a_power_cut_costs_nothing_but_time(lsf: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_supply, "SECONDS_TO_DECIDE", 3.0)
    results = []

    with pool_on(lsf, "5") as pool:  # one more than a node takes
        for item, result in pool.map(partial(slow, seconds=0.5), range(20)):
            results.append((item, result))
            if len(results) == 4:
                lsf.power_cut("lab1", noticed=False)

    assert sorted(item for item, _ in results) == list(range(20))
    assert not any(isinstance(result, Lost) for _, result in results)


def test_a_refused_job_is_told_in_the_queues_words_once(lab: Lab) -> None:
    words = {"slurm": "invalid partition specified: nosuch", "lsf": "nosuch: No such queue. Job not submitted."}

    with pytest.raises(RadforgeError) as error, pool_on(lab, cpu={"queue": "nosuch"}) as pool:
        list(pool.map(upper, ["a"]))

    assert error.value.exit_code == 2
    assert str(error.value).count(words[lab.kind]) == 1
    assert not lab.jobs()


def test_memory_that_no_node_has_is_told_in_slurms_words(slurm: Lab) -> None:
    with pytest.raises(RadforgeError) as error, pool_on(slurm, cpu={"memory": "900GB"}) as pool:
        list(pool.map(upper, ["a"]))

    assert "Memory specification can not be satisfied" in str(error.value)

    assert not slurm.jobs()


def test_a_queue_that_starts_nothing_is_told_with_its_reason(lab: Lab) -> None:
    def release(text: str) -> None:
        if "no worker" in text:
            for id_ in lab.jobs():
                lab.run(*(["scontrol", "release"] if lab.kind == "slurm" else ["bresume"]), id_)

    say = Told(release)

    with pool_on(
        lab, "1:2", say, minutes_to_wait=0.05, cpu={"directives": ["--hold" if lab.kind == "slurm" else "-H"]}
    ) as pool:
        results = dict(pool.map(upper, ["a", "b"]))

    assert results == {"a": "A", "b": "B"}
    told = re.search(r"warning: no worker after \d+ s; 2 jobs wait in the queue \((.+)\)", say.text)
    assert told is not None, say.text
    assert told[1] == "JobHeldUser" if lab.kind == "slurm" else told[1]


def test_jobs_that_end_before_a_worker_comes_stop_the_run_and_show_their_log(lab: Lab) -> None:
    with pytest.raises(RadforgeError) as error, pool_on(lab, "4", python="/nowhere/python") as pool:
        list(pool.map(upper, ["a", "b", "c", "d"]))

    assert "jobs end before a worker comes" in str(error.value)
    assert re.search(r"/nowhere/python: No such file or directory", str(error.value))
    lab.wait_until(lambda: not lab.jobs(), 10)
    assert [path.name for path in folder_of(lab).iterdir()] == ["logs"]  # what a person can look into, but no key


def test_a_worker_that_is_not_as_it_must_be_is_given_no_work(slurm: Lab) -> None:
    site = load_site(str(slurm.site()))

    with (
        pytest.raises(RadforgeError, match="workers: this node has no archive"),
        on_queue(
            site, Span(1, 1), MEMORY, slurm.folder / "a shared folder", Told(), partial(str, "this node has no archive")
        ) as pool,
    ):
        list(pool.map(upper, ["a"]))


def test_a_python_without_our_packages_is_told(lsf: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("def look(): return ''\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    look = importlib.import_module("only_here").look
    site = load_site(str(lsf.site()))

    with (
        pytest.raises(RadforgeError, match="workers: their Python has no only_here"),
        on_queue(site, Span(1, 1), MEMORY, tmp_path / "shared", Told(), look) as pool,
    ):
        list(pool.map(upper, ["a"]))


def test_an_interface_that_is_not_there_is_one_clear_message(lsf: Lab) -> None:
    with pytest.raises(RadforgeError, match="no such network interface"), pool_on(lsf, interface="ib9"):
        pass


def test_keys_and_jobs_of_a_killed_run_go_with_the_next(lab: Lab) -> None:
    old = lab.folder / "a shared folder" / f"workers-{os.uname().nodename}-999999"
    old.mkdir(parents=True)
    (old / certificates.KEY).write_text("a key")
    submit, hold = ("sbatch", "#SBATCH --hold") if lab.kind == "slurm" else ("bsub", "#BSUB -H")
    lab.run(submit, stdin=f"#!/bin/sh\n{hold}\nsleep 600\n")
    (id_,) = lab.jobs()
    (old / "jobs").write_text(f"{id_}\n")
    (old / "kind").write_text(lab.kind)

    with pool_on(lab, "1"):
        left = folder_of(lab)

    assert left != old
    assert not old.exists()
    lab.wait_until(lambda: id_ not in lab.jobs(), 10)
