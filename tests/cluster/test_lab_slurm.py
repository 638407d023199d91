"""The lab's SLURM holds what radforge relies on: each of these was a trap for someone."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.lab import hosts, leftovers, packages, processes
from tests.lab.lab import Lab

OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
ANSWERS_USR1 = """python3 -u - <<'PY'
import signal, sys, time
def stop(number, frame):
    print("got", signal.Signals(number).name, flush=True)
    sys.exit(0)
signal.signal(signal.SIGUSR1, stop)
signal.signal(signal.SIGTERM, lambda number, frame: print("got SIGTERM", flush=True))
print("ready", flush=True)
time.sleep(200)
PY
"""


def submit(lab: Lab, folder: Path, body: str, *options: str) -> tuple[str, Path]:
    """Id and log of a batch script given on stdin."""
    done = lab.run("sbatch", "--parsable", "-o", f"{folder}/%j.out", *options, stdin="#!/bin/bash\n" + body)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), folder / f"{done.stdout.strip()}.out"


def shown(lab: Lab, job: str) -> dict[str, str]:
    """scontrol's fields of a job, which are kept for a while after its end."""
    return dict(re.findall(r"(\S+?)=(\S*)", lab.run("scontrol", "show", "job", "-o", job).stdout))


def wait(lab: Lab, job: str, states: set[str], seconds: float = 40) -> dict[str, str]:
    lab.wait_until(lambda: shown(lab, job)["JobState"] in states, seconds)
    return shown(lab, job)


def says(log: Path, words: str) -> bool:
    return log.exists() and words in log.read_text()


def test_a_job_runs_and_its_exit_code_is_kept(slurm: Lab, tmp_path: Path) -> None:
    well, log = submit(slurm, tmp_path, "echo on $SLURMD_NODENAME")
    ill, _ = submit(slurm, tmp_path, "exit 7")
    shot, _ = submit(slurm, tmp_path, "kill -9 $$")

    ended = [wait(slurm, job, OVER) for job in (well, ill, shot)]

    assert [(job["JobState"], job["ExitCode"]) for job in ended] == [("COMPLETED", "0:0"), ("FAILED", "7:0"), ("FAILED", "0:9")]
    assert log.read_text() in ("on lab1\n", "on lab2\n")


def test_two_nodes_take_one_job_and_their_names_resolve(slurm: Lab, tmp_path: Path) -> None:
    body = (
        "srun bash -c 'echo $SLURM_PROCID $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES'\n"
        'getent hosts "$(scontrol show hostnames | head -n 1)"'
    )
    job, log = submit(slurm, tmp_path, body, "-p", "gpu", "-N", "2", "--ntasks-per-node=2", "--gres=gpu:2")

    wait(slurm, job, OVER)

    lines = log.read_text().splitlines()
    assert sorted(lines[:4]) == ["0 lab1 0,1", "1 lab1 0,1", "2 lab2 0,1", "3 lab2 0,1"]
    assert lines[4].split()[:2] == ["127.0.0.1", "lab1"]


def test_a_gpu_is_given_to_one_job_at_a_time(slurm: Lab, tmp_path: Path) -> None:
    body = "echo gpu [$CUDA_VISIBLE_DEVICES]; sleep 1"
    jobs = [submit(slurm, tmp_path, body, "-p", "gpu", "-w", "lab1", "--gres=gpu:1") for _ in range(3)]
    without = submit(slurm, tmp_path, body, "-p", "gpu", "-w", "lab1")

    for job, _ in [*jobs, without]:
        wait(slurm, job, OVER)

    assert sorted(log.read_text() for _, log in jobs[:2]) == ["gpu [0]\n", "gpu [1]\n"]
    assert shown(slurm, jobs[2][0])["StartTime"] >= min(shown(slurm, job)["EndTime"] for job, _ in jobs[:2])
    assert without[1].read_text() == "gpu []\n"


def test_a_refused_job_is_one_clear_line_and_nothing_in_the_queue(slurm: Lab) -> None:
    nowhere = slurm.run("sbatch", "-p", "nosuch", "--wrap", "true")
    too_big = slurm.run("sbatch", "--mem=900G", "--wrap", "true")
    asked = slurm.run("sbatch", "--test-only", "-p", "nosuch", "--wrap", "true")

    assert (nowhere.returncode, too_big.returncode, asked.returncode) == (1, 1, 1)
    assert "invalid partition specified: nosuch" in nowhere.stderr
    assert "Memory specification can not be satisfied" in too_big.stderr
    assert slurm.jobs() == []


def test_an_array_tells_its_members_apart_and_one_may_fail(slurm: Lab, tmp_path: Path) -> None:
    job, _ = submit(slurm, tmp_path, "exit $((SLURM_ARRAY_TASK_ID == 1))", "--array=0-2%2")

    ends = [wait(slurm, f"{job}_{index}", OVER)["JobState"] for index in range(3)]

    assert ends == ["COMPLETED", "FAILED", "COMPLETED"]


