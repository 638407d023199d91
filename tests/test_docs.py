"""Texts that must not lie: generated pages, the README's commands, and the house rules on imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from cluster.cli import app as jobs_app
from cluster.cli import sites
from etl.cli import app
from tests.generate_docs import PAGES
from training.cli import app as train_app

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("path", sorted(PAGES))
def test_generated_pages_are_what_would_be_generated(path: str) -> None:
    assert (ROOT / path).read_text("utf-8") == PAGES[path]() + "\n", "run `make docs`"


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")

    apps = {"etl": app, "train": train_app, "rjobs": jobs_app, "rjobs site": sites}
    commands = [f"{name} {command.name}" for name, own in apps.items() for command in own.registered_commands]
    readme += (ROOT / "docs/guides/cluster.md").read_text("utf-8")
    missing = [command for command in commands if command not in readme]

    assert missing == []


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def modules(*packages: str) -> list[Path]:
    return [path for package in packages for path in (ROOT / package).rglob("*.py")]


def test_only_one_module_starts_programs() -> None:
    users = {
        p.relative_to(ROOT).as_posix()
        for p in modules("etl", "cluster", "schemas", "training")
        if "subprocess" in imports_of(p)
    }

    assert users == {"cluster/shell.py"}


def test_only_cluster_knows_dask() -> None:
    users = {p for p in modules("etl", "schemas", "training") if imports_of(p) & {"dask", "distributed", "dask_jobqueue"}}

    assert users == set()


def test_nothing_but_training_imports_torch_and_nothing_but_etl_pydicom() -> None:
    assert not {p for p in modules("etl", "cluster", "schemas") if imports_of(p) & {"torch", "torchvision"}}
    assert not {p for p in modules("training", "cluster", "schemas") if imports_of(p) & {"pydicom", "gdcm"}}


def test_print_is_for_the_command_line_only() -> None:
    for path in modules("etl", "cluster", "schemas", "training"):
        calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
        names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
        assert "print" not in names, path
