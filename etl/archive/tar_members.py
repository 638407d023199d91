"""The members of a .tar or .tar.gz file (POSIX.1-2017 pax and ustar, GNU), read in place.

A gzip stream can be read from its start only; indexed_gzip keeps a way point every MiB or so, and a member
in the middle costs no more than the way from the last of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import FileIO
from tarfile import TarError, TarFile, TarInfo
from threading import Lock

from indexed_gzip import IndexedGzipFile

from etl.archive.dicom_reading import MAX_RATIO, RATIO_FREE_BYTES, Unreadable
from etl.archive.files import read_at
from etl.archive.members import Member, refusal

BLOCK = 512
MAX_HEADER_BYTES = 16 << 20  # of one extended header
WAY = 1 << 20  # unpacked bytes from way point to way point, more for large files: each costs 32 KiB of memory

_DAMAGE = (TarError, zlib.error, EOFError, OSError, ValueError, LookupError, ArithmeticError, RecursionError)
_CUT = "the tar is cut or damaged: not all of its members could be listed"

Reader = Callable[[int, int], bytes]  # (size, offset) -> bytes, fewer only at the end


def members(file: FileIO, size: int, *, gzipped: bool) -> Iterator[Member]:
    """The files of a tar of `size` bytes on disk, in its order; directories are left out.

    Raises Unreadable("read", ...) where the listing breaks or a gzip stream grows like a bomb.
    """
    read = _unpacked(file, size) if gzipped else partial(read_at, file)
    end = max(RATIO_FREE_BYTES, MAX_RATIO * size) if gzipped else size
    offset = 0
    try:
        archive = TarFile(fileobj=_Headers(read), encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # tarfile would keep every one
            if not info.isdir():
                yield Member(info.name, info.size, _problem(info), partial(_head, read, info.offset_data, info.size))
            if archive.offset <= offset:
                raise Unreadable("read", _CUT)  # headers that point backwards go round for ever
            offset = archive.offset
            if gzipped and offset > end:
                raise Unreadable("read", f"the tar grows more than {MAX_RATIO} times when it is unpacked")
        mark = read(BLOCK, archive.offset)
    except _DAMAGE:
        raise Unreadable("read", _CUT) from None
    if len(mark) != BLOCK or any(mark):
        raise Unreadable("read", _CUT)  # tarfile takes a damaged header for the end


def _problem(info: TarInfo) -> str:
    if info.issym() or info.islnk():
        return "the member is a link"
    if not info.isreg() or info.issparse():
        return "the member is no regular file"
    return refusal(info.name, info.size, info.size)


def _head(read: Reader, offset: int, size: int, wanted: int) -> bytes:
    return read(min(size, wanted), offset)


def _unpacked(file: FileIO, size: int) -> Reader:
    stream = IndexedGzipFile(fileobj=file, spacing=max(WAY, size // 512), buffer_size=1 << 16)
    lock = Lock()

    def read(wanted: int, offset: int) -> bytes:
        try:
            with lock:
                stream.seek(offset)
                return bytes(stream.read(wanted))
        except (OSError, ValueError, zlib.error, EOFError):
            raise Unreadable("read", "the gzip stream is cut or damaged") from None

    return read


class _Headers:
    """What tarfile reads headers from: a position of its own, and no extended header of gigabytes."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        self._position = 0

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise ValueError("no header is that long")
        data = self._read(size, self._position)
        self._position += len(data)
        return data

    def seek(self, position: int) -> int:
        if position < 0:
            raise ValueError("before the start")
        self._position = position
        return position

    def tell(self) -> int:
        return self._position
