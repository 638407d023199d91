"""The plan of a whole archive: its index, partition by partition, through `etl.plan`. A plan says what will be done; the work
itself lies on disk."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from etl import metadata
from etl.archive.index import Index, instances_in
from etl.corrections import Corrections
from etl.crosswalk import CrosswalkFile
from etl.deidentify import Key
from etl.header_texts import HeaderTexts
from etl.label_join import refuse_mixed
from etl.labels import JoinKey, Labels
from etl.partitions import INSTANCES, partition
from etl.plan import Part, StudyTask, plan_part
from etl.scratch import Scratch
from etl.shards import Shard
from etl.work import Work
from schemas.manifest import label_columns
from schemas.recipe import EtlRecipe


@dataclass
class Plan:
    """What a run will do. `work` and `crosswalk` lie on disk."""

    work: Work[StudyTask]
    crosswalk: CrosswalkFile
    unmatched: set[JoinKey]  # join keys of label rows that no instance belongs to: identifiers, private
    files: int = 0
    bytes: int = 0
    studies: int = 0
    patients: int = 0
    studies_labelled: int = 0
    studies_without: list[str] = field(default_factory=list)  # study_ids, sorted
    mixed: list[str] = field(default_factory=list)  # patient_ids that the label file puts into more than one split
    body_parts: Counter[str] = field(default_factory=Counter)
    syntaxes: Counter[str] = field(default_factory=Counter)

    def add(self, part: Part) -> None:
        """Add what was decided of a partition. Raises RadforgeError when the disk fails."""
        self.work.add(part.tasks, part.drops, part.failures)
        self.crosswalk.add(part.crosswalk)
        self.unmatched -= part.match.keys
        self.files += part.files
        self.bytes += part.bytes
        self.studies += part.studies
        self.patients += part.patients
        self.studies_labelled += part.match.labelled
        self.studies_without += part.match.without
        self.mixed += part.match.mixed
        self.body_parts.update(part.body_parts)
        self.syntaxes.update(part.syntaxes)


@contextmanager
def no_collector() -> Iterator[None]:
    """The collector of reference cycles rests: there are none here, and it would go through every header again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def make_plan(
    index: Index,
    recipe: EtlRecipe,
    key: Key,
    labels: Labels | None,
    scratch: Scratch,
    size: int = INSTANCES,
    shard: Shard | None = None,
    corrections: Corrections | None = None,
    texts: HeaderTexts | None = None,
) -> Plan:
    """Decide on every instance of the index, or of one shard of it, about `size` at a time.

    `texts` counts the headers' texts where asked for.

    Raises RadforgeError when the labels' splits contradict each other, or the disk fails.
    """
    labels = labels or Labels()
    extra = (*label_columns(labels.types), *metadata.columns(recipe.metadata.keep))
    plan = Plan(Work(scratch, extra), CrosswalkFile(scratch), set(labels.rows))
    parts = partition(index, scratch, size, shard)
    said = corrections.by_source() if corrections else None
    with no_collector():
        for number in range(parts.count):
            plan.add(plan_part(instances_in(parts.take(number), index.keep), recipe, key, labels, said, texts))
    refuse_mixed(plan.mixed)
    plan.studies_without.sort()
    return plan
