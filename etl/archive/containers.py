"""Members of .zip, .tar and .tar.gz files, read in place: nothing is ever unpacked to disk.

A member is refused, as a failure, when its name is absolute or climbs out with `..`, when it is a link or a
device, encrypted, larger than any film or packed like a bomb; the rest of its container is read all the same.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from functools import lru_cache
from io import FileIO
from threading import RLock
from typing import Literal

from etl.archive.dicom_reading import Unreadable
from etl.archive.files import CHANGED, open_unchanged, read_at, sentence
from etl.archive.members import MAX_MEMBERS, Member
from etl.archive.tar_members import members as tar_members
from etl.archive.zip_members import members as zip_members
from etl.study import Source

Kind = Literal["zip", "tar", "tar.gz", ""]

OPEN_CONTAINERS = 8  # kept open, with their listing, by one process
GZIP = b"\x1f\x8b"


def kind(head: bytes) -> Kind:
    """What container a file is, by its first bytes (1 KiB is enough), or ""."""
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if _is_tar(head):
        return "tar"
    if head[:2] == GZIP:
        try:
            return "tar.gz" if _is_tar(zlib.decompressobj(31).decompress(head, 512)) else ""
        except zlib.error:
            return ""
    return ""


def members(path: str, size: int, mtime_ns: int) -> Iterator[Member]:
    """The files in a container, in its own order, directories left out.

    Raises Unreadable("read", ...) where the container is broken, after the members before that.
    """
    yield from _opened(path, size, mtime_ns)


def read_bytes(source: Source, limit: int | None = None) -> bytes:
    """The whole bytes of a plain file or a member.

    Raises Unreadable("read", ...) when it vanished, changed, cannot be read, is refused, is shorter than it
    says, or is larger than `limit` bytes.
    """
    if limit is not None and source.size > limit:
        raise Unreadable("read", f"the file is larger than {limit} bytes")
    if source.member:
        try:
            size = os.stat(source.path).st_size  # noqa: PTH116 - the container's, unchanged or not
        except OSError as error:
            raise Unreadable("read", sentence(error)) from None
        member = _opened(source.path, size, source.mtime_ns).find(source.member)
        if member.problem:
            raise Unreadable("read", member.problem)
        data = member.head(source.size)
    else:
        with open_unchanged(source.path, source.size, source.mtime_ns) as file:
            data = read_at(file, source.size, 0)
    if len(data) != source.size:
        raise Unreadable("read", "the file is shorter than its declared size")
    return data


def _is_tar(head: bytes) -> bool:
    """Whether `head` begins with a tar header: its checksum fits (POSIX.1-2017, pax: ustar)."""
    block = head[:512]
    try:
        stated = int(block[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    return len(block) == 512 and stated == sum(block) - sum(block[148:156]) + 8 * ord(" ")


class _Container:
    """A container that is open; its members are listed once, and only as far as somebody asked."""

    def __init__(self, file: FileIO, listing: Iterator[Member]) -> None:
        self._file = file
        self._listing = listing
        self._listed: list[Member] = []
        self._by_name: dict[str, Member] = {}
        self._broken = ""
        self._lock = RLock()

    def __del__(self) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Member]:
        index = 0
        while index < len(self._listed) or self._list_one():
            yield self._listed[index]
            index += 1

    def find(self, name: str) -> Member:
        """The member of that name; raises Unreadable when there is none."""
        while name not in self._by_name:
            if not self._list_one():
                raise Unreadable("read", CHANGED)
        return self._by_name[name]

    def _list_one(self) -> bool:
        with self._lock:
            if self._broken:
                raise Unreadable("read", self._broken)
            try:
                member = next(self._listing, None)
                if member is not None and len(self._listed) >= MAX_MEMBERS:
                    raise Unreadable("read", f"the container has more than {MAX_MEMBERS} members")
            except Unreadable as broken:
                self._broken = broken.error
                raise
            if member is not None:
                member = member._replace(name=self._unique(member.name))
                self._by_name[member.name] = member
                self._listed.append(member)
            return member is not None

    def _unique(self, name: str) -> str:
        name = name or "#"  # "" is a plain file's
        unique, count = name, 1
        while unique in self._by_name:
            count += 1
            unique = f"{name}#{count}"
        return unique


@lru_cache(maxsize=OPEN_CONTAINERS)
def _opened(path: str, size: int, mtime_ns: int) -> _Container:
    file = open_unchanged(path, size, mtime_ns)
    head = read_at(file, 1024, 0)
    zipped = kind(head) == "zip"
    return _Container(file, zip_members(file, size) if zipped else tar_members(file, size, gzipped=head[:2] == GZIP))
