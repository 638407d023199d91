"""The stand-in for LSF does what the LSF 10.1 reference says, where radforge relies on it; tests/lab/lsf names the pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.lab.lab import Lab

FIELDS = "jobid stat exit_code exit_reason exec_host pend_reason"
FOREVER = "while :; do sleep 0.1; done"


@pytest.fixture(autouse=True)
def _a_minute_lasts_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSF_LAB_MINUTE", "2")
    monkeypatch.setenv("LSF_LAB_TERMINATE_INTERVAL", "0.5")


def submit(lab: Lab, folder: Path, body: str, *options: str) -> tuple[str, Path]:
    """Id and output file of a script given on stdin."""
    done = lab.run("bsub", "-o", f"{folder}/%J.out", "-cwd", str(folder), *options, stdin="#!/bin/bash\n" + body)
    assert done.returncode == 0, done.stderr
    match = re.fullmatch(r"Job <(\d+)> is submitted to (?:default )?queue <\w+>\.\n", done.stdout)
    assert match is not None, done.stdout
    return match[1], folder / f"{match[1]}.out"


def shown(lab: Lab, job: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(lab.run("bjobs", "-json", "-o", FIELDS, job).stdout)["RECORDS"]
    return rows


def wait(lab: Lab, job: str, states: tuple[str, ...] = ("DONE", "EXIT")) -> dict[str, str]:
    lab.wait_until(lambda: all(row["STAT"] in states for row in shown(lab, job)), 30)
    return shown(lab, job)[0]


def test_bsub_lines_count_on_stdin_and_the_command_line_wins(lsf: Lab, tmp_path: Path) -> None:
    job, log = submit(
        lsf, tmp_path, '#BSUB -J named -q gpu  # words\n#BSUB -P "a project"\necho $LSB_QUEUE $LSB_JOBNAME', "-q", "cpu"
    )

    ended = wait(lsf, job)

    assert ended["STAT"] == "DONE"
    assert log.read_text().endswith("The output (if any) follows:\n\ncpu named\n")


def test_exit_codes_and_reasons(lsf: Lab, tmp_path: Path) -> None:
    failed, _ = submit(lsf, tmp_path, "exit 7")
    late, _ = submit(lsf, tmp_path, "sleep 60", "-W", "1")
    greedy, _ = submit(lsf, tmp_path, "python3 -c 'x = bytearray(300_000_000); import time; time.sleep(60)'", "-M", "100000")

    ends = [wait(lsf, job) for job in (failed, late, greedy)]

    assert [end["STAT"] for end in ends] == ["EXIT"] * 3
    assert [end["EXIT_CODE"] for end in ends[:2]] == ["7", "140"]
    assert [end["EXIT_REASON"].split(":")[0] for end in ends] == ["", "TERM_RUNLIMIT", "TERM_MEMLIMIT"], "-M counts in KB"


def test_an_unknown_queue_is_refused_with_255_and_nothing_on_stdout(lsf: Lab) -> None:
    refused = lsf.run("bsub", "-q", "nosuch", "true")
    asked = lsf.run("bqueues", "nosuch")

    assert (refused.returncode, refused.stdout) == (255, "")
    assert refused.stderr == "nosuch: No such queue. Job not submitted.\n"
    assert asked.returncode == 255
    assert lsf.jobs() == []


def test_a_warning_comes_its_minutes_before_the_limit(lsf: Lab, tmp_path: Path) -> None:
    job, log = submit(lsf, tmp_path, f"trap 'echo warned; exit 9' USR1; {FOREVER}", "-W", "2", "-wt", "1", "-wa", "USR1")

    ended = wait(lsf, job)

    assert ended["EXIT_CODE"] == "9"
    assert "warned" in log.read_text()


def test_exit_75_runs_the_same_job_again_and_drops_the_output_of_the_first_run(lsf: Lab, tmp_path: Path) -> None:
    body = "n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n; echo run $n [$LSB_EXIT_REQUEUE]; [ $n -ge 1 ] || exit 75"
    job, log = submit(lsf, tmp_path, body, "-Q", "75")

    ended = wait(lsf, job, ("DONE",))

    assert ended["JOBID"] == job
    assert (tmp_path / "n").read_text() == "2\n"
    assert re.findall(r"run .*", log.read_text()) == ["run 1 [75]"]


def test_bkill_asks_a_serial_job_twice_before_it_kills(lsf: Lab, tmp_path: Path) -> None:
    body = f"trap 'echo INT' INT; trap 'echo TERM' TERM; touch ready; {FOREVER}"
    job, log = submit(lsf, tmp_path, body)
    lsf.wait_until((tmp_path / "ready").exists, 10)

    lsf.kill(job)
    ended = wait(lsf, job)

    assert (ended["EXIT_CODE"], ended["EXIT_REASON"]) == ("137", "TERM_OWNER: job killed by owner")
    assert re.findall(r"^INT|^TERM$", log.read_text(), re.MULTILINE) == ["INT", "TERM"]


def test_bkill_kills_a_parallel_job_at_once(lsf: Lab, tmp_path: Path) -> None:
    job, log = submit(lsf, tmp_path, f"trap 'echo asked' INT TERM; touch ready; {FOREVER}", "-n", "2")
    lsf.wait_until((tmp_path / "ready").exists, 10)

    lsf.kill(job)
    wait(lsf, job)

    assert "asked" not in log.read_text(), "lsf.conf: LSB_USE_SEQUENTIAL_SIGNAL=N is the default"


def test_the_output_file_appears_when_the_job_is_over_and_bpeek_shows_it_before(lsf: Lab, tmp_path: Path) -> None:
    job, log = submit(lsf, tmp_path, "echo early; touch said; while [ ! -e go ]; do sleep 0.1; done")
    lsf.wait_until((tmp_path / "said").exists, 10)

    before, peeked = log.exists(), lsf.run("bpeek", job).stdout
    (tmp_path / "go").touch()
    wait(lsf, job)

    assert (before, "early" in peeked, "early" in log.read_text()) == (False, True, True)


def test_gpus_are_counted_per_host_and_given_to_one_job_at_a_time(lsf: Lab, tmp_path: Path) -> None:
    options = ("-gpu", "num=1", "-m", "lab1")
    jobs = [submit(lsf, tmp_path, "echo gpu $CUDA_VISIBLE_DEVICES; touch on.$LSB_JOBID; sleep 1", *options) for _ in range(3)]
    lsf.wait_until(lambda: len(list(tmp_path.glob("on.*"))) == 2, 10)

    together = sorted(shown(lsf, job)[0]["STAT"] for job, _ in jobs)
    for job, _ in jobs:
        wait(lsf, job)

    assert together == ["PEND", "RUN", "RUN"]
    assert {re.findall(r"gpu \d", log.read_text())[0] for _, log in jobs} == {"gpu 0", "gpu 1"}


def test_a_job_on_two_hosts_is_told_them_and_blaunch_starts_tasks_there(lsf: Lab, tmp_path: Path) -> None:
    body = (
        'echo "$LSB_HOSTS|$LSB_MCPU_HOSTS"; sort -u "$LSB_DJOB_HOSTFILE"\n'
        "blaunch -z lab2 sh -c 'echo task gpus $CUDA_VISIBLE_DEVICES'; blaunch -z lab1 sh -c 'exit 3'; echo ended $?"
    )
    job, log = submit(lsf, tmp_path, body, "-n", "4", "-R", "span[ptile=2]", "-gpu", "num=2")

    ended = wait(lsf, job)

    said = log.read_text().splitlines()[-5:]
    assert said == ["lab1 lab1 lab2 lab2|lab1 2 lab2 2", "lab1", "lab2", "task gpus 0,1", "ended 3"]
    assert ended["EXEC_HOST"] == "2*lab1:2*lab2"


def test_an_array_tells_its_members_apart_and_one_may_fail(lsf: Lab, tmp_path: Path) -> None:
    job, _ = submit(lsf, tmp_path, "exit $((LSB_JOBINDEX == 2))", "-J", "three[1-3]%2")

    wait(lsf, job)

    assert [row["STAT"] for row in shown(lsf, job)] == ["DONE", "EXIT", "DONE"]
    assert shown(lsf, f"{job}[2]")[0]["EXIT_CODE"] == "1"


def test_a_dependency_that_cannot_come_true_waits_and_an_unknown_one_is_refused(lsf: Lab, tmp_path: Path) -> None:
    first, _ = submit(lsf, tmp_path, "exit 1")
    after_success, _ = submit(lsf, tmp_path, "true", "-w", f"done({first})")
    after_end, _ = submit(lsf, tmp_path, "true", "-w", f"ended({first})")
    wait(lsf, after_end, ("DONE",))

    waiting = shown(lsf, after_success)[0]
    refused = lsf.run("bsub", "-w", "done(99999)", "true")

    assert (waiting["STAT"], waiting["PEND_REASON"]) == ("PEND", "Job dependency condition not satisfied")
    assert (refused.returncode, refused.stdout) == (255, "")


def test_a_rerunnable_job_runs_elsewhere_when_its_host_dies_and_another_is_lost(lsf: Lab, tmp_path: Path) -> None:
    body = 'echo restarted [$LSB_RESTART] >> runs.$LSB_JOBID; [ -n "$LSB_RESTART" ] || sleep 60'
    again, _ = submit(lsf, tmp_path, body, "-r", "-m", "lab2 lab1")
    once, _ = submit(lsf, tmp_path, body, "-m", "lab2")
    lsf.wait_until(lambda: len(list(tmp_path.glob("runs.*"))) == 2, 10)

    lsf.power_cut("lab2")
    ended = wait(lsf, again, ("DONE",))
    wait(lsf, once, ("UNKWN",))
    lsf.power_on("lab2")
    lost = wait(lsf, once)

    assert (tmp_path / f"runs.{again}").read_text() == "restarted []\nrestarted [Y]\n"
    assert ended["EXEC_HOST"] == "lab1"
    assert (lost["STAT"], lost["EXIT_REASON"].split(":")[0]) == ("EXIT", "TERM_ZOMBIE")


def test_jobs_are_held_stopped_and_requeued(lsf: Lab, tmp_path: Path) -> None:
    held, _ = submit(lsf, tmp_path, "true", "-H")
    stopped, _ = submit(lsf, tmp_path, "echo go >> starts; sleep 60")
    lsf.wait_until((tmp_path / "starts").exists, 10)

    lsf.run("bstop", stopped)
    states = lsf.states()
    lsf.run("bresume", stopped)
    lsf.run("bresume", held)
    lsf.run("brequeue", stopped)
    lsf.wait_until(lambda: (tmp_path / "starts").read_text() == "go\ngo\n", 20)

    assert (states[held], states[stopped]) == ("PSUSP", "USUSP")
    assert wait(lsf, held)["STAT"] == "DONE"
    assert stopped in lsf.jobs()
