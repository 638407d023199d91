"""Figures with and without metal: the subgroup, and a condition over studies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.training.drawn_dataset import drawn_version
from training.evaluate.cases import Cases
from training.evaluate.decision import Decision
from training.evaluate.notes import on_mixed_studies
from training.evaluate.subgroups import subgroups
from training.evaluate.subset import studies_where

SHARES = {"s0": (0.02, 0.0), "s1": (0.0, 0.0), "s2": (0.0, None), "s3": (0.0002, 0.0)}


def manifest(shares: Sequence[tuple[str, float | None]]) -> pa.Table:
    rows = [
        {
            "image_id": f"{study}-{i}",
            "study_id": study,
            "manufacturer": "Agfa",
            "sex": "F",
            "age_years": 40,
            "view_position": "PA",
        }
        for i, (study, _) in enumerate(shares)
    ]
    return pa.Table.from_pylist(rows).append_column("metal_fraction", pa.array([share for _, share in shares], pa.float64()))


def metal_groups(table: pa.Table) -> dict[str, int]:
    ids = np.array(sorted(SHARES))
    cases = Cases(ids, ids, ids, np.array([1.0, 0.0, 1.0, 0.0]), np.full(4, 0.5))
    told = subgroups({"instance": cases, "max": cases}, Decision(rules={}, n_studies=0), table, count=20)
    return {entry["value"]: entry["n"] for entry in told if entry["group"] == "metal"}


def test_a_study_has_metal_when_any_of_its_pictures_shows_some() -> None:
    table = manifest([(study, share) for study, pair in SHARES.items() for share in pair])

    assert metal_groups(table) == {"no": 2, "yes": 1, "unknown": 1}


def test_versions_that_tell_nothing_of_metal_have_no_such_group() -> None:
    table = manifest([(study, None) for study in SHARES])

    assert metal_groups(table) == {}
    assert metal_groups(table.drop_columns(["metal_fraction"])) == {}


@pytest.mark.parametrize("whole", [False, True])
def test_a_condition_can_ask_for_studies_without_metal(tmp_path: Path, whole: bool) -> None:
    version = drawn_version(tmp_path, {"train": 2, "val": 2, "test": 4}, (2, 2), size=(16, 16))
    path = next((version.folder / "manifest").glob("*.parquet"))
    table = pq.read_table(path)
    with_plate = table["study_id"][0].as_py()  # in the first of its two pictures
    shares = pa.array([0.03, *[0.0] * (table.num_rows - 1)], pa.float64())
    pq.write_table(table.set_column(table.column_names.index("metal_fraction"), "metal_fraction", shares), path)

    condition = "study_id NOT IN (SELECT study_id FROM manifest WHERE metal_fraction >= 0.001)"
    kept = studies_where(version, condition if whole else "metal_fraction < 0.001")

    assert (with_plate in kept) is not whole
    assert len(kept) == (7 if whole else 8)
    assert [study for study, all_of_it in kept.items() if not all_of_it] == ([] if whole else [with_plate])


def test_studies_kept_for_some_of_their_pictures_are_told_with_the_condition_that_leaves_them_out() -> None:
    rows = pa.table({"study_id": ["a", "a", "b"]})

    (note,) = on_mixed_studies(rows, {"a": False, "b": True, "elsewhere": False}, "metal_fraction < 0.001")

    assert note.startswith("1 of the 2 studies")
    assert "study_id NOT IN (SELECT study_id FROM manifest WHERE (metal_fraction < 0.001) IS NOT TRUE)" in note
    assert on_mixed_studies(rows, {"a": True, "b": True}, "sex = 'F'") == []
