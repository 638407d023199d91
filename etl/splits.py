"""train, val, test by patient, from the keyed hash: a patient never changes split between versions of one key."""

from __future__ import annotations

from etl.deidentify import Key
from schemas.recipe import Splits

NAMES = ("train", "val", "test")


def split_of(key: Key, patient_id: str, shares: Splits) -> str:
    """The split of a patient (by pseudonym). Independent of who else is in the archive."""
    position = key.share("split", patient_id)
    if position < shares.train:
        return "train"
    # >= 1 - test rather than < train + val: a share of 0 must stay empty in spite of rounding.
    return "test" if position >= 1 - shares.test else "val"
