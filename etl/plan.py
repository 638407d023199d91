"""What a run will do, decided as a value before anything is decoded: the fate of each header, the work of each study."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from etl import metadata, vocabulary
from etl.deidentify import Key, Pseudonyms, pseudonyms
from etl.labels import Labels, split_by_patient
from etl.splits import split_of
from etl.steps import anatomy
from etl.study import Drop, Failure, Instance, Source
from schemas.manifest import metadata_column
from schemas.recipe import EtlRecipe

MAX_FRAMES = 65_536  # a header may claim any number of frames; more than this is a lie, and so is more than bytes


@dataclass(frozen=True)
class Film:
    """One file to decode. `columns` are the manifest columns that the header alone gives, pseudonyms included."""

    source: Source
    source_id: str
    frames: int
    columns: Mapping[str, Any]
    body_part: str | None = None
    twin_of: str = ""  # instance_id shared with other files: the first that can be read wins


@dataclass(frozen=True)
class StudyTask:
    """The work of one study; films in path order. `weight` in bytes of raw film."""

    study_id: str
    films: tuple[Film, ...]
    weight: float

    @property
    def frames(self) -> int:
        """Frames to process."""
        return sum(film.frames for film in self.films)

    @property
    def digest(self) -> str:
        """What the work is, to the last column."""
        films = [[film.source_id, film.frames, film.twin_of, dict(film.columns)] for film in self.films]
        return hashlib.sha256(json.dumps(films, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def sources(self) -> set[str]:
        """The files, by source_id."""
        return {film.source_id for film in self.films}

    def parts(self) -> list[StudyTask]:
        """One task a file; files that share a SOPInstanceUID stay together, they must be compared."""
        groups: dict[str, list[Film]] = defaultdict(list)
        for film in self.films:
            groups[film.twin_of or film.source_id].append(film)
        share = self.weight / max(1, len(groups))
        return [StudyTask(self.study_id, tuple(films), share) for films in groups.values()]


@dataclass(frozen=True)
class LabelMatch:
    """How the label file met the archive."""

    unmatched: tuple[tuple[str, ...], ...] = ()  # join keys of label rows without a study: identifiers, private
    studies_labelled: int = 0
    studies_without: tuple[str, ...] = ()  # study ids (pseudonyms)


@dataclass(frozen=True)
class Plan:
    """Everything a run needs to know. `rows` are drops and failures that the headers have settled."""

    tasks: tuple[StudyTask, ...]
    drops: tuple[Mapping[str, Any], ...]
    failures: tuple[Mapping[str, Any], ...]
    files: int
    bytes: int
    studies: int
    patients: int
    match: LabelMatch = LabelMatch()
    crosswalk: tuple[Mapping[str, Any], ...] = ()
    body_parts: Mapping[str, int] = field(default_factory=dict)
    syntaxes: Mapping[str, int] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Frames to process."""
        return sum(task.frames for task in self.tasks)

    @property
    def reasons(self) -> dict[str, int]:
        """Rows settled by headers, counted by reason or stage."""
        counts = Counter(str(row["reason"]) for row in self.drops)
        counts.update(f"{row['stage']} (failure)" for row in self.failures)
        return dict(counts.most_common())


