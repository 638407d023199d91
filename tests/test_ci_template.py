"""The CI template: valid YAML, whose commands are commands of ours."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml  # dask needs it

from cluster.cli import app as jobs_app
from etl.cli import app as etl_app
from training.cli import app as train_app

TEXT = (Path(__file__).resolve().parent.parent / "docs/ci/train-on-push.yml").read_text("utf-8")
PROGRAMS = {"etl": etl_app, "train": train_app, "rjobs": jobs_app}


def steps() -> list[dict[str, Any]]:
    workflow = yaml.safe_load(TEXT)
    found: list[dict[str, Any]] = workflow["jobs"]["train"]["steps"]
    return found


def our_commands() -> list[list[str]]:
    """Every line of the shell steps that begins with a program of ours, up to a redirection."""
    lines = [line.strip() for step in steps() for line in step.get("run", "").splitlines()]
    return [shlex.split(line.split(" > ")[0]) for line in lines if line.split(" ")[0] in PROGRAMS]


def parse(command: Any, words: list[str], name: str) -> str:
    """The full name of the command that those words mean. Raises LookupError, or a usage error for an unknown option."""
    if not hasattr(command, "get_command"):
        command.make_context(name, list(words))
        return name
    inner = command.get_command(command.make_context(name, list(words), resilient_parsing=True), words[0])
    if inner is None:
        raise LookupError(f"{name} has no command {words[0]}")
    return parse(inner, words[1:], f"{name} {words[0]}")


def test_every_command_of_the_template_is_one_of_ours_with_options_that_it_has() -> None:
    called = [parse(typer.main.get_command(PROGRAMS[words[0]]), words[1:], words[0]) for words in our_commands()]

    assert called == ["rjobs site check", "train submit", "rjobs wait", "rjobs logs", "rjobs cancel", "train evaluate"]


def test_the_check_above_can_fail() -> None:
    train = typer.main.get_command(train_app)

    with pytest.raises(Exception, match="No such option"):
        parse(train, ["submit", "mvcnn", "--site", "s.toml", "--nosuch"], "train")
    with pytest.raises(LookupError, match="train has no command nosuch"):
        parse(train, ["nosuch"], "train")


def test_it_is_started_by_a_push_only_and_holds_no_secret() -> None:
    trigger = yaml.safe_load(TEXT)[True]  # YAML 1.1 reads `on` as true

    assert set(trigger) == {"push"}
    assert "secrets." not in TEXT


def test_no_picture_is_uploaded() -> None:
    uploads = [step["with"]["path"] for step in steps() if "upload-artifact" in step.get("uses", "")]
    copied = [line for step in steps() for line in step.get("run", "").splitlines() if re.match(r"\s*cp ", line)]

    assert uploads == ["results/"]
    assert [Path(line.split()[1].strip('"')).name for line in copied] == ["model_card.md"]
