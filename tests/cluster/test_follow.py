"""Waiting for a job without pestering the queue, and its log as it grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cluster import follow, interrupt
from cluster.queues import QUEUES
from cluster.queues.words import Seen
from schemas.errors import RadforgeError
from schemas.job import Status
from tests.cluster.drawn_jobs import listed_record, own_list, tell  # noqa: F401


class Clock:
    """A time that passes only while somebody sleeps; `happens` is what else happens at its second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.happens: dict[float, Callable[[], object]] = {}
        monkeypatch.setattr(follow.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(follow.time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment in [moment for moment in self.happens if moment <= self.now]:
            self.happens.pop(moment)()
        assert self.now < 7200, "it waits for ever"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Queue:
    """Says what it is told to say, and when it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: Clock, *seen: Seen) -> None:
        self.seen: Sequence[Seen] = seen
        self.asked: list[float] = []

        def states(ids: Sequence[str]) -> dict[str, list[Seen]]:
            self.asked.append(clock.now)
            return {ids[0]: list(self.seen)}

        monkeypatch.setattr(QUEUES["slurm"], "states", states)

    def says(self, *seen: Seen) -> None:
        self.seen = seen


def test_the_queue_is_asked_ever_less_often(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = listed_record(tmp_path)
    queue = Queue(monkeypatch, clock, Seen(None, "PENDING"))
    clock.happens[3600] = lambda: queue.says(Seen(None, "CANCELLED"))

    (status,) = follow.wait(record)

    pauses = [later - earlier for earlier, later in zip(queue.asked, queue.asked[1:], strict=False)]
    assert status.state == "CANCELLED"
    assert pauses[0] <= 3
    assert max(pauses) <= follow.LONGEST + follow.SECONDS_BETWEEN_LOOKS
    assert len(queue.asked) < 105


def test_the_queue_is_asked_at_once_when_the_job_wrote_its_last_word(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = listed_record(tmp_path)
    tell(tmp_path, "start")
    queue = Queue(monkeypatch, clock, Seen(None, "RUNNING"))

    def ends() -> None:
        tell(tmp_path, "end 0")
        queue.says(Seen(None, "DONE"))

    clock.happens[1000] = ends

    assert [status.state for status in follow.wait(record)] == ["DONE"]
    assert 1000 <= queue.asked[-1] <= 1001


def test_each_change_of_state_is_told_once(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = listed_record(tmp_path)
    queue = Queue(monkeypatch, clock, Seen(None, "PENDING"))
    clock.happens = {
        50: lambda: queue.says(Seen(None, "RUNNING")),
        200: lambda: queue.says(Seen(None, "PENDING")),
        400: lambda: queue.says(Seen(None, "NODE_FAIL")),
    }
    told: list[Status] = []

    follow.wait(record, told=told.append)

    assert [status.state for status in told] == ["PENDING", "RUNNING", "PENDING", "NODE_FAIL"]


def test_who_waits_for_one_member_does_not_wait_for_the_others(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = listed_record(tmp_path, members=3)
    Queue(monkeypatch, clock, Seen(0, "RUNNING"), Seen(1, "FAILED"), Seen(2, "PENDING"))

    assert [status.id for status in follow.wait(record, [1])] == ["7_1"]


def test_a_queue_that_does_not_answer_ends_the_waiting(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(ids: Sequence[str]) -> dict[str, list[Seen]]:
        raise RadforgeError("the queue does not answer", "squeue")

    monkeypatch.setattr(QUEUES["slurm"], "states", silent)

    with pytest.raises(RadforgeError, match="the queue does not answer"):
        follow.wait(listed_record(tmp_path))


def test_ctrl_c_ends_the_waiting_and_not_the_job(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = listed_record(tmp_path)
    Queue(monkeypatch, clock, Seen(None, "RUNNING"))

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupt, "check", interrupted)

    with pytest.raises(KeyboardInterrupt):
        follow.wait(record)
    assert not (tmp_path / "job/cancelled").exists()


def test_a_log_is_written_as_it_grows_to_its_last_line_and_once(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = listed_record(tmp_path)
    log = tmp_path / "job/log.txt"
    queue = Queue(monkeypatch, clock, Seen(None, "PENDING"))

    def adds(text: bytes) -> None:
        with log.open("ab") as file:
            file.write(text)

    def ends() -> None:
        queue.says(Seen(None, "DONE"))
        tell(tmp_path, "start", "end 0")
        adds(b"last\n")

    clock.happens = {5: lambda: adds(b"one\ntw"), 9: lambda: adds(b"o\n"), 60: ends}
    written: list[str] = []

    follow.follow(record, (), written.append)

    assert written == ["one\ntw", "o\n", "last\n"]


def test_a_letter_that_is_torn_between_two_looks_is_whole(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = listed_record(tmp_path)
    log = tmp_path / "job/log.txt"
    queue = Queue(monkeypatch, clock, Seen(None, "RUNNING"))
    text = "naïve – 手\n".encode()
    clock.happens = {place: (lambda place=place: log.write_bytes(text[:place])) for place in range(1, len(text) + 1)}  # type: ignore[misc]
    clock.happens[60] = lambda: queue.says(Seen(None, "CANCELLED"))
    written: list[str] = []

    follow.follow(record, (), written.append)

    assert "".join(written) == "naïve – 手\n"


def test_logs_of_several_members_say_whose_they_are(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = listed_record(tmp_path, members=2)
    Queue(monkeypatch, clock, Seen(0, "CANCELLED"), Seen(1, "CANCELLED"))
    for place in range(2):
        (tmp_path / f"job/log-{place}.txt").write_text(f"of {place}\n")
    written: list[str] = []

    follow.follow(record, (), written.append)

    assert "".join(written) == "==> log-0.txt <==\nof 0\n==> log-1.txt <==\nof 1\n"


def test_the_log_of_one_member_is_only_that(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = listed_record(tmp_path, members=2)
    Queue(monkeypatch, clock, Seen(0, "RUNNING"), Seen(1, "CANCELLED"))
    for place in range(2):
        (tmp_path / f"job/log-{place}.txt").write_text(f"of {place}\n")
    written: list[str] = []

    follow.follow(record, (1,), written.append)

    assert "".join(written) == "of 1\n"
