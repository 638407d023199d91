"""What a job runs is what was submitted: its script, its recipe, its code; and its log, as it grows."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from cluster import jobs, snapshot
from schemas.site import load_site
from tests.cluster.counting import RJOBS, begun, counter, ended, holds, log, plain, rjobs, site_of, warn
from tests.cluster.drawn_jobs import own_list  # noqa: F401
from tests.lab.lab import Lab
from tests.lab.processes import true_within

pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning",  # dask-jobqueue's
    "ignore:subprocess .* is still running:ResourceWarning",  # a job of this machine outlives who started it
)

HELD = {"slurm": "--hold", "lsf": "-H"}
RELEASE = {"slurm": ("scontrol", "release"), "lsf": ("bresume",)}
COPIES = ("cluster", "etl", "schemas", "training")


def test_the_script_on_disk_is_what_a_dry_run_printed(lab: Lab, tmp_path: Path) -> None:
    words = ("submit", "--site", lab.site(), "--out", tmp_path / "run", "--name", "same")
    command = ("--", "echo", "left and right", "$HOME")

    printed = rjobs(lab, *words, "--dry-run", *command)
    nothing = not (tmp_path / "run").exists() and not lab.jobs()
    submitted = rjobs(lab, *words, *command)

    assert (printed.returncode, submitted.returncode, nothing) == (0, 0, True)
    assert (tmp_path / "run/job.sh").read_text() == printed.stdout


def test_an_edit_changes_nothing_of_a_job_that_waits(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "checkout"
    for package in COPIES:
        (checkout / package).mkdir(parents=True)
    (checkout / "cluster/launch.py").write_text((snapshot.ROOT / "cluster/launch.py").read_text())
    (checkout / "cluster/shell.py").write_text((snapshot.ROOT / "cluster/shell.py").read_text())
    for package in ("cluster", "schemas", "training"):
        (checkout / package / "__init__.py").touch()
    (checkout / "schemas/errors.py").touch()
    (checkout / "training/__main__.py").write_text("import sys; print('old code,', open(sys.argv[1]).read())")
    monkeypatch.setattr(snapshot, "ROOT", checkout)
    monkeypatch.chdir(checkout)  # where `python -m training` would find the edited one
    folder = tmp_path / "run"
    spec = plain(folder, "python", "-P", "-m", "training", str(folder / "job/recipe.toml"), cwd=checkout)
    (tmp_path / "recipe.toml").write_text("old recipe")

    site = site_of(lab, cpu={"directives": [HELD[lab.kind]]})
    record = jobs.submit(spec, site, files={"job/recipe.toml": (tmp_path / "recipe.toml").read_text()})
    (tmp_path / "recipe.toml").write_text("new recipe")
    (checkout / "training/__main__.py").write_text("print('new code')")
    lab.run(*RELEASE[lab.kind], record.id)

    assert ended(record).state == "DONE"
    assert log(record).splitlines()[1:] == ["old code, old recipe"]


def test_the_code_that_a_job_runs_is_a_copy_of_ours_with_what_differs_from_the_commit(tmp_path: Path) -> None:
    spec = plain(tmp_path / "run", "true")
    (tmp_path / "run/job").mkdir(parents=True)

    snapshot.keep(spec)
    first = sorted(path.name for path in spec.code.iterdir())
    (spec.code / "left-over").touch()
    snapshot.keep(spec)

    assert first == sorted(path.name for path in spec.code.iterdir()) == list(COPIES)
    assert (spec.code / "cluster/launch.py").read_text() == (snapshot.ROOT / "cluster/launch.py").read_text()
    assert (spec.code / "schemas/recipes/sites/slurm.toml").exists()
    assert not list(spec.code.rglob("__pycache__"))
    changed = subprocess.run(["git", "diff", "HEAD", "--quiet"], cwd=snapshot.ROOT, check=False).returncode != 0
    assert (tmp_path / "run/job/diff.patch").exists() == changed


def test_a_followed_log_shows_every_line_once_over_a_requeue_and_ends_with_the_job(lab: Lab, tmp_path: Path) -> None:
    record = jobs.submit(counter(tmp_path / "run"), site_of(lab))
    lab.wait_until(lambda: holds(record))
    with (tmp_path / "followed").open("w") as file, (tmp_path / "said").open("w") as errors:
        follower = subprocess.Popen([RJOBS, "logs", record.id, "-f"], env=os.environ | lab.env, stdout=file, stderr=errors)
    lab.wait_until(lambda: "from 0" in (tmp_path / "followed").read_text())

    warn(lab, record.id)
    lab.wait_until(lambda: "warned by" in log(record))
    (tmp_path / "run/go").touch()
    code = follower.wait(60)

    assert code == 0
    assert (tmp_path / "followed").read_text() == log(record)
    assert begun(record) == ["0", "25"]
    assert f"job {record.id}: DONE" in (tmp_path / "said").read_text()


def test_a_log_that_is_not_there_yet_says_how_the_job_stands(lab: Lab, tmp_path: Path) -> None:
    record = jobs.submit(plain(tmp_path / "run", "true"), site_of(lab, cpu={"directives": [HELD[lab.kind]]}))

    told = rjobs(lab, "logs", record.id)

    assert (told.returncode, told.stdout) == (0, "")
    assert f"no log yet; job {record.id}: " in told.stderr


def test_what_the_queue_itself_said_is_shown(slurm: Lab, tmp_path: Path) -> None:
    takes = "x = bytearray(900_000_000); import time; time.sleep(60)"
    record = jobs.submit(plain(tmp_path / "run", "python", "-c", takes), site_of(slurm, cpu={"memory": "100MB"}))

    status = ended(record)
    told = rjobs(slurm, "logs", record.id)

    assert status.state in {"FAILED", "OUT_OF_MEMORY"}
    assert "Exceeded job memory limit" in told.stdout + told.stderr


def test_a_job_on_this_machine_lives_and_ends_like_any_other(tmp_path: Path) -> None:
    command = [RJOBS, "submit", "--site", "local", "--out", tmp_path / "run", "--", "sh", "-c", "echo here; exit 3"]
    submitted = subprocess.run(command, capture_output=True, text=True, check=True)
    id_ = submitted.stdout.strip()

    waited = subprocess.run([RJOBS, "wait", id_], capture_output=True, text=True, check=False, timeout=60)

    assert (id_, waited.returncode) == ("L1", 5)
    assert "FAILED" in waited.stdout
    assert (tmp_path / "run/job/log.txt").read_text().splitlines()[1:] == ["here"]


def test_a_job_on_this_machine_goes_on_after_a_warning_and_ends_when_cancelled(tmp_path: Path) -> None:
    site = load_site("local")
    goes_on = jobs.submit(counter(tmp_path / "a"), site)
    ends = jobs.submit(counter(tmp_path / "b"), site)
    assert true_within(30, lambda: holds(goes_on) and holds(ends))

    os.kill(int((tmp_path / "a/holding").read_text()), signal.SIGUSR1)
    assert true_within(30, lambda: "warned by" in log(goes_on))
    (tmp_path / "a/go").touch()
    jobs.cancel(ends, ())

    assert (ended(goes_on).state, begun(goes_on)) == ("DONE", ["0", "25"])
    assert true_within(30, lambda: "warned by" in log(ends))
    assert (ended(ends).state, begun(ends)) == ("CANCELLED", ["0"])
