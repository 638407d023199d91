"""Every job that was submitted from this account, one file each: what `jobs` lists when the queue has forgotten it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from schemas.errors import RadforgeError
from schemas.job import JobRecord, Status
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


def find(name: str) -> tuple[JobRecord, tuple[int, ...]]:
    """The job of an id, `12345`, `12345_3` (a member of an array) or `slurm-12345`, or of its folder; and the member, if one.

    Raises RadforgeError when there is none, or more than one.
    """
    known = records()
    as_folder = [record for record in known if record.spec.folder == Path(name).resolve()] if name else []
    if as_folder:
        return as_folder[-1], ()
    whole, _, member = name.partition("_")
    matches = [record for record in known if whole in {record.id, f"{record.kind}-{record.id}"}]
    if len(matches) > 1:
        choice = ", ".join(f"{record.kind}-{record.id}" for record in matches)
        raise RadforgeError("more than one job has this id", name, expected=f"one of: {choice}")
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
