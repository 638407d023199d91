"""The members of a .zip file (PKWARE APPNOTE), read in place."""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from io import FileIO
from itertools import pairwise
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from etl.archive.dicom_reading import Unreadable
from etl.archive.files import read_at
from etl.archive.members import Member, refusal

MAX_DIRECTORY_BYTES = 256 << 20  # a million members with long names
ENCRYPTED = 0x1  # general purpose flag, APPNOTE 4.4.4
LOCAL_HEADER_BYTES = 30

_DAMAGE = (BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, LookupError, RuntimeError)


def members(file: FileIO, size: int) -> Iterator[Member]:
    """The files of a zip of `size` bytes, in its directory's order; Unreadable("read", ...) without one."""
    if _directory_bytes(file, size) > MAX_DIRECTORY_BYTES:
        raise Unreadable("read", "the zip's directory is larger than any archive of films needs")
    try:
        archive = ZipFile(file)
    except _DAMAGE:
        raise Unreadable("read", "the zip is cut or damaged: its directory cannot be read") from None
    overlapping = _overlapping(archive.infolist())
    for info in archive.infolist():
        if not info.filename.endswith("/"):  # a folder
            problem = "the member shares its bytes with another" if id(info) in overlapping else _problem(info)
            yield Member(info.filename, info.file_size, problem, partial(_head, archive, info))


def _problem(info: ZipInfo) -> str:
    if info.flag_bits & ENCRYPTED:
        return "the member is encrypted"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "the member is a link"
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        # The others cannot be unpacked in bounded steps, and no DICOM software writes them.
        return "the member is compressed by another method than deflate"
    return refusal(info.filename, info.file_size, info.compress_size)


def _head(archive: ZipFile, info: ZipInfo, size: int) -> bytes:
    try:
        with archive.open(info) as stream:
            return stream.read(size)
    except _DAMAGE:
        raise Unreadable("read", "the member is damaged: it cannot be unpacked") from None


def _overlapping(infos: list[ZipInfo]) -> set[int]:
    """Members whose bytes lie within another's: how a small zip holds petabytes."""
    found: set[int] = set()
    placed = sorted(infos, key=lambda info: info.header_offset)
    for one, other in pairwise(placed):
        if one.header_offset + LOCAL_HEADER_BYTES + one.compress_size > other.header_offset:
            found |= {id(one), id(other)}
    return found


def _directory_bytes(file: FileIO, size: int) -> int:
    """Size of the central directory by the end record (APPNOTE 4.3.16, zip64: 4.3.14), 0 without."""
    tail = read_at(file, 1 << 16, max(0, size - (1 << 16)))
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or end + 16 > len(tail):
        return 0
    (directory,) = struct.unpack_from("<I", tail, end + 12)
    wide = tail.rfind(b"PK\x06\x06", 0, end)
    if directory == 0xFFFFFFFF and 0 <= wide <= len(tail) - 48:
        (directory,) = struct.unpack_from("<Q", tail, wide + 40)
    return int(directory)
