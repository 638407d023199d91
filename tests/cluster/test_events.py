"""What a job wrote of itself, read: also when a kill tore it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.events import Story, read_story
from tests.cluster.drawn_jobs import tell


def test_a_job_that_has_not_begun_has_no_story(tmp_path: Path) -> None:
    assert read_story(tmp_path / "job") == Story()


def test_a_job_that_runs_has_begun_somewhere_and_has_no_code(tmp_path: Path) -> None:
    tell(tmp_path, "start")

    assert read_story(tmp_path / "job") == Story(starts=1, node="lab1")


@pytest.mark.parametrize("code", [0, 3, 143])
def test_a_job_that_ended_has_its_code_and_time(code: int, tmp_path: Path) -> None:
    tell(tmp_path, "start", f"end {code}")

    assert read_story(tmp_path / "job") == Story(1, "lab1", code, elapsed_s=1.0)


def test_a_job_that_asked_to_go_on_says_so_until_it_begins_again(tmp_path: Path) -> None:
    tell(tmp_path, "start", "end 0", "requeue")
    asked = read_story(tmp_path / "job")
    tell(tmp_path, "start")
    goes_on = read_story(tmp_path / "job")
    tell(tmp_path, "end 0")

    assert asked == Story(1, "lab1", 0, requeued=True, elapsed_s=1.0)
    assert goes_on == Story(2, "lab1")
    assert read_story(tmp_path / "job") == Story(2, "lab1", 0, elapsed_s=2.0), "the waiting between them does not count"


def test_a_run_that_was_cut_off_counts_as_a_start(tmp_path: Path) -> None:
    tell(tmp_path, "start", "start", "end 0")

    assert read_story(tmp_path / "job") == Story(2, "lab1", 0, elapsed_s=1.0)


def test_a_refused_request_is_an_end(tmp_path: Path) -> None:
    tell(tmp_path, "start", "end 0", "requeue", "end 75")

    assert read_story(tmp_path / "job") == Story(1, "lab1", 75, elapsed_s=1.0), "its time counts once"


def test_members_of_an_array_have_their_own_stories(tmp_path: Path) -> None:
    tell(tmp_path, "start", "end 1", task=0)
    tell(tmp_path, "start", task=1)

    assert read_story(tmp_path / "job", 0).code == 1
    assert read_story(tmp_path / "job", 1) == Story(1, "lab1")
    assert read_story(tmp_path / "job") == Story()


@pytest.mark.parametrize(
    "torn",
    [b"", b"\n\n", b"2026-01-01T", b"2026-01-01T12:00:09Z lab1", b"2026-01-01T12:00:09Z lab1 en", b"\xff\xfe\x00 lab1 end 0"],
)
def test_a_torn_line_is_passed_over(torn: bytes, tmp_path: Path) -> None:
    tell(tmp_path, "start")
    with (tmp_path / "job/events").open("ab") as file:
        file.write(torn)

    story = read_story(tmp_path / "job")

    assert (story.starts, story.node) == (1, "lab1")


@pytest.mark.parametrize("last", ["end", "end x", "end -1"])
def test_an_end_without_a_code_is_no_end(last: str, tmp_path: Path) -> None:
    tell(tmp_path, "start", last)

    assert read_story(tmp_path / "job").code is None


def test_a_moment_that_cannot_be_read_costs_only_the_time(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job/events").write_text("yesterday lab1 start\n2026-01-01T12:00:05Z lab1 end 0\n")

    assert read_story(tmp_path / "job") == Story(1, "lab1", 0, elapsed_s=0.0)
