"""The words a recipe adds to the vocabulary of body parts."""

import pytest

from etl.derive import check_recipe
from etl.steps.anatomy import check, recognise, select
from etl.study import Instance, Source
from schemas.errors import RadforgeError
from schemas.loading import as_toml, load
from schemas.recipe import EtlRecipe
from schemas.steps import Anatomy

OURS = Anatomy(
    words={"wrist": ("POLS LINKS", "QK-Röntgen", "QK2E", "Zwirbel"), "hand": ("4711",), "forearm": ("MANO",)},
    ignore=("ARM TROLLEY", "GENU TV", "RX-204"),
)


def film(**texts: str) -> Instance:
    return Instance(source=Source("a", "a", "", 1, 0), **texts)


def named(text: str, settings: Anatomy = OURS) -> tuple[str, float] | None:
    found = recognise(film(body_part_examined=text), settings)
    return (found.part, found.score) if found else None


@pytest.mark.parametrize("text", ["QK RONTGEN", "qk_röntgen re", "QK-RÃ¶ntgen", "zwirbel", "ZWIRBELN", "ZWIRRBEL"])
def test_a_recipes_word_is_read_like_a_name_of_the_vocabulary(text: str) -> None:
    assert named(text, Anatomy()) is None
    found = named(text)
    assert found is not None
    assert found[0] == "wrist"


@pytest.mark.parametrize(("text", "part"), [("QK2E", "wrist"), ("qk2e, li", "wrist"), ("4711", "hand"), ("RX 4711/2", "hand")])
def test_a_text_with_a_number_is_a_code_and_found_as_it_stands(text: str, part: str) -> None:
    assert named(text, Anatomy()) is None
    assert named(text) == (part, 100.0)


@pytest.mark.parametrize("text", ["QK2", "QK2EX", "47110", "14711", "QK 2 E"])
def test_a_code_is_found_whole_or_not_at_all(text: str) -> None:
    assert named(text) is None


def test_the_side_beside_a_code_is_read() -> None:
    found = recognise(film(body_part_examined="QK2E li ap"), OURS)

    assert found is not None
    assert (found.part, found.laterality, found.view) == ("wrist", "L", "AP")


def test_a_local_code_of_anatomic_region_sequence_is_understood() -> None:
    found = recognise(film(anatomic_region="99HOUSE:4711:"), OURS)

    assert found is not None
    assert (found.part, found.field) == ("hand", "AnatomicRegionSequence")


def test_a_recipes_word_goes_before_the_shipped_one() -> None:
    assert named("MANO", Anatomy()) == ("hand", 100.0)
    assert named("MANO") == ("forearm", 100.0)


@pytest.mark.parametrize("text", ["ARM TROLLEY", "arm-trolley 3", "Genu TV", "RX-204"])
def test_an_ignored_text_names_no_part_though_a_name_is_in_it(text: str) -> None:
    assert named(text) is None
    assert named("ARM") == ("upper_arm", 100.0)


def test_an_ignored_text_leaves_the_rest_of_the_label_alone() -> None:
    assert named("KNIE, ARM TROLLEY") == ("knee", 100.0)


def test_the_filter_obeys_the_recipes_words() -> None:
    wrists = Anatomy(keep=("wrist",), unknown="drop", words={"wrist": ("QK2E",)})

    assert select(film(body_part_examined="QK2E"), wrists) is None
    assert select(film(body_part_examined="QK3E"), wrists) is not None


@pytest.mark.parametrize(
    ("settings", "where", "what", "expected"),
    [
        (Anatomy(words={"wirst": ("X9",)}), "anatomy.words", "no such body part", '"wrist"'),
        (Anatomy(words={"wrist": ("---",)}), "anatomy.words.wrist", "a text without a letter or a digit", "a word"),
        (Anatomy(words={"wrist": ("LINKS",)}), "anatomy.words.wrist", "no name of a part", "a side or a view"),
        (Anatomy(words={"hand": ("Vorne",), "wrist": ("VORNE",)}), "anatomy.words.wrist", "listed twice", "for hand"),
        (Anatomy(words={"hand": ("TROLLEY",)}, ignore=("trolley",)), "anatomy.ignore", "listed twice", "for hand"),
    ],
)
def test_a_mistake_is_one_clear_problem(settings: Anatomy, where: str, what: str, expected: str) -> None:
    (problem,) = check(settings)

    assert (problem.where, problem.what) == (where, what)
    assert expected in problem.expected


def test_what_is_not_mistaken_is_no_problem() -> None:
    assert check(OURS) == []


def test_the_words_are_part_of_what_a_version_is_but_not_their_order() -> None:
    def identity(**words: tuple[str, ...]) -> str:
        return EtlRecipe(anatomy=Anatomy(words=words)).model_dump_json()

    assert identity(wrist=("A9", "B9"), hand=("C",)) == identity(hand=("C",), wrist=("B9", "A9", "A9"))
    assert identity(wrist=("A9",)) != identity(wrist=("B9",))


def test_a_recipe_with_words_is_written_as_toml_and_read_back(tmp_path) -> None:  # type: ignore[no-untyped-def]
    recipe = EtlRecipe(anatomy=Anatomy(words={"wrist": ('MUÑ "Q"', "QK2E")}, ignore=("ARM TROLLEY",)))
    (tmp_path / "radiograph.toml").write_text(as_toml(recipe, only_set=True), "utf-8")

    assert load(EtlRecipe, str(tmp_path / "radiograph.toml"), "etl") == recipe


def test_words_are_refused_where_no_header_is_read() -> None:
    with pytest.raises(RadforgeError, match="words and ignore have no effect on a dataset version"):
        check_recipe(EtlRecipe(anatomy=Anatomy(words={"wrist": ("QK2E",)})))
