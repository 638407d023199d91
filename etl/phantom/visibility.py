"""In which films of a study a sign shows: the noise in labels that belong to whole studies."""

from __future__ import annotations

import numpy as np

from etl.phantom import rates
from etl.phantom.wishes import Mixture


def broken_films(rng: np.random.Generator, wish: Mixture, count: int, first: int) -> frozenset[int]:
    """Indices of the films, of `count`, that show a positive study's fracture: `first` and those after it, cyclically.

    A half and a third are rounded down, but one film always shows it.
    """
    parts = {"one": count, "all": 1}.get(wish.visible or "one", 0)
    if wish.visible == "thesis":
        parts = int(rng.choice(list(rates.VISIBLE), p=list(rates.VISIBLE.values())))
    return frozenset((first + i) % count for i in range(max(count // parts, 1)))


def mimic_films(rng: np.random.Generator, wish: Mixture, count: int) -> frozenset[int]:
    """Indices of the films, of `count`, that show a harmless line, whatever the study's label."""
    return frozenset(np.flatnonzero(rng.random(count) < (wish.mimics or 0.0)).tolist())
