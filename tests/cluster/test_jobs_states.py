"""What a job is said to be: each word of the queues, and whose word counts when they differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from cluster import jobs, registry
from cluster.queues import QUEUES, lsf, slurm
from cluster.queues.words import LSF, LSF_ENDS, SLURM, Seen, clock_s, refusal
from cluster.shell import Finished
from schemas.errors import RadforgeError
from schemas.job import OVER, State, Status
from tests.cluster.drawn_jobs import drawn_record, listed_record, own_list, tell  # noqa: F401

# squeue(1), JOB STATE CODES.
SLURMS = [
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "CONFIGURING",
    "COMPLETING",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PENDING",
    "PREEMPTED",
    "RUNNING",
    "RESV_DEL_HOLD",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "REQUEUED",
    "RESIZING",
    "REVOKED",
    "SIGNALING",
    "SPECIAL_EXIT",
    "STAGE_OUT",
    "STOPPED",
    "SUSPENDED",
    "TIMEOUT",
]
# LSF 10.1 reference, bjobs, "Job state".
LSFS = ["PEND", "PROV", "PSUSP", "RUN", "USUSP", "SSUSP", "DONE", "EXIT", "UNKWN", "WAIT", "ZOMBI"]


def queue_says(monkeypatch: pytest.MonkeyPatch, kind: str, *seen: Seen, id_: str = "7") -> None:
    monkeypatch.setattr(QUEUES[kind], "states", lambda ids: {id_: list(seen)} if seen and id_ in ids else {})  # type: ignore[index]


def program_says(monkeypatch: pytest.MonkeyPatch, module: object, **answers: str | Finished) -> list[Sequence[str]]:
    """A program's answers by its name; returns what was asked."""
    asked: list[Sequence[str]] = []

    def call(command: Sequence[str], *more: object, **named: object) -> Finished:
        asked.append(command)
        answer = answers[command[0]]
        return answer if isinstance(answer, Finished) else Finished(0, answer, "")

    monkeypatch.setattr(module, "call", call)
    return asked


def test_every_word_of_slurm_is_known() -> None:
    assert set(SLURM) == set(SLURMS)
    assert set(SLURM.values()) <= set(get_args(State))


def test_every_word_of_lsf_is_known() -> None:
    assert set(LSF) == set(LSFS)
    assert set(LSF_ENDS.values()) | set(LSF.values()) <= set(get_args(State))


