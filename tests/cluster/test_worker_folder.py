"""What a run's workers leave on the shared file system, and who may sweep it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from cluster import certificates, registry, worker_folder
from cluster.queues import QUEUES
from cluster.queues.words import Seen
from cluster.worker_folder import WorkerFolder
from tests.cluster.drawn_jobs import own_list  # noqa: F401

DEAD = 2**22 - 1  # no process has this number


def left_by_a_killed_run(shared: Path, kind: str, *jobs: str) -> Path:
    """As kill -9 leaves it."""
    path = shared / f"workers-{socket.gethostname()}-{DEAD}"
    path.mkdir(parents=True)
    (path / "kind").write_text(kind)
    (path / certificates.KEY).write_text("a secret")
    for job in jobs:
        WorkerFolder(path).remember(job)
    return path


def test_what_a_killed_run_left_is_swept_and_its_jobs_are_cancelled_in_their_own_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[tuple[str, str]] = []
    for kind in ("slurm", "lsf"):
        monkeypatch.setattr(QUEUES[kind], "states", lambda ids: {id_: [Seen(None, "RUNNING")] for id_ in ids})  # type: ignore[index]
        monkeypatch.setattr(QUEUES[kind], "cancel", lambda id_, members, kind=kind: cancelled.append((kind, id_)))  # type: ignore[index]
    left = left_by_a_killed_run(tmp_path, "lsf", "7", "8")

    with worker_folder.worker_folder(tmp_path, "slurm"):
        assert not left.exists()

    assert cancelled == [("lsf", "7"), ("lsf", "8")]


def test_another_users_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = left_by_a_killed_run(tmp_path, "slurm", "7")
    monkeypatch.setattr(os, "getuid", lambda: 4711)

    with worker_folder.worker_folder(tmp_path, "slurm"):
        assert left.exists()


def test_a_run_is_announced_while_it_lasts_and_leaves_nothing(tmp_path: Path) -> None:
    with worker_folder.worker_folder(tmp_path, "slurm") as folder:
        folder.remember("12")

        assert registry.announced() == [("slurm", folder.path)]
        assert folder.path.stat().st_mode & 0o777 == 0o700

    assert registry.announced() == []
    assert list(tmp_path.iterdir()) == []
