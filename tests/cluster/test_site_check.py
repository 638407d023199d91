"""`rjobs site check`: what a site file promises is looked at, and what does not hold is told."""

from __future__ import annotations

import json
import platform
import stat
from pathlib import Path
from typing import Any

import pytest

from cluster import registry, site_check
from cluster.site_check import Fact
from schemas.site import Site
from tests.cluster.counting import rjobs, site_of
from tests.cluster.drawn_jobs import own_list  # noqa: F401
from tests.lab.lab import Lab
from tests.training.small_run import QUIET

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # dask-jobqueue's


def facts_of(site: Site) -> dict[str, Fact]:
    return {fact.what: fact for fact in site_check.check(site, False, QUIET)}


def wrong(site: Site) -> list[Fact]:
    return [fact for fact in site_check.check(site, False, QUIET) if fact.holds is False]


def local(**settings: Any) -> Site:
    return Site.model_validate({"kind": "local", **settings})


def test_everything_of_the_labs_site_holds(lab: Lab) -> None:
    checked = rjobs(lab, "site", "check", lab.site())

    assert (checked.returncode, checked.stderr) == (0, "")
    lines = checked.stdout.splitlines()[1:]
    assert {line.split()[0] for line in lines} == {"ok"}
    assert all(
        word in checked.stdout for word in ("command", "shared folder", "interface lo", "setup lines and Python", "[gpu]")
    )
    assert (registry.records(), lab.jobs()) == ([], [])


def test_a_tiny_job_of_each_resource_tells_what_a_node_is_like(lab: Lab, tmp_path: Path) -> None:
    site = lab.site(scratch=str(tmp_path))

    checked = rjobs(lab, "site", "check", site, "--submit", "--json", timeout=120)

    assert checked.returncode == 0, checked.stderr
    facts = {fact["what"]: fact for fact in json.loads(checked.stdout)}
    assert [facts[f"[{name}] a job"]["holds"] for name in ("cpu", "gpu")] == [True, True]
    assert facts["[cpu] Python on the node"]["found"] == platform.python_version()
    assert facts["[cpu] scratch on the node"] == {"what": "[cpu] scratch on the node", "holds": True, "found": str(tmp_path)}
    assert facts["[gpu] GPUs"]["found"].startswith("1 of 1 given (CUDA_VISIBLE_DEVICES=")
    assert registry.records() == [], "the tiny jobs are gone from the list"
    lab.wait_until(lambda: lab.jobs() == [], 30)
    assert not (lab.folder / "shared/jobs").exists()


def test_a_wrong_queue_is_told(lab: Lab) -> None:
    checked = rjobs(lab, "site", "check", site := lab.site(cpu={"queue": "nosuch"}))

    assert checked.returncode == 2
    told = [line for line in checked.stdout.splitlines() if line.startswith("NOT")]
    assert all("nosuch" in line and "[cpu]" in line for line in told)
    assert told
    assert checked.stderr.splitlines()[-1].startswith("error: ")
    assert str(site) in checked.stderr


def test_more_memory_than_a_node_has_is_told_by_slurm_itself(slurm: Lab) -> None:
    (fact,) = wrong(site_of(slurm, cpu={"memory": "900GB"}))

    assert fact.what == "[cpu] sbatch --test-only"
    assert fact.found == "allocation failure: Requested node configuration is not available"


def test_more_gpus_than_a_node_has_are_told_by_slurm_itself(slurm: Lab) -> None:
    (fact,) = wrong(site_of(slurm, gpu={"gpus": 3}))

    assert fact.what == "[gpu] sbatch --test-only"
    assert fact.found


def test_jobs_are_not_tried_before_the_rest_is_mended(slurm: Lab) -> None:
    facts = site_check.check(site_of(slurm, interface="ib7"), True, QUIET)

    assert facts[-1] == Fact("jobs", None, "not tried: mend the others first")
    assert slurm.jobs() == []


def test_a_job_that_never_says_anything_here_is_told(slurm: Lab) -> None:
    # A node on which the setup lines end the job: as a module that only the login node has.
    site = site_of(slurm, setup=['[ -z "$SLURM_JOB_ID" ] || exit 9'])

    facts = site_check.check(site, True, QUIET)

    (fact,) = [fact for fact in facts if fact.what == "[cpu] a job"]
    assert fact.holds is False
    assert "FAILED" in fact.found
    assert "log.txt" in fact.found


@pytest.mark.parametrize("kind", ["slurm", "lsf"])
def test_a_machine_without_the_queues_commands_is_told(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/usr/bin-nothing:/bin-nothing")
    monkeypatch.setattr(site_check, "_python", lambda site: iter(()))

    facts = site_check.check(Site.model_validate({"kind": kind}), False, QUIET)

    assert [(fact.what, fact.holds) for fact in facts] == [(f"command {name}", False) for name in site_check.COMMANDS[kind]]
    assert all(fact.found == "not on this machine's PATH" for fact in facts)


def test_an_interface_that_is_not_there_is_told_with_those_that_are() -> None:
    (fact,) = wrong(local(interface="ib7"))

    assert fact.what == "interface ib7"
    assert "this machine has" in fact.found
    assert "lo" in fact.found


def test_a_python_that_is_not_there_is_told() -> None:
    (fact,) = wrong(local(python="/nowhere/python"))

    assert fact.what == "setup lines and Python"
    assert "/nowhere/python" in fact.found


def test_a_python_of_another_version_is_told(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\necho 3.9.1\n")
    old.chmod(stat.S_IRWXU)

    (fact,) = wrong(local(python=str(old)))

    assert fact.found == f"3.9.1, here {platform.python_version()}"


def test_a_setup_line_that_fails_is_told_in_its_own_words() -> None:
    (fact,) = wrong(local(setup=["export A=1", "module_that_is_not_there load python"]))

    assert fact.what == "setup lines and Python"
    assert "module_that_is_not_there" in fact.found


def test_a_setup_line_may_speak() -> None:
    assert wrong(local(setup=["echo welcome to this cluster"])) == []


def test_a_shared_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    (fact,) = wrong(local(shared=str(tmp_path / "file/logs")))

    assert fact.what == "shared folder"
    assert "Not a directory" in fact.found


def test_what_is_only_on_the_nodes_is_neither_right_nor_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODE_SCRATCH", raising=False)
    facts = facts_of(local(scratch="$NODE_SCRATCH", container="no-such-engine exec image.sif", python="true"))

    assert facts["scratch folder"] == Fact("scratch folder", None, "$NODE_SCRATCH is not set here")
    assert facts["command no-such-engine (container)"].holds is None
