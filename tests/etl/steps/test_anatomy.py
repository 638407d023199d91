"""The anatomy step: which part a header's free text names, and which films a recipe keeps."""

import csv
import random
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.steps.anatomy import BodyPart, check_parts, is_limb, keeps, parts, recognise, select
from etl.steps.body_part_text import read
from etl.steps.body_parts import vocabulary
from etl.study import Instance, Source
from etl.vocabulary import VIEWS
from schemas.steps import Anatomy

SHARED = Path(__file__).parents[3] / ".." / "shared" / "data"

TEXTS = tomllib.loads((Path(__file__).parent / "body_part_texts.toml").read_text("utf-8"))
TABLE = [(kind, text, says) for kind, texts in TEXTS["label"].items() for text, says in texts.items()]
DESCRIPTIONS = [(text, says) for texts in TEXTS["description"].values() for text, says in texts.items()]


def film(**texts: str) -> Instance:
    return Instance(source=Source("a", "a", "", 1, 0), **texts)


def named(**texts: str) -> BodyPart | None:
    return recognise(film(**texts), Anatomy())


def said(found: BodyPart | None) -> str:
    """What was understood, as the table of texts writes it."""
    if found is None:
        return ""
    return " ".join(filter(None, ("+".join((found.part, *found.ambiguous)), found.laterality, found.view)))


def test_the_table_is_as_large_as_was_asked_for() -> None:
    assert len(TABLE) >= 250


@pytest.mark.parametrize(("kind", "text", "says"), TABLE)
def test_a_label_is_understood(kind: str, text: str, says: str) -> None:
    found = named(body_part_examined=text)

    assert said(found) == says, kind
    assert found is None or 0 < found.score <= 100


@pytest.mark.parametrize(("text", "says"), DESCRIPTIONS)
def test_a_description_is_understood_and_nobodys_name_is_taken_for_a_part(text: str, says: str) -> None:
    assert said(named(study_description=text)) == says


@pytest.mark.parametrize(("kind", "text", "says"), TABLE)
def test_a_wrist_recipe_keeps_the_wrists_and_nothing_else(kind: str, text: str, says: str) -> None:
    drop = select(film(body_part_examined=text), Anatomy(keep=("wrist",), unknown="drop"))

    assert (drop is None) == ("wrist" in says.split(" ", maxsplit=1)[0].split("+")), kind


def test_the_labels_of_the_shared_files_are_all_understood_or_known_to_name_nothing() -> None:
    inventory = SHARED / "inventory.csv"
    if not inventory.exists():
        pytest.skip("../shared/data is absent: its labels cannot be read")
    with inventory.open(newline="") as file:
        labels = {row["body_part_examined"] for row in csv.DictReader(file)} - {""}

    nothing = {label for label in labels if named(body_part_examined=label) is None}

    assert labels
    assert nothing <= {"JPEG 2000 Compressed Image", "ANNOON"}


def test_body_part_examined_is_believed_before_the_descriptions() -> None:
    found = named(body_part_examined="HAND", study_description="RX MUÑECA", series_description="WRIST")

    assert found is not None
    assert (found.part, found.field, found.score) == ("hand", "BodyPartExamined", 100.0)


@pytest.mark.parametrize("nothing", ["", "UNKNOWN", "XR", "LEFT", "12"])
@pytest.mark.parametrize(
    ("keyword", "field", "text"),
    [
        ("anatomic_region", "AnatomicRegionSequence", "SCT:74670003:Wrist joint"),
        ("study_description", "StudyDescription", "RX MUÑECA IZQ"),
        ("series_description", "SeriesDescription", "Handgelenk ap"),
        ("protocol_name", "ProtocolName", "XR WRIST 2V"),
    ],
)
def test_another_field_helps_out_where_body_part_examined_names_nothing(
    nothing: str, keyword: str, field: str, text: str
) -> None:
    found = named(body_part_examined=nothing, **{keyword: text})

    assert found is not None
    assert (found.part, found.field) == ("wrist", field)


@pytest.mark.parametrize("region", ["EXTREMITY", "UPPER EXTREMITY", "UP_EXM"])
def test_a_region_is_made_more_exact_by_a_description_within_it(region: str) -> None:
    found = named(body_part_examined=region, study_description="XR WRIST LEFT")

    assert found is not None
    assert (found.part, found.field) == ("wrist", "StudyDescription")


