"""The `etl` command as a person types it: exit codes, stdout and stderr, and one clear message per mistake."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from etl.order import Built
from schemas.dataset import DatasetVersion

ETL = str(Path(sys.executable).parent / "etl")


def etl(*words: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [ETL, *map(str, words)], capture_output=True, text=True, cwd=folder, env=environment, check=False, timeout=300
    )


@pytest.mark.parametrize(
    "command",
    ["run", "inspect", "report", "verify", "where", "versions", "diff", "plan", "explain", "steps", "schema", "phantom"],
)
def test_every_command_has_help(command: str) -> None:
    done = etl(command, "--help")

    assert done.returncode == 0
    assert f"etl {command}" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inspct"], "Did you mean 'inspect'"),
        (["run", "{archive}", "--out", "{new}", "--recipe", "wrst"], "did you mean `wrist`?"),
        (["run", "{archive}", "--out", "{new}", "--recpe", "wrist"], "No such option"),
        (["run", "{nothing}", "--out", "{new}"], "the archive does not exist"),
        (["run", "{archive}", "--out", "{archive}/inside"], "the dataset would lie inside the archive"),
        (["run", "{archive}", "--out", "{new}", "--labels", "{nothing}"], "no such file"),
        (["run", "{archive}", "--out", "{new}", "--key", "{nothing}"], "no such key file"),
        (["run", "{archive}", "--out", "{new}", "--crosswalk", "{new}/x.csv"], "must not lie inside the dataset"),
        (["run", "{archive}", "--out", "{new}", "--crosswalk", "{nothing}.xls"], "expected .csv or .parquet"),
        (["run", "{archive}", "--out", "{file}"], "cannot be written"),
        (["run", "{archive}", "--out", "{new}", "--workers", "0"], "--workers"),
        (["inspect", "{nothing}"], "no such dataset"),
        (["verify", "{nothing}"], "no such dataset"),
        (["versions", "{nothing}"], "no such dataset"),
        (["explain", "{nothing}"], "the archive does not exist"),
        (["schema", "nonsense"], "no such schema"),
        (["phantom", "{new}", "--size", "big"], "ROWSxCOLUMNS"),
        (["phantom", "{archive}"], "empty"),
    ],
)
def test_a_mistake_is_one_clear_message_and_exit_2(words: list[str], message: str, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    places = {"archive": drawn / "archive", "new": tmp_path / "new", "nothing": tmp_path / "nothing", "file": tmp_path / "file"}

    done = etl(*(word.format(**places) for word in words))

    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_results_go_to_stdout_and_messages_to_stderr(drawn: Path, key: Path, tmp_path: Path) -> None:
    done = etl("run", drawn / "archive", "--out", tmp_path / "ds", "--recipe", "wrist", "--key", key, "--json")

    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert result["folder"] == str(tmp_path / "ds" / result["version"])
    assert result["counts"]["records"] > 10
    assert "starting" in done.stderr


def test_no_message_of_a_run_names_a_file_or_a_patient(drawn: Path, key: Path, tmp_path: Path) -> None:
    done = etl("run", drawn / "archive", "--out", tmp_path / "ds", "--recipe", "wrist", "--key", key)

    with (drawn / "truth.csv").open(newline="", encoding="utf-8") as file:
        secrets = {word for row in csv.DictReader(file) for word in (row["source_path"], row["study_instance_uid"]) if word}
    told = done.stdout + done.stderr
    assert [secret for secret in secrets if secret in told] == []


def test_quiet_says_nothing_but_the_result(built: Built, drawn: Path) -> None:
    done = etl("-q", "inspect", built.folder, "--limit", "1")

    assert done.stderr == ""
    assert "records" in done.stdout


def test_inspect_prints_json_and_a_bare_parquet_folder_is_accepted(built: Built) -> None:
    asked = etl("inspect", built.folder, "--where", "region_count = 1", "--columns", "image_id,rows", "--limit", "2", "--json")
    bare = etl("inspect", built.folder / "drops", "--where", "reason = 'dicomdir'", "--json")

    assert list(json.loads(asked.stdout)["rows"][0]) == ["image_id", "rows"]
    assert json.loads(bare.stdout)["matching"] == 1


def test_a_wrong_column_is_answered_with_the_right_ones(built: Built) -> None:
    done = etl("inspect", built.folder, "--columns", "nme")

    assert done.returncode == 2
    assert "no such column" in done.stderr
    assert "image_id" in done.stderr


def test_plan_writes_nothing_and_counts_what_a_run_would_do(built: Built, drawn: Path, tmp_path: Path) -> None:
    done = etl("plan", drawn / "archive", "--recipe", "wrist", "--json", folder=tmp_path)

    value = json.loads(done.stdout)
    assert value["left out by header, frames"]["study_too_large"] == 195
    assert value["frames to process"] == built.counts["records"] + 3 - 1 or value["frames to process"] > 10
    assert list(tmp_path.iterdir()) == []


def test_plan_tells_how_the_headers_name_parts_without_telling_what_may_be_a_name(drawn: Path, tmp_path: Path) -> None:
    done = etl("plan", drawn / "archive", "--recipe", "wrist", "--top", "3", folder=tmp_path)
    rows = json.loads(etl("plan", drawn / "archive", "--recipe", "wrist", "--json", folder=tmp_path).stdout)["header texts"]

    assert "Body Part Examined, where" in done.stdout
    assert "(--top 0 prints all)" in done.stdout
    assert {"wrist"} < {row["part"] for row in rows}
    assert all(row["left_out"] == row["decides"] for row in rows if row["part"] not in {"wrist", None})
    assert {row["text"].strip("~*+ ").isascii() for row in rows if row["masked"]} <= {True}


def test_dry_run_is_the_plan(drawn: Path, tmp_path: Path) -> None:
    done = etl("run", drawn / "archive", "--out", tmp_path / "ds", "--recipe", "wrist", "--dry-run", "--json")

    assert json.loads(done.stdout)["files, members of archives counted"] > 200
    assert not (tmp_path / "ds").exists()


def test_explain_tells_a_film_through_every_step(drawn: Path, tmp_path: Path) -> None:
    with (drawn / "truth.csv").open(newline="", encoding="utf-8") as file:
        path = next(r["source_path"] for r in csv.DictReader(file) if r["fate"] == "record" and "!/" not in r["source_path"])

    done = etl("explain", drawn / "archive" / path, "--recipe", "wrist", "--out", tmp_path / "strip.png", "--json")

    told = json.loads(done.stdout)
    assert list(told) == ["header", "anatomy", "decode", "inversion", "otsu_split", "pca_rotation", "fate"]
    assert (tmp_path / "strip.png").read_bytes()[:4] == b"\x89PNG"


def test_versions_and_diff_tell_the_history(built: Built) -> None:
    versions = json.loads(etl("versions", built.folder.parent, "--json").stdout)
    same = json.loads(etl("diff", built.folder, built.folder, "--json").stdout)

    assert [row["version"] for row in versions] == [built.version]
    assert versions[0]["films_per_s"] > 0
    assert same["films"]["same"] == DatasetVersion.open(built.folder).card["counts"]["frames"]
    assert same["identity"] == {}


def test_a_damaged_version_is_exit_4_and_a_folder_of_texts_exit_3(built: Built, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "ds" / built.version
    shutil.copytree(built.folder, copy)
    next((copy / "images").rglob("*.png")).unlink()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "note").write_text("no film")

    damaged = etl("verify", copy)
    nothing = etl("run", tmp_path / "texts", "--out", tmp_path / "new")

    assert damaged.returncode == 4
    assert "missing" in damaged.stdout
    assert nothing.returncode == 3
    assert "nothing usable" in nothing.stderr
    assert not [path for path in (tmp_path / "new").iterdir() if not path.name.startswith(".")]
