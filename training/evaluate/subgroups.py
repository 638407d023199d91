"""The same figures for parts of the patients: whoever is served worse must be visible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.manifest import METAL
from training.evaluate.cases import Cases, Strings, strings
from training.evaluate.decision import Decision
from training.evaluate.figures import figures
from training.evaluate.intervals import RESAMPLES
from training.evaluate.votes import headline

SMALLEST = 10
"""A group of fewer cases, or of one class, gets no figures: they would be noise that reads like a finding."""

AGE_BANDS = ((0, 17), (18, 39), (40, 64), (65, 200))
COLUMNS = ("image_id", "study_id", "manufacturer", "sex", "age_years", "view_position")
"""What is read of the manifest."""
MORE_COLUMNS = ("metal_fraction",)
"""What is read where the version has it: older ones have none."""

UNKNOWN = "unknown"


def subgroups(
    rules: Mapping[str, Cases], decision: Decision, manifest: pa.Table, count: int = RESAMPLES, seed: int = 0
) -> list[dict[str, Any]]:
    """One entry per value of manufacturer, sex, age band and, where `manifest` tells of any, metal (studies, by the headline
    rule), and of view position (pictures): `group, value, level, n, n_positive`, and either `figures` (M) or `untold`, the
    reason why there are none.
    """
    rule = headline(rules)
    studies, pictures = rules[rule], rules["instance"]
    told: list[dict[str, Any]] = []
    for group, name in (("manufacturer", _text("manufacturer")), ("sex", _text("sex")), ("age", age_band)):
        names = _names(studies.study, manifest, "study_id", name)
        told += _group(group, "study", rule, studies, names, decision, count, seed)
    if "metal_fraction" in manifest.column_names and manifest["metal_fraction"].null_count < manifest.num_rows:
        names = _with_metal(studies.study, manifest)
        told += _group("metal", "study", rule, studies, names, decision, count, seed)
    views = _names(pictures.id, manifest, "image_id", _text("view_position"))
    return told + _group("view position", "instance", "instance", pictures, views, decision, count, seed)


def age_band(row: Mapping[str, Any]) -> str:
    """`18-39` and so on, of a manifest row."""
    age = row["age_years"]
    band = next(((low, high) for low, high in AGE_BANDS if age is not None and low <= age <= high), None)
    if band is None:
        return UNKNOWN
    return f"{band[0]}+" if band == AGE_BANDS[-1] else f"{band[0]}-{band[1]}"


def _group(
    group: str, level: str, rule: str, cases: Cases, names: Strings, decision: Decision, count: int, seed: int
) -> list[dict[str, Any]]:
    told = []
    for value in sorted(set(names.tolist()), key=lambda each: (each == UNKNOWN, each)):
        part = cases.where(names == value)
        entry: dict[str, Any] = {
            "group": group,
            "value": value,
            "level": level,
            "rule": rule,
            "n": part.n,
            "n_positive": int(part.target.sum()),
        }
        if part.n < SMALLEST:
            told.append(entry | {"untold": f"fewer than {SMALLEST}"})
        elif not part.both_classes:
            told.append(entry | {"untold": "all positive" if part.target[0] else "all negative"})
        else:
            told.append(entry | {"figures": figures(part, decision.of(rule), count, seed)})
    return told


def _names(ids: Strings, manifest: pa.Table, key: str, name: Callable[[Mapping[str, Any]], str]) -> Strings:
    """The group of each case; a study whose pictures disagree belongs to `several`."""
    found: dict[str, set[str]] = {}
    for identity, row in zip(strings(manifest[key]), manifest.to_pylist(), strict=True):
        found.setdefault(str(identity), set()).add(name(row))
    values = (found.get(str(each), {UNKNOWN}) for each in ids)
    return np.asarray([next(iter(each)) if len(each) == 1 else "several" for each in values], dtype=np.str_)


def _with_metal(ids: Strings, manifest: pa.Table) -> Strings:
    """`yes` for a study with metal in any of its pictures, `no` where all were judged and show none."""
    found: dict[str, set[str]] = {}
    for identity, share in zip(strings(manifest["study_id"]), manifest["metal_fraction"].to_pylist(), strict=True):
        found.setdefault(str(identity), set()).add(UNKNOWN if share is None else "yes" if share >= METAL else "no")
    order = ("yes", UNKNOWN, "no")
    return np.asarray([next(each for each in order if each in found.get(str(i), {UNKNOWN})) for i in ids], dtype=np.str_)


def _text(column: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: str(row[column] or UNKNOWN)
