"""From what was typed to a JobSpec: arrays, dependencies, folders. Decides; submits nothing."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Sequence
from pathlib import Path

from cluster import registry, snapshot
from cluster.follow import of_members
from cluster.jobs import statuses
from schemas.errors import RadforgeError
from schemas.job import OVER, JobSpec, Member
from schemas.site import Site

_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
MOST_MEMBERS = 1000


def plain_job(
    words: Sequence[str], site: Site, out: Path | None, name: str | None, gpus: int, nodes: int, after: Sequence[str]
) -> JobSpec:
    """A job of any command line. Raises RadforgeError."""
    called = name or re.sub(r"\W+", "-", Path(words[0]).name) or "job"
    folder = out or Path("jobs") / f"{called}-{time.strftime('%Y%m%d-%H%M%S')}"
    return JobSpec(
        name=job_name(called),
        members=(Member(command=tuple(words)),),
        folder=job_folder(folder),
        cwd=Path.cwd(),
        resource="gpu" if gpus else "cpu",
        nodes=nodes,
        processes=max(1, gpus),
        gpus=gpus,
        after=queue_ids(after, site),
        git_commit=snapshot.commit(),
    )


def job_name(name: str) -> str:
    """A name that every queue takes. Raises RadforgeError."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]{0,63}", name):
        raise RadforgeError("not a name for a job", name, expected="letters, digits, and . _ + -, at most 64")
    return name


def job_folder(folder: Path) -> Path:
    """Absolute, and without what would break a queue's header. Raises RadforgeError."""
    path = Path.cwd() / folder
    if re.search(r"[\s'\"%`$\\]", str(path)):
        raise RadforgeError("a queue's header takes no blanks, quotes, % or $", str(path), expected="another folder")
    return path


def queue_ids(after: Sequence[str], site: Site) -> tuple[str, ...]:
    """The queue's ids of jobs to wait for. Raises RadforgeError for unknown jobs and those of another queue."""
    ids = []
    for name in after:
        record, members = registry.find(name)
        if record.kind != site.kind:
            raise RadforgeError("a job of another queue", f"--after {name}", record.kind, f"a job of {site.kind}")
        told = of_members(statuses([record], unanswered=lambda error: None), members)
        bad = [status for status in told if status.state in OVER - {"DONE", "UNKNOWN"}]
        if bad:
            raise RadforgeError("this job did not end well", f"--after {name}", f"{bad[0].state} {bad[0].reason}".strip())
        if all(status.state == "DONE" for status in told):
            continue  # nothing to wait for, and the queue may have forgotten it
        suffix = {"slurm": "_{}", "lsf": "[{}]"}.get(record.kind, "")
        ids.append(record.id + "".join(suffix.format(m + (record.kind == "lsf")) for m in members))
    return tuple(ids)


def array(settings: Sequence[str]) -> list[tuple[str, ...]]:
    """`seed=0..4`, `optim.lr=1e-3,1e-4` to the settings of each member: every combination. Raises RadforgeError."""
    choices: dict[str, Sequence[str | int]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        key, match = name.strip(), _RANGE.fullmatch(text.strip())
        values: Sequence[str | int] = (
            range(int(match[1]), int(match[2]) + 1)
            if match
            else list(dict.fromkeys(value.strip() for value in text.split(",") if value.strip()))
        )
        if not equals or not key or not values:
            raise RadforgeError("not understood", f"--array {setting}", expected="key=0..4 or key=1e-3,1e-4")
        if key in choices:
            raise RadforgeError(f"`{key}` is named twice", f"--array {setting}", expected="all its values in one --array")
        choices[key] = values
    count = math.prod(len(values) for values in choices.values())
    if count > MOST_MEMBERS:
        raise RadforgeError("too many members", "--array", str(count), f"{MOST_MEMBERS} at most")
    settled = [[f"{key}={value}" for value in values] for key, values in choices.items()]
    return list(itertools.product(*settled)) if settled else []
