"""The scripts of some jobs on every shipped site, as they should be. `python -m tests.cluster.golden` writes them anew."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import dask
import yaml

from cluster.script import render
from schemas.job import JobSpec, Member
from schemas.loading import shipped_names
from schemas.site import Site, load_site

HERE = Path(__file__).parent
FOLDER = Path("/data/study/runs")


def plain(site: Site) -> JobSpec:
    """Any command line, with a word that a shell would cut."""
    return JobSpec(
        name="convert",
        members=(Member(command=("convert", "--title", "left and right", "films.csv")),),
        folder=FOLDER / "convert",
        cwd=Path("/data/study"),
        git_commit="0123abc",
    )


def training(site: Site) -> JobSpec:
    """Two nodes of four GPUs, where the site has them."""
    gpus = 0 if site.gpu is None else 1 if site.name == "lab" else 4
    return JobSpec(
        name="mvcnn",
        members=(_member("mvcnn", ""),),
        folder=FOLDER / "mvcnn",
        cwd=Path("/data/study"),
        resource="gpu",
        nodes=1 if site.kind == "local" else 2,
        processes=gpus or 2,
        gpus=gpus,
        resumable=True,
        git_commit="0123abc",
    )


def array(site: Site) -> JobSpec:
    """Three seeds, two at a time, after another job."""
    return JobSpec(
        name="rx_lite",
        members=tuple(_member(f"rx_lite/seed{seed}", f"seed={seed}") for seed in range(3)),
        folder=FOLDER / "rx_lite",
        cwd=Path("/data/study"),
        resource="gpu",
        gpus=0 if site.gpu is None else 1,
        after=() if site.kind == "local" else ("4711",),
        together=2,
        resumable=True,
        git_commit="0123abc",
    )


def _member(run: str, setting: str) -> Member:
    words = ("python", "-m", "training", "run", str(FOLDER / "recipe.toml"), "--out", str(FOLDER / run), "--resume")
    return Member(
        label=setting,
        command=(*words, *(("--set", setting) if setting else ())),
        run=FOLDER / run,
        again=FOLDER / run / "again",
        progress=str(FOLDER / run / "steps.parquet"),
    )


JOBS = {"plain": plain, "training": training, "array": array}
NAMES = [f"{site}-{job}" for site in shipped_names("sites") for job in JOBS]


@contextmanager
def nothing_of_this_machine() -> Iterator[None]:
    """Neither a jobqueue.yaml nor an lsf.conf of whoever runs the tests."""
    packaged = yaml.safe_load((resources.files("dask_jobqueue") / "jobqueue.yaml").read_text("utf-8"))
    folders = {name: os.environ.pop(name) for name in ("LSF_ENVDIR", "LSF_CONFDIR") if name in os.environ}
    try:
        with dask.config.set(packaged):
            yield
    finally:
        os.environ.update(folders)


def job(name: str) -> tuple[JobSpec, Site]:
    """What a golden file is rendered from."""
    site_name, _, kind = name.rpartition("-")
    site = load_site(site_name).model_copy(update={"python": "/opt/radforge/bin/python"})
    return JOBS[kind](site), site


def scripts() -> Mapping[str, str]:
    """Every script by its file's name."""
    with nothing_of_this_machine():
        return {f"{name}.sh": render(*job(name)) for name in NAMES}
