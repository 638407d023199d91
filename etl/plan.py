"""What a run will do, decided as a value before anything is decoded: the fate of each header, the work of each study."""

from __future__ import annotations

import hashlib
import marshal
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from etl import metadata, vocabulary
from etl.corrections import Lines
from etl.deidentify import Key, Pseudonyms, pseudonyms
from etl.header_texts import HeaderTexts
from etl.label_join import LabelMatch, join
from etl.labels import Labels
from etl.splits import split_of
from etl.steps import anatomy
from etl.study import Drop, Failure, Instance, Source
from schemas.manifest import metadata_column
from schemas.recipe import EtlRecipe

MAX_FRAMES = 65_536  # a header may claim any number of frames; more than this is a lie, and so is more than bytes


class Film(NamedTuple):
    """One file to decode. `columns` are the manifest columns that the header alone gives, pseudonyms included."""

    source: Source
    source_id: str
    frames: int
    columns: Mapping[str, Any]
    body_part: str | None = None
    twin_of: str = ""  # instance_id shared with other files: the first that can be read wins
    corrections: Lines = ()  # what people said of its pictures


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
        return hashlib.sha256(self._films).hexdigest()[:16]

    @cached_property
    def _films(self) -> bytes:
        # Version 2: equal values are equal bytes; later ones write down which objects are the same.
        return marshal.dumps([tuple(film[1:]) for film in self.films], 2)

    def __reduce__(self) -> tuple[Any, ...]:
        """A third of the time of pickling film by film."""
        sources = marshal.dumps([tuple(film.source) for film in self.films], 2)
        return _restored, (self.study_id, self.weight, sources, self._films)

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


def _restored(study_id: str, weight: float, sources: bytes, films: bytes) -> StudyTask:
    pairs = zip(marshal.loads(sources), marshal.loads(films), strict=True)
    return StudyTask(study_id, tuple(Film(Source(*source), *film) for source, film in pairs), weight)


@dataclass(frozen=True)
class Part:
    """What the headers of some instances have settled: drops and failures as rows, the work of each study, and counts."""

    tasks: tuple[StudyTask, ...]
    drops: tuple[Mapping[str, Any], ...]
    failures: tuple[Mapping[str, Any], ...]
    files: int
    bytes: int
    studies: int
    patients: int
    crosswalk: tuple[Mapping[str, Any], ...]
    body_parts: Mapping[str, int]
    syntaxes: Mapping[str, int]
    match: LabelMatch


def plan_part(
    instances: Iterable[Instance],
    recipe: EtlRecipe,
    key: Key,
    labels: Labels | None = None,
    corrections: Mapping[str, Lines] | None = None,
    texts: HeaderTexts | None = None,
) -> Part:
    """Judge each header, in the order: readable, DICOMDIR, image, modality, size of the study, anatomy.

    What belongs together (`etl.partitions`) must come together, in any order. Instances are grouped by StudyInstanceUID
    wherever their files lie; files that share a SOPInstanceUID are put into one task so that their pixels can be compared.
    `corrections`: by source_id, what people said of the file's pictures. `texts` counts the headers' texts where asked for.
    """
    ordered = sorted(instances, key=lambda instance: instance.source.name)
    ids = [pseudonyms(key, instance) for instance in ordered]
    labels = labels or Labels()
    fates = _judge(ordered, ids, recipe)
    if texts is not None:
        texts.add(ordered, ids, fates)
    order = _acquired_order(ordered, ids)
    label_of, match = join(labels, ordered, ids, fates)
    drops, failures, films = [], [], []
    parts: Counter[str] = Counter()
    for instance, id_, fate, label in zip(ordered, ids, fates, label_of, strict=True):
        if isinstance(fate, Drop):
            drops += [row | {"reason": fate.reason, "detail": fate.detail} for row in _rows(instance, id_)]
            continue
        if isinstance(fate, Failure):
            failures += [row | {"stage": fate.stage, "error": fate.error} for row in _rows(instance, id_)]
            continue
        part = anatomy.recognise(instance, recipe.anatomy)
        parts[part.part if part else "unknown"] += 1
        columns = _columns(instance, id_, part, recipe.metadata.models)
        columns["split"] = match.splits.get(id_.patient_id) or split_of(key, id_.patient_id, recipe.splits)
        columns["acquired_order"] = order[id_.study_id]
        for name in labels.types:
            columns[f"label_{name}"] = label.get(name) if label else None
        for keyword in recipe.metadata.keep:
            columns[metadata_column(keyword)] = metadata.value(keyword, instance.metadata.get(keyword, ""))
        films.append((instance, id_, columns))
    known = [id_ for id_, instance in zip(ids, ordered, strict=True) if instance.study_instance_uid]
    return Part(
        tasks=_tasks(films, corrections or {}),
        drops=tuple(drops),
        failures=tuple(failures),
        files=len(ordered),
        bytes=sum(instance.source.size for instance in ordered),
        studies=len({id_.study_id for id_ in known}),
        patients=len({id_.patient_id for id_ in known}),
        crosswalk=tuple(_crosswalk(instance, id_) for instance, id_ in zip(ordered, ids, strict=True)),
        body_parts=parts,
        syntaxes=Counter(instance.transfer_syntax for instance, _, _ in films),
        match=match,
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


def _tasks(
    films: Sequence[tuple[Instance, Pseudonyms, dict[str, Any]]], corrections: Mapping[str, Lines]
) -> tuple[StudyTask, ...]:
    shared = {id_ for id_, n in Counter(ids.instance_id for _, ids, _ in films).items() if n > 1}
    # A twin is compared with the first file of its UID, so it goes where that one goes, even from another study.
    home: dict[str, str] = {}
    groups: dict[str, list[Film]] = defaultdict(list)
    weights: Counter[str] = Counter()
    for instance, ids, columns in films:
        twin = ids.instance_id if ids.instance_id in shared else ""
        study = home.setdefault(ids.instance_id, ids.study_id) if twin else ids.study_id
        said = corrections.get(ids.source_id, ())
        film = Film(instance.source, ids.source_id, frames_of(instance), columns, columns["body_part"], twin, said)
        groups[study].append(film)
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
