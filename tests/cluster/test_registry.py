"""The list of jobs: found again by id, member or folder, and told apart."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cluster import registry
from schemas.errors import RadforgeError
from schemas.job import Status
from tests.cluster.drawn_jobs import drawn_record, listed_record, own_list  # noqa: F401


def test_a_job_is_found_by_its_id_its_queue_and_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = listed_record(tmp_path / "run", "12345")
    monkeypatch.chdir(tmp_path)

    (tmp_path / "link").symlink_to("run")

    names = ("12345", "slurm-12345", str(tmp_path / "run"), "run", "./run/", f"../{tmp_path.name}/run", "link")

    assert [registry.find(name) for name in names] == [(record, ())] * 7


def test_a_member_is_found_by_its_place(tmp_path: Path) -> None:
    record = listed_record(tmp_path, "7", members=3)

    assert registry.find("7") == (record, ())
    assert registry.find("7_2") == (record, (2,))
    assert registry.find("slurm-7_0") == (record, (0,))


@pytest.mark.parametrize("name", ["7_3", "7_x", "7_-1"])
def test_a_member_that_is_not_there_is_told_with_those_that_are(name: str, tmp_path: Path) -> None:
    listed_record(tmp_path, "7", members=3)

    with pytest.raises(RadforgeError, match=f"{name}: no such member; expected 7_0 to 7_2"):
        registry.find(name)


def test_a_job_without_members_has_none(tmp_path: Path) -> None:
    listed_record(tmp_path, "7")

    with pytest.raises(RadforgeError, match="7_0: no such member; expected 7: it is no array"):
        registry.find("7_0")


@pytest.mark.parametrize("name", ["8", "", "nothing/here", "lsf-7"])
def test_an_unknown_job_is_told_with_where_to_look(name: str, tmp_path: Path) -> None:
    listed_record(tmp_path, "7")

    with pytest.raises(RadforgeError, match="no such job; expected an id that `rjobs list --all` shows, or a job's folder"):
        registry.find(name)


def test_an_id_that_two_queues_gave_is_told_with_both(tmp_path: Path) -> None:
    listed_record(tmp_path / "a", "7")
    other = listed_record(tmp_path / "b", "7", kind="lsf")

    with pytest.raises(RadforgeError, match="7: more than one job has this id; expected one of: slurm-7, lsf-7"):
        registry.find("7")
    assert registry.find("lsf-7") == (other, ())


def test_of_a_folders_jobs_the_newest_is_meant(tmp_path: Path) -> None:
    listed_record(tmp_path, "7", age_s=60)
    newest = listed_record(tmp_path, "9")

    assert registry.find(str(tmp_path)) == (newest, ())


def test_a_folder_that_was_named_by_another_way_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    record = listed_record(tmp_path / "link", "7")

    assert registry.find(str(tmp_path / "real")) == (record, ())
    assert registry.of_folder(tmp_path / "real/../link") == [record]


def test_jobs_are_listed_oldest_first_and_a_spoilt_file_is_passed_over(tmp_path: Path) -> None:
    second = listed_record(tmp_path / "b", "5", age_s=10)
    first = listed_record(tmp_path / "a", "6", age_s=20)
    (registry.folder() / "slurm-9.json").write_text('{"id": "9"')
    (registry.folder() / "slurm-8.json").write_text("{}")

    assert registry.records() == [first, second]


def test_a_record_also_lies_in_the_jobs_own_folder(tmp_path: Path) -> None:
    record = listed_record(tmp_path, "7")

    assert type(record).model_validate_json((tmp_path / "job/record.json").read_text()) == record


def test_how_a_job_ended_is_remembered_until_its_id_is_given_again(tmp_path: Path) -> None:
    record = listed_record(tmp_path, "7")
    ended = [Status(id="7", name="job", state="FAILED", exit_code=3, folder=tmp_path)]

    registry.remember(record, ended)
    remembered = registry.remembered(record)
    registry.save(drawn_record(tmp_path, "7"))

    assert remembered == ended
    assert registry.remembered(record) == []


def test_a_forgotten_job_is_off_the_list_and_its_folder_stays(tmp_path: Path) -> None:
    record = listed_record(tmp_path, "7")

    registry.forget(record)
    registry.forget(record)

    assert registry.records() == []
    assert (tmp_path / "job/record.json").exists()


def test_local_jobs_count_up_and_no_number_is_given_twice() -> None:
    assert [registry.next_local() for _ in range(3)] == ["L1", "L2", "L3"]


def test_the_list_is_for_its_owner_only() -> None:
    assert stat.S_IMODE(registry.folder().stat().st_mode) & 0o077 == 0


def test_a_list_that_cannot_be_kept_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))

    with pytest.raises(RadforgeError, match="the list of jobs cannot be kept"):
        registry.folder()
