"""The page, the card, and which studies they are about."""

from __future__ import annotations

import csv
import html.parser
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.training_run import TrainingRun
from tests.training.drawn_dataset import drawn_version
from tests.training.drawn_run import predictions, write_run
from training.evaluate.decision import decide, write_decision
from training.evaluate.evaluate import chosen_rows, evaluate, evaluate_run
from training.evaluate.model_card import render_card
from training.evaluate.report import render, write_report
from training.evaluate.subgroups import age_band
from training.evaluate.wording import duration, number

FEW = 40
"""Resamples, where the interval is not what is tested."""


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    labels = {
        "fracture": lambda study, positive: int(positive),
        "revised": lambda study, positive: None if study % 7 == 0 else int(positive != (study % 5 == 0)),
        "words": lambda study, positive: "broken" if positive else "whole",
    }
    return drawn_version(
        tmp_path_factory.mktemp("report") / "ds", {"train": 2, "val": 40, "test": 70}, size=(32, 24), labels=labels
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, version: DatasetVersion) -> TrainingRun:
    folder = tmp_path_factory.mktemp("runs") / "mvcnn-seed0"
    run = write_run(folder, version, skill=1.5, warnings=("The run has not left chance <yet>.",))
    write_decision(run.folder, decide(run.predictions("val")))
    return run


@pytest.fixture(scope="module")
def result(run: TrainingRun, version: DatasetVersion) -> dict[str, Any]:
    return evaluate_run(run, version, count=FEW)


@pytest.fixture(scope="module")
def text(run: TrainingRun, version: DatasetVersion, result: dict[str, Any]) -> str:
    return render(run, version, result, chosen_rows(run, version))


def page(run: TrainingRun, version: DatasetVersion | None, **asked: Any) -> str:
    return render(run, version, evaluate_run(run, version, count=FEW, **asked), chosen_rows(run, version, **asked))