def test_a_region_stands_when_the_description_names_something_outside_it() -> None:
    found = named(body_part_examined="LOWER EXTREMITY", study_description="XR WRIST LEFT")

    assert found is not None
    assert found.part == "lower_limb"


@pytest.mark.parametrize(
    ("item", "part"),
    [
        ("SCT:74670003:", "wrist"),
        ("SRT:T-15460:Wrist joint", "wrist"),
        ("SNM3:T-D8700:Hand", "hand"),
        ("SCT:51185008:Chest", "chest"),
        ("99LOCAL:4711:Muñeca", "wrist"),
        ("SCT:12611008:Tibia", "lower_leg"),
    ],
)
def test_an_anatomic_region_is_known_by_its_code_old_or_new_else_by_its_meaning(item: str, part: str) -> None:
    found = named(anatomic_region=item)

    assert found is not None
    assert found.part == part


@pytest.mark.parametrize("text", ["CARLO", "control de Carlos", "RODRIGUEZ ARMANDO", "study of Mr Handy", "being"])
def test_a_word_of_a_description_that_is_only_like_a_part_is_not_one(text: str) -> None:
    assert named(study_description=text) is None


def test_letters_lost_to_a_code_page_are_bridged_in_descriptions_too() -> None:
    found = named(study_description="RX MU?ECA DERECHA, CONTROL")

    assert found is not None
    assert (found.part, found.laterality) == ("wrist", "R")


@pytest.mark.parametrize(
    ("text", "side", "view"),
    [
        ("MUÑECA IZQ", "L", None),
        ("RWRIST", "R", None),
        ("WRIST_2V_LT", "L", None),
        ("Wrist AP/Lat", None, None),
        ("Wrist PA", None, "PA"),
        ("HANDPA", None, "PA"),
        ("POLSO DX", "R", None),
        ("DX WRIST", None, None),
        ("Handgelenk bds", "B", None),
        ("muñecas izq y der", "B", None),
        ("L SPINE", None, None),  # the letter belongs to the name
        ("main droite", "R", None),
    ],
)
def test_side_and_view_are_taken_from_the_words_around(text: str, side: str | None, view: str | None) -> None:
    found = named(body_part_examined=text)

    assert found is not None
    assert (found.laterality, found.view) == (side, view)


def test_the_side_may_stand_in_another_field_than_the_part() -> None:
    found = named(body_part_examined="WRIST", series_description="PA LEFT")

    assert found is not None
    assert (found.field, found.laterality, found.view) == ("BodyPartExamined", "L", "PA")


def test_of_parts_with_equal_right_the_kept_one_is_written_and_the_other_recorded() -> None:
    film_of_both = film(body_part_examined="MANO Y MUÑECA")

    kept = recognise(film_of_both, Anatomy(keep=("wrist",)))

    assert kept is not None
    assert (kept.part, kept.ambiguous) == ("wrist", ("hand",))
    assert select(film_of_both, Anatomy(keep=("wrist",))) is None
    assert select(film_of_both, Anatomy(keep=("hand",))) is None
    assert select(film_of_both, Anatomy(keep=("knee",))) is not None


def test_without_a_list_of_parts_every_film_stays() -> None:
    assert select(film(body_part_examined="CHEST"), Anatomy()) is None
    assert select(film(), Anatomy(unknown="drop")) is None


def test_a_kept_region_keeps_what_lies_within_it_and_a_kept_part_does_not() -> None:
    assert select(film(body_part_examined="MUÑECA"), Anatomy(keep=("upper_limb",))) is None
    assert select(film(body_part_examined="KNEE"), Anatomy(keep=("upper_limb",))) is not None
    assert select(film(body_part_examined="FINGER"), Anatomy(keep=("hand",))) is not None


def test_a_part_that_is_coded_already_is_kept_by_the_same_rule() -> None:
    assert keeps("wrist", Anatomy())
    assert keeps("wrist", Anatomy(keep=("upper_limb",)))
    assert not keeps("hand", Anatomy(keep=("wrist",)))


def test_films_that_name_no_part_are_kept_or_dropped_as_the_recipe_says() -> None:
    nameless = film(body_part_examined="UNKNOWN")

    assert select(nameless, Anatomy(keep=("wrist",), unknown="keep")) is None
    drop = select(nameless, Anatomy(keep=("wrist",), unknown="drop"))
    assert drop is not None
    assert (drop.reason, drop.detail) == ("anatomy", "unknown")