def make_plan(instances: Iterable[Instance], recipe: EtlRecipe, key: Key, labels: Labels | None) -> Plan:
    """Judge each header, in the order: readable, DICOMDIR, image, modality, size of the study, anatomy.

    Instances are grouped by StudyInstanceUID wherever their files lie; files that share a SOPInstanceUID are put into one
    task so that their pixels can be compared. Raises RadforgeError when the labels' splits contradict each other.
    """
    ordered = sorted(instances, key=lambda instance: instance.source.name)
    ids = [pseudonyms(key, instance) for instance in ordered]
    labels = labels or Labels()
    fates = _judge(ordered, ids, recipe)
    order = _acquired_order(ordered, ids)
    label_of, match = _match(ordered, ids, labels, fates)
    user_splits = split_by_patient(
        {
            (i.patient_id, labels.splits[key_])
            for i, key_ in zip(ids, map(labels.key_of, ordered), strict=True)
            if key_ is not None and key_ in labels.splits
        },
        "--labels",
    )
    drops, failures, films = [], [], []
    parts: Counter[str] = Counter()
    for instance, id_, fate, label in zip(ordered, ids, fates, label_of, strict=True):
        if isinstance(fate, Drop):
            drops += [row | {"reason": fate.reason, "detail": fate.detail} for row in _rows(instance, id_)]
            continue
        if isinstance(fate, Failure):
            failures += [row | {"stage": fate.stage, "error": fate.error} for row in _rows(instance, id_)]
            continue
        split = user_splits.get(id_.patient_id) or split_of(key, id_.patient_id, recipe.splits)
        part = anatomy.recognise(instance, recipe.anatomy)
        parts[part.part if part else "unknown"] += 1
        columns = _columns(instance, id_, part, recipe.metadata.models) | {
            "split": split,
            "acquired_order": order[id_.study_id],
        }
        columns |= {f"label_{name}": label.get(name) if label else None for name in labels.types}
        columns |= {metadata_column(k): metadata.value(k, instance.metadata.get(k, "")) for k in recipe.metadata.keep}
        films.append((instance, id_, columns))
    return Plan(
        tasks=_tasks(films),
        drops=tuple(drops),
        failures=tuple(failures),
        files=len(ordered),
        bytes=sum(instance.source.size for instance in ordered),
        studies=len({i.study_id for i, n in zip(ids, ordered, strict=True) if n.study_instance_uid}),
        patients=len({i.patient_id for i, n in zip(ids, ordered, strict=True) if n.study_instance_uid}),
        match=match,
        crosswalk=tuple(_crosswalk(instance, id_) for instance, id_ in zip(ordered, ids, strict=True)),
        body_parts=dict(parts.most_common()),
        syntaxes=dict(Counter(instance.transfer_syntax for instance, _, _ in films).most_common()),
    )


def _judge(instances: Sequence[Instance], ids: Sequence[Pseudonyms], recipe: EtlRecipe) -> list[Drop | Failure | None]:
    fates: list[Drop | Failure | None] = [i.fate or _modality(i, recipe) for i in instances]
    sizes: dict[str, set[str]] = defaultdict(set)
    for id_, fate in zip(ids, fates, strict=True):
        if fate is None:
            sizes[id_.study_id].add(id_.instance_id)  # a doubled file is one image
    limit = recipe.study.max_instances
    for index, (instance, id_, fate) in enumerate(zip(instances, ids, fates, strict=True)):
        if fate is not None:
            continue
        if len(sizes[id_.study_id]) > limit:
            fates[index] = Drop("study_too_large", f"{len(sizes[id_.study_id])} images, at most {limit} allowed")
        elif "anatomy" in recipe.steps:
            fates[index] = anatomy.select(instance, recipe.anatomy)
    return fates


def _modality(instance: Instance, recipe: EtlRecipe) -> Drop | None:
    wanted = recipe.select.modalities
    if not wanted or instance.modality in wanted:
        return None
    return Drop("modality", vocabulary.modality(instance.modality) or "another modality")


def frames_of(instance: Instance) -> int:
    """Frames a file accounts for: what its header claims, where that is possible."""
    believable = 1 < instance.frames <= min(MAX_FRAMES, max(instance.source.size, 1))
    return instance.frames if believable else 1


def _rows(instance: Instance, ids: Pseudonyms) -> list[dict[str, Any]]:
    row = _id_columns(instance, ids) | {"region_index": None}
    return [row | {"frame_index": frame} for frame in range(frames_of(instance))]


def _id_columns(instance: Instance, ids: Pseudonyms) -> dict[str, Any]:
    """The ids as far as the file is known to have them: a text file has no patient."""
    known = bool(instance.sop_class_uid or instance.study_instance_uid or instance.sop_instance_uid)
    return {
        "source_id": ids.source_id,
        "patient_id": ids.patient_id if known else None,
        "study_id": ids.study_id if known else None,
        "series_id": ids.series_id if known else None,
        "instance_id": ids.instance_id if known else None,
    }


