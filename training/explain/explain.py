"""`train explain`: why a run calls studies what it calls them, picture by picture.

    OUT/index.html                          all of it on one page
    OUT/<study_id>/<image_id>.png           the picture with its heat
    OUT/<study_id>/<image_id>.heat.png      the heat in the stored film's coordinates (`back` says how to read it)
    OUT/explain.parquet                     a row a picture: files.ROWS
    OUT/explain.json                        what `explain` gives back

Studies of the split that were found and the worst mistakes are shown; the pointing score looks at all that were found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cluster.progress import Reporter
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.training_run import Split, TrainingRun
from training import trained
from training.data.cache import open_cache
from training.data.films import Films, read_films
from training.evaluate.decision import FILE, RuleDecision, read_decision
from training.evaluate.subset import studies_in
from training.explain import attention, files, gradcam, lrp, pointing, sanity
from training.explain.choose import Case, cases, choose
from training.explain.heat import Heat, Map, Method
from training.explain.scene import Places, Scene
from training.loop.ranks import join

Name = Literal["gradcam", "lrp", "attention"]
METHODS: Mapping[Name, tuple[Method, str]] = {
    "gradcam": (gradcam.gradcam, gradcam.ABOUT),
    "lrp": (lrp.lrp, lrp.ABOUT),
    "attention": (attention.attention, attention.ABOUT),
}
GRAIN = 0.02
"""Deviation of the Gaussian that LRP's maps are smoothed with, as a share of the input's shorter side."""
RANDOMISED = 24
"""About how many pictures' maps are compared with those of a network with random weights."""


def explain(
    run: TrainingRun,
    version: DatasetVersion,
    out: Path,
    *,
    method: Name = "gradcam",
    split: Split = "test",
    studies: Path | None = None,
    limit: int = 20,
    truth: Path | None = None,
    crosswalk: Path | None = None,
    device: str = "auto",
    cache: Path | None = None,
    say: Reporter,
) -> dict[str, Any]:
    """Explain at most `limit` studies of a split (of those in the file `studies`): found ones and the worst mistakes.

    With `truth` (truth.csv of `etl phantom`) and `crosswalk` (of `etl run`) also every found study is looked at, for the
    pointing score. Returns `method, about, recipe, version, label, split, studies, whole_studies, threshold, bias_share,
    sanity, pointing, explained`; what was not asked for is None. Raises RadforgeError for files that do not fit, a method
    that does not suit the network, and a folder that is not empty.
    """
    if (truth is None) != (crosswalk is None):
        raise RadforgeError("--truth and --crosswalk go together", expected="both, or neither")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RadforgeError("is there already", f"--out {out}", expected="a folder that is empty or not there yet")
    places = pointing.read_places(truth, crosswalk) if truth and crosswalk else None
    function, about = METHODS[method]
    with join(device) as ranks:
        model = trained.load(run, ranks.device)
        data = model.recipe.data.model_copy(update={"label": str(model.facts.get("label") or model.recipe.data.label)})
        films = model.see(read_films(version, data, labelled=False))
        views = _views(films, split, studies)
        grain = GRAIN * min(data.size) if method == "lrp" else 0.0
        scene = Scene(films, open_cache(films, data, cache, say), model, function, grain, ranks)
        threshold = _threshold(run, scene.together)
        found = cases(films, views, scene.scores(views), threshold)
        chosen = choose(found, limit)
        with say.stage("explaining", len(chosen), "studies") as stage:
            explained = []
            for case in chosen:
                explained.append((case, scene.heat(case)))
                stage.advance(1)
        heats = [heat for _, heat in explained]
        told: dict[str, Any] = {
            "method": method,
            "about": about,
            "recipe": model.recipe.name,
            "version": version.version,
            "label": films.label,
            "split": split,
            "studies": len(found),
            "whole_studies": scene.together,
            "threshold": threshold,
            "bias_share": _bias_share(heats, scene.together),
            "sanity": _sanity(scene, explained),
            "pointing": _pointing(scene, found, places, say) if places is not None else None,
            "explained": [case.study_id for case in chosen],
        }
        files.write(out, scene, explained, told)
    return told


def _pointing(scene: Scene, found: Sequence[Case], places: Places, say: Reporter) -> dict[str, Any]:
    hits = [case for case in found if case.verdict == "found"]
    shots: list[pointing.Shot] = []
    with say.stage("pointing", len(hits), "studies") as stage:
        for case in hits:
            shots += scene.shots(case, scene.heat(case), places)
            stage.advance(1)
    return pointing.facts(pointing.score(shots))


def _views(films: Films, split: Split, studies: Path | None) -> list[NDArray[np.int64]]:
    views = films.studies(films.of(split))
    if studies is not None:
        wanted = studies_in(studies)
        views = [positions for positions in views if films.study_ids[films.study[positions[0]]] in wanted]
    if not views:
        raise RadforgeError(
            "no study to explain", f"--studies {studies}" if studies else f"--split {split}", expected=f"studies of `{split}`"
        )
    return views


def _threshold(run: TrainingRun, together: bool) -> float:
    """A run that was stopped before its end has chosen none yet: 0.5 then."""
    decided = (run.folder / FILE).is_file()
    return (read_decision(run.folder).of("aggregator" if together else "max") if decided else RuleDecision()).threshold


def _bias_share(heats: Sequence[Heat], together: bool) -> float | None:
    """Median share of a logit that no pixel got; None for methods whose maps do not sum to it."""
    totals = np.concatenate([heat.totals.sum(keepdims=True) if together else heat.totals for heat in heats])
    wholes = np.concatenate([heat.logits[:1] if together else heat.logits for heat in heats])
    return None if np.isnan(totals).any() else float(np.median(1 - totals / np.where(wholes == 0, 1e-9, wholes)))


def _sanity(scene: Scene, explained: Sequence[tuple[Case, Heat]]) -> dict[str, Any]:
    random = sanity.randomised(scene.model.recipe, scene.model.target.outputs, scene.ranks.device)
    before: list[Map] = []
    after: list[Map] = []
    for case, heat in explained:
        if len(before) < RANDOMISED:
            before += list(heat.views)
            after += list(scene.heat(case, random).views)
    found = sanity.compare(before, after)
    return asdict(found) | {"sentence": found.sentence}
