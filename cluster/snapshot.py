"""What a job runs, kept beside it: the code as it is now, its commit, and what differs from that."""

from __future__ import annotations

import shutil
from pathlib import Path

from cluster.shell import call, git_commit
from schemas.errors import RadforgeError
from schemas.job import JobSpec

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("schemas", "cluster", "etl", "training")


def keep(spec: JobSpec) -> None:
    """Copy our packages to job/code and what differs from the commit to job/diff.patch. Raises RadforgeError (disk).

    A job may wait for days: an edit or an update meanwhile changes nothing of it.
    """
    code, job = spec.code, spec.code.parent
    draft = job / "code.tmp"
    try:
        for leftover in (code, draft):
            shutil.rmtree(leftover, ignore_errors=True)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, draft / package, ignore=shutil.ignore_patterns("__pycache__"))
        draft.rename(code)
        difference = call(["git", "diff", "HEAD"], ROOT).stdout if (ROOT / ".git").exists() else ""
        (job / "diff.patch").unlink(missing_ok=True)
        if difference:
            (job / "diff.patch").write_text(difference, "utf-8")
    except OSError as error:
        raise RadforgeError("the code cannot be copied", str(job), error.strerror or "I/O error") from None


def commit() -> str | None:
    """The commit that JOB/code is a copy of."""
    return git_commit(ROOT)