def _columns(instance: Instance, ids: Pseudonyms, part: anatomy.BodyPart | None, models: tuple[str, ...]) -> dict[str, Any]:
    return {
        "source_id": ids.source_id,
        "patient_id": ids.patient_id,
        "study_id": ids.study_id,
        "series_id": ids.series_id,
        "instance_id": ids.instance_id,
        "patient_id_missing": ids.patient_id_missing,
        "modality": vocabulary.modality(instance.modality),
        "body_part": part.part if part else None,
        "body_part_code": part.code if part else None,
        "body_part_score": part.score if part else None,
        "body_part_source": part.field if part else None,
        "body_part_ambiguous": list(part.ambiguous) if part else [],
        "laterality": vocabulary.laterality(instance.laterality) or (part.laterality if part else None),
        "view_position": vocabulary.view_position(instance.view_position) or (part.view if part else None),
        "manufacturer": vocabulary.manufacturer(instance.manufacturer),
        "model": vocabulary.model(instance.model, models),
        "age_years": vocabulary.age_years(instance.patient_age, instance.patient_birth_date, instance.study_date),
        "sex": vocabulary.sex(instance.patient_sex),
        "burned_in_annotation": vocabulary.burned_in(instance.burned_in_annotation),
        "header_problems": sorted(instance.header_problems),
    }


def _acquired_order(instances: Sequence[Instance], ids: Sequence[Pseudonyms]) -> dict[str, int]:
    """Rank of each study within its patient by date and time; undated studies last, ties by pseudonym."""
    when: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for instance, id_ in zip(instances, ids, strict=True):
        own = (instance.study_date or "9", instance.study_time)
        studies = when[id_.patient_id]
        studies[id_.study_id] = min(own, studies.get(id_.study_id, own))
    return {
        study: rank for studies in when.values() for rank, study in enumerate(sorted(studies, key=lambda s: (studies[s], s)))
    }


def _match(
    instances: Sequence[Instance],
    ids: Sequence[Pseudonyms],
    labels: Labels,
    fates: Sequence[Drop | Failure | None],
) -> tuple[list[Mapping[str, Any] | None], LabelMatch]:
    if not labels.by:
        return [None] * len(instances), LabelMatch()
    keys = [labels.key_of(instance) for instance in instances]
    found = [labels.rows.get(key) if key else None for key in keys]
    # All instances of a study share its label, also one whose own header lacks the join field.
    of_study = {id_.study_id: label for id_, label in zip(ids, found, strict=True) if label is not None}
    wanted = {id_.study_id for id_, fate in zip(ids, fates, strict=True) if fate is None}
    match = LabelMatch(
        unmatched=tuple(sorted(set(labels.rows) - {key for key in keys if key is not None})),
        studies_labelled=len(wanted & set(of_study)),
        studies_without=tuple(sorted(wanted - set(of_study))),
    )
    return [of_study.get(id_.study_id) for id_ in ids], match


def _tasks(films: Sequence[tuple[Instance, Pseudonyms, dict[str, Any]]]) -> tuple[StudyTask, ...]:
    shared = {id_ for id_, n in Counter(ids.instance_id for _, ids, _ in films).items() if n > 1}
    # A twin is compared with the first file of its UID, so it goes where that one goes, even from another study.
    home: dict[str, str] = {}
    groups: dict[str, list[Film]] = defaultdict(list)
    weights: Counter[str] = Counter()
    for instance, ids, columns in films:
        twin = ids.instance_id if ids.instance_id in shared else ""
        study = home.setdefault(ids.instance_id, ids.study_id) if twin else ids.study_id
        groups[study].append(Film(instance.source, ids.source_id, frames_of(instance), columns, columns["body_part"], twin))
        weights[study] += round(_weight(instance))
    tasks = [StudyTask(study, tuple(members), float(weights[study])) for study, members in groups.items()]
    return tuple(sorted(tasks, key=lambda task: (-task.weight, task.study_id)))


_J2K = ("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20")


def _weight(instance: Instance) -> float:
    """Work of a file in bytes of raw film. JPEG 2000 costs about eight times its pixels, see docs/architecture.md."""
    raw = instance.rows * instance.columns * max(instance.bits_allocated, 8) / 8 * frames_of(instance)
    believable = min(raw, 50.0 * max(instance.source.size, 1))
    cost = 8 if instance.transfer_syntax.startswith(_J2K) else 2 if "1.2.4." in instance.transfer_syntax else 1
    return max(believable * cost, float(instance.source.size), 1.0)


def _crosswalk(instance: Instance, ids: Pseudonyms) -> dict[str, Any]:
    return {
        "source_id": ids.source_id,
        "source_path": instance.source.name,
        "study_instance_uid": instance.study_instance_uid,
        "series_instance_uid": instance.series_instance_uid,
        "sop_instance_uid": instance.sop_instance_uid,
        "patient_id_original": instance.patient_id,
        "patient_id": ids.patient_id,
        "study_id": ids.study_id,
        "series_id": ids.series_id,
        "instance_id": ids.instance_id,
    }
