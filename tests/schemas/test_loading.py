"""Recipes: every mistake of a file at once, with the word that was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import RadforgeError
from schemas.loading import load, shipped_names
from schemas.recipe import EtlRecipe


def recipe_from(folder: Path, text: str) -> str:
    path = folder / "r.toml"
    path.write_text(text, "utf-8")
    return str(path)


@pytest.mark.parametrize("name", shipped_names("etl"))
def test_every_shipped_recipe_loads(name: str) -> None:
    assert load(EtlRecipe, name, "etl").name == name


def test_the_built_in_recipe_is_the_shipped_radiograph() -> None:
    assert load(EtlRecipe, "radiograph", "etl") == EtlRecipe()


def test_all_problems_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = '[otsu_splitt]\na = 1\n[inversion]\nmethd = "thesis"\n[pixels]\nbits = 12\n'

    with pytest.raises(RadforgeError) as error:
        load(EtlRecipe, recipe_from(tmp_path, text), "etl")

    message = str(error.value)
    assert "unknown key `otsu_splitt`" in message
    assert "did you mean `otsu_split`?" in message
    assert "did you mean `method`?" in message
    assert "`pixels.bits`" in message
    assert len(error.value.problems) == 3


@pytest.mark.parametrize("text", ['[anatomy.words]\nwrist = "MONYECA"\n', '[anatomy]\nkeep = "wrist"\n'])
def test_a_text_where_a_list_belongs_is_said_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(RadforgeError, match=r"is no list; found '\w+'; expected a list of texts"):
        load(EtlRecipe, recipe_from(tmp_path, text), "etl")


def test_splits_must_add_up(tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match=r"must be 1, got 1\.15"):
        load(EtlRecipe, recipe_from(tmp_path, "[splits]\ntrain = 0.85\n"), "etl")


def test_a_step_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match="named twice: inversion"):
        load(EtlRecipe, recipe_from(tmp_path, 'steps = ["inversion", "inversion"]\n'), "etl")


def test_settings_of_a_step_that_is_not_taken_are_refused(tmp_path: Path) -> None:
    text = 'steps = ["inversion"]\n[anatomy]\nkeep = ["hand"]\n'

    with pytest.raises(RadforgeError, match=r"\[anatomy\] is set, but `anatomy` is not in `steps`"):
        load(EtlRecipe, recipe_from(tmp_path, text), "etl")


def test_a_misspelt_step_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match=r"did you mean `otsu_split`\?"):
        load(EtlRecipe, recipe_from(tmp_path, 'steps = ["otsu_splitt"]\n'), "etl")


def test_a_recipe_without_a_name_is_called_like_its_file(tmp_path: Path) -> None:
    assert load(EtlRecipe, recipe_from(tmp_path, "steps = []\n"), "etl").name == "r"


def test_a_misspelt_shipped_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match=r"did you mean `wrist`\?"):
        load(EtlRecipe, "wrst", "etl")


def test_broken_toml_and_missing_files_are_the_users_mistakes(tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match="not valid TOML"):
        load(EtlRecipe, recipe_from(tmp_path, "steps = ["), "etl")
    with pytest.raises(RadforgeError, match="no such file"):
        load(EtlRecipe, str(tmp_path / "none.toml"), "etl")
