"""Patient-level cross-validation over a version's train and val."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray


def fold_splits(
    patients: list[str], target: NDArray[np.float32], split: NDArray[np.str_], folds: int, fold: int
) -> NDArray[np.str_]:
    """Splits (n,) of patient-level cross-validation: fold `fold` of the patients of train and val becomes val; test stays.

    Patients are dealt out in the order of a hash of their pseudonym, those with a positive study first, so that folds differ
    by at most one such patient. Patients without any label come last and change nothing for the others.
    """
    best: dict[str, float] = {}
    for patient, value, name in zip(patients, target.tolist(), split.tolist(), strict=True):
        if name in ("train", "val"):
            best[patient] = max(best.get(patient, -1.0), -1.0 if math.isnan(value) else value)
    dealt = sorted(best, key=lambda patient: (-best[patient], hashlib.sha256(patient.encode()).digest()))
    chosen = set(dealt[fold::folds])
    names = [
        name if name not in ("train", "val") else "val" if patient in chosen else "train"
        for patient, name in zip(patients, split.tolist(), strict=True)
    ]
    return np.array(names, dtype=np.str_)
