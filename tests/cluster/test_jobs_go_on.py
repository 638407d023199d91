"""Jobs that are warned, preempted or lose their node go on by themselves under the same id; those with a bug do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import jobs, script
from tests.cluster.counting import COUNTER, SUM, begun, counter, ended, holds, log, now, plain, site_of, warn
from tests.cluster.drawn_jobs import own_list  # noqa: F401
from tests.lab.lab import Lab

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # dask-jobqueue's


def test_a_warned_job_writes_a_checkpoint_and_goes_on_under_its_id(lab: Lab, tmp_path: Path) -> None:
    record = jobs.submit(counter(tmp_path / "run"), site_of(lab))
    lab.wait_until(lambda: holds(record))

    warn(lab, record.id)
    lab.wait_until(lambda: "warned by SIGUSR1 at 25" in log(record))
    (tmp_path / "run/go").touch()
    status = ended(record)

    assert (status.id, status.state, status.exit_code, status.restarts) == (record.id, "DONE", 0, 1)
    assert (tmp_path / "run/sum").read_text() == SUM
    assert begun(record) == ["0", "25"]
    assert status.elapsed_s is not None
    assert "No such file" not in log(record)


def test_a_preempted_job_makes_room_and_goes_on(slurm: Lab, tmp_path: Path) -> None:
    site = site_of(slurm, cpu={"queue": "scavenge", "cores": 4, "directives": ["-w lab1"], "warn_s": 30})
    record = jobs.submit(counter(tmp_path / "run"), site)
    slurm.wait_until(lambda: holds(record))

    slurm.run("sbatch", "-p", "cpu", "-w", "lab1", "-n", "4", "-o", "/dev/null", "--wrap", f"touch {tmp_path}/run/go")
    status = ended(record)

    assert (status.state, status.restarts) == ("DONE", 1)
    assert "warned by SIGUSR1 at 25" in log(record)
    assert (begun(record), (tmp_path / "run/sum").read_text()) == (["0", "25"], SUM)


@pytest.mark.acceptance  # SLURM takes its time to kill what does not go
def test_a_preempted_job_that_cannot_go_on_is_over_and_told(slurm: Lab, tmp_path: Path) -> None:
    site = site_of(slurm, cpu={"queue": "scavenge", "cores": 4, "directives": ["-w lab1"]})
    stays = "trap '' TERM; touch holding; while :; do sleep 1; done"  # one that goes when asked has simply FAILED
    record = jobs.submit(plain(tmp_path / "run", "sh", "-c", stays, cwd=tmp_path), site)
    slurm.wait_until((tmp_path / "holding").exists)

    slurm.run("sbatch", "-p", "cpu", "-w", "lab1", "-n", "4", "-o", "/dev/null", "--wrap", "true")
    status = ended(record)

    assert status.state == "PREEMPTED"
    assert status.reason.endswith("another job had precedence: rjobs rerun")


def test_a_job_whose_node_loses_power_goes_on_elsewhere_from_its_last_checkpoint(lab: Lab, tmp_path: Path) -> None:
    record = jobs.submit(counter(tmp_path / "run"), site_of(lab))
    lab.wait_until(lambda: holds(record))
    first = now(record).node

    lab.power_cut(first)
    lab.wait_until(lambda: len(begun(record)) == 2)
    (tmp_path / "run/go").touch()
    status = ended(record)

    assert (status.state, status.restarts) == ("DONE", 1)
    assert begun(record) == ["0", "20"]
    assert (tmp_path / "run/sum").read_text() == SUM
    assert {first, status.node} == {"lab1", "lab2"}


def test_a_job_that_dies_of_a_bug_does_not_begin_again(lab: Lab, tmp_path: Path) -> None:
    record = jobs.submit(counter(tmp_path / "run", code=COUNTER + "sys.exit(3)\n", hold=-1), site_of(lab))

    status = ended(record)

    assert (status.state, status.reason, status.exit_code, status.restarts) == ("FAILED", "exit code 3", 3, 0)
    assert begun(record) == ["0"]


def test_a_job_that_is_warned_and_gets_no_further_is_given_up(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "TRIES", 1)  # a requeue of SLURM's takes six seconds; tests of the script try three times
    never = "import os, pathlib; pathlib.Path(os.environ['RADFORGE_AGAIN']).touch(); print('from 0')"
    record = jobs.submit(counter(tmp_path / "run", code=never), site_of(lab))

    status = ended(record)

    assert (status.state, status.exit_code, status.restarts) == ("FAILED", 70, 0)
    assert status.reason == "given up: it began again and again without getting further"
    assert begun(record) == ["0"]
    assert f"rjobs rerun {record.id} tries again" in log(record)


def test_lsf_warns_before_the_time_limit_and_the_job_goes_on(lsf: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSF_LAB_MINUTE", "3")
    record = jobs.submit(counter(tmp_path / "run"), site_of(lsf, cpu={"walltime": "00:02", "warn_s": 60}))

    lsf.wait_until(lambda: "warned by SIGUSR1 at 25" in log(record))
    (tmp_path / "run/go").touch()
    status = ended(record)

    assert (status.state, status.restarts) == ("DONE", 1)
    assert (begun(record), (tmp_path / "run/sum").read_text()) == (["0", "25"], SUM)


def test_a_time_limit_without_an_answer_is_told_with_what_to_change(
    lsf: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSF_LAB_MINUTE", "2")
    monkeypatch.setenv("LSF_LAB_TERMINATE_INTERVAL", "0.3")
    record = jobs.submit(plain(tmp_path / "run", "sleep", "100"), site_of(lsf, cpu={"walltime": "00:01"}))

    status = ended(record)

    assert status.state == "TIMEOUT"
    assert "TERM_RUNLIMIT" in status.reason
    assert "longer walltime in the site file" in status.reason


@pytest.mark.acceptance
def test_slurms_time_limit_is_told_with_what_to_change(slurm: Lab, tmp_path: Path) -> None:
    record = jobs.submit(plain(tmp_path / "run", "sleep", "300"), site_of(slurm, cpu={"walltime": "00:01"}))

    status = ended(record, 150)

    assert (status.state, status.exit_code) == ("TIMEOUT", None)
    assert "longer walltime in the site file" in status.reason


@pytest.mark.acceptance
def test_slurm_warns_before_the_time_limit_and_the_job_goes_on(slurm: Lab, tmp_path: Path) -> None:
    record = jobs.submit(counter(tmp_path / "run"), site_of(slurm, cpu={"walltime": "00:02", "warn_s": 30}))

    slurm.wait_until(lambda: "warned by SIGUSR1 at 25" in log(record), 150)
    (tmp_path / "run/go").touch()
    status = ended(record)

    assert (status.state, status.restarts) == ("DONE", 1)
    assert (tmp_path / "run/sum").read_text() == SUM


@pytest.mark.acceptance
def test_a_job_that_is_warned_again_and_again_ends_with_the_right_sum(lab: Lab, tmp_path: Path) -> None:
    patient = COUNTER.replace("at, total = at + 1", "time.sleep(0.1); at, total = at + 1")
    record = jobs.submit(counter(tmp_path / "run", code=patient, hold=-1), site_of(lab))

    for run in range(1, 6):
        lab.wait_until(lambda run=run: len(begun(record)) == run)  # type: ignore[misc]
        warn(lab, record.id)
        lab.wait_until(lambda run=run: log(record).count("warned by") == run)  # type: ignore[misc]
    status = ended(record)

    assert (status.state, status.restarts) == ("DONE", 5)
    assert (tmp_path / "run/sum").read_text() == SUM


@pytest.mark.acceptance
def test_a_job_whose_node_dies_before_any_checkpoint_is_tried_three_times(slurm: Lab, tmp_path: Path) -> None:
    record = jobs.submit(counter(tmp_path / "run", hold=5), site_of(slurm))
    for run in range(1, 4):
        slurm.wait_until(lambda run=run: len(begun(record)) == run)  # type: ignore[misc]
        slurm.power_cut(node := now(record).node)
        slurm.wait_until(lambda: now(record).state == "PENDING")
        slurm.power_on(node)

    status = ended(record)

    assert (status.state, status.exit_code) == ("FAILED", 70)
    assert begun(record) == ["0", "0", "0"]
