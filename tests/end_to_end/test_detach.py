"""`etl run --detach`: what is decided before a driver goes to the queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import jobs, registry
from cluster.script import render
from cluster.span import Span
from etl.detach import driver_job
from etl.order import Order
from schemas.errors import RadforgeError
from schemas.job import JobRecord, Status
from schemas.loading import load
from schemas.recipe import EtlRecipe
from schemas.site import Site
from tests.cluster.drawn_jobs import own_list  # noqa: F401

SITE = Site.model_validate({"kind": "local"})


def order(folder: Path, site: Site | None = SITE) -> Order:
    (folder / "films").mkdir(exist_ok=True)
    return Order((folder / "films",), folder / "set", load(EtlRecipe, "wrist", "etl"), workers=Span(1, 2), site=site)


def test_the_driver_is_what_was_typed_with_recipe_and_site_beside_its_script(tmp_path: Path) -> None:
    spec, files = driver_job(order(tmp_path))

    (member,) = spec.members
    command = " ".join(member.command)
    assert command.startswith(
        f"python -P -m etl run {tmp_path}/films --out {tmp_path}/set --recipe {spec.folder}/job/recipe.toml"
    )
    assert command.endswith(f"--site {spec.folder}/job/site.toml --workers 1:2")
    assert spec.folder.is_relative_to(tmp_path / "set.private")
    assert sorted(files) == ["job/recipe.toml", "job/site.toml"]
    assert "exit" in render(spec, SITE)
    assert not (tmp_path / "set.private").exists(), "nothing is written before it is submitted"


def test_without_a_site_there_is_no_queue_to_go_to(tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match="--detach: where to"):
        driver_job(order(tmp_path, None))


def test_a_second_driver_of_a_dataset_is_refused_while_the_first_is_not_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, _ = driver_job(order(tmp_path))
    registry.save(JobRecord(id="7", kind="local", spec=spec, site=SITE, submitted_at="2026-01-01"))
    status = Status(id="7", name="etl-run", state="PENDING", folder=spec.folder)
    monkeypatch.setattr("etl.detach.statuses", lambda records, unanswered: [status])

    with pytest.raises(RadforgeError, match="a job builds this dataset already; found job 7"):
        driver_job(order(tmp_path))

    monkeypatch.setattr("etl.detach.statuses", jobs.statuses)
    assert driver_job(order(tmp_path))[0].name == "etl-run", "that job has been forgotten: it is over"
