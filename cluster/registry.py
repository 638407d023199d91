"""Every job that was submitted from this account, one file each: what `jobs` lists when the queue has forgotten it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from pydantic import TypeAdapter, ValidationError

from schemas.errors import RadforgeError
from schemas.job import JobRecord, Status
from schemas.site import Kind
from schemas.training_run import write_bytes

_ENDS = TypeAdapter(list[Status])


def folder() -> Path:
    """`$XDG_STATE_HOME/radforge/jobs`, or `~/.local/state/radforge/jobs`. Made when it is not there."""
    path = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "radforge" / "jobs"
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise RadforgeError("the list of jobs cannot be kept", str(path), error.strerror or "I/O error") from None
    return path


def save(record: JobRecord) -> None:
    """Remember a job, here and in its own folder. Raises RadforgeError when the disk refuses."""
    text = record.model_dump_json(indent=1).encode() + b"\n"
    write_bytes(folder() / f"{record.kind}-{record.id}.json", text)
    write_bytes(record.spec.folder / "job" / "record.json", text)
    _end_file(record).unlink(missing_ok=True)


def records() -> list[JobRecord]:
    """All jobs, oldest first. A file that cannot be read is passed over."""
    found = []
    for path in folder().glob("*-*.json"):
        try:
            found.append(JobRecord.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            continue
    return sorted(found, key=lambda record: record.submitted_at)


def of_folder(folder: Path) -> list[JobRecord]:
    """The jobs of a folder, by whichever way it was named; oldest first."""
    return [record for record in records() if record.spec.folder.resolve() == folder.resolve()]


def find(name: str) -> tuple[JobRecord, tuple[int, ...]]:
    """The job of an id, `12345`, `12345_3` (a member of an array) or `slurm-12345`, or of its folder; and the member, if one.

    Raises RadforgeError when there is none, or more than one.
    """
    if name and (there := of_folder(Path(name))):
        return there[-1], ()
    whole, _, member = name.partition("_")
    matches = [record for record in records() if whole in {record.id, f"{record.kind}-{record.id}"}]
    if len(matches) > 1:
        choice = ", ".join(f"{record.kind}-{record.id}" for record in matches)
        raise RadforgeError("more than one job has this id", name, expected=f"one of: {choice}")
    if not matches and any(name in _ids(path) for _, path in announced()):
        raise RadforgeError(
            "a worker of an `etl run`, not a job of its own", name, expected="Ctrl-C in that run, which replaces a lost worker"
        )
    if not matches:
        raise RadforgeError("no such job", name, expected="an id that `rjobs list --all` shows, or a job's folder")
    if not member:
        return matches[0], ()
    members = len(matches[0].spec.members)
    if not member.isdigit() or int(member) >= members or members == 1:
        limit = f"{whole}_0 to {whole}_{members - 1}" if members > 1 else f"{whole}: it is no array"
        raise RadforgeError("no such member", name, expected=limit)
    return matches[0], (int(member),)


def remember(record: JobRecord, ends: Sequence[Status]) -> None:
    """Keep how a job ended, for when the queue has forgotten it."""
    write_bytes(_end_file(record), _ENDS.dump_json(list(ends), indent=1) + b"\n")


def forget(record: JobRecord) -> None:
    """Take a job off the list; its folder is left alone."""
    for path in (folder() / f"{record.kind}-{record.id}.json", _end_file(record)):
        path.unlink(missing_ok=True)


def remembered(record: JobRecord) -> list[Status]:
    """How a job ended, if that was seen."""
    try:
        return _ENDS.validate_json(_end_file(record).read_bytes())
    except (OSError, ValidationError):
        return []


def announce(kind: Kind, workers: Path) -> Path:
    """Note the folder of a run's workers, so that their jobs are listed while it lasts; returns the note, to be removed."""
    note = folder() / f"{workers.name}.workers"
    write_bytes(note, f"{kind} {workers}\n".encode())
    return note


def announced() -> list[tuple[Kind, Path]]:
    """The folders of workers of runs that go on. Notes of runs that were killed go with their folders."""
    found: list[tuple[Kind, Path]] = []
    for note in sorted(folder().glob("*.workers")):
        kind, _, path = note.read_text("utf-8", "replace").strip().partition(" ")
        if Path(path).is_dir() and kind in get_args(Kind):
            found.append((cast(Kind, kind), Path(path)))
        else:
            note.unlink(missing_ok=True)
    return found


def _ids(workers: Path) -> list[str]:
    try:
        return (workers / "jobs").read_text("utf-8").split()
    except OSError:
        return []


def next_local() -> str:
    """A new id for a job of this machine."""
    number = 1
    while True:
        try:
            (folder() / f"L{number}.pid").open("x").close()
        except FileExistsError:
            number += 1
            continue
        return f"L{number}"


def _end_file(record: JobRecord) -> Path:
    return folder() / f"{record.kind}-{record.id}.end"
