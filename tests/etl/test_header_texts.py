"""What a data steward reads before a run: the headers' texts by frequency, understood, without anybody's name."""

from __future__ import annotations

import pytest

from etl import header_texts
from etl.deidentify import Key
from etl.header_texts import HeaderTexts, TextRow
from etl.plan import plan_part
from etl.study import Instance, Source
from schemas.recipe import EtlRecipe

KEY = Key(b"0123456789abcdef")
WRIST = EtlRecipe.model_validate({"steps": ("anatomy",), "anatomy": {"keep": ("wrist",), "unknown": "drop"}})


def films(text: str, *patients: str, **facts: str) -> list[Instance]:
    """One film a patient."""
    return [
        Instance(
            source=Source(f"{text}{patient}{n}{facts}", "/x", "", 1000, 1), study_instance_uid=f"1.{patient}.{n}",
            sop_instance_uid=f"1.{text}.{patient}.{n}", sop_class_uid="1.2.840.10008.5.1.4.1.1.1", patient_id=patient,
            rows=9, columns=9, bits_allocated=8, body_part_examined=text, **{"modality": "CR", **facts},
        )
        for n, patient in enumerate(patients)
    ]  # fmt: skip


def texts_of(*instances: list[Instance], recipe: EtlRecipe = WRIST) -> HeaderTexts:
    texts = HeaderTexts(recipe.anatomy)
    for partition in instances:
        plan_part(partition, recipe, KEY, texts=texts)
    return texts


def rows(*instances: list[Instance], unmask: bool = False) -> list[TextRow]:
    return texts_of(*instances).rows(as_they_stand=unmask)


def test_values_come_by_frequency_with_what_they_mean_and_what_is_left_out() -> None:
    found = rows(films("MUÑECA", "a", "b", "b"), films("KNEE", "c", "d", "e", "f"), films("", "g"))

    assert [(row.text, row.files, row.patients, row.part, row.left_out) for row in found] == [
        ("KNEE", 4, 4, "knee", 4),
        ("MUÑECA", 3, 2, "wrist", 0),
        ("", 1, 1, None, 1),
    ]
    assert (found[1].code, found[1].score, found[1].decides) == ("74670003", 100.0, 3)


def test_ambiguity_side_and_view_are_told() -> None:
    (row,) = rows(films("MANO Y MUÑECA IZQ PA", "a"))

    assert (row.part, row.also, row.laterality, row.view) == ("wrist", ("hand",), "L", "PA")


def test_another_field_is_told_where_it_decides_and_where_nothing_does() -> None:
    found = rows(
        films("HAND", "a", study_description="XR WRIST"),
        films("EXTREMITY", "b", study_description="XR WRIST"),
        films("UNKNOWN", "c", series_description="LATERAL"),
    )

    assert {(row.field, row.text): row.decides for row in found} == {
        ("BodyPartExamined", "HAND"): 1,
        ("BodyPartExamined", "EXTREMITY"): 0,
        ("StudyDescription", "XR WRIST"): 1,
        ("BodyPartExamined", "UNKNOWN"): 0,
        ("SeriesDescription", "LATERAL"): 0,
    }


def test_films_that_are_left_out_before_their_part_is_asked_are_not_counted() -> None:
    assert rows(films("HAND", "a", modality="CT")) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("MANO IZQ. PEREZ", "MANO IZQ ***"),
        ("PEREZ^JUAN", "*** ***"),
        ("WRIST 19520304", "WRIST ***"),
        ("WRIST 1-2-3", "WRIST ***"),
        ("RX2041", "RX ***"),
        ("MUÑECCA", "~MUNECA"),
        ("手 WRIST", "WRIST"),
        ("Иванов", "***"),
        ("4711", "***"),
    ],
)
def test_a_text_of_one_or_two_patients_is_told_in_listed_words_alone(text: str, told: str) -> None:
    (row,) = rows(films(text, "a", "b"))

    assert (row.text, row.masked) == (told, True)
    assert rows(films(text, "a", "b"), unmask=True)[0].text == text


def test_a_code_of_the_recipe_is_told_as_the_recipe_has_it() -> None:
    recipe = EtlRecipe.model_validate({"steps": ("anatomy",), "anatomy": {"words": {"wrist": ("RX2041",)}}})

    (row,) = texts_of(films("RX2041 PEREZ", "a"), recipe=recipe).rows()

    assert (row.text, row.part) == ("RX2041 ***", "wrist")


@pytest.mark.parametrize("text", ["Muñeca izq.", "XR WRIST 3 VIEWS", "MUÃ‘ECA"])
def test_a_text_of_listed_words_alone_is_told_as_it_stands(text: str) -> None:
    (row,) = rows(films(text, "a"))

    assert (row.text, row.masked) == (text, False)


def test_a_text_that_three_patients_share_is_told_as_it_stands() -> None:
    (row,) = rows(films("MANO PROTOKOLL", "a", "b"), films("MANO PROTOKOLL", "c"))

    assert (row.text, row.patients, row.masked) == ("MANO PROTOKOLL", 3, False)


@pytest.mark.parametrize("ids", [("Q1", "q1", "Q1^X", "Q 1"), ("1", "01", "001"), ("Q-1", "Q01", "Q1")])
def test_one_person_under_many_spellings_of_an_id_is_no_three_patients(ids: tuple[str, ...]) -> None:
    (row,) = rows(*(films("MANO PEREZ", id_) for id_ in ids))

    assert (row.text, row.masked) == ("MANO ***", True)


def test_one_person_under_three_issuers_is_no_three_patients() -> None:
    (row,) = rows(*(films("MANO PEREZ", "1", issuer_of_patient_id=issuer) for issuer in "XYZ"))

    assert (row.text, row.masked) == ("MANO ***", True)


@pytest.mark.parametrize(
    ("text", "told"), [("DR HAND", "DR ***"), ("Herr Fuß", "HERR ***"), ("WRIST SRA. MANO 3", "*** SRA *** ***")]
)
def test_a_listed_word_beside_a_title_may_be_a_name(text: str, told: str) -> None:
    (rare,) = rows(films(text, "a", "b"))
    (shared,) = rows(films(text, "a", "b", "c"))

    assert (rare.text, rare.masked) == (told, True)
    assert (shared.text, shared.masked) == (text, False)


def test_films_without_a_patient_id_are_no_evidence_that_a_text_is_shared() -> None:
    (row,) = rows(films("MANO PEREZ", "", "", "", ""))

    assert (row.text, row.files, row.patients) == ("MANO ***", 4, 0)


def test_rare_texts_that_look_alike_are_one_row() -> None:
    (row,) = rows(films("MANO PEREZ", "a"), films("MANO GOMEZ", "b"))

    assert (row.text, row.texts, row.files, row.patients) == ("MANO ***", 2, 2, None)


def test_no_more_texts_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_texts, "KEPT", 10)
    many = [films(f"W{n} KNEE Q{'ABCDEFGHIJ'[n % 10] * (n + 1)}", f"p{n}") for n in range(40)]

    texts = texts_of(films("WRIST", "a", "b", "c"), *many)

    kept = texts.rows(as_they_stand=True)
    assert len(kept) <= 10
    assert texts.let_go >= 30
    assert (kept[0].text, kept[0].files) == ("WRIST", 3)
