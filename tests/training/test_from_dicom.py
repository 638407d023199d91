"""Raw films go through `etl run` as the training data did, with its recipe and its key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from cluster.progress import Reporter
from cluster.shell import Finished
from etl.deidentify import make_key, read_key
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.loading import load
from schemas.recipe import EtlRecipe, Splits
from schemas.training_run import TrainingRecord
from tests.training.drawn_dataset import drawn_version
from training import from_dicom
from training.from_dicom import Delivery, build_version, key_fingerprint, named_version, other_pixels, recipe_toml


class Told(Reporter):
    """Keeps warnings."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    return drawn_version(tmp_path_factory.mktemp("drawn") / "ds", 6)


def record_of(recipe: EtlRecipe, dataset: Path = Path("gone"), key: str | None = None) -> TrainingRecord:
    values = recipe.model_dump(mode="json", exclude={"limits"})  # as card.json holds it
    return TrainingRecord(
        recipe="rx", dataset=str(dataset), version="0" * 12, label="fracture", etl_recipe=values, key_fingerprint=key
    )


@pytest.fixture
def etl(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have been run; each ends with 0 and leaves a version."""
    commands: list[list[str]] = []

    def follow(command: Sequence[str]) -> Finished:
        commands.append(list(command))
        drawn_version(Path(command[command.index("--out") + 1]), 2)
        return Finished(0, "{}", "")

    monkeypatch.setattr(from_dicom, "follow", follow)
    return commands


RECOGNISED = EtlRecipe.model_validate({"steps": ["inversion"], "anatomy": {"min_score": 91}, "pixels": {"bits": 16}})
"""[anatomy] holds for recognising parts, though no step filters by them."""


@pytest.mark.parametrize("recipe", [*(load(EtlRecipe, name, "etl") for name in ("wrist", "wrist_thesis")), RECOGNISED])
def test_the_recipe_is_written_as_etl_reads_it(tmp_path: Path, recipe: EtlRecipe) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_toml(record_of(recipe)), "utf-8")

    read = load(EtlRecipe, str(tmp_path / "recipe.toml"), "etl")

    assert read == recipe.model_copy(update={"splits": Splits(train=0, val=0, test=1)})


def test_a_run_that_holds_no_recipe_says_so() -> None:
    record = record_of(EtlRecipe()).model_copy(update={"etl_recipe": {}})

    with pytest.raises(RadforgeError, match="does not say how its pictures were made"):
        recipe_toml(record)


def test_a_version_made_of_another_version_is_refused(version: DatasetVersion) -> None:
    record = record_of(EtlRecipe(), version.dataset).model_copy(update={"etl_parent": version.version})

    with pytest.raises(RadforgeError, match="made in two steps"):
        recipe_toml(record)


def test_the_fingerprint_is_that_of_etl(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    (tmp_path / "spaced").write_bytes(b"  a key with a line behind it\n")

    assert key_fingerprint(tmp_path / "key") == key.fingerprint
    assert key_fingerprint(tmp_path / "spaced") == read_key(tmp_path / "spaced").fingerprint
    assert key_fingerprint(tmp_path / "missing") is None


def test_the_key_of_the_training_data_is_taken_where_it_lies(etl: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "ds.private").mkdir()
    key = make_key(tmp_path / "ds.private" / "key")
    say = Told()

    build_version(record_of(EtlRecipe(), tmp_path / "ds", key.fingerprint), Delivery([Path("films")]), tmp_path, say)

    assert etl[0][etl[0].index("--key") + 1] == str(tmp_path / "ds.private" / "key")
    assert say.warnings == []


def test_without_the_key_a_fresh_one_is_made_and_that_is_told(etl: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "ds.private").mkdir()
    make_key(tmp_path / "ds.private" / "key")
    say = Told()

    build_version(record_of(EtlRecipe(), tmp_path / "ds", "0123456789ab"), Delivery([Path("films")]), tmp_path, say)

    assert "--key" not in etl[0]
    assert len(say.warnings) == 1
    assert "can be linked with nothing" in say.warnings[0]


@pytest.mark.parametrize("same", [True, False])
def test_a_named_key_is_taken_and_another_one_told(etl: list[list[str]], tmp_path: Path, same: bool) -> None:
    key = make_key(tmp_path / "mine")
    say = Told()

    build_version(
        record_of(EtlRecipe(), key=key.fingerprint if same else "0123456789ab"),
        Delivery([Path("films")], key=tmp_path / "mine"),
        tmp_path,
        say,
    )

    assert etl[0][etl[0].index("--key") + 1] == str(tmp_path / "mine")
    assert [("not the key of the training data" in told) for told in say.warnings] == ([] if same else [True])


def test_what_was_asked_for_reaches_etl(etl: list[list[str]], tmp_path: Path) -> None:
    delivery = Delivery([Path("a"), Path("-b")], crosswalk=tmp_path / "x.csv", workers=3)

    found = build_version(record_of(EtlRecipe()), delivery, tmp_path, Told())

    command = etl[0]
    assert command[command.index("--crosswalk") + 1] == str(tmp_path / "x.csv")
    assert command[command.index("--workers") + 1] == "3"
    assert command[-3:] == ["--", "a", "-b"]
    assert found.table("manifest").num_rows > 0


@pytest.mark.parametrize(
    ("code", "error"), [(2, RadforgeError), (-9, RadforgeError), (130, KeyboardInterrupt), (1, RuntimeError)]
)
def test_how_etl_ends_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, error: type[BaseException]
) -> None:
    monkeypatch.setattr(from_dicom, "follow", lambda command: Finished(code, "", ""))

    with pytest.raises(error):
        build_version(record_of(EtlRecipe()), Delivery([Path("films")]), tmp_path, Told())


def test_the_arguments_name_a_version_or_films(version: DatasetVersion, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()

    assert named_version([version.dataset]) == version
    assert named_version([f"{version.dataset}@{version.version[:4]}"]) == version
    assert named_version([str(version.folder)]) == version
    assert named_version([tmp_path / "films", tmp_path / "more"]) is None
    with pytest.raises(RadforgeError, match="cannot be mixed"):
        named_version([version.dataset, tmp_path / "films"])


def test_a_version_of_another_recipe_is_recognised_by_what_shapes_pixels(version: DatasetVersion) -> None:
    own = version.card["recipe"]
    record = record_of(EtlRecipe()).model_copy(update={"etl_recipe": own})
    other = record.model_copy(update={"etl_recipe": {**own, "name": "other", "splits": {"train": 1.0}, "steps": ["inversion"]}})

    assert other_pixels(record, version) == []
    assert other_pixels(other, version) == ["steps"]
