"""A file of corrections while somebody decides: each decision is on the disk before the next is asked for."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from schemas.corrections import CORRECTIONS_VERSION, Correction, CorrectionsFile, Place
from schemas.errors import RadforgeError
from schemas.loading import load

_HEAD = """\
# What people saw in the pictures of a radforge dataset: a line a picture, ids are pseudonyms.
# For `etl run ARCHIVE --out DATASET --corrections THIS`, which makes the next version.
"""


class CorrectionFile:
    """The decisions in the order they were taken. One `etl review` at a time writes a file: the lock dies with its process."""

    def __init__(self, path: Path, key_fingerprint: str | None) -> None:
        """Raises RadforgeError when the file is no file of corrections, another key's, in use, or cannot be written."""
        self.path = path
        self._key = key_fingerprint
        self._lines: dict[Place, tuple[Correction, str]] = {}
        self._lock = self._take()
        try:
            self._read()
        except RadforgeError:
            self._release()
            raise
        self._state = self._stat()

    def __enter__(self) -> CorrectionFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._release()

    def __len__(self) -> int:
        return len(self._lines)

    def is_there(self) -> bool:
        """Whether the file still lies on the disk."""
        return self.path.is_file()

    def lines(self) -> list[Correction]:
        """All decisions, the last one last."""
        return [line for line, _ in self._lines.values()]

    def get(self, place: Place) -> Correction | None:
        """What was decided of a picture."""
        found = self._lines.get(place)
        return found[0] if found else None

    def decide(self, place: Place, line: Correction | None) -> None:
        """Put a decision in the place of an earlier one, or take it back with None. On the disk when this returns.

        A film that is to be cut otherwise is so by the last word on it. Raises RadforgeError (disk, or somebody else wrote).
        """
        lines = dict(self._lines)
        lines.pop(place, None)
        if line is not None:
            if line.pictures:
                lines = {p: v for p, v in lines.items() if not (v[0].pictures and p[:2] == place[:2])}
            lines[place] = line, _line(line)
        self._write(lines)
        self._lines = lines

    def last(self, wanted: Callable[[Place], bool]) -> Place | None:
        """The picture that was decided last, of those that are wanted."""
        return next((place for place in reversed(self._lines) if wanted(place)), None)

    def _read(self) -> None:
        if not self.path.exists():
            return
        there = load(CorrectionsFile, str(self.path), "corrections")
        if there.pictures and there.key_fingerprint is None and self._key:
            raise RadforgeError(
                "the line key_fingerprint is missing", f"--out {self.path}", expected="the file as `etl review` wrote it"
            )
        if there.pictures and there.key_fingerprint != self._key:
            raise RadforgeError(
                "holds corrections of another key: no id of theirs is in this version",
                f"--out {self.path}",
                f"key {there.key_fingerprint}",
                f"key {self._key}, or another file",
            )
        for line in there.pictures:
            self._lines[line.place] = line, _line(line)

    def _write(self, lines: dict[Place, tuple[Correction, str]]) -> None:
        if self._stat() != self._state:
            raise RadforgeError("was changed by something else", str(self.path), expected="to start `etl review` again")
        head = f"{_HEAD}schema_version = {CORRECTIONS_VERSION}\n"
        head += f"key_fingerprint = {json.dumps(self._key)}\n" if self._key else ""
        text = head + "pictures = [\n" + "".join(own for _, own in lines.values()) + "]\n"
        draft = self.path.with_name(f".{self.path.name}.new")  # one name, or each crash would leave one
        try:
            with draft.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise RadforgeError("cannot be written", f"--out {self.path}", found=error.strerror or "I/O error") from None
        self._state = self._stat()

    def _stat(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino

    def _take(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RadforgeError("cannot be written", f"--out {self.path}", found=error.strerror or "I/O error") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RadforgeError(
                "another `etl review` writes this file", f"--out {self.path}", expected="a file of your own: --out FILE"
            ) from None
        except OSError:
            return descriptor  # a file system without locks
        try:
            ours = os.fstat(descriptor).st_ino == self._lock_file.stat().st_ino
        except OSError:
            ours = False
        if not ours:  # a sitting that ended just now removed the file that we hold
            os.close(descriptor)
            return self._take()
        return descriptor

    def _release(self) -> None:
        with suppress(OSError):
            self._lock_file.unlink()
        os.close(self._lock)

    @property
    def _lock_file(self) -> Path:
        return self.path.with_name(f".{self.path.name}.lock")


def _line(line: Correction) -> str:
    """One line of TOML: JSON's values are TOML's, where none is null."""
    values: dict[str, Any] = line.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return "  { " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items()) + " },\n"