def test_a_drop_tells_what_was_understood_in_our_words_alone() -> None:
    drop = select(film(body_part_examined="MANO IZQ. PEREZ"), Anatomy(keep=("wrist",)))

    assert drop is not None
    assert (drop.reason, drop.detail) == ("anatomy", "hand (score 100, BodyPartExamined)")


def test_min_score_decides_how_much_misspelling_is_forgiven() -> None:
    misspelt = film(body_part_examined="MUÑECCA")

    assert recognise(misspelt, Anatomy(min_score=80)) is not None
    assert recognise(misspelt, Anatomy(min_score=100)) is None


def test_unknown_parts_in_a_recipe_are_reported_with_the_one_that_was_meant() -> None:
    problems = check_parts(("wrist", "wirst", "muñeca", "qwxyz"))

    assert [(problem.found, problem.expected) for problem in problems[:2]] == [
        ('"wirst"', '"wrist"'),
        ('"muñeca"', '"wrist"'),
    ]
    assert problems[2].found == '"qwxyz"'
    assert check_parts(("wrist", "lower_leg")) == []


def test_only_limbs_and_the_unknown_are_worth_splitting_and_turning() -> None:
    assert all(map(is_limb, ("wrist", "hand", "thumb", "forearm", "knee", "foot", "extremity", None)))
    assert not any(map(is_limb, ("chest", "pelvis", "skull", "shoulder", "clavicle", "hip", "cervical_spine")))


def test_the_codes_are_those_of_dicom_context_group_4031() -> None:
    from pydicom.sr._cid_dict import cid_concepts
    from pydicom.sr._concepts_dict import concepts

    listed = {
        code
        for keyword in cid_concepts[4031]["SCT"]
        for code, (_, groups) in concepts["SCT"][keyword].items()
        if 4031 in groups
    }

    assert {part.code for part in vocabulary().parts.values()} <= listed
    assert listed <= set(vocabulary().codes)


def test_the_older_codes_mean_the_same_concepts() -> None:
    from pydicom.sr._snomed_dict import mapping

    codes = vocabulary().codes
    older = [code for code in codes if not code.isdecimal()]

    assert len(older) > 90
    assert all(codes[mapping["SRT"][code]] == codes[code] for code in older)


def test_every_part_is_understood_by_its_own_name() -> None:
    understood = {part: tuple(read(part).parts) for part in parts()}

    assert {part for part, found in understood.items() if found != (part,)} == set()


def test_limb_parts_have_names_in_eight_languages() -> None:
    from importlib.resources import files

    tables = tomllib.loads((files("etl.steps") / "body_parts.toml").read_text("utf-8"))
    limbs = [part for part in parts() if is_limb(part)]

    missing = {
        (part, language)
        for part in limbs
        for language in ("en", "es", "ca", "pt", "fr", "it", "de", "nl")
        if not tables[part].get(language) and not (tables[part].get("weak") and language == "fr")
    }
    assert len(limbs) >= 18
    assert missing == set()


def test_no_name_means_two_parts_but_those_that_truly_do() -> None:
    shared = {"".join(name) for name, meant in vocabulary().names.items() if len(meant.parts) > 1}

    assert shared == {"coxa"}  # Latin for hip, Portuguese for thigh


@given(st.text(max_size=64))
def test_whatever_a_header_says_only_words_of_the_vocabulary_come_out(text: str) -> None:
    found = named(body_part_examined=text, anatomic_region=text, study_description=text)

    if found is not None:
        assert {found.part, *found.ambiguous} <= set(parts())
        assert found.laterality in {"L", "R", "B", "U", None}
        assert found.view is None or found.view in VIEWS
        assert found.field in {"BodyPartExamined", "AnatomicRegionSequence", "StudyDescription"}


def test_an_archive_of_the_size_of_the_thesis_is_read_in_well_under_a_second() -> None:
    spellings = [text for _, text, _ in TABLE][:187]
    draw = random.Random(0)
    films = [film(body_part_examined=text) for text in draw.choices(spellings, k=21_372)]

    started = time.perf_counter()
    for instance in films:
        recognise(instance, Anatomy())

    assert time.perf_counter() - started < 1.0
