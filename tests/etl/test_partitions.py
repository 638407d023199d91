"""What must be judged together stands together, and a plan in pieces is the plan of the whole."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.archive.index import Index, instances_in, rows_of, save
from etl.archive.walk import Found
from etl.deidentify import Key
from etl.labels import Labels
from etl.partitions import partition
from etl.planning import Plan, make_plan
from etl.scratch import Scratch
from etl.study import Drop, Instance, Source
from schemas.manifest import TABLES
from schemas.recipe import EtlRecipe

KEY = Key(b"0123456789abcdef")
LABELS = Labels(("StudyInstanceUID",), rows={(str(n),): {} for n in range(9)}, splits={("1",): "val"})

few = st.sampled_from(("", "1", "2", "3", "4"))
header = st.fixed_dictionaries(
    {
        "study_instance_uid": few,
        "sop_instance_uid": few,
        "patient_id": few,
        "issuer_of_patient_id": st.sampled_from(("", "A")),
        "study_date": st.sampled_from(("", "20200101", "20210101")),
        "modality": st.sampled_from(("CR", "CT")),
        "body_part_examined": st.sampled_from(("WRIST", "KNEE", "")),
        "fate": st.sampled_from((None, None, None, Drop("not_an_image", "report"))),
    }
)
archive = st.lists(header, min_size=1, max_size=14).map(
    lambda headers: [
        Instance(source=Source(f"{n:02d}", f"/x/{n:02d}", "", 9, n), rows=8, columns=8, sop_class_uid="1.2", **facts)
        for n, facts in enumerate(headers)
    ]
)


def index_of(instances: Sequence[Instance], folder: Path) -> Index:
    entries = [(Found(i.source.name, i.source.path, i.source.size, i.source.mtime_ns), [i]) for i in instances]
    save(folder / "index", [rows_of(entries)])
    return Index(folder / "index", ())


def linked(one: Instance, other: Instance) -> bool:
    patients = [(i.patient_id, i.issuer_of_patient_id) for i in (one, other)]
    return (
        (one.study_instance_uid == other.study_instance_uid != "")
        or (one.sop_instance_uid == other.sop_instance_uid != "")
        or (patients[0] == patients[1] and one.patient_id != "")
    )


@given(archive, st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_no_partition_splits_a_study_a_patient_or_twins_and_none_loses_a_file(films: list[Instance], size: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Scratch(Path(folder) / "work") as scratch:
        buckets = partition(index_of(films, Path(folder)), scratch, size)
        parts = [instances_in(buckets.take(number)) for number in range(buckets.count)]

    place = {instance.source.name: number for number, part in enumerate(parts) for instance in part}
    assert sorted(instance.source.name for part in parts for instance in part) == [film.source.name for film in films]
    assert all(place[a.source.name] == place[b.source.name] for a, b in combinations(films, 2) if linked(a, b))
    assert all(parts)


def test_strangers_are_put_into_partitions_of_the_size_asked_for(tmp_path: Path) -> None:
    films = [Instance(source=Source(f"{n:03d}", "/x", "", 9, 1), study_instance_uid=f"{n}") for n in range(100)]

    with Scratch(tmp_path / "work") as scratch:
        buckets = partition(index_of(films, tmp_path), scratch, 10)
        sizes = [len(buckets.take(number)) for number in range(buckets.count)]

    assert sizes == [10] * 10


def test_a_long_chain_of_twins_is_one_partition(tmp_path: Path) -> None:
    films = [
        Instance(source=Source(f"{n:04d}", "/x", "", 9, 1), study_instance_uid=f"{n // 2}", sop_instance_uid=f"{(n + 1) // 2}")
        for n in range(2000)
    ]

    with Scratch(tmp_path / "work") as scratch:
        assert partition(index_of(films, tmp_path), scratch, 10).count == 1


@given(archive, st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_a_plan_in_pieces_is_the_plan_of_the_whole(films: list[Instance], size: int) -> None:
    recipe = EtlRecipe.model_validate(
        {"steps": ["anatomy"], "anatomy": {"keep": ["wrist"], "unknown": "keep"}, "study": {"max_instances": 3},
         "select": {"modalities": ["CR"]}}
    )  # fmt: skip

    pieces, whole = (decided(films, recipe, own) for own in (size, 1000))

    assert pieces == whole


def decided(films: list[Instance], recipe: EtlRecipe, size: int) -> dict[str, Any]:
    """Everything a plan says."""
    with tempfile.TemporaryDirectory() as folder, Scratch(Path(folder) / "work") as scratch:
        plan: Plan = make_plan(index_of(films, Path(folder)), recipe, KEY, LABELS, scratch, size)
        work = plan.work
        return {
            "tasks": list(work.tasks.heavy_first()),
            "digests": [work.tasks.digests[task.study_id] == task.digest for task in work.tasks.heavy_first()],
            "rows": [{name: tables[name].to_pylist() for name in TABLES} for tables in work.rows.by_source()],
            "sources": sorted(work.sources),
            "reasons": work.reasons,
            "counts": (plan.files, plan.bytes, plan.studies, plan.patients, work.tasks.frames(), work.tasks.seconds()),
            "labels": (plan.unmatched, plan.studies_labelled, plan.studies_without),
            "parts": (plan.body_parts, plan.syntaxes),
        }
