"""Which instances must be judged together, and how an index is cut so that they are.

A study is one task, a patient has one split and one order of studies, and files that share a SOPInstanceUID are compared:
all instances that are linked in one of these ways, in however many hops, stand in one partition.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from etl.archive.index import Index, schema_of
from etl.scratch import Scratch
from etl.shards import KEYS, Shard
from etl.spill import Buckets

INSTANCES = 4_000  # in a partition; more only where one patient has more. Decided, an instance is about 5 KB of Python

_STUDY, _SOP = "study_instance_uid", "sop_instance_uid"
_PATIENT = ("patient_id", "issuer_of_patient_id")
_KEYS = (_STUDY, _SOP, *_PATIENT)

Keys = NDArray[np.int64]


def partition(index: Index, scratch: Scratch, size: int = INSTANCES, shard: Shard | None = None) -> Buckets:
    """The rows of an index, or of one shard of it, each in its partition, by name within it.

    Raises RadforgeError when the disk fails.
    """
    first = components(_keys(index))
    own = np.ones(len(first), np.bool_)
    if shard is not None and len(first):
        own = np.concatenate([shard.has(table) for table in index.tables(KEYS)])[first]
    number = np.full(len(first), -1, np.int64)
    number[own] = _numbers(first[own], size)
    buckets = Buckets(scratch.file("instances"), schema_of(index.keep), int(number.max(initial=-1)) + 1)
    start = 0
    for table in index.tables():
        there = own[start : start + len(table)]
        buckets.put(table.filter(pa.array(there)), number[start : start + len(table)][there])
        start += len(table)
    return buckets


def _keys(index: Index) -> list[Keys]:
    """Three keys a row: of its study, its SOP instance, its patient; 0 where the header has none.

    Hashes: two texts that share one are judged together, which changes nothing.
    """
    chunks: list[list[Keys]] = [[], [], []]
    for table in index.tables(_KEYS):
        study, sop, patient, issuer = (_hashed(table[name]) for name in _KEYS)
        for own, column in zip(chunks, (study, sop, np.where(patient == 0, 0, patient * 31 + issuer)), strict=True):
            own.append(column)
    return [np.concatenate(own) if own else np.zeros(0, np.int64) for own in chunks]


def _hashed(column: pa.ChunkedArray) -> Keys:
    encoded = column.combine_chunks().dictionary_encode()
    hashes = np.array([hash(text) if text else 0 for text in encoded.dictionary.to_pylist()], np.int64)
    return np.asarray(hashes[encoded.indices.to_numpy()])


def components(keys: Sequence[Keys]) -> Keys:
    """For each row the first row it is linked with. Two rows are linked by an equal key other than 0, and by a third row."""
    rows = len(keys[0])
    first = np.arange(rows)
    links = []
    for key in keys:
        codes, place = np.unique(key, return_inverse=True)
        place = np.where(key == 0, len(codes) + first, place)  # without a key a row is linked with none
        links.append(place)
    while True:
        before = first.copy()
        for place in links:
            lowest = np.full(int(place.max(initial=-1)) + 1, rows)
            np.minimum.at(lowest, place, first)
            first = lowest[place]
        first = first[first]  # a leap along the chain, so that long ones need few rounds
        if np.array_equal(first, before):
            return first


def _numbers(first: Keys, size: int) -> Keys:
    """The partition of each row: components in the order of their first rows, about `size` rows together."""
    _, component, sizes = np.unique(first, return_inverse=True, return_counts=True)
    numbers = (np.cumsum(sizes) - sizes) // size
    return np.asarray(np.unique(numbers, return_inverse=True)[1][component], np.int64)
