"""Jobs on both queues: cancelled, run again, arrays, one after another, refused, and forgotten by the queue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster import jobs, registry
from schemas.errors import RadforgeError
from schemas.job import JobRecord, JobSpec, Member
from tests.cluster.counting import SUM, all_ended, begun, counter, ended, holds, log, now, plain, rjobs, rows, site_of
from tests.cluster.drawn_jobs import own_list  # noqa: F401
from tests.lab.lab import Lab

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # dask-jobqueue's


def test_a_job_runs_where_it_was_submitted_and_tells_who_it_was(lab: Lab, tmp_path: Path) -> None:
    site = lab.site()
    (tmp_path / "here").mkdir()
    submitted = rjobs(
        lab, "submit", "--site", site, "--out", tmp_path / "run", "--", "sh", "-c", "pwd; exit 3", folder=tmp_path / "here"
    )
    id_ = submitted.stdout.strip()

    waited = rjobs(lab, "wait", id_)
    status = json.loads(rjobs(lab, "status", tmp_path / "run", "--json").stdout)
    (shown,) = status["members"]

    assert submitted.returncode == 0, submitted.stderr
    assert f"rjobs logs {id_} -f" in submitted.stderr
    assert waited.returncode == 5
    assert (shown["id"], shown["state"], shown["exit_code"], shown["reason"]) == (id_, "FAILED", 3, "exit code 3")
    assert (shown["name"], shown["folder"], shown["restarts"]) == ("sh", str(tmp_path / "run"), 0)
    assert shown["node"] in {"lab1", "lab2"}
    assert log(registry.find(id_)[0]).splitlines()[1] == str(tmp_path / "here")
    record = status["record"]
    assert (record["site_file"], record["command"][:3]) == (str(site), ["rjobs", "submit", "--site"])
    assert len(record["spec"]["git_commit"]) >= 40


def test_a_cancelled_job_ends_and_is_not_run_again_until_it_is_asked_for(lab: Lab, tmp_path: Path) -> None:
    record = jobs.submit(counter(tmp_path / "run"), site_of(lab))
    lab.wait_until(lambda: holds(record))

    cancelled = rjobs(lab, "cancel", record.id)
    status = ended(record)
    lab.wait_until(lambda: not lab.jobs())
    over = rjobs(lab, "cancel", record.id)
    (tmp_path / "run/go").touch()
    again = registry.find(rjobs(lab, "rerun", record.id).stdout.strip())[0]
    finished = ended(again)

    assert (cancelled.returncode, cancelled.stdout) == (0, f"job {record.id} is being cancelled\n")
    assert (status.state, status.reason, status.restarts) == ("CANCELLED", "rjobs cancel", 0)
    assert f"job {record.id} is over already" in over.stderr
    assert (again.continues, again.id != record.id) == (f"{lab.kind}-{record.id}", True)
    assert (finished.state, (tmp_path / "run/sum").read_text()) == ("DONE", SUM)
    assert begun(again)[-1] in {"20", "25"}, "whichever came first: the warning's checkpoint, or the end"
    assert [status.state for status in jobs.statuses(registry.records())] == ["CANCELLED", "DONE"]


def test_a_job_that_waits_is_cancelled_too(lab: Lab, tmp_path: Path) -> None:
    held = {"slurm": "--hold", "lsf": "-H"}[lab.kind]
    record = jobs.submit(plain(tmp_path / "run", "touch", "began"), site_of(lab, cpu={"directives": [held]}))
    lab.wait_until(lambda: now(record).state in {"PENDING", "SUSPENDED"})

    jobs.cancel(record, ())

    assert (ended(record).state, (tmp_path / "began").exists()) == ("CANCELLED", False)
    lab.wait_until(lambda: not lab.jobs())


def test_a_folder_takes_one_job_at_a_time(lab: Lab, tmp_path: Path) -> None:
    record = jobs.submit(counter(tmp_path / "run"), site_of(lab))

    with pytest.raises(RadforgeError, match=f"its job is not over; found job {record.id}; expected to wait, rjobs cancel"):
        jobs.rerun(record)
    with pytest.raises(RadforgeError, match="its job is not over"):
        jobs.submit(counter(tmp_path / "run"), site_of(lab))


def array_of(folder: Path, *commands: str) -> JobSpec:
    members = tuple(Member(label=f"seed={place}", command=("sh", "-c", text)) for place, text in enumerate(commands))
    return plain(folder, "", members=members, cwd=folder.parent, together=2)


def test_an_array_has_a_row_a_log_and_an_end_for_each_member(lab: Lab, tmp_path: Path) -> None:
    id_ = jobs.submit(array_of(tmp_path / "run", "echo zero", "echo one; exit 4", "echo two"), site_of(lab)).id

    waited, listed = rjobs(lab, "wait", id_, "--json"), rjobs(lab, "list")
    one, every, well = (rjobs(lab, *words) for words in (["logs", f"{id_}_1"], ["logs", id_], ["wait", f"{id_}_2"]))

    assert waited.returncode == 5
    assert [(row["id"], row["label"], row["state"], row["exit_code"]) for row in json.loads(waited.stdout)] == [
        (f"{id_}_0", "seed=0", "DONE", 0),
        (f"{id_}_1", "seed=1", "FAILED", 4),
        (f"{id_}_2", "seed=2", "DONE", 0),
    ]
    assert [line.split()[:3] for line in listed.stdout.splitlines()[1:]] == [
        [f"{id_}_{place}", "plain", f"seed={place}"] for place in range(3)
    ]
    assert one.stdout.splitlines()[1] == "one"
    assert "zero" not in one.stdout
    assert well.returncode == 0
    assert all(word in every.stdout for word in ("==> log-0.txt <==", "zero", "one", "two"))


def test_one_member_of_an_array_is_cancelled(lab: Lab, tmp_path: Path) -> None:
    gate = f"touch holding$$; until [ -e {tmp_path}/go ]; do sleep 0.1; done"
    record = jobs.submit(array_of(tmp_path / "run", gate, gate), site_of(lab))
    lab.wait_until(lambda: len(list(tmp_path.glob("holding*"))) == 2)

    rjobs(lab, "cancel", f"{record.id}_1")
    lab.wait_until(lambda: jobs.statuses([record])[1].state == "CANCELLED")
    (tmp_path / "go").touch()

    assert [status.state for status in all_ended(record)] == ["DONE", "CANCELLED"]


def two_after(lab: Lab, folder: Path, end: str) -> tuple[JobRecord, JobRecord]:
    """A job that ends so when FOLDER/go is there, and one after it."""
    gate = f"until [ -e {folder}/go ]; do sleep 0.1; done; {end}"
    first = jobs.submit(plain(folder / "first", "sh", "-c", gate), site_of(lab))
    words = ("submit", "--site", lab.site(), "--after", first.id, "--out", folder / "second", "--", "true")
    submitted = rjobs(lab, *words, folder=folder)
    assert submitted.returncode == 0, submitted.stderr
    return first, registry.find(submitted.stdout.strip())[0]


def test_a_job_begins_when_the_one_before_it_has_ended_well(lab: Lab, tmp_path: Path) -> None:
    first, second = two_after(lab, tmp_path, "true")
    waiting = now(second)
    (tmp_path / "go").touch()

    assert (waiting.state, "ependency" in waiting.reason) == ("PENDING", True)
    assert (ended(first).state, ended(second).state) == ("DONE", "DONE")


def test_after_one_that_failed_slurm_cancels_and_says_why(slurm: Lab, tmp_path: Path) -> None:
    first, second = two_after(slurm, tmp_path, "exit 1")
    (tmp_path / "go").touch()

    assert ended(first).state == "FAILED"
    assert (ended(second).state, now(second).reason) == ("CANCELLED", "DependencyNeverSatisfied")


def test_after_one_that_failed_lsf_waits_and_says_why(lsf: Lab, tmp_path: Path) -> None:
    first, second = two_after(lsf, tmp_path, "exit 1")
    (tmp_path / "go").touch()

    assert ended(first).state == "FAILED"
    assert (now(second).state, now(second).reason) == ("PENDING", "Job dependency condition not satisfied")


def assert_refused(lab: Lab, folder: Path, cpu: dict[str, str], words: str) -> None:
    refused = rjobs(lab, "submit", "--site", lab.site(cpu=cpu), "--out", folder, "--", "true")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count(words) == 1
    assert refused.stderr.startswith("error: ")
    assert len(refused.stderr.splitlines()) == 1
    assert (registry.records(), lab.jobs()) == ([], [])


def test_a_wrong_queue_is_told_in_the_queues_own_words_and_nothing_is_left(lab: Lab, tmp_path: Path) -> None:
    words = {"slurm": "invalid partition specified: nosuch", "lsf": "nosuch: No such queue"}[lab.kind]

    assert_refused(lab, tmp_path / "run", {"queue": "nosuch"}, words)


def test_too_much_memory_is_told_in_slurms_own_words_and_nothing_is_left(slurm: Lab, tmp_path: Path) -> None:
    assert_refused(slurm, tmp_path / "run", {"memory": "900GB"}, "Memory specification can not be satisfied")


def test_what_was_refused_can_be_submitted_from_the_same_folder(lab: Lab, tmp_path: Path) -> None:
    spec = plain(tmp_path / "run", "true")
    with pytest.raises(RadforgeError):
        jobs.submit(spec, site_of(lab, cpu={"queue": "nosuch"}))

    assert ended(jobs.submit(spec, site_of(lab))).state == "DONE"


def test_a_job_that_the_queue_has_forgotten_is_told_from_what_it_wrote(lab: Lab, tmp_path: Path) -> None:
    site = site_of(lab)
    well = jobs.submit(plain(tmp_path / "a", "sleep", "1.2"), site)
    ill = jobs.submit(plain(tmp_path / "b", "sh", "-c", "exit 3"), site)
    both = jobs.submit(array_of(tmp_path / "c", "exit 0", "exit 5"), site)
    lab.wait_until(lambda: not lab.jobs())  # nobody looked, so nothing is remembered

    lab.forget()
    told = rows(lab, "list")

    assert [(row["id"], row["state"], row["exit_code"]) for row in told] == [
        (well.id, "DONE", 0),
        (ill.id, "FAILED", 3),
        (f"{both.id}_0", "DONE", 0),
        (f"{both.id}_1", "FAILED", 5),
    ]
    assert told[0]["elapsed_s"] >= 1
    assert [row["folder"] for row in told[:2]] == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert all(row["node"] for row in told)


def test_a_job_that_ran_when_the_queue_forgot_it_is_unknown(lab: Lab, tmp_path: Path) -> None:
    record = jobs.submit(plain(tmp_path / "run", "sh", "-c", "touch ran; exec sleep 100"), site_of(lab))
    lab.wait_until((tmp_path / "ran").exists)
    lab.free()  # killed, so it left no last word
    lab.forget()

    status = now(record)

    assert (status.state, status.reason) == ("UNKNOWN", "the queue has forgotten it, and it left no last word")
