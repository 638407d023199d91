"""One file on disk, opened and found to be the one that was listed; every refusal in our own words."""

from __future__ import annotations

import os
import stat
from io import FileIO

from etl.archive.dicom_reading import Unreadable

VANISHED = "the file vanished after the archive was listed"
CHANGED = "the file changed after the archive was listed"
DENIED = "permission to read was denied"
DISK = "the disk failed while reading"
OF_THE_MOMENT = frozenset({VANISHED, CHANGED, DENIED, DISK})  # not of the file itself: worth another try


def open_unchanged(path: str, size: int, mtime_ns: int) -> FileIO:
    """The file opened for reading, unbuffered.

    Raises Unreadable("read", ...) when it vanished, changed, may not be read or is no regular file.
    """
    try:
        # Not blocking: a pipe that took the file's place would wait for a writer for ever.
        file = FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        status = os.fstat(file.fileno())
    except OSError as error:
        raise Unreadable("read", sentence(error)) from None
    if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
        file.close()
        raise Unreadable("read", CHANGED)
    return file


def read_at(file: FileIO, size: int, offset: int) -> bytes:
    """`size` bytes from `offset`, fewer only at the end; Unreadable("read", ...) on a disk error."""
    pieces: list[bytes] = []
    try:
        while size > 0 and (piece := os.pread(file.fileno(), size, offset)):  # stops at 2 GiB by itself
            pieces.append(piece)
            size -= len(piece)
            offset += len(piece)
    except OSError as error:
        raise Unreadable("read", sentence(error)) from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def sentence(error: OSError) -> str:
    """The operating system's refusal in our words: its own text would name the path."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return VANISHED
    return DENIED if isinstance(error, PermissionError) else DISK