class Tags(html.parser.HTMLParser):
    """Checks nesting, and collects attributes and ids."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_by_itself(text: str) -> None:
    tags = Tags(text)

    assert tags.open == []
    names = [name for name, _ in tags.tags]
    assert "script" not in names
    assert "link" not in names
    links = [value for _, attributes in tags.tags for key, value in attributes.items() if key in ("src", "href", "xlink:href")]
    assert links
    assert all(value and value.startswith(("data:image/jpeg;base64,", "#")) for value in links)
    assert "url(http" not in text
    ids = [attributes["id"] for _, attributes in tags.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link and link.startswith("#")} <= set(ids)


def test_the_page_is_the_same_each_time(
    run: TrainingRun, version: DatasetVersion, result: dict[str, Any], text: str, tmp_path: Path
) -> None:
    write_report(tmp_path / "report.html", run, version, result, chosen_rows(run, version))

    assert (tmp_path / "report.html").read_text("utf-8") == text


def test_the_page_tells_figures_warnings_and_facts(version: DatasetVersion, result: dict[str, Any], text: str) -> None:
    figures = result["study"]["aggregator"]
    assert number(figures["auc"]) in text
    assert number(figures["auc_ci"][0]) in text
    assert "The run has not left chance &lt;yet&gt;." in text
    for word in ("Manufacturer", "Agfa", "3 min 20 s", "0123abc", "chosen on the 40 validation studies", "3 studies without"):
        assert word in text
    assert str(version.dataset.parent) not in text


def test_the_worst_mistakes_are_shown_with_every_view(
    run: TrainingRun, version: DatasetVersion, text: str, tmp_path: Path
) -> None:
    evaluate_run(run, version, count=FEW, export_errors=tmp_path / "wrong.parquet")
    wrong = pq.read_table(tmp_path / "wrong.parquet").to_pylist()
    missed = [row for row in wrong if row["target"] == 1][:6]
    alarms = [row for row in wrong if row["target"] == 0][:6]

    assert missed
    assert alarms
    assert all(row["study_id"] in text for row in missed + alarms)
    assert text.count("data:image/jpeg") == sum(len(row["image_ids"]) for row in missed + alarms)


def test_a_missing_picture_leaves_a_gap_and_not_a_crash(tmp_path: Path) -> None:
    version = drawn_version(tmp_path / "ds", {"train": 2, "val": 20, "test": 30}, size=(16, 16))
    run = write_run(tmp_path / "run", version, skill=0.5)
    write_decision(run.folder, decide(run.predictions("val")))
    for picture in (version.folder / "images").rglob("*.png"):
        picture.unlink()

    assert "not there" in page(run, version)


def test_without_the_dataset_there_are_figures_but_no_groups_and_pictures(run: TrainingRun) -> None:
    text = page(run, None)

    assert "Groups of patients" not in text
    assert "data:image" not in text
    with pytest.raises(RadforgeError, match="dataset is not there"):
        evaluate_run(run, None, where="sex = 'F'")


def test_the_card_has_a_head_that_machines_read(run: TrainingRun, version: DatasetVersion, result: dict[str, Any]) -> None:
    card = render_card(run, result)

    head = yaml.safe_load(card.split("---\n")[1])
    metrics = {each["type"]: each["value"] for each in head["model-index"][0]["results"][0]["metrics"]}
    assert metrics["auc"] == pytest.approx(result["study"]["aggregator"]["auc"], abs=1e-4)
    for title in ("Intended use", "Training data", "Results", "Subgroups", "Limits", "Ethics"):
        assert f"# {title}" in card
    tables = [line for line in card.splitlines() if line.startswith("|")]
    results = [line for line in tables if line.startswith(("| decides", "| Single", "| Major", "| At least", "| Aggreg"))]
    assert len(results) == 5
    assert {line.count("|") for line in results} == {7}
    assert str(version.dataset.parent) not in card


def test_the_result_is_json_without_nan(result: dict[str, Any]) -> None:
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_condition_narrows_the_studies(run: TrainingRun, version: DatasetVersion, result: dict[str, Any]) -> None:
    women = evaluate_run(run, version, count=FEW, where="sex = 'F' -- not men")

    groups = {entry["value"] for entry in women["subgroups"] if entry["group"] == "sex"}
    assert groups == {"F"}
    assert women["n_studies"] < result["n_studies"]
    assert women["study"]["max"]["threshold"] == result["study"]["max"]["threshold"]
    assert "Not the whole split" in page(run, version, where="sex = 'F'")


@pytest.mark.parametrize(
    "condition",
    [
        "true) OR EXISTS (SELECT * FROM read_csv('{secret}')",
        "study_id IN (SELECT content FROM read_text('{secret}'))",
        "true); COPY (SELECT 1) TO '{target}'; SELECT (true",
        "true); SET enable_external_access = true; SELECT (true",
        "study_id IN (SELECT study_id FROM other)",
        "no_such_column = 1",
        "sex = ",
    ],
)
def test_a_condition_can_open_no_file_write_none_and_see_no_variable(
    run: TrainingRun, version: DatasetVersion, tmp_path: Path, condition: str
) -> None:
    other = pa.table({"study_id": ["x"]})
    secret, target = tmp_path / "secret.csv", tmp_path / "written.csv"
    secret.write_text("a\nhidden-word\n")

    with pytest.raises(RadforgeError) as raised:
        evaluate_run(run, version, count=FEW, where=condition.format(secret=secret, target=target))

    assert "hidden-word" not in str(raised.value)
    assert not target.exists()
    assert other.num_rows == 1


def test_a_file_of_studies_narrows_them_whatever_its_kind(run: TrainingRun, version: DatasetVersion, tmp_path: Path) -> None:
    evaluate_run(run, version, count=FEW, export_errors=tmp_path / "wrong.csv")
    evaluate_run(run, version, count=FEW, export_errors=tmp_path / "wrong.parquet")
    with (tmp_path / "wrong.csv").open() as file:
        wrong = list(csv.DictReader(file))
    (tmp_path / "wrong.txt").write_text("\ufeff" + "\n".join(row["study_id"] for row in wrong) + "\n", "utf-8")

    results = [evaluate_run(run, version, count=FEW, studies=tmp_path / f"wrong.{kind}") for kind in ("csv", "parquet", "txt")]

    assert {result["n_studies"] for result in results} == {len(wrong)}
    assert {result["study"]["aggregator"]["accuracy"] for result in results} == {0.0}
    assert set(wrong[0]) == {"study_id", "image_ids", "target", "score", "threshold", "rule"}
    assert {row["rule"] for row in wrong} == {"aggregator"}


def test_studies_that_are_unknown_or_unreadable_are_told(run: TrainingRun, version: DatasetVersion, tmp_path: Path) -> None:
    known = run.predictions("test")["study_id"].to_pylist()[0]
    for name, text in (("unknown.txt", f"{known}\nnobody\n"), ("empty.txt", "\n"), ("odd.csv", "study\nx\n")):
        (tmp_path / name).write_text(text)

    with pytest.raises(RadforgeError, match=r"1 of 2 studies have no prediction.*nobody"):
        evaluate_run(run, version, count=FEW, studies=tmp_path / "unknown.txt")
    with pytest.raises(RadforgeError, match="names no study"):
        evaluate_run(run, version, count=FEW, studies=tmp_path / "empty.txt")
    for name in ("odd.csv", "gone.csv", "gone.parquet"):
        with pytest.raises(RadforgeError, match="cannot be read"):
            evaluate_run(run, version, count=FEW, studies=tmp_path / name)
    with pytest.raises(RadforgeError, match="no study is left"):
        evaluate_run(run, version, count=FEW, where="sex = 'X'")
    with pytest.raises(RadforgeError, match="unknown ending"):
        evaluate_run(run, version, count=FEW, export_errors=tmp_path / "wrong.xlsx")


def test_studies_of_one_class_have_the_figures_that_are_defined(run: TrainingRun, version: DatasetVersion) -> None:
    result = evaluate_run(run, version, count=FEW, where="label_fracture = 1")

    figures = result["study"]["aggregator"]
    assert figures["sensitivity"] == figures["accuracy"]
    assert figures["specificity"] is None
    assert figures["auc"] is None
    assert any("specificity, AUC" in note for note in result["notes"])
    assert "no curve to draw" in page(run, version, where="label_fracture = 1")


def test_a_revised_label_replaces_the_targets(run: TrainingRun, version: DatasetVersion) -> None:
    rows = chosen_rows(run, version, label="revised").to_pylist()

    truth = {row["study_id"]: row["label_revised"] for row in version.table("manifest").to_pylist()}
    assert [row["target"] for row in rows] == [truth[row["study_id"]] for row in rows]
    result = evaluate_run(run, version, count=FEW, label="revised")
    assert result["unlabelled_studies"] == 10
    assert result["n_studies"] == 60
    assert result["study"]["aggregator"]["accuracy"] != evaluate_run(run, version, count=FEW)["study"]["aggregator"]["accuracy"]


def test_a_label_that_is_not_there_or_not_clear_is_told(run: TrainingRun, version: DatasetVersion) -> None:
    with pytest.raises(RadforgeError, match="no such label"):
        evaluate_run(run, version, count=FEW, label="revise")
    with pytest.raises(RadforgeError, match="positive"):
        evaluate_run(run, version, count=FEW, label="words")


def test_another_dataset_is_refused(run: TrainingRun, tmp_path: Path) -> None:
    other = drawn_version(tmp_path / "other", {"train": 2, "val": 2, "test": 2}, size=(16, 16), seed=9)

    with pytest.raises(RadforgeError, match="does not hold all predicted studies"):
        evaluate_run(run, other)


def test_groups_are_counted_whole_and_small_ones_have_no_figures(run: TrainingRun, version: DatasetVersion) -> None:
    result = evaluate_run(run, version, count=FEW)
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in result["subgroups"]:
        groups.setdefault(entry["group"], []).append(entry)

    assert set(groups) == {"manufacturer", "sex", "age", "view position"}
    for name, entries in groups.items():
        assert sum(entry["n"] for entry in entries) == (70 if name != "view position" else result["n_instances"])
    few = evaluate_run(run, version, count=FEW, where="age_years < 24")
    assert [entry["untold"] for entry in few["subgroups"] if entry["group"] == "age"] == ["fewer than 10"]
    assert all(("untold" in entry) != ("figures" in entry) for entry in result["subgroups"] + few["subgroups"])


def test_a_groups_figures_are_those_of_its_studies_alone(run: TrainingRun, version: DatasetVersion) -> None:
    agfa = next(entry for entry in evaluate_run(run, version, count=FEW)["subgroups"] if entry["value"] == "Agfa")

    alone = evaluate_run(run, version, count=FEW, where="manufacturer = 'Agfa'")["study"]["aggregator"]

    assert agfa["figures"]["accuracy"] == alone["accuracy"]
    assert agfa["figures"]["auc_ci"] == alone["auc_ci"]


@pytest.mark.parametrize(
    ("age", "band"), [(0, "0-17"), (17, "0-17"), (18, "18-39"), (64, "40-64"), (65, "65+"), (89, "65+"), (None, "unknown")]
)
def test_ages_fall_into_bands(age: int | None, band: str) -> None:
    assert age_band({"age_years": age}) == band


def test_notes_say_what_the_lead_over_at_least_one_is_made_of() -> None:
    rng = np.random.default_rng(0)
    pictures, whole = [], []
    for study in range(200):
        target, name = study % 2, f"s{study:03d}"
        # Views of negative studies often pass 0.5, one view of a positive study always far more.
        scores = rng.uniform(0.3, 0.7, 3)
        scores[0] = 0.9 if target else scores[0]
        pictures += [(name, name, target, float(score)) for score in scores]
        whole.append((name, name, target, 0.9 if target else 0.1))
    rows = pa.concat_tables([predictions(pictures), predictions(whole, "study")])

    notes = " ".join(evaluate(rows, decide(rows), count=50)["notes"])

    assert "too eager" in notes
    assert "leads “at least one” at 0.5" in notes
    assert "up to 1.5% of new studies" in notes


def test_thresholds_on_their_own_studies_and_missing_ones_are_told() -> None:
    rows = predictions([("a", "p", 1, 0.9), ("b", "q", 0, 0.2)], split="val")

    assert any("too good" in note for note in evaluate(rows, decide(rows), split="val", count=10)["notes"])
    assert any("every threshold is 0.5" in note for note in evaluate(rows, decide(None), count=10)["notes"])
    assert any("another dataset version" in note for note in evaluate(rows, decide(rows), own=False, count=10)["notes"])


def test_durations_read_well() -> None:
    assert [duration(seconds) for seconds in (12.4, 200, 7500)] == ["12 s", "3 min 20 s", "2 h 5 min"]


def test_evaluation_needs_no_torch() -> None:
    modules = sorted(path.stem for path in (Path(__file__).parents[2] / "training" / "evaluate").glob("[!_]*.py"))
    imports = "; ".join(f"import training.evaluate.{name}" for name in modules)

    script = f"{imports}; import sys; sys.exit(bool({{'torch', 'etl', 'pydicom', 'dask'}} & set(sys.modules)))"

    assert "report" in modules
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=Path(__file__).parents[2]).returncode == 0
