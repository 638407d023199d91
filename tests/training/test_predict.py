"""`train predict`: scores for studies that a model has not seen, from pictures or straight from DICOM."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console

from cluster.progress import Reporter
from cluster.span import Span
from etl import phantom
from etl.order import Order as EtlOrder
from etl.run import run as etl_run
from schemas.dataset import DatasetVersion
from schemas.errors import NothingUsable, RadforgeError
from schemas.loading import as_toml, load
from schemas.manifest import schema
from schemas.recipe import EtlRecipe
from schemas.train_recipe import Data, TrainRecipe
from schemas.train_scores import COLUMNS, SCORES
from schemas.training_run import TrainingRecord, TrainingRun, write_bytes, write_json
from tests.training.drawn_dataset import drawn_version
from training import predict as module
from training.data.films import read_films
from training.drift import training_statistics
from training.evaluate.decision import Decision, RuleDecision, write_decision
from training.loop import checkpoint
from training.models.build import build
from training.predict import Predicted, predict
from training.run import run as train_run
from training.run_folder import Order

QUIET = Reporter(Console(quiet=True), quiet=True)
DECISION = Decision(
    rules={
        "instance": RuleDecision(threshold=0.5, source="validation", temperature=2.0),
        "max": RuleDecision(threshold=0.52, source="validation"),
        "aggregator": RuleDecision(threshold=0.48, source="validation", temperature=0.5),
    }
)


def run_of(folder: Path, version: DatasetVersion, facts: dict[str, Any] | None = None, **changes: Any) -> TrainingRun:
    """A run with an untrained network, kept as the loop keeps its best one."""
    settings = {"data": {"size": (24, 32)}, "model": {"kind": "rx", "blocks": 2, "channels": (4, 8)}} | changes
    recipe = TrainRecipe.model_validate(settings)
    films = read_films(version, recipe.data)
    torch.manual_seed(0)
    known = {
        "mean": films.mean,
        "std": films.std,
        "version": version.version,
        "statistics": training_statistics(films, films.of("train")),
    }
    state = {
        "model": build(recipe.model, recipe.data.size).state_dict(),
        "recipe": recipe.model_dump_json(),
        "facts": known | (facts or {}),
    }
    checkpoint.save(folder / "checkpoints" / "best.pt", state)
    write_bytes(folder / "recipe.toml", as_toml(recipe).encode())
    record = TrainingRecord(
        recipe="rx",
        dataset=str(version.dataset),
        version=version.version,
        label="fracture",
        etl_recipe=version.card["recipe"],
        key_fingerprint=version.card["key_fingerprint"],
    )
    write_json(folder / "run.json", record.model_dump(mode="json"))
    write_decision(folder, DECISION)
    return TrainingRun.open(folder)


def leave_out(version: DatasetVersion) -> None:
    """A dropped twin and a broken file of the first study, a dropped study, and a file of no study."""
    first = version.table("manifest").sort_by("study_id").slice(0, 1).to_pylist()[0]
    ids = {"patient_id": first["patient_id"], "study_id": first["study_id"], "series_id": "s", "instance_id": "i"}
    alone = {"patient_id": "lonely patient", "study_id": "lonely study", "series_id": "s", "instance_id": "i"}
    none = dict.fromkeys(ids)
    drops = [
        {"source_id": "twin", "frame_index": 0, "region_index": None, **ids, "reason": "duplicate", "detail": "same pixels"},
        {"source_id": "elbow", "frame_index": 0, "region_index": None, **alone, "reason": "anatomy", "detail": "elbow"},
        {"source_id": "text", "frame_index": 0, "region_index": None, **none, "reason": "not_dicom", "detail": ""},
    ]
    failures = [{"source_id": "broken", "frame_index": 0, "region_index": None, **ids, "stage": "decode", "error": "cut short"}]
    for name, rows in (("drops", drops), ("failures", failures)):
        path = version.folder / name / "part-00000.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=schema(name)), path)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    drawn = drawn_version(tmp_path_factory.mktemp("drawn") / "ds", 16)
    leave_out(drawn)
    return drawn


@pytest.fixture
def asked(version: DatasetVersion, tmp_path: Path) -> Callable[..., tuple[Predicted, pa.Table]]:
    def ask(run: TrainingRun | None = None, out: str = "scores.parquet", **changes: Any) -> tuple[Predicted, pa.Table]:
        settings: dict[str, Any] = {"say": QUIET, "device": "cpu", "cache": tmp_path / "cache"} | changes
        run = run or run_of(tmp_path / "run", version)
        told = predict(run, settings.pop("paths", [version.dataset]), tmp_path / out, **settings)
        return told, pq.read_table(tmp_path / out)

    return ask


Asked = Callable[..., tuple[Predicted, pa.Table]]


def of_level(table: pa.Table, level: str, fate: str = "scored") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.filter(
        pc.and_(pc.equal(table["level"], level), pc.equal(table["fate"], fate))
    ).to_pylist()
    return rows


def test_every_picture_is_scored_and_every_study_by_its_highest_picture(version: DatasetVersion, asked: Asked) -> None:
    told, table = asked()

    manifest = version.table("manifest")
    pictures, studies = of_level(table, "instance"), of_level(table, "study")
    assert table.schema.equals(SCORES)
    assert sorted(row["image_id"] for row in pictures) == sorted(manifest["image_id"].to_pylist())
    assert {(row["image_id"], row["source_id"]) for row in pictures} == set(
        zip(manifest["image_id"].to_pylist(), manifest["source_id"].to_pylist(), strict=True)
    )
    assert [row["study_id"] for row in studies] == sorted(set(manifest["study_id"].to_pylist()))
    for study in studies:
        own = [row["logit"] for row in pictures if row["study_id"] == study["study_id"]]
        assert (study["logit"], study["views"], study["threshold"]) == (max(own), len(own), 0.52)
    assert (told.rule, told.studies, told.pictures) == ("max", len(studies), len(pictures))


def test_the_frozen_thresholds_and_temperatures_of_the_run_decide(asked: Asked) -> None:
    told, table = asked()

    for row in of_level(table, "instance"):
        assert row["probability"] == pytest.approx(1 / (1 + np.exp(-row["logit"])), abs=1e-12)
        assert row["probability_calibrated"] == pytest.approx(1 / (1 + np.exp(-row["logit"] / 2)), abs=1e-12)
        assert row["positive"] == (row["probability"] > 0.5)
    studies = of_level(table, "study")
    assert all(row["probability_calibrated"] is None for row in studies)
    assert told.positive == sum(row["probability"] > 0.52 for row in studies)


def test_a_model_of_studies_speaks_for_itself(version: DatasetVersion, asked: Asked, tmp_path: Path) -> None:
    told, table = asked(run_of(tmp_path / "mvcnn", version, views="all"))

    studies = of_level(table, "study")
    assert told.rule == "aggregator"
    assert {row["threshold"] for row in studies} == {0.48}
    assert all(row["probability_calibrated"] is not None for row in studies)
    assert sum(row["views"] for row in studies) == told.pictures


def test_what_was_not_scored_stays_with_its_reason(asked: Asked) -> None:
    told, table = asked()

    by_source = {row["source_id"]: row for row in table.to_pylist() if row["source_id"]}
    assert (by_source["twin"]["fate"], by_source["twin"]["reason"]) == ("drop", "duplicate")
    assert (by_source["broken"]["fate"], by_source["broken"]["detail"]) == ("failure", "cut short")
    assert by_source["text"]["study_id"] is None
    assert all(by_source[name]["positive"] is None and by_source[name]["views"] == 0 for name in ("twin", "broken", "elbow"))
    assert (told.drops, told.failures) == (3, 1)
    assert told.reasons == {"duplicate": 1, "anatomy": 1, "not_dicom": 1, "decode": 1}


def test_a_study_says_what_of_it_was_not_scored_also_when_that_is_all(asked: Asked) -> None:
    told, table = asked()

    first = of_level(table, "study")[0]
    lonely = of_level(table, "study", "drop")
    assert first["detail"] == "not scored: decode 1, duplicate 1"
    assert [(row["study_id"], row["reason"], row["detail"], row["positive"]) for row in lonely] == [
        ("lonely study", "no_picture", "not scored: anatomy 1", None)
    ]
    assert told.unscored_studies == 1


def test_rows_are_sorted_and_the_same_again(asked: Asked) -> None:
    _, first = asked()
    _, again = asked(out="again.parquet")

    assert again.equals(first)
    keys = [(row["study_id"] or "~", row["level"], row["source_id"] or "") for row in first.to_pylist()]
    assert keys == sorted(keys)


def test_films_without_any_label_are_scored(tmp_path: Path, asked: Asked) -> None:
    unlabelled = drawn_version(tmp_path / "new", {"test": 3}, labels={})

    told, _ = asked(paths=[unlabelled.folder])

    assert told.studies == 3


def test_films_unlike_the_training_are_told(version: DatasetVersion, tmp_path: Path, asked: Asked) -> None:
    films = read_films(version, Data(size=(24, 32)))
    statistics = training_statistics(films, films.of("train"))
    statistics["numbers"]["mean"] = {"low": 0.7, "high": 0.9, "average": 0.8}

    alike, _ = asked()
    unlike, _ = asked(run_of(tmp_path / "other", version, {"statistics": statistics}), out="unlike.parquet")

    own = "the run was trained on studies of this very version: only those of split test are new to it"
    assert alike.warnings == (own,)
    assert len(unlike.warnings) == 2
    assert unlike.warnings[1].startswith("unlike the training pictures in mean grey")


def test_pictures_are_padded_to_the_largest_of_training_not_of_their_company(
    version: DatasetVersion, tmp_path: Path, asked: Asked
) -> None:
    data = {"size": (24, 32), "fit": "pad_largest"}
    own = run_of(tmp_path / "own", version, data=data)
    state = checkpoint.load(own.best)
    wide = run_of(tmp_path / "wide", version, {"statistics": state["facts"]["statistics"] | {"largest": [96, 128]}}, data=data)

    _, first = asked(own)
    _, second = asked(wide, out="wide.parquet")

    assert not np.allclose(*(pc.drop_null(table["logit"]).to_numpy() for table in (first, second)))
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2  # one a canvas: neither is taken for the other


def test_an_order_that_cannot_be_is_refused_before_anything_is_done(
    version: DatasetVersion, asked: Asked, tmp_path: Path
) -> None:
    (tmp_path / "there.parquet").write_text("somebody's results")

    with pytest.raises(RadforgeError, match="is there already"):
        asked(out="there.parquet")
    with pytest.raises(RadforgeError, match="--key cannot be used with a dataset version"):
        asked(key=tmp_path / "key")
    with pytest.raises(RadforgeError, match="no such version"):
        asked(paths=[f"{version.dataset}@ffff"])
    assert (tmp_path / "there.parquet").read_text() == "somebody's results"


def test_when_nothing_is_usable_the_rows_still_say_why(
    monkeypatch: pytest.MonkeyPatch, version: DatasetVersion, asked: Asked, tmp_path: Path
) -> None:
    def none_usable(record: Any, delivery: Any, folder: Path, say: Reporter) -> DatasetVersion:
        for name in ("manifest", "drops", "failures"):
            (folder / name).mkdir()
            table = version.table(name)  # type: ignore[arg-type]
            pq.write_table(table.slice(0, 0 if name == "manifest" else None), folder / name / "part-00000.parquet")
        return DatasetVersion(folder, "")

    monkeypatch.setattr(module, "build_version", none_usable)

    with pytest.raises(NothingUsable, match=r"nothing could be scored.*anatomy 1"):
        asked(paths=[tmp_path])

    table = pq.read_table(tmp_path / "scores.parquet")
    assert set(table["fate"].to_pylist()) == {"drop", "failure"}
    assert len(of_level(table, "study", "failure")) == 1  # the study of the broken file and its twin


@pytest.mark.parametrize("error", [KeyboardInterrupt, RadforgeError])
def test_nothing_is_left_behind_when_it_ends_early(
    monkeypatch: pytest.MonkeyPatch, asked: Asked, tmp_path: Path, error: type[BaseException]
) -> None:
    def interrupted(record: Any, delivery: Any, folder: Path, say: Reporter) -> DatasetVersion:
        (folder / "dataset.private").mkdir()
        assert folder.stat().st_mode & 0o077 == 0
        raise error("stopped")

    monkeypatch.setattr(module, "build_version", interrupted)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    with pytest.raises(error):
        asked(paths=[tmp_path], cache=None)

    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / "scores.parquet").exists()


def test_every_column_says_what_it_is() -> None:
    assert [column.name for column in COLUMNS] == SCORES.names
    assert all(column.meaning for column in COLUMNS)


def test_from_raw_dicom_scores_and_ids_are_those_of_the_dataset_version(tmp_path: Path) -> None:
    phantom.draw(tmp_path / "phantom", 8, 5, size=(120, 100), splits=(4, 2, 2))
    order = EtlOrder(
        (tmp_path / "phantom" / "archive",),
        tmp_path / "ds",
        load(EtlRecipe, "wrist", "etl"),
        tmp_path / "phantom" / "labels.csv",
        workers=Span(1, 1),
    )
    version = DatasetVersion.open(etl_run(order, QUIET).folder)
    settings = {"epochs": 1, "data": {"size": (24, 32)}, "model": {"kind": "rx", "blocks": 2, "channels": (4, 8)}}
    recipe = TrainRecipe.model_validate(settings)
    run = train_run(Order(recipe, version, tmp_path / "run", device="cpu", cache=tmp_path / "cache"), QUIET)
    films, temporary = [tmp_path / "phantom" / "archive"], tmp_path / "temporary"

    known = predict(run, [version.dataset], tmp_path / "known.parquet", say=QUIET, device="cpu", cache=tmp_path / "cache")
    raw = predict(
        run, films, tmp_path / "raw.parquet", say=QUIET, device="cpu", cache=temporary, workers=1, crosswalk=tmp_path / "x.csv"
    )

    assert pq.read_table(tmp_path / "raw.parquet").equals(pq.read_table(tmp_path / "known.parquet"))
    assert (raw.pictures, raw.drops, raw.failures) == (known.pictures, known.drops, known.failures)
    assert raw.pictures > 8
    assert raw.drops > 0
    assert (tmp_path / "x.csv").exists()
    assert list(temporary.iterdir()) == []
