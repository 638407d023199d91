"""Training recipes: strict, all problems at once, the command line wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import RadforgeError
from schemas.loading import as_toml, load, shipped_names
from schemas.train_recipe import RxModel, TrainRecipe


@pytest.mark.parametrize("name", shipped_names("train"))
def test_a_shipped_recipe_survives_being_written_and_read(name: str, tmp_path: Path) -> None:
    recipe = load(TrainRecipe, name, "train")
    (tmp_path / "recipe.toml").write_text(as_toml(recipe), "utf-8")

    assert load(TrainRecipe, str(tmp_path / "recipe.toml"), "train") == recipe


def test_a_setting_of_the_command_line_wins_over_the_file() -> None:
    recipe = load(TrainRecipe, "rx_lite", "train", ["optim.lr=1e-4", "data.size=[96,128]", "model.norm=group", "epochs=3"])

    assert (recipe.optim.lr, recipe.data.size, recipe.epochs) == (1e-4, (96, 128), 3)
    assert isinstance(recipe.model, RxModel)
    assert recipe.model.norm == "group"


def test_another_kind_of_model_can_be_asked_for() -> None:
    recipe = load(TrainRecipe, "resnet18", "train", ["model.kind=timm", "model.name=vit_tiny_patch16_224"])

    assert recipe.model.kind == "timm"


def test_three_mistakes_are_told_at_once_with_what_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('epoch = 3\n[model]\nkind = "rx"\nchanels = [3]\n[optim]\nname = "adamm"\n', "utf-8")

    with pytest.raises(RadforgeError) as error:
        load(TrainRecipe, str(path), "train")

    assert len(error.value.problems) == 3
    told = str(error.value)
    assert "unknown key `model.chanels`" in told
    assert "did you mean `channels`?" in told
    assert "did you mean `adam`?" in told
    assert "did you mean `epochs`?" in told
    assert "weights" not in told  # a key of another kind of model


def test_a_model_without_a_kind_is_asked_for_it(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("[model]\nblocks = 3\n", "utf-8")

    with pytest.raises(RadforgeError, match=r"`model\.kind` must say which; found none; expected resnet18, rx, timm"):
        load(TrainRecipe, str(path), "train")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["epochs"], "--set epochs: not understood"),
        (["epochs.x=1"], "`epochs`"),
        (["data.size=[8,8]"], "16 to 8192"),
        (["data.folds=5", "data.fold=5"], r"`data\.fold` must be below"),
        (["first.epochs=2"], 'stage before `views = "all"`'),
        (["loop.accumulate=5"], "does not divide into 5 parts"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: list[str], told: str) -> None:
    with pytest.raises(RadforgeError, match=told):
        load(TrainRecipe, "rx_lite", "train", settings)
