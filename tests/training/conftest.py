"""One drawn version and one finished run for all tests that only read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from schemas.dataset import DatasetVersion
from schemas.training_run import TrainingRun
from tests.training.drawn_dataset import drawn_version
from tests.training.small_run import trained
from training.loop import stopping


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def version(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    return drawn_version(tmp_path_factory.mktemp("drawn"), {"train": 24, "val": 16, "test": 20}, size=(32, 24))


@pytest.fixture(scope="session")
def run_of_all(version: DatasetVersion, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    """A finished two-stage run."""
    return trained(tmp_path_factory.mktemp("runs") / "mvcnn", version)


@pytest.fixture(autouse=True)
def _no_signal_left() -> Iterator[None]:
    yield
    stopping.forget()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"
