"""The plan: what a header alone decides, and what a worker gets to do."""

from __future__ import annotations

from typing import Any

from etl.deidentify import Key
from etl.plan import MAX_FRAMES, Part, plan_part
from etl.study import Drop, Instance, Source
from schemas.recipe import EtlRecipe

KEY = Key(b"0123456789abcdef")
WRIST = EtlRecipe.model_validate({"steps": ("anatomy",), "anatomy": {"keep": ("wrist",), "unknown": "drop"}})


def film(name: str, size: int = 1_000_000, **facts: Any) -> Instance:
    facts = {"study_instance_uid": "1.1", "sop_instance_uid": f"1.1.{name}", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1",
             "modality": "CR", "rows": 100, "columns": 100, "bits_allocated": 16, **facts}  # fmt: skip
    return Instance(source=Source(name, "/x/" + name, "", size, 1), **facts)


def plan_of(*films: Instance, recipe: EtlRecipe | None = None) -> Part:
    return plan_part(films, recipe or EtlRecipe(), KEY)


def test_a_study_is_one_task_wherever_its_files_lie() -> None:
    plan = plan_of(film("a/1"), film("b/2"), film("c/3", study_instance_uid="1.2"))

    assert sorted(len(task.films) for task in plan.tasks) == [1, 2]


def test_an_unwanted_modality_is_a_drop_whose_detail_is_a_defined_term() -> None:
    plan = plan_of(film("1", modality="CT"), film("2", modality="DOE^JOHN"))

    assert [(row["reason"], row["detail"]) for row in plan.drops] == [("modality", "CT"), ("modality", "another modality")]


def test_a_dropped_multi_frame_file_has_a_row_per_frame_unless_its_claim_is_absurd() -> None:
    plan = plan_of(film("1", modality="CT", frames=3), film("2", modality="CT", frames=MAX_FRAMES + 1),
                   film("3", modality="CT", frames=500, size=100))  # fmt: skip

    assert [row["frame_index"] for row in plan.drops] == [0, 1, 2, 0, 0]


def test_a_large_study_is_left_out_whole_but_doubled_files_do_not_make_it_large() -> None:
    large = [film(str(n), study_instance_uid="9") for n in range(33)]
    doubled = [film(f"d{n}", study_instance_uid="8", sop_instance_uid=f"8.{n % 20}") for n in range(40)]

    plan = plan_of(*large, *doubled)

    assert len(plan.drops) == 33
    assert {row["reason"] for row in plan.drops} == {"study_too_large"}
    assert sum(len(task.films) for task in plan.tasks) == 40


def test_twins_travel_together_even_from_two_studies() -> None:
    plan = plan_of(film("a", sop_instance_uid="7"), film("b", sop_instance_uid="7", study_instance_uid="1.2"), film("c"))

    together = next(task for task in plan.tasks if any(film.twin_of for film in task.films))
    assert [film.source.name for film in together.films if film.twin_of] == ["a", "b"]
    assert [len(part.films) for part in together.parts()] == [2, 1]


def test_blank_sop_instance_uids_are_no_twins() -> None:
    plan = plan_of(film("a", sop_instance_uid=""), film("b", sop_instance_uid=""))

    assert all(not film.twin_of for task in plan.tasks for film in task.films)


def test_the_anatomy_filter_speaks_before_anything_is_decoded_and_never_quotes() -> None:
    plan = plan_of(film("1", body_part_examined="MUÑECA"), film("2", body_part_examined="Knee of John Doe"), recipe=WRIST)

    assert [f.columns["body_part"] for task in plan.tasks for f in task.films] == ["wrist"]
    assert "Doe" not in str(plan.drops)
    assert [row["reason"] for row in plan.drops] == ["anatomy"]


def test_what_is_no_dicom_file_has_no_ids_but_that_of_its_path() -> None:
    plan = plan_of(Instance(source=Source("note.txt", "/x", "", 5, 1), fate=Drop("not_dicom")))

    row = plan.drops[0]
    assert row["source_id"]
    assert [row[name] for name in ("patient_id", "study_id", "series_id", "instance_id")] == [None] * 4


def test_studies_of_a_patient_are_ranked_by_date() -> None:
    plan = plan_of(film("late", patient_id="p", study_instance_uid="2", study_date="20200201"),
                   film("early", patient_id="p", study_instance_uid="1", study_date="20200101"),
                   film("undated", patient_id="p", study_instance_uid="3"))  # fmt: skip

    order = {f.source.name: f.columns["acquired_order"] for task in plan.tasks for f in task.films}
    assert order == {"early": 0, "late": 1, "undated": 2}
