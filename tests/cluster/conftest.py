"""Queues for the tests of this folder.

`slurm_up` and `lsf_up` live as long as the tests do. `slurm`, `lsf` and `lab` (each in turn) are one of them for one test:
os.environ talks to it, and its queue is empty before and after.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.lab import packages
from tests.lab.lab import Lab, up


@pytest.fixture(scope="session")
def slurm_up() -> Iterator[Lab]:
    """A real SLURM."""
    if why := packages.install():
        # A person may lack root; where tests are a gate, a missing queue must not look like a passing one.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    lab = up("slurm")
    yield lab
    lab.down()


@pytest.fixture(scope="session")
def lsf_up() -> Iterator[Lab]:
    """The stand-in for LSF."""
    lab = up("lsf")
    yield lab
    lab.down()


def _for_one_test(lab: Lab) -> Iterator[Lab]:
    with lab.entered():
        lab.free()
        yield lab
        lab.free()


@pytest.fixture
def slurm(slurm_up: Lab) -> Iterator[Lab]:
    """A real SLURM with an empty queue."""
    yield from _for_one_test(slurm_up)


@pytest.fixture
def lsf(lsf_up: Lab) -> Iterator[Lab]:
    """The stand-in for LSF with an empty queue."""
    yield from _for_one_test(lsf_up)


@pytest.fixture(params=["slurm", "lsf"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Each of them in turn, with an empty queue."""
    yield from _for_one_test(request.getfixturevalue(f"{request.param}_up"))
