"""`train explain`, from a run and a dataset version to pictures, rows and scores."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console

from cluster.progress import Reporter
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.train_recipe import Data, RxModel, TrainRecipe
from schemas.training_run import TrainingRun
from tests.training.drawn_dataset import drawn_version
from training.explain import sanity
from training.explain.choose import Case, choose
from training.explain.explain import explain
from training.explain.files import ROWS
from training.explain.overlay import blend
from training.explain.pointing import read_places, score, shoot
from training.models.build import build

QUIET = Reporter(Console(quiet=True), quiet=True)
MODEL = RxModel(blocks=2, channels=(4, 8), norm="none")


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    return drawn_version(tmp_path_factory.mktemp("drawn"), {"train": 4, "val": 4, "test": 12}, views=(1, 2))


def run_of(folder: Path, version: DatasetVersion, views: str = "one") -> TrainingRun:
    """A run whose network answers to what is brighter than a limb: the bar."""
    recipe = TrainRecipe(name="bright", views=views, data=Data(size=(48, 64)), model=MODEL)  # type: ignore[arg-type]
    model = build(MODEL, recipe.data.size)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            torch.nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    torch.nn.init.constant_(model.classifier[1].weight, 1.0)
    torch.nn.init.constant_(model.classifier[1].bias, -8 * 0.5)
    (folder / "checkpoints").mkdir(parents=True)
    largest = {"largest": [48, 64]}
    facts = {"mean": 0.35, "std": 0.25, "label": "fracture", "version": version.version, "statistics": largest}
    state = {"recipe": recipe.model_dump_json(), "model": model.state_dict(), "facts": facts}
    torch.save(state, folder / "checkpoints" / "best.pt")
    return TrainingRun(folder)


def truth_of(version: DatasetVersion, folder: Path) -> tuple[Path, Path]:
    """truth.csv and a crosswalk as `etl` writes them: the place is the middle of the bar."""
    truth, crosswalk = folder / "truth.csv", folder / "crosswalk.csv"
    rows, ways = [], []
    for row in version.table("manifest").to_pylist():
        picture = version.picture(row)
        bright = np.argwhere(picture > 180)
        y, x = bright.mean(axis=0) if row["label_fracture"] else ("", "")
        path = f"films/{row['source_id']}.dcm"
        shows = str(bool(row["label_fracture"])).lower()
        rows.append({"source_path": path, "frame_index": 0, "fracture": shows, "fracture_x": x, "fracture_y": y})
        ways.append({"source_id": row["source_id"], "source_path": path, "frame_index": 0})
    for path, lines in ((truth, rows), (crosswalk, ways)):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
    return truth, crosswalk


def explained(tmp_path: Path, version: DatasetVersion, views: str = "one", **wishes: Any) -> tuple[Path, dict[str, Any]]:
    out = tmp_path / "out"
    run = run_of(tmp_path / "run", version, views)
    return out, explain(run, version, out, device="cpu", cache=tmp_path / "cache", say=QUIET, **wishes)


@pytest.mark.parametrize("method", ["gradcam", "lrp"])
@pytest.mark.parametrize("views", ["one", "all"])
def test_it_writes_a_page_rows_overlays_and_heat_as_large_as_the_stored_film(
    version: DatasetVersion, tmp_path: Path, method: str, views: str
) -> None:
    out, told = explained(tmp_path, version, views, method=method, limit=4)

    rows = pq.read_table(out / "explain.parquet")
    page = (out / "index.html").read_text("utf-8")
    manifest = {row["image_id"]: row for row in version.table("manifest").to_pylist()}
    assert rows.schema.equals(ROWS)
    assert len(told["explained"]) == 4 == len(set(rows["study_id"].to_pylist()))
    for row in rows.to_pylist():
        heat = cv2.imread(str(out / row["study_id"] / f"{row['image_id']}.heat.png"), cv2.IMREAD_UNCHANGED)
        film = manifest[row["image_id"]]
        assert heat.shape == (film["source_rows"], film["source_columns"])
        assert heat.dtype == np.uint8
        assert cv2.imread(str(out / row["study_id"] / f"{row['image_id']}.png")).shape[2] == 3
        assert row["image_id"] in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert ("view weight" in page) == (views == "all")
    assert json.loads((out / "explain.json").read_text("utf-8")) == json.loads(json.dumps(told))


def test_view_weights_of_a_study_sum_to_one(version: DatasetVersion, tmp_path: Path) -> None:
    out, told = explained(tmp_path, version, "all", limit=50)

    weights: dict[str, float] = {}
    for row in pq.read_table(out / "explain.parquet").to_pylist():
        weights[row["study_id"]] = weights.get(row["study_id"], 0.0) + row["view_weight"]
    assert len(weights) == told["studies"] == 12
    assert list(weights.values()) == pytest.approx([1.0] * 12, abs=1e-5)


@pytest.mark.parametrize("method", ["gradcam", "lrp"])
def test_the_peak_points_at_the_bar_where_the_network_sees_one(version: DatasetVersion, tmp_path: Path, method: str) -> None:
    truth, crosswalk = truth_of(version, tmp_path)

    _, told = explained(tmp_path, version, method=method, truth=truth, crosswalk=crosswalk, limit=2)

    assert told["pointing"]["films"] >= 6
    assert told["pointing"]["share"] == 1.0
    assert 0 < told["pointing"]["chance"] < 0.7


def test_only_the_studies_of_a_file_are_explained(version: DatasetVersion, tmp_path: Path) -> None:
    wanted = sorted(row["study_id"] for row in version.table("manifest").to_pylist() if row["split"] == "test")[0]
    (tmp_path / "studies.txt").write_text(f"{wanted}\n")

    _, told = explained(tmp_path, version, studies=tmp_path / "studies.txt")

    assert told["explained"] == [wanted]


def test_an_explanation_does_not_overwrite_anything(version: DatasetVersion, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("mine")

    with pytest.raises(RadforgeError, match="is there already"):
        explained(tmp_path, version)


def test_truth_without_its_crosswalk_is_refused(version: DatasetVersion, tmp_path: Path) -> None:
    truth, _ = truth_of(version, tmp_path)

    with pytest.raises(RadforgeError, match="go together"):
        explained(tmp_path, version, truth=truth)


def test_truth_of_another_archive_is_refused(version: DatasetVersion, tmp_path: Path) -> None:
    truth, crosswalk = truth_of(version, tmp_path)
    crosswalk.write_text(crosswalk.read_text().replace("films/", "other/"))

    with pytest.raises(RadforgeError, match="no film in common"):
        read_places(truth, crosswalk)


def test_a_peak_hits_within_the_box_and_ten_pixels_and_misses_beyond() -> None:
    row = {
        "transform": [1, 0, 0, 0, 1, 0],
        "rows": 200, "columns": 100, "source_rows": 200, "source_columns": 100,
    }  # fmt: skip
    limb = np.zeros((200, 100), np.uint8)
    limb[:, 30:70] = 200
    reach = 0.05 * 200 + 10

    shots = [shoot(row, limb, (50, 100), peak) for peak in ((50 + reach, 100), (50 + reach + 0.1, 100), (50, 79), None)]

    assert [shot is not None and shot.hit for shot in shots] == [True, False, False, False]
    assert shots[0] is not None
    assert shots[0].chance == pytest.approx(40 * 41 / (40 * 200))
    assert shoot(row, limb, (120, 100), (120, 100)) is None  # not on this picture
    told = score([shot for shot in shots if shot])
    assert (told.films, told.hits) == (4, 1)
    assert "1 of 4" in told.sentence


def test_half_of_the_studies_are_found_ones_and_half_the_worst_mistakes() -> None:
    def case(name: str, target: float, distance: float) -> Case:
        return Case(name, np.array([0]), target, distance, distance)

    found = [case(f"found {n}", 1, n) for n in (1, 2, 3)]
    missed, alarm, quiet = case("missed", 1, -2), case("alarm", 0, 5), case("quiet", 0, -3)

    names = [each.study_id for each in choose([quiet, *found, missed, alarm], 4)]
    more = [each.study_id for each in choose([quiet, *found, missed, alarm], 6)]

    assert names == ["found 3", "found 2", "alarm", "missed"]
    assert sorted(more) == sorted(["found 1", "found 2", "found 3", "alarm", "missed", "quiet"])
    assert [each.verdict for each in (found[0], missed, alarm, quiet)] == ["found", "missed", "false alarm", "rightly negative"]


def test_maps_that_do_not_change_with_the_weights_fail_the_sanity_check() -> None:
    rng = np.random.default_rng(0)
    maps = list(rng.normal(size=(3, 20, 20)).astype(np.float32))
    others = list(rng.normal(size=(3, 20, 20)).astype(np.float32))

    same, different = sanity.compare(maps, [-2 * each for each in maps]), sanity.compare(maps, others)
    nothing = sanity.compare(maps[:1], [np.zeros((20, 20), np.float32)])

    assert same.rank_correlation == pytest.approx(1)
    assert "hardly depend" in same.sentence
    assert different.rank_correlation < 0.2
    assert "depend on what the network learned" in different.sentence
    assert nothing.pictures == 0


def test_red_is_for_and_blue_is_against() -> None:
    blue, green, red = np.moveaxis(blend(np.full((1, 3), 100, np.uint8), np.array([[1, 0, -1]], np.float32)), 2, 0)

    assert red[0, 0] > 180
    assert blue[0, 0] < 80
    assert [blue[0, 1], green[0, 1], red[0, 1]] == [100, 100, 100]
    assert blue[0, 2] > 180
    assert red[0, 2] < 80