@pytest.mark.parametrize("word", SLURMS)
def test_a_word_of_squeue_becomes_ours(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program_says(monkeypatch, slurm, squeue=f"7|N/A|{word}|Resources|1-02:03:04|lab1\n", sacct="")

    (seen,) = slurm.states(["7"])["7"]

    assert seen == Seen(None, SLURM[word], "Resources", 93784.0, "lab1")


def test_a_word_of_a_later_slurm_is_unknown_and_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    program_says(monkeypatch, slurm, squeue="7|N/A|NEW_WORD|None|0:00|\n", sacct="")

    assert slurm.states(["7"])["7"] == [Seen(None, "UNKNOWN", "", 0.0, "")]


def test_squeue_is_asked_once_for_all_and_other_peoples_jobs_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "7|0|RUNNING|None|0:05|lab1\n7|1|PENDING|JobArrayTaskLimit|0:00|\n9|N/A|RUNNING|None|0:01|lab2\nnoise\n"
    asked = program_says(monkeypatch, slurm, squeue=lines, sacct=Finished(1, "", "accounting storage is disabled"))

    seen = slurm.states(["7", "8"])

    assert seen == {"7": [Seen(0, "RUNNING", "", 5.0, "lab1"), Seen(1, "PENDING", "JobArrayTaskLimit", 0.0)]}
    assert [command[0] for command in asked] == ["squeue", "sacct"]


def test_sacct_knows_what_squeue_has_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "7|CANCELLED by 1000|65|lab1|0:0\n8_0|COMPLETED|5|lab2|0:0\n8_1|FAILED|6|lab2|3:0\n"
    program_says(monkeypatch, slurm, squeue="", sacct=lines)

    assert slurm.states(["7", "8"]) == {
        "7": [Seen(None, "CANCELLED", "", 65.0, "lab1", 0)],
        "8": [Seen(0, "DONE", "", 5.0, "lab2", 0), Seen(1, "FAILED", "", 6.0, "lab2", 3)],
    }


@pytest.mark.parametrize(("word", "pending"), [("PEND", True), ("PSUSP", True), ("RUN", False), ("DONE", False)])
def test_a_word_of_bjobs_becomes_ours(word: str, pending: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "JOBID": "7",
        "JOBINDEX": "0",
        "STAT": word,
        "EXEC_HOST": "2*lab1:lab2",
        "PEND_REASON": "slots",
        "RUN_TIME": "65 second(s)",
    }
    program_says(monkeypatch, lsf, bjobs=json.dumps({"RECORDS": [row]}))

    assert lsf.states(["7"])["7"] == [Seen(None, LSF[word], "slots" if pending else "", 65.0, "lab1 lab2")]


@pytest.mark.parametrize(("term", "state"), [*LSF_ENDS.items(), ("", "FAILED")])
def test_why_lsf_ended_a_job_is_its_state(term: str, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "JOBID": "7",
        "JOBINDEX": "3",
        "STAT": "EXIT",
        "EXIT_CODE": "140",
        "EXIT_REASON": f"{term}: job killed" if term else "",
    }
    program_says(monkeypatch, lsf, bjobs=json.dumps({"RECORDS": [row]}))

    (seen,) = lsf.states(["7"])["7"]

    assert (seen.task, seen.state, seen.exit_code) == (2, state, 140)
    assert term in seen.reason


def test_a_job_whose_node_lsf_has_lost_is_not_over(monkeypatch: pytest.MonkeyPatch) -> None:
    program_says(monkeypatch, lsf, bjobs=json.dumps({"RECORDS": [{"JOBID": "7", "STAT": "UNKWN"}]}))

    (seen,) = lsf.states(["7"])["7"]

    assert seen.state not in OVER
    assert "lost contact" in seen.reason


@pytest.mark.parametrize("answer", ["", "No job found\n", Finished(255, "", "No unfinished job found")])
def test_lsf_may_know_no_job_at_all(answer: str | Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    program_says(monkeypatch, lsf, bjobs=Finished(0, "", answer) if isinstance(answer, str) else answer)

    assert lsf.states(["7"]) == {}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Finished(255, "", "LSF is down. Please wait ..."), "the queue does not answer; found LSF is down"),
        (Finished(0, "<html>", ""), "the queue's answer is not understood"),
        (Finished(127, "", "bjobs: not found"), "bjobs: bjobs: not found on this machine; expected a login node"),
    ],
)
def test_an_lsf_that_does_not_answer_is_told(answer: Finished, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program_says(monkeypatch, lsf, bjobs=answer)

    with pytest.raises(RadforgeError, match=message):
        lsf.states(["7"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0:07", 7.0),
        ("12:00", 720.0),
        ("1:02:03", 3723.0),
        ("2-00:00:01", 172801.0),
        ("INVALID", None),
        ("", None),
        ("x-1:00", None),
    ],
)
def test_slurms_clocks(text: str, seconds: float | None) -> None:
    assert clock_s(text) == seconds


def test_a_refusal_says_each_of_the_queues_words_once() -> None:
    told = refusal("the queue refused the job", "sbatch", Finished(1, "", "error: no\n\nerror: no\nerror: never\n"))

    assert str(told) == "sbatch: the queue refused the job; found error: no; error: never"
    assert "no word, exit code 9" in str(refusal("refused", "sbatch", Finished(9, "", "")))


@pytest.mark.parametrize(
    ("events", "seen", "state"),
    [
        ((), Seen(None, "PENDING", "Resources"), "PENDING"),
        (("start",), Seen(None, "RUNNING"), "RUNNING"),
        (("start", "end 0"), Seen(None, "RUNNING"), "RUNNING"),  # the script has a line to go
        (("start", "end 0", "requeue"), Seen(None, "PENDING", "BeginTime"), "PENDING"),
        (("start", "end 0"), Seen(None, "DONE"), "DONE"),
        (("start", "end 0"), Seen(None, "FAILED"), "DONE"),  # its own word first: an epilogue may fail
        (("start", "end 0"), None, "DONE"),
        (("start", "end 3"), Seen(None, "FAILED"), "FAILED"),
        (("start", "end 3"), Seen(None, "DONE"), "FAILED"),
        (("start", "end 3"), None, "FAILED"),
        (("start", "end 143"), Seen(None, "TIMEOUT"), "TIMEOUT"),  # the queue knows better why it was killed
        (("start", "end 137"), Seen(None, "OUT_OF_MEMORY"), "OUT_OF_MEMORY"),
        (("start", "end 143"), Seen(None, "CANCELLED"), "CANCELLED"),
        (("start",), Seen(None, "NODE_FAIL"), "NODE_FAIL"),
        (("start",), Seen(None, "FAILED"), "FAILED"),
        (("start", "end 70"), Seen(None, "FAILED"), "FAILED"),
        (("start", "end 0", "requeue", "end 75"), Seen(None, "FAILED"), "FAILED"),
        ((), Seen(None, "CANCELLED"), "CANCELLED"),
        (("start",), None, "UNKNOWN"),
        ((), None, "UNKNOWN"),
        (("start", "end 0", "requeue"), None, "UNKNOWN"),  # it wanted to go on, and is nowhere
    ],
)
def test_whose_word_counts(
    events: Sequence[str], seen: Seen | None, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = listed_record(tmp_path)
    tell(tmp_path, *events)
    queue_says(monkeypatch, "slurm", *([seen] if seen else []))

    (status,) = jobs.statuses([record])

    assert status.state == state


@pytest.mark.parametrize("seen", [Seen(None, "CANCELLED"), Seen(None, "FAILED"), None])
def test_a_cancelled_job_is_cancelled_whatever_it_said(
    seen: Seen | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = listed_record(tmp_path)
    tell(tmp_path, "start", "end 143")
    (tmp_path / "job/cancelled").touch()
    queue_says(monkeypatch, "slurm", *([seen] if seen else []))

    (status,) = jobs.statuses([record])

    assert (status.state, status.reason) == ("CANCELLED", "rjobs cancel")


def test_a_job_that_was_done_before_it_was_cancelled_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = listed_record(tmp_path)
    tell(tmp_path, "start", "end 0")
    (tmp_path / "job/cancelled").touch()
    queue_says(monkeypatch, "slurm")

    assert jobs.statuses([record])[0].state == "DONE"


def test_members_are_told_apart_and_those_not_split_off_yet_share_the_queues_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = listed_record(tmp_path, members=3)
    tell(tmp_path, "start", "end 1", task=0)
    queue_says(monkeypatch, "slurm", Seen(0, "FAILED", "", 9.0, "lab2"), Seen(None, "PENDING", "Priority"))

    told = jobs.statuses([record])

    assert [(status.id, status.label, status.state) for status in told] == [
        ("7_0", "seed=0", "FAILED"),
        ("7_1", "seed=1", "PENDING"),
        ("7_2", "seed=2", "PENDING"),
    ]
    assert (told[0].exit_code, told[0].node, told[0].elapsed_s) == (1, "lab2", 1.0)


def test_how_a_job_ended_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = listed_record(tmp_path)
    queue_says(monkeypatch, "slurm", Seen(None, "NODE_FAIL", "", 9.0, "lab2"))

    first = jobs.statuses([record])
    queue_says(monkeypatch, "slurm")

    assert first == jobs.statuses([record])
    assert first[0].state == "NODE_FAIL"


def test_a_state_nobody_knows_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = listed_record(tmp_path)
    queue_says(monkeypatch, "slurm")

    unknown = jobs.statuses([record])[0]
    queue_says(monkeypatch, "slurm", Seen(None, "RUNNING"))

    assert (unknown.state, unknown.reason) == ("UNKNOWN", "the queue does not know it")
    assert jobs.statuses([record])[0].state == "RUNNING"


def test_a_queue_that_does_not_answer_leaves_what_the_jobs_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, local = listed_record(tmp_path / "a", "7"), listed_record(tmp_path / "b", "L1", kind="local")
    tell(tmp_path / "a", "start", "end 0")
    tell(tmp_path / "b", "start", "end 2")

    def silent(ids: Sequence[str]) -> dict[str, list[Seen]]:
        raise RadforgeError("the queue does not answer", "squeue")

    monkeypatch.setattr(QUEUES["slurm"], "states", silent)
    told: list[RadforgeError] = []

    states = [status.state for status in jobs.statuses([done, local], told.append)]

    assert states == ["DONE", "FAILED"]
    assert [str(error) for error in told] == ["squeue: the queue does not answer"]
    assert registry.remembered(done) == [], "the queue may know better why it ended"
    with pytest.raises(RadforgeError, match="the queue does not answer"):
        jobs.statuses([done])


def test_a_job_of_a_queue_that_does_not_answer_is_not_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = listed_record(tmp_path)
    tell(tmp_path, "start")

    def silent(ids: Sequence[str]) -> dict[str, list[Seen]]:
        raise RadforgeError("the queue does not answer", "squeue")

    monkeypatch.setattr(QUEUES["slurm"], "states", silent)

    (status,) = jobs.statuses([record], lambda error: None)

    assert status.state == "UNKNOWN"
    assert "does not answer" in status.reason


def test_a_later_radforges_record_is_read(tmp_path: Path) -> None:
    record = drawn_record(tmp_path)
    text = json.dumps(json.loads(record.model_dump_json()) | {"new": 1})

    assert type(record).model_validate_json(text) == record
    assert Status(id="1", name="x", state="DONE", folder=tmp_path).restarts == 0


def test_a_full_disk_keeps_no_job_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, ended = listed_record(tmp_path), []
    monkeypatch.setattr(Path, "touch", refuse)
    monkeypatch.setattr(slurm, "cancel", lambda id_, members: ended.append(id_))

    jobs.cancel(record, ())

    assert ended == ["7"]


def test_a_cancel_that_the_queue_refuses_leaves_the_job_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = listed_record(tmp_path)
    tell(tmp_path, "start")

    def no(id_: str, members: Sequence[int]) -> None:
        raise RadforgeError("the queue did not cancel the job")

    monkeypatch.setattr(slurm, "cancel", no)

    with pytest.raises(RadforgeError, match="did not cancel"):
        jobs.cancel(record, ())
    assert not (tmp_path / "job/cancelled").exists(), "it may still ask to be run again"


def test_a_job_that_waits_to_be_run_again_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = listed_record(tmp_path)
    tell(tmp_path, "start", "end 0", "requeue")
    monkeypatch.setattr(slurm, "cancel", lambda id_, members: None)

    jobs.cancel(record, ())

    assert (tmp_path / "job/cancelled").exists()


def test_a_job_that_cannot_be_remembered_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_back: list[str] = []
    monkeypatch.setattr(slurm, "submit", lambda script, spec: "9")
    monkeypatch.setattr(slurm, "cancel", lambda id_, members: taken_back.append(id_))

    def full(record: object) -> None:
        raise RadforgeError("cannot be written", "the list", "No space left on device")

    monkeypatch.setattr(registry, "save", full)

    with pytest.raises(RadforgeError, match="No space left"):
        jobs.submit(drawn_record(tmp_path).spec, drawn_record(tmp_path).site)
    assert taken_back == ["9"]


def refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")
