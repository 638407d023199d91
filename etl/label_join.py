"""How a label file meets the instances of an archive: each study gets its row, each patient the split of its studies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from etl.deidentify import Pseudonyms
from etl.labels import JoinKey, Labels
from etl.study import Drop, Failure, Instance
from schemas.errors import RadforgeError


@dataclass(frozen=True)
class LabelMatch:
    """How the label file met some instances. Ids are pseudonyms; `keys` are identifiers, private."""

    keys: frozenset[JoinKey] = frozenset()  # label rows that an instance belongs to
    labelled: int = 0  # studies to be processed that have a label
    without: tuple[str, ...] = ()  # study_ids of those that have none
    splits: Mapping[str, str] = field(default_factory=dict)  # by patient_id, what the label file says
    mixed: tuple[str, ...] = ()  # patient_ids that it puts into more than one split


def join(
    labels: Labels, instances: Sequence[Instance], ids: Sequence[Pseudonyms], fates: Sequence[Drop | Failure | None]
) -> tuple[list[Mapping[str, Any] | None], LabelMatch]:
    """The label row of each instance, and how the two met. All instances of a study and of a patient come together."""
    if not labels.by:
        return [None] * len(instances), LabelMatch()
    keys = [labels.key_of(instance) for instance in instances]
    found = [labels.rows.get(key) if key else None for key in keys]
    # All instances of a study share its label, also one whose own header lacks the join field.
    of_study = {id_.study_id: label for id_, label in zip(ids, found, strict=True) if label is not None}
    wanted = {id_.study_id for id_, fate in zip(ids, fates, strict=True) if fate is None}
    splits: dict[str, set[str]] = defaultdict(set)
    for id_, key in zip(ids, keys, strict=True):
        if key is not None and key in labels.splits:
            splits[id_.patient_id].add(labels.splits[key])
    match = LabelMatch(
        keys=frozenset(key for key in keys if key is not None and key in labels.rows),
        labelled=len(wanted & set(of_study)),
        without=tuple(wanted - set(of_study)),
        splits={patient: next(iter(said)) for patient, said in splits.items() if len(said) == 1},
        mixed=tuple(patient for patient, said in splits.items() if len(said) > 1),
    )
    return [of_study.get(id_.study_id) for id_ in ids], match


def refuse_mixed(patients: Sequence[str]) -> None:
    """Raises RadforgeError when there are patients (by pseudonym) whose studies stand in different splits."""
    if patients:
        raise RadforgeError(
            f"{len(patients)} patients stand in more than one split",
            "--labels",
            found="patients (by pseudonym) " + ", ".join(sorted(patients)[:5]),
            expected="one split per patient",
        )
