"""Find every file of an archive: folders, single files, containers, what a DICOMDIR names.

No file name and no extension is trusted; what a file is, `etl.archive.headers` finds out by its content.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from etl.archive.dicomdir import referenced_files
from etl.archive.files import DENIED, DISK, VANISHED
from schemas.errors import RadforgeError

EXPECTED = "a folder, a file, a .zip, .tar or .tar.gz, or a DICOMDIR"


class Found(NamedTuple):
    """One file of the archive as it was listed.

    `name` is the path relative to its ARCHIVE argument, "/" between the parts, unique in the run and always
    valid Unicode (bytes of a file name that are no UTF-8 are written as \\xNN); `path` is what opens it.
    `problem` is our sentence on what is listed but cannot be read (a closed folder, a broken link), else "".
    """

    name: str
    path: str
    size: int  # bytes
    mtime_ns: int
    problem: str = ""


def walk(archive: Path, folders: set[tuple[int, int]]) -> Iterator[tuple[Found, str]]:
    """The files under one ARCHIVE argument, by name within each folder, each with its real path (links resolved).

    Linked folders are followed; a folder whose (device, inode) is in `folders` is not visited again, and those visited
    are added. Raises RadforgeError for an argument that does not exist, cannot be opened, or is a DICOMDIR without its files.
    """
    try:
        status = archive.stat()
        if stat.S_ISDIR(status.st_mode):
            os.scandir(archive).close()  # may it be listed at all?
            yield from _Walk(os.path.abspath(archive), folders)  # noqa: PTH100 - links stay
            return
        if not stat.S_ISREG(status.st_mode):
            raise RadforgeError("not an archive", str(archive), "neither a file nor a folder", EXPECTED)
        named = referenced_files(archive)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        what = "the archive does not exist" if missing else "the archive cannot be read"
        raise RadforgeError(what, str(archive), error.strerror or "", EXPECTED) from None
    path = os.path.abspath(archive)  # noqa: PTH100
    yield _found(archive.name, path, status), os.path.realpath(path)
    for name, inside in named:
        path = os.path.abspath(inside)  # noqa: PTH100
        try:
            yield _found(name, path, os.stat(path)), os.path.realpath(path)  # noqa: PTH116
        except OSError as error:
            yield _unreadable(name, path, error, "the DICOMDIR names a file that is not there"), path


class _Walk:
    """Depth first, by name; with a stack of its own, because folders lie deeper than Python recurses."""

    def __init__(self, top: str, folders: set[tuple[int, int]]) -> None:
        self._folders = folders
        self._stack: list[tuple[str, str, str, bool]] = [("", top, os.path.realpath(top), False)]

    def __iter__(self) -> Iterator[tuple[Found, str]]:
        while self._stack:
            name, path, real, linked = self._stack.pop()
            real = os.path.realpath(path) if linked else real
            try:
                status = os.stat(path)  # noqa: PTH116 - a path may hold bytes that are no text
                if not stat.S_ISDIR(status.st_mode):
                    yield _found(name, path, status), real
                elif (key := (status.st_dev, status.st_ino)) not in self._folders:
                    self._folders.add(key)
                    self._push(name, path, real)
            except OSError as error:
                yield (
                    _unreadable(name, path, error, "a link that leads nowhere" if linked else VANISHED),
                    real,
                )

    def _push(self, name: str, path: str, real: str) -> None:
        with os.scandir(path) as entries:
            inside = sorted(entries, key=lambda entry: entry.name, reverse=True)
        prefix = f"{name}/" if name else ""
        for entry in inside:
            self._stack.append((prefix + entry.name, entry.path, f"{real}/{entry.name}", entry.is_symlink()))


def _found(name: str, path: str, status: os.stat_result) -> Found:
    problem = "" if stat.S_ISREG(status.st_mode) else "a device, a pipe or a socket"
    return Found(unicode_name(name), path, status.st_size, status.st_mtime_ns, problem)


def _unreadable(name: str, path: str, error: OSError, missing: str) -> Found:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        problem = missing
    else:
        problem = DENIED if isinstance(error, PermissionError) else DISK
    return Found(unicode_name(name), path, 0, 0, problem)


def unicode_name(name: str) -> str:
    """A file name that can be stored as text: bytes that are no UTF-8 written as \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
