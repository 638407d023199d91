"""Where a run keeps what it cannot keep in memory: files in DATASET.private, gone when the run is."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from etl.picture_store import disk_error
from etl.private import Private


class Scratch:
    """A folder, empty at the beginning of the `with` block and gone at its end, mode 0700; its files are 0600."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = ExitStack()

    @classmethod
    def beside(cls, private: Private, dataset: Path) -> Scratch:
        """That of a dataset. Two datasets may share what is private; the dataset's lock keeps a second run out."""
        name = hashlib.sha256(os.fsencode(os.path.realpath(dataset))).hexdigest()[:8]
        return cls(private.folder / f"work-{name}")

    def __enter__(self) -> Scratch:
        """Raises RadforgeError when the disk fails. What a killed run has left here is removed first."""
        try:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(mode=0o700)
        except OSError as error:
            raise disk_error(error, "the private folder") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._files.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def file(self, name: str) -> BinaryIO:
        """A new file to write and read, closed at the end of the block. Raises RadforgeError when the disk fails."""
        try:
            return self._files.enter_context(os.fdopen(private_file(self._folder / name), "r+b"))
        except OSError as error:
            raise disk_error(error, "the private folder") from None


def private_file(path: Path) -> int:
    """A descriptor of a new file, mode 0600, for reading and writing. Raises OSError."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