def test_a_job_after_a_failed_one_never_runs_unless_told_to_give_up(slurm: Lab, tmp_path: Path) -> None:
    first, _ = submit(slurm, tmp_path, "sleep 1; exit 1")
    waiting, _ = submit(slurm, tmp_path, "true", f"--dependency=afterok:{first}")
    told, _ = submit(slurm, tmp_path, "true", f"--dependency=afterok:{first}", "--kill-on-invalid-dep=yes")

    wait(slurm, told, {"CANCELLED"})
    slurm.wait_until(lambda: shown(slurm, waiting)["Reason"] == "DependencyNeverSatisfied", 10)

    assert shown(slurm, waiting)["JobState"] == "PENDING"


def test_a_requeued_job_keeps_its_id_and_its_log(slurm: Lab, tmp_path: Path) -> None:
    body = 'echo run ${SLURM_RESTART_COUNT:-0}\n[ -n "$SLURM_RESTART_COUNT" ] || { scontrol requeue $SLURM_JOB_ID; sleep 60; }'
    job, log = submit(slurm, tmp_path, body, "--requeue", "--open-mode=append")

    slurm.wait_until(lambda: says(log, "run 1"), 40)
    ended = wait(slurm, job, OVER)

    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1")
    assert log.read_text().startswith("run 0\n")
    assert log.read_text().endswith("run 1\n")


def test_a_preempted_step_gets_the_signal_the_job_asked_for_and_exit_0_is_the_end_of_it(slurm: Lab, tmp_path: Path) -> None:
    job, log = submit(slurm, tmp_path, f"srun {ANSWERS_USR1}", "-p", "scavenge", "-w", "lab1", "-n1", "-c4", "--signal=USR1@1")
    slurm.wait_until(lambda: says(log, "ready"), 20)

    submit(slurm, tmp_path, "sleep 1", "-w", "lab1", "-n4")
    ended = wait(slurm, job, OVER)

    assert "got SIGUSR1" in log.read_text()
    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "0")


def test_a_job_runs_again_after_a_power_cut_unless_it_must_not(slurm: Lab, tmp_path: Path) -> None:
    body = "echo run ${SLURM_RESTART_COUNT:-0}; sleep 100 & wait"
    again, log = submit(slurm, tmp_path, body, "-w", "lab2", "--requeue", "--open-mode=append")
    once, other = submit(slurm, tmp_path, body, "-w", "lab2", "--no-requeue")
    slurm.wait_until(lambda: says(log, "run 0") and says(other, "run 0"), 20)

    slurm.power_cut("lab2")
    wait(slurm, again, {"PENDING"})
    lost = shown(slurm, once)
    slurm.power_on("lab2")
    slurm.wait_until(lambda: says(log, "run 1"), 40)

    assert (lost["JobState"], lost["ExitCode"]) == ("NODE_FAIL", "0:0"), "the code does not tell, the state does"
    assert shown(slurm, again)["Restarts"] == "1"


def test_a_job_above_its_memory_is_killed(slurm: Lab, tmp_path: Path) -> None:
    job, log = submit(slurm, tmp_path, "python3 -c 'x = bytearray(400_000_000); import time; time.sleep(60)'", "--mem=100M")

    ended = wait(slurm, job, OVER)

    assert (ended["JobState"], ended["ExitCode"]) == ("FAILED", "0:9")
    assert "Exceeded job memory limit" in log.read_text()


def test_the_queue_forgets_what_is_over_and_gives_new_ids(slurm: Lab, tmp_path: Path) -> None:
    before, _ = submit(slurm, tmp_path, "true")
    wait(slurm, before, OVER)

    slurm.forget()

    asked = slurm.run("scontrol", "show", "job", before)
    after, _ = submit(slurm, tmp_path, "true")
    assert asked.returncode != 0
    assert "Invalid job id" in asked.stderr
    assert int(after) > int(before)


def test_what_a_killed_run_left_is_ended_at_the_next_start_and_nothing_else_is(slurm: Lab) -> None:
    script = "import os; from tests.lab.lab import up; print(up('slurm').folder, flush=True); os.kill(os.getpid(), 9)"
    killed = slurm.run(sys.executable, "-c", script)
    left = Lab("slurm", Path(killed.stdout.strip()))
    alone = left.run("sinfo", "-h", "-N", "-p", "cpu", "-o", "%N").stdout.split()
    daemons = [int(file.read_text()) for file in (left.folder / "run").glob("*.pid")]

    swept = leftovers.sweep()

    assert alone == ["lab1", "lab2"], "it ran beside ours, and on"
    assert left.folder in swept
    assert not left.folder.exists()
    assert str(left.folder) not in hosts.HOSTS.read_text()
    assert (len(daemons), any(map(processes.alive, daemons))) == (4, False)
    assert slurm.run("sinfo", "-h").returncode == 0


def test_without_root_a_missing_slurm_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "PROGRAMS", ("sbatch", "no-such-slurmctld"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    why = packages.install()

    assert why.startswith("needs slurm-wlm and munge (no-such-slurmctld not found)")
