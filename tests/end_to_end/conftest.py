"""One drawn archive for all stories of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.progress import Reporter
from cluster.span import Span
from etl import phantom
from etl.order import Built, Order
from etl.run import run
from schemas.loading import load
from schemas.recipe import EtlRecipe

QUIET = Reporter(Console(quiet=True), quiet=True)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small raw archive with everything in it."""
    out = tmp_path_factory.mktemp("drawn") / "phantom"
    phantom.draw(out, studies=14, seed=5, size=(480, 400))
    return out


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One key for all runs, so that their bytes can be compared."""
    path = tmp_path_factory.mktemp("key") / "key"
    path.write_text("a key that is no secret at all")
    return path


@pytest.fixture(scope="session")
def build(drawn: Path, key: Path) -> Callable[..., Built]:
    """Run on the drawn archive: `build(out, workers=2, ...)`."""

    def make(out: Path, **changes: Any) -> Built:
        settings: dict[str, Any] = {
            "recipe": load(EtlRecipe, "wrist", "etl"),
            "labels": drawn / "labels.csv",
            "key": key,
            "workers": Span(2, 2),
            "archives": (drawn / "archive",),
        }
        return run(Order(out=out, **{**settings, **changes}), QUIET)

    return make


@pytest.fixture(scope="session")
def built(build: Callable[..., Built], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The version that an undisturbed run gives."""
    out = tmp_path_factory.mktemp("built") / "ds"
    return build(out, crosswalk=out.parent / "x.csv")


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of a version."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
