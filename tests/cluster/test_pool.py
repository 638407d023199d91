"""The pool never waits for ever and never loses an item, whatever an item does to its worker."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from cluster.local_pool import local
from cluster.pool import Lost, Pool

GIGABYTE = 2**30


@pytest.fixture(scope="module")
def pool() -> Pool[str, str]:  # type: ignore[misc]
    with local(2, GIGABYTE) as pool:
        yield pool


def behave(item: str) -> str:
    if item == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "hang":
        time.sleep(1000)
    if item == "bug":
        raise ValueError("a bug")
    if item == "hog":
        hog = []
        while True:
            hog.append(bytearray(b"x" * 50_000_000))
            time.sleep(0.02)
    return item.upper()


def test_results_come_back_with_their_items(pool: Pool[str, str]) -> None:
    results = dict(pool.map(behave, ["a", "b", "c", "d", "e"]))

    assert results == {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"}


def test_an_item_that_kills_its_worker_is_lost_alone(pool: Pool[str, str]) -> None:
    results = dict(pool.map(behave, ["a", "segfault", "b", "c"]))

    assert results == {"a": "A", "segfault": Lost("crash"), "b": "B", "c": "C"}


def test_an_item_that_hangs_loses_its_worker_and_the_others_proceed(pool: Pool[str, str]) -> None:
    results = dict(pool.map(behave, ["hang", "a", "b"], lambda _: 3.0))

    assert results == {"hang": Lost("timeout"), "a": "A", "b": "B"}


def test_an_item_that_eats_the_memory_is_told_apart_from_a_crash(pool: Pool[str, str]) -> None:
    results = dict(pool.map(behave, ["hog", "a"], lambda _: 60.0))

    assert results == {"hog": Lost("memory"), "a": "A"}


def test_a_bug_is_raised_here(pool: Pool[str, str]) -> None:
    with pytest.raises(ValueError, match="a bug"):
        dict(pool.map(behave, ["bug"]))


def test_the_dashboard_listens_on_loopback_only(pool: Pool[str, str]) -> None:
    assert pool.dashboard.startswith("http://127.0.0.1:")


def test_scratch_folders_are_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    with local(1, GIGABYTE) as pool:
        assert list(pool.map(partial(max, 1), [2])) == [(2, 2)]

    assert list(tmp_path.iterdir()) == []
