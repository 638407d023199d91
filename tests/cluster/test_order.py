"""From what was typed to a job: arrays, dependencies, names and folders, and every refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import order, registry
from schemas.errors import RadforgeError
from schemas.job import Status
from schemas.site import Site
from tests.cluster.drawn_jobs import listed_record, own_list  # noqa: F401

SLURM, LSF = (Site.model_validate({"kind": kind}) for kind in ("slurm", "lsf"))


@pytest.mark.parametrize(
    ("typed", "members"),
    [
        ([], []),
        (["seed=0..2"], ["seed=0", "seed=1", "seed=2"]),
        (["seed=3..3"], ["seed=3"]),
        (["x=-1..1"], ["x=-1", "x=0", "x=1"]),
        (["optim.lr=1e-3,1e-4"], ["optim.lr=1e-3", "optim.lr=1e-4"]),
        (["optim.lr = 1e-3 , 1e-4 ,"], ["optim.lr=1e-3", "optim.lr=1e-4"]),
        (["seed=1,1,2"], ["seed=1", "seed=2"]),
        (["model.kind=resnet18,rx_lite"], ["model.kind=resnet18", "model.kind=rx_lite"]),
    ],
)
def test_one_key_takes_a_range_or_a_list(typed: list[str], members: list[str]) -> None:
    assert order.array(typed) == [(member,) for member in members]


def test_several_keys_are_every_combination() -> None:
    assert order.array(["seed=0..1", "lr=a,b"]) == [
        ("seed=0", "lr=a"),
        ("seed=0", "lr=b"),
        ("seed=1", "lr=a"),
        ("seed=1", "lr=b"),
    ]


@pytest.mark.parametrize("typed", ["seed", "=1..2", "seed=", "seed=,", " =1", "seed=2..1"])
def test_what_is_no_array_is_refused_with_what_is(typed: str) -> None:
    with pytest.raises(RadforgeError) as error:
        order.array([typed])

    assert str(error.value) == f"--array {typed}: not understood; expected key=0..4 or key=1e-3,1e-4"


@pytest.mark.parametrize("typed", [["seed=0..1000"], ["a=1..40", "b=1..40"], ["seed=0..9999999999999"]])
def test_an_array_that_no_queue_would_take_is_refused(typed: list[str]) -> None:
    with pytest.raises(RadforgeError, match=r"--array: too many members; found .*; expected 1000 at most"):
        order.array(typed)


def test_the_same_key_twice_is_refused() -> None:
    with pytest.raises(RadforgeError, match=r"--array seed=5\.\.6: `seed` is named twice"):
        order.array(["seed=0..1", "seed=5..6"])


def test_a_job_waits_for_those_of_its_queue(tmp_path: Path) -> None:
    listed_record(tmp_path / "a", "7")
    listed_record(tmp_path / "b", "8", members=3)

    assert order.queue_ids(["7", "8_2", str(tmp_path / "b")], SLURM) == ("7", "8_2", "8")


def test_lsf_counts_the_members_of_an_array_from_1(tmp_path: Path) -> None:
    listed_record(tmp_path, "8", kind="lsf", members=3)

    assert order.queue_ids(["8_2", "8"], LSF) == ("8[3]", "8")


def test_a_job_cannot_wait_for_one_that_is_not_known() -> None:
    with pytest.raises(RadforgeError, match="99: no such job"):
        order.queue_ids(["99"], SLURM)


def test_a_job_cannot_wait_for_one_of_another_queue(tmp_path: Path) -> None:
    listed_record(tmp_path, "7", kind="lsf")

    with pytest.raises(RadforgeError, match="--after 7: a job of another queue; found lsf; expected a job of slurm"):
        order.queue_ids(["7"], SLURM)


@pytest.mark.parametrize("name", ["job", "mvcnn-v2", "a.b_c+d", "0", "x" * 64])
def test_names_that_every_queue_takes(name: str) -> None:
    assert order.job_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "-x", "a/b", "a[1]", "x" * 65, "a\n", "é"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(RadforgeError, match="not a name for a job"):
        order.job_name(name)


@pytest.mark.parametrize("name", ["a b", "it's", 'say"so"', "100%", "$HOME", "a`b", "a\\b", "tab\there"])
def test_a_folder_that_would_break_a_header_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match=r"a queue's header takes no blanks, quotes, % or \$"):
        order.job_folder(tmp_path / name)


def test_a_folder_is_meant_from_where_the_command_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert order.job_folder(Path("runs/a")) == tmp_path / "runs/a"
    assert order.job_folder(Path("/data/c")) == Path("/data/c")


def test_a_plain_job_asks_for_what_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = order.plain_job(["python", "-m", "this"], SLURM, None, None, 0, 1, [])
    large = order.plain_job(["bin/do it"], SLURM, Path("out"), "named", 2, 3, [])

    assert (small.name, small.resource, small.nodes, small.processes, small.gpus) == ("python", "cpu", 1, 1, 0)
    assert small.folder.parent == tmp_path / "jobs"
    assert small.folder.name.startswith("python-2")
    assert (large.name, large.resource, large.nodes, large.processes, large.gpus) == ("named", "gpu", 3, 2, 2)
    assert (large.folder, large.cwd, large.resumable) == (tmp_path / "out", tmp_path, False)
    assert small.git_commit is not None


def test_a_job_does_not_wait_for_one_that_has_failed_though_the_queue_has_forgotten_it(tmp_path: Path) -> None:
    record = listed_record(tmp_path, "7")
    registry.remember(record, [Status(id="7", name="job", state="FAILED", reason="exit code 3", folder=tmp_path)])

    with pytest.raises(RadforgeError, match="--after 7: this job did not end well; found FAILED exit code 3"):
        order.queue_ids(["7"], SLURM)


def test_a_job_that_has_ended_well_is_not_waited_for(tmp_path: Path) -> None:
    record = listed_record(tmp_path, "7")
    registry.remember(record, [Status(id="7", name="job", state="DONE", folder=tmp_path)])

    assert order.queue_ids(["7"], SLURM) == ()
