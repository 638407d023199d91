"""`train predict`: scores for new studies, from a dataset version or straight from DICOM.

What is written is declared column by column in schemas/train_scores.py.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.progress import Reporter
from schemas.dataset import DatasetVersion
from schemas.errors import NothingUsable, RadforgeError
from schemas.manifest import TABLES
from schemas.training_run import TrainingRun, write_bytes
from training import predictions, trained
from training.data.cache import open_cache
from training.data.films import Films, read_films
from training.drift import drift
from training.evaluate.decision import read_decision
from training.from_dicom import Delivery, build_version, named_version, other_pixels
from training.loop.ranks import Ranks, join
from training.scores import rule_of_studies, scores
from training.trained import Trained


@dataclass(frozen=True)
class Predicted:
    """What was scored, and what was not."""

    out: Path
    rule: str
    """How a study was judged: `aggregator` or `max`."""
    threshold: float
    studies: int
    """Studies with a score."""
    positive: int
    """Of them, those above the threshold."""
    unscored_studies: int
    pictures: int
    drops: int
    failures: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Why films were not scored: reasons of drops, stages of failures."""
    warnings: tuple[str, ...] = ()


def predict(
    run: TrainingRun,
    paths: Sequence[str | Path],
    out: Path,
    *,
    say: Reporter,
    key: Path | None = None,
    crosswalk: Path | None = None,
    device: str = "auto",
    cache: Path | None = None,
    workers: int | None = None,
) -> Predicted:
    """Score what `paths` name with the best weights of a run, and write `out` (rows of SCORES), atomically.

    One dataset version: all its pictures, labelled or not. Raw DICOM: first through `etl run` as the training data were, in
    a temporary folder that is removed whatever happens (in `cache` if given, else where $TMPDIR says).
    Raises RadforgeError when `out` is there already or something does not fit, NothingUsable when not one picture came out
    (the rows that say why are written all the same).
    """
    version = named_version(paths)
    _check(out, version, key, crosswalk)
    decision = read_decision(run.folder)
    with join(device) as ranks, _scratch(cache) as folder:
        model = trained.load(run, ranks.device)
        warnings: list[str] = []
        if version is None:
            delivery = Delivery([Path(path) for path in paths], key, crosswalk, workers)
            version, cache = build_version(run.record, delivery, folder, say), folder
        elif version.version == run.record.version:
            warnings.append("the run was trained on studies of this very version: only those of split test are new to it")
        elif parts := other_pixels(run.record, version):
            warnings.append(f"{version.version} was made by another recipe than the training data: {', '.join(parts)} differ")
        tables: dict[str, pa.Table] = {name: version.table(name) for name in TABLES}
        found = None
        if tables["manifest"].num_rows:
            films = model.see(read_films(version, model.recipe.data, labelled=False))
            warnings += _differences(model, films)
            found = _score(model, films, cache, ranks, say)
    for warning in warnings:
        say.warn(warning)
    rows = scores(found, tables, decision)
    _write(out, rows)
    rule = rule_of_studies(found) if found is not None else "max"
    result = _summary(out, rows, rule, decision.of(rule).threshold, tuple(warnings))
    if found is None:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in result.reasons.items())
        raise NothingUsable("nothing could be scored", str(out), reasons or "no films", "a usable film; the rows say why not")
    return result


def _check(out: Path, version: DatasetVersion | None, key: Path | None, crosswalk: Path | None) -> None:
    """What is wrong with the order, before anything is done. Raises RadforgeError."""
    refused = [flag for flag, value in (("--key", key), ("--crosswalk", crosswalk)) if value is not None]
    if version is not None and refused:
        raise RadforgeError(
            f"{' and '.join(refused)} cannot be used with a dataset version", expected="DICOM: a version has its ids already"
        )
    if out.suffix != ".parquet":
        raise RadforgeError("not a place for the scores", f"--out {out}", expected="a file that ends in .parquet")
    if out.exists():
        raise RadforgeError("is there already", f"--out {out}", expected="a new file")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RadforgeError("cannot be written", f"--out {out}", found=error.strerror or "I/O error") from None
    if not os.access(out.parent, os.W_OK):  # asked now: scoring may take hours
        raise RadforgeError("cannot be written", f"--out {out}", found="Permission denied")


@contextmanager
def _scratch(cache: Path | None) -> Iterator[Path]:
    """A folder closed to others, gone afterwards. Raises RadforgeError when there is no place for it."""
    try:
        if cache is not None:
            cache.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix="radforge-predict-", dir=cache)
    except OSError as error:
        where = f"--cache {cache}" if cache is not None else "the temporary folder"
        raise RadforgeError("cannot be written", where, found=error.strerror or "I/O error") from None
    with scratch as folder:
        yield Path(folder)


def _differences(model: Trained, films: Films) -> list[str]:
    statistics = model.facts.get("statistics")
    if not statistics:
        return ["the run keeps no statistics of its training pictures: whether these films are like them is not known"]
    return [f"unlike the training pictures in {told}" for told in drift(statistics, films)]


def _score(model: Trained, films: Films, cache: Path | None, ranks: Ranks, say: Reporter) -> pa.Table:
    pictures = open_cache(films, model.recipe.data, cache, say)
    at = np.arange(films.rows.num_rows, dtype=np.int64)
    say.say(f"scoring {len(at):,} pictures of {len(films.study_ids):,} studies")
    return predictions.score(model, pictures, films, at, ranks)


def _write(out: Path, rows: pa.Table) -> None:
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd")
    write_bytes(out, sink.getvalue())


def _summary(out: Path, rows: pa.Table, rule: str, threshold: float, warnings: tuple[str, ...]) -> Predicted:
    by_level: dict[str, Any] = {level: rows.filter(pc.equal(rows["level"], level)) for level in ("instance", "study")}
    fates = {level: Counter(table["fate"].to_pylist()) for level, table in by_level.items()}
    reasons = Counter(reason for reason in by_level["instance"]["reason"].to_pylist() if reason)
    return Predicted(
        out=out,
        rule=rule,
        threshold=threshold,
        studies=fates["study"]["scored"],
        positive=int(pc.sum(by_level["study"]["positive"]).as_py() or 0),
        unscored_studies=fates["study"]["drop"] + fates["study"]["failure"],
        pictures=fates["instance"]["scored"],
        drops=fates["instance"]["drop"],
        failures=fates["instance"]["failure"],
        reasons=dict(reasons.most_common()),
        warnings=warnings,
    )
