"""What people saw in the pictures of a version, as a run obeys it: files read and compared, lines by film, what was met."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from etl.card import canonical
from etl.picture_store import image_id_of
from etl.tables import StoredTable, Tables
from schemas.corrections import Correction, CorrectionsFile, Place
from schemas.dataset import DatasetVersion, versions
from schemas.errors import Problem, RadforgeError
from schemas.loading import load
from schemas.runs import runs_of

FLAG = "--corrections"
_TOLD = 20  # contradictions in one message

Lines = tuple[Mapping[str, Any], ...]  # corrections of a film as plain values, which travel with its work


class Unmet(NamedTuple):
    """Lines that a version does not obey."""

    lost: list[Correction]
    """Their film is not in it, was left out before, or gave another number of pictures."""
    strange: list[Correction]
    """Their `image_id` is not a picture of their `source_id`."""


@dataclass(frozen=True)
class Corrections:
    """What one or several files say, each picture once."""

    key_fingerprint: str | None = None
    lines: Mapping[Place, Correction] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.lines)

    def by_source(self) -> dict[str, Lines]:
        """The lines of each file of the archive."""
        found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for place in sorted(self.lines):
            found[place.source_id].append(self.lines[place].model_dump())
        return {source: tuple(lines) for source, lines in found.items()}

    def identity(self) -> dict[str, Any]:
        """What a version says of the corrections it was made with: how many of which kind, and a digest of what they say."""
        said = [[*place, *self.lines[place].said] for place in sorted(self.lines)]
        counts = Counter[str](line.verdict for line in self.lines.values())
        counts.update(name for line in self.lines.values() for name in line.mended)
        digest = hashlib.sha256(canonical(said)).hexdigest()[:16]
        return {"pictures": len(said), **dict(sorted(counts.items())), "digest": digest}

    def check_key(self, fingerprint: str | None) -> None:
        """Raises RadforgeError when the ids are those of another key."""
        if self.lines and self.key_fingerprint != fingerprint:
            raise RadforgeError(
                "the corrections were made with another key: none of their ids can be found here",
                FLAG,
                f"those of key {self.key_fingerprint}",
                f"those of key {fingerprint}; or --key with the key file that the corrected version was made with",
            )

    def looked_at(self, dataset: Path) -> DatasetVersion | None:
        """The newest version of a dataset that the lines speak of; None when it lies elsewhere."""
        there = {line.seen_in for line in self.lines.values()} & set(versions(dataset))
        newest = next(
            (record.version for record in reversed(runs_of(dataset)) if record.version in there), min(there, default=None)
        )
        return DatasetVersion.open(dataset / newest) if newest else None

    def unmet(self, tables: Tables) -> Unmet:
        """Lines that a version does not obey."""
        sources = pa.array(sorted({place.source_id for place in self.lines}), pa.string())
        counts: dict[tuple[str, int], int] = {}
        met: set[tuple[str, int, int]] = set()
        instances: dict[str, str] = {}
        rows = _rows(tables["manifest"], sources, "instance_id", "region_count", "corrected")
        for *film, region, instance, count, corrected in rows:
            instances[film[0]] = instance
            counts[film[0], film[1]] = count
            if corrected:
                met.add((film[0], film[1], region))
        dropped: dict[tuple[str, int], int] = {}
        for *film, region, instance, reason in _rows(tables["drops"], sources, "instance_id", "reason"):
            instances.setdefault(film[0], instance)
            key = (film[0], film[1])
            dropped[key] = max(dropped.get(key, 0), (region or 0) + 1)
            if reason == "rejected":
                met.add((*key, region or 0))
        counts = dropped | counts  # of a film without a picture only the drops tell
        strange = {place for place, line in self.lines.items() if _is_strange(line, instances.get(place.source_id))}
        recut = {place[:2] for place, line in self.lines.items() if line.pictures and place not in strange}

        def is_met(place: Place, line: Correction) -> bool:
            pictures = counts.get(place[:2])
            if line.pictures:
                return pictures is not None and (pictures == 1) == (line.pictures == "one")
            if pictures != place.region_count and place[:2] in recut:
                return True  # of pictures that are no more
            return pictures == place.region_count and place[:3] in met

        lost = [line for place, line in self.lines.items() if place not in strange and not is_met(place, line)]
        return Unmet(lost, [line for place, line in self.lines.items() if place in strange])


def read_corrections(paths: Sequence[Path]) -> Corrections:
    """Read files and put them together.

    Raises RadforgeError when one is not a file of corrections, when they are of different keys, or contradict each other.
    """
    files = [(path, load(CorrectionsFile, str(path), "corrections")) for path in paths]
    keyless = [path for path, file in files if file.pictures and file.key_fingerprint is None]
    if keyless:
        raise RadforgeError.of([_keyless(f"{FLAG} {path}") for path in keyless])
    fingerprints = sorted({str(file.key_fingerprint) for _, file in files if file.pictures})
    if len(fingerprints) > 1:
        raise RadforgeError(
            "files of different keys", FLAG, f"keys {', '.join(fingerprints)}", "corrections of versions made with one key"
        )
    lines: dict[Place, Correction] = {}
    first: dict[Place, Path] = {}
    problems: list[Problem] = []
    for path, file in files:
        for line in file.pictures:
            if line.place in lines and not lines[line.place].agrees(line):
                problems.append(_contradiction(line, first[line.place], path))
            lines.setdefault(line.place, line)
            first.setdefault(line.place, path)
    cuts: dict[tuple[str, int], Correction] = {}
    for line in lines.values():
        if line.pictures and cuts.setdefault(line.place[:2], line).pictures != line.pictures:
            problems.append(_contradiction(line, first[cuts[line.place[:2]].place], first[line.place]))
    if problems:
        raise RadforgeError.of(problems[:_TOLD])
    return Corrections(next(iter(fingerprints), None), lines)


def _keyless(where: str) -> Problem:
    return Problem("the line key_fingerprint is missing", where, expected="the file as `etl review` wrote it")


def _is_strange(line: Correction, instance_id: str | None) -> bool:
    return instance_id is not None and line.image_id != image_id_of(instance_id, line.frame_index, line.region_index)


def _contradiction(line: Correction, one: Path, other: Path) -> Problem:
    where = f"{FLAG} {one}" + (f" and {other}" if other != one else "")
    return Problem(f"two lines contradict each other about picture {line.image_id}", where, expected="one of the two")


def _rows(table: StoredTable, sources: pa.Array, *columns: str) -> Iterator[tuple[Any, ...]]:
    """source_id, frame_index, region_index and `columns` of the rows of some files."""
    for group in table.groups(["source_id", "frame_index", "region_index", *columns]):
        own = group.filter(pc.is_in(group["source_id"], sources))
        yield from zip(*(column.to_pylist() for column in own.columns), strict=True)
