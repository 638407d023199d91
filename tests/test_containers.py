"""The container definitions: what they must hold; and, as no container engine runs here, their commands in a clean folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONTAINERS = ROOT / "docs/containers"
DOCKER = (CONTAINERS / "Dockerfile").read_text("utf-8")
APPTAINER = (CONTAINERS / "radforge.def").read_text("utf-8")
INSTALL = (CONTAINERS / "install.sh").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def copied_by_docker() -> dict[str, str]:
    """Every file or folder, and where it goes."""
    copied = {}
    for line in re.findall(r"^COPY (.+)$", DOCKER, re.MULTILINE):
        *sources, to = line.split()
        copied |= {source: to + source if to.endswith("/") else to for source in sources}
    return copied


def copied_by_apptainer() -> dict[str, str]:
    section = APPTAINER.split("%files\n")[1].split("\n\n")[0]
    return {line.split()[0]: line.split()[1] for line in section.splitlines()}


def test_both_definitions_copy_the_same_files_to_the_same_places() -> None:
    assert copied_by_docker() == copied_by_apptainer()


def test_what_is_copied_is_what_the_package_is_built_from_and_nothing_else() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    project = PROJECT["project"]

    needed = {"pyproject.toml", "constraints.txt", "docs/containers/install.sh", *packages}
    needed |= {project["readme"], *project["license-files"]}

    assert set(copied_by_docker()) == needed
    assert all((ROOT / name).exists() for name in needed)


def test_both_definitions_stand_on_the_same_image_and_run_the_same_script() -> None:
    script = "sh /src/docs/containers/install.sh /src /opt/radforge"

    assert re.findall(r"^FROM (.+)$", DOCKER, re.MULTILINE) == ["python:3.11-slim"]
    assert re.findall(r"^From: (.+)$", APPTAINER, re.MULTILINE) == ["python:3.11-slim"]
    assert re.findall(r"^RUN (sh .+)$", DOCKER, re.MULTILINE) == [script]
    assert APPTAINER.split("%post\n")[1].split("\n\n")[0].strip() == script


def test_the_script_pins_every_version_and_tries_every_command() -> None:
    commands = re.search(r"^for command in (.+); do$", INSTALL, re.MULTILINE)

    assert '--constraint "$source/constraints.txt" "$source[train]"' in INSTALL
    assert commands is not None
    # `jobs` is the same program as `rjobs`, under a word that shells keep for themselves.
    assert set(commands[1].split()) == set(PROJECT["project"]["scripts"]) - {"jobs"}


def test_the_docker_image_does_not_run_as_root() -> None:
    steps = [line.split()[0] for line in DOCKER.splitlines() if re.match(r"[A-Z]+ ", line)]

    assert re.findall(r"^USER (.+)$", DOCKER, re.MULTILINE) == ["radforge"]
    assert steps.index("USER") > max(at for at, step in enumerate(steps) if step == "RUN")


@pytest.mark.parametrize("text", [DOCKER, APPTAINER, INSTALL], ids=["Dockerfile", "radforge.def", "install.sh"])
def test_no_host_is_named(text: str) -> None:
    assert re.findall(r"\S*(?:://|\b\w+\.(?:io|com|org|net|de|ai)\b)\S*", text) == []


def test_the_script_leaves_what_is_there_alone(tmp_path: Path) -> None:
    done = subprocess.run(["sh", CONTAINERS / "install.sh", ROOT, tmp_path], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.acceptance
@pytest.mark.timeout(3000)
def test_the_commands_of_the_definitions_work_in_a_clean_folder(tmp_path: Path) -> None:
    source, prefix = tmp_path / "src", tmp_path / "radforge"
    for name, to in copied_by_docker().items():
        place = source / Path(to).relative_to("/src")
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, place)
    python = Path(sys.executable).resolve().parent
    # Nothing of this environment but how packages are reached.
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")}
    env = {**kept, "PATH": f"{python}:/usr/bin:/bin", "HOME": str(tmp_path)}
    pins = {line.partition("==")[0].lower(): line for line in (ROOT / "constraints.txt").read_text().split()}

    try:
        made = subprocess.run(
            ["sh", source / "docs/containers/install.sh", source, prefix], env=env, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stdout + made.stderr
        freeze = subprocess.run(
            [prefix / "bin/python", "-m", "pip", "freeze"], env=env, capture_output=True, text=True, check=True
        )
        version = subprocess.run([prefix / "bin/etl", "--version"], env=env, capture_output=True, text=True, check=True)
        models = subprocess.run([prefix / "bin/train", "models"], env=env, capture_output=True, text=True, check=True)
        sites = subprocess.run([prefix / "bin/rjobs", "site", "list"], env=env, capture_output=True, text=True, check=True)
    finally:
        shutil.rmtree(prefix, ignore_errors=True)

    installed = [line for line in freeze.stdout.split("\n") if "==" in line]
    assert len(installed) > 50
    assert [line for line in installed if line != pins.get(line.partition("==")[0].lower())] == []
    assert version.stdout.strip() == f"radforge {PROJECT['project']['version']}"
    assert "mvcnn" in models.stdout
    assert "slurm" in sites.stdout


def test_every_dependency_is_judged_in_the_page_on_ppc64le() -> None:
    page = (CONTAINERS / "ppc64le.md").read_text("utf-8")
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["train"], *extras["lrp"]]

    missing = [name for line in wanted if (name := re.split(r"[<>=\[]", line)[0]) not in re.findall(r"[\w-]+", page)]

    assert missing == []
