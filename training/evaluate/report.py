"""`RUN/report.html`: one self-contained page about a run, to be read by whoever has to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa

from schemas.dataset import DatasetVersion
from schemas.training_run import TrainingRun, write_bytes
from training.evaluate import plots, wording
from training.evaluate.cases import floats, strings
from training.evaluate.mistakes import Mistake, mistakes
from training.evaluate.pictures import data_url
from training.evaluate.votes import RULES, cases_by_rule

SHOWN = 6
"""Worst mistakes shown of either kind."""


def write_report(
    path: Path, run: TrainingRun, version: DatasetVersion | None, result: Mapping[str, Any], rows: pa.Table
) -> None:
    """Write the page. `result` is what `evaluate_run` said of `rows` (`chosen_rows`); without a version there are no
    pictures. Raises RadforgeError when the disk refuses.
    """
    write_bytes(path, render(run, version, result, rows).encode("utf-8"))


def render(run: TrainingRun, version: DatasetVersion | None, result: Mapping[str, Any], rows: pa.Table) -> str:
    """The page as HTML: no link, no script, every picture inside."""
    rules = cases_by_rule(rows)
    rule = result["headline"]
    named = {wording.RULE_NAMES[name]: rules[name] for name in dict.fromkeys((rule, "max"))}
    thresholds = {wording.RULE_NAMES[name]: result["study"][name]["threshold"] for name in dict.fromkeys((rule, "max"))}
    found = mistakes(rows, rules[rule], rule, result["study"][rule]["threshold"])
    calibration = {"as it is": result["calibration"]["raw"], "temperature scaled": result["calibration"]["scaled"]}
    return template("report.html.j2", escape=True).render(
        facts(run, result)
        | {
            "plots": {
                "roc": plots.roc(named, thresholds),
                "pr": plots.precision_recall(named),
                "calibration": plots.calibration(calibration),
                "training": plots.training_curves(run.metrics()),
            },
            "found": found,
            "mistakes": [
                ("Missed", "positive, called negative", _shown(found, 1, version, rows)),
                ("False alarms", "negative, called positive", _shown(found, 0, version, rows)),
            ],
            "recipe_text": (run.folder / "recipe.toml").read_text("utf-8"),
        }
    )


def facts(run: TrainingRun, result: Mapping[str, Any]) -> dict[str, Any]:
    """What the report and the model card tell alike."""
    record, recipe = run.record, run.recipe
    header, classes = wording.classes_table(record)
    groups = [
        (wording.GROUP_NAMES[name], list(entries))
        for name, entries in groupby(result["subgroups"], key=lambda each: each["group"])
    ]
    return {
        "run": run,
        "record": record,
        "recipe": recipe,
        "result": result,
        "figures": result["study"][result["headline"]],
        "all_figures": {"instance": result["instance"]} | dict(result["study"]),
        "rules": RULES,
        "names": wording.RULE_NAMES,
        "dataset": wording.last_part(record.dataset),
        "model": wording.model_in_words(recipe),
        "thresholds": wording.thresholds_in_words(result),
        "class_header": header,
        "classes": classes,
        "groups": groups,
    }


def template(name: str, escape: bool, folder: Path = Path(__file__).parent) -> jinja2.Template:
    """A template of `folder` (beside this module), with the words of `wording` as filters."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=escape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        name: getattr(wording, name) for name in ("number", "range_of", "percent", "percent_range", "duration", "last_part")
    }
    return environment.get_template(name)


def _shown(found: list[Mistake], target: int, version: DatasetVersion | None, rows: pa.Table) -> list[dict[str, Any]]:
    """The worst mistakes of one kind with the pictures of all views."""
    chosen = [each for each in found if each.target == target][:SHOWN]
    if version is None or not chosen:
        return [{"mistake": each, "views": []} for each in chosen]
    score = dict(zip(strings(rows["image_id"]).tolist(), floats(rows["probability"]).tolist(), strict=True))
    manifest = version.table("manifest", ["image_id", "image_path", "view_position"]).to_pylist()
    wanted = {image for each in chosen for image in each.image_ids}
    view = {
        row["image_id"]: {
            "view": row["view_position"],
            "score": score[row["image_id"]],
            "url": data_url(version, row),
        }
        for row in manifest
        if row["image_id"] in wanted
    }
    return [{"mistake": each, "views": [view[image] for image in each.image_ids if image in view]} for each in chosen]
