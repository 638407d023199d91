"""`train submit`: what is typed becomes a job that needs nothing of the checkout, and a mistake is told before it waits."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.loading import load
from schemas.site import Site
from schemas.train_recipe import TrainRecipe
from schemas.training_run import TrainingRun
from tests.training.small_run import SMALL
from training.submit import RECIPE, Submission, Wish, submission_of

SITE = Site.model_validate({"kind": "slurm", "gpu": {"gpus": 4, "walltime": "24:00"}})


@pytest.fixture(autouse=True)
def _typed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def submission(version: DatasetVersion, recipe: str = "rx_lite", **wish: Any) -> Submission:
    given = {"data": str(version.dataset), "site": SITE, "settings": SMALL} | wish
    return submission_of(Wish(recipe, **given))


def test_a_job_trains_in_its_own_folder_by_the_recipe_beside_its_script(version: DatasetVersion, tmp_path: Path) -> None:
    made = submission(version, out=Path("runs/first"))

    folder = tmp_path / "runs/first"
    assert (made.spec.folder, made.spec.cwd, made.spec.name) == (folder, tmp_path, "rx_lite")
    assert made.dataset == f"{version.dataset.resolve()}@{version.version}"
    (member,) = made.spec.members
    assert member.command == (
        *("python", "-P", "-m", "training", "run", str(folder / RECIPE)),
        *("--data", made.dataset, "--out", str(folder), "--resume"),
    )
    assert (member.run, member.again, member.progress) == (folder, folder / "again", str(folder / "steps.parquet"))
    assert made.spec.resumable


def test_the_recipe_that_is_kept_is_the_resolved_one(version: DatasetVersion, tmp_path: Path) -> None:
    made = submission(version, out=Path("run"))
    (tmp_path / "recipe.toml").write_text(made.files[RECIPE])

    assert load(TrainRecipe, str(tmp_path / "recipe.toml"), "train") == load(TrainRecipe, "rx_lite", "train", SMALL)
    assert tomllib.loads(made.files[RECIPE])["data"]["size"] == [24, 32]


def test_without_a_folder_it_is_called_by_recipe_version_and_seed(version: DatasetVersion, tmp_path: Path) -> None:
    assert submission(version).spec.folder == tmp_path / f"runs/rx_lite-{version.version}-seed0"
    assert submission(version, array=("seed=0..1",)).spec.folder == tmp_path / f"runs/rx_lite-{version.version}-by-seed"


def test_nothing_is_written(version: DatasetVersion, tmp_path: Path) -> None:
    submission(version, out=Path("run"), array=("seed=0..1",))

    assert not (tmp_path / "run").exists()


def test_an_array_has_a_folder_and_the_settings_for_each_member(version: DatasetVersion, tmp_path: Path) -> None:
    made = submission(version, out=Path("runs"), array=("seed=3..4", "optim.lr=1e-3,1e-4"), together=2)

    assert [member.label for member in made.spec.members] == [
        "seed=3,optim.lr=1e-3",
        "seed=3,optim.lr=1e-4",
        "seed=4,optim.lr=1e-3",
        "seed=4,optim.lr=1e-4",
    ]
    runs = tmp_path / "runs"
    assert [member.run for member in made.spec.members[:2]] == [runs / "seed3-lr1e-3", runs / "seed3-lr1e-4"]
    assert made.spec.members[0].command[-4:] == ("--set", "seed=3", "--set", "optim.lr=1e-3")
    assert str(tmp_path / "runs" / RECIPE) in made.spec.members[3].command
    assert (made.spec.together, made.spec.folder) == (2, tmp_path / "runs")


def test_an_array_of_one_is_a_job_with_its_own_folder(version: DatasetVersion, tmp_path: Path) -> None:
    made = submission(version, out=Path("runs"), array=("seed=7",))

    assert [member.run for member in made.spec.members] == [tmp_path / "runs/seed7"]


@pytest.mark.parametrize(("gpus", "processes", "asked"), [(None, 4, 4), (2, 2, 2), (0, 1, 0)])
def test_a_process_for_each_gpu_and_one_without(gpus: int | None, processes: int, asked: int, version: DatasetVersion) -> None:
    spec = submission(version, gpus=gpus, nodes=3).spec

    assert (spec.processes, spec.gpus, spec.nodes, spec.resource) == (processes, asked, 3, "gpu")


def test_device_and_cache_are_handed_on(version: DatasetVersion, tmp_path: Path) -> None:
    command = submission(version, device="cpu", cache=Path("cache")).spec.members[0].command

    assert command[-4:] == ("--device", "cpu", "--cache", str(tmp_path / "cache"))


def test_a_site_without_gpus_gives_none(version: DatasetVersion) -> None:
    bare = Site.model_validate({"kind": "slurm"})

    assert submission(version, site=bare).spec.processes == 1
    with pytest.raises(RadforgeError, match=r"--gpus 2: the site has no GPUs; expected a \[gpu\] table in the site file"):
        submission(version, site=bare, gpus=2)


def test_a_run_goes_on_from_a_finished_one(version: DatasetVersion, run_of_all: TrainingRun, tmp_path: Path) -> None:
    wish = Wish(None, None, SITE, out=Path("more"), settings=("epochs=9",), continues=run_of_all.folder)

    made = submission_of(wish)

    command = made.spec.members[0].command
    assert command[4:7] == ("run", "--continue", str(run_of_all.folder.resolve()))
    assert command[-2:] == ("--set", "epochs=9")
    assert made.files == {}
    assert made.dataset.endswith(f"@{version.version}")


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"settings": ("data.sise=[8,8]",)}, r"unknown key `data\.sise`"),
        ({"recipe": "resnet18", "settings": ("data.size=[24,32]",)}, "halvings"),
        ({"data": "{nothing}"}, "no such dataset"),
        ({"data": None}, "no dataset named"),
        ({"array": ("seed",)}, "--array seed: not understood"),
        ({"array": ("sede=0..1",)}, r"unknown key `sede`.*did you mean `seed`"),
        ({"array": ("seed=0..1", "epochs=1,x")}, "`epochs`"),
        ({"after": ("99",)}, "no such job"),
        ({"out": Path("a b")}, "a queue's header takes no blanks"),
        ({"out": Path("full")}, "not an empty folder, and not a run"),
        ({"recipe": "mvcn"}, r"did you mean `mvcnn`\?"),
        ({"recipe": None}, "no recipe named"),
    ],
)
def test_a_mistake_is_told_before_anything_waits(
    wish: dict[str, Any], message: str, version: DatasetVersion, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").touch()

    with pytest.raises(RadforgeError, match=message):
        submission(version, **wish)


def test_a_finished_run_is_not_submitted_again(version: DatasetVersion, run_of_all: TrainingRun) -> None:
    with pytest.raises(RadforgeError):
        submission(version, recipe="mvcnn", out=run_of_all.folder, settings=())


def test_a_word_of_a_setting_that_would_break_a_folder_is_taken_out(version: DatasetVersion, tmp_path: Path) -> None:
    chosen = ("data.size=[64,64]",)
    made = submission(version, recipe="resnet18", settings=chosen, out=Path("runs"), array=("init.run=a/b,c/d",))

    assert [str(member.run) for member in made.spec.members] == [f"{tmp_path}/runs/runa-b", f"{tmp_path}/runs/runc-d"]
