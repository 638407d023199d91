"""Whether new films look like those that a model was trained on.

What is told is more than chance. If new and training films came from one source, how many of m new ones lie outside an
interval between two of the n training values is beta-binomial, whatever the distribution (n values cut the line into n + 1
pieces that are equally likely to hold the next one); likewise for a category that few or none of the n showed. The pictures
of a study resemble each other, so n and m count studies, and a share of pictures outside is taken as that share of studies.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import betabinom

from training.data.films import Films

LOW, HIGH = 0.01, 0.99
"""Quantiles of the training pictures between which a new one is expected."""
RARE = 0.01
"""A category of a smaller share of the training pictures is not written down: it could point at a person."""
FALSE_ALARMS = 0.01
"""Chance of any warning about films of the same source, over all that is compared."""
TOLD_FROM = 0.05
"""Smallest share of new pictures that is worth a word, however sure it is."""

NUMBERS: Mapping[str, str] = {"mean": "mean grey", "std": "spread of greys", "rows": "height", "columns": "width"}
CATEGORIES: Mapping[str, str] = {
    "view_position": "view",
    "manufacturer": "manufacturer",
    "body_part": "body part",
    "modality": "modality",
}
_NOT_STATED = "not stated"


def training_statistics(films: Films, at: NDArray[np.int64]) -> dict[str, Any]:
    """What `drift` compares with, of the pictures at `at`: plain numbers, text, lists and dicts.

    `pictures`, `studies`; `largest` [columns, rows] of the whole version; `numbers`: for mean and std (greys, 0..1), rows and
    columns (pixels) the `low` (1 %) and `high` (99 %) quantile and the `average`; `shares`: of each category, those of at
    least 1 %.
    """
    rows = films.rows.take(pa.array(at))
    numbers = {}
    for name in NUMBERS:
        values = _numbers(rows, name)
        if values.size:
            low, high = np.quantile(values, [LOW, HIGH]).tolist()
            numbers[name] = {"low": low, "high": high, "average": float(values.mean())}
    shares = {}
    for name in CATEGORIES:
        counts = _categories(rows, name)
        total = max(sum(counts.values()), 1)
        shares[name] = {word: count / total for word, count in sorted(counts.items()) if count >= RARE * total}
    return {
        "pictures": len(at),
        "studies": len(films.studies(at)),
        "largest": [int(side) for side in films.largest],
        "numbers": numbers,
        "shares": shares,
    }


def drift(statistics: Mapping[str, Any], films: Films) -> list[str]:
    """A sentence for each way in which these films differ from the training's by more than chance; none when they do not."""
    rows = films.rows
    trained, new = int(statistics["studies"]), len(films.study_ids)
    told = []
    for name, meaning in NUMBERS.items():
        values, known = _numbers(rows, name), statistics["numbers"].get(name)
        if known is None or not values.size:
            continue
        outside = int(np.sum((values < known["low"]) | (values > known["high"])))
        between = (HIGH - LOW) * (trained - 1)  # of the trained + 1 pieces, those between the two quantiles
        if _more_than_chance(outside, values.size, new, trained + 1 - between, between):
            told.append(
                f"{meaning}: {_of(outside, values.size)} outside {known['low']:.3g} to {known['high']:.3g}, where 98 % of the "
                f"training pictures are (average {values.mean():.3g}, in training {known['average']:.3g})"
            )
    for name, meaning in CATEGORIES.items():
        counts, shares = _categories(rows, name), statistics["shares"].get(name)
        if not shares:
            continue
        unseen = {word: count for word, count in counts.most_common() if word not in shares}
        rare = max(0.0, 1 - sum(shares.values())) * trained
        if _more_than_chance(sum(unseen.values()), sum(counts.values()), new, rare + 1, trained - rare):
            found = ", ".join(f"{word} {count:,}" for word, count in unseen.items())
            known = ", ".join(f"{w} {100 * s:.0f} %" for w, s in sorted(shares.items(), key=lambda pair: -pair[1])[:5])
            told.append(
                f"{meaning}: {_of(sum(unseen.values()), sum(counts.values()))} of a kind that training did not show or hardly "
                f"({found}; in training {known})"
            )
    return told


def _more_than_chance(outside: int, pictures: int, studies: int, a: float, b: float) -> bool:
    """Whether so many outside have a chance below what each comparison may use up of FALSE_ALARMS (Bonferroni)."""
    if outside < TOLD_FROM * pictures or not outside or b <= 0:
        return False
    as_studies = math.floor(outside / pictures * studies + 1e-9)
    chance = float(betabinom.sf(as_studies - 1, studies, a, b))
    return chance < FALSE_ALARMS / (len(NUMBERS) + len(CATEGORIES))


def _numbers(rows: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(pc.drop_null(rows[name]).to_numpy(), dtype=np.float64)


def _categories(rows: pa.Table, name: str) -> Counter[str]:
    return Counter(word or _NOT_STATED for word in rows[name].to_pylist())


def _of(count: int, total: int) -> str:
    return f"{count:,} of {total:,} pictures"
