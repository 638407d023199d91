"""Scripts: what the queue is told and what runs there, as text; and what the text does when bash runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest

from cluster.header import arguments
from cluster.script import render
from schemas.errors import RadforgeError
from schemas.job import JobSpec, Member
from schemas.site import Site
from tests.cluster import golden

PROBE = "import os, sys; print(' '.join(sys.argv[1:]), sorted(k for k in os.environ if k in ('RANK', 'WORLD_SIZE')))"


@pytest.fixture(autouse=True)
def _nothing_of_this_machine() -> Iterator[None]:
    with golden.nothing_of_this_machine():
        yield


def site_of(kind: str, **settings: Any) -> Site:
    return Site.model_validate({"kind": kind, "python": "/opt/python", **settings})


def spec_of(folder: Path = Path("/data/run"), *command: str, **fields: Any) -> JobSpec:
    given = {"name": "job", "members": (Member(command=command or ("true",)),), "folder": folder, "cwd": folder}
    return JobSpec.model_validate(given | fields)


def header_of(site: Site, **fields: Any) -> list[str]:
    return [line for line in render(spec_of(**fields), site).splitlines() if line.startswith(("#SBATCH", "#BSUB"))]


def ran(spec: JobSpec, site: Site, **variables: str) -> tuple[int, str, str]:
    """Code, log and events (without times and host) of a local job's script, run by bash."""
    (spec.folder / "job").mkdir(parents=True, exist_ok=True)
    script = spec.folder / "job.sh"
    script.write_text(render(spec, site))
    (spec.code).mkdir(exist_ok=True)
    for package in ("cluster", "schemas"):
        if not (spec.code / package).exists():
            (spec.code / package).symlink_to(Path(__file__).resolve().parents[2] / package)
    done = subprocess.run(["bash", script], env=os.environ | variables, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("", "")
    events = [line.split(maxsplit=2)[2] for line in (spec.folder / "job/events").read_text().splitlines()]
    return done.returncode, (spec.folder / "job/log.txt").read_text(), " | ".join(events)


@pytest.mark.parametrize("name", golden.NAMES)
def test_a_script_is_the_golden_one(name: str) -> None:
    assert render(*golden.job(name)) == (golden.HERE / f"{name}.sh").read_text(), "read the difference, then: " + (
        "python -m tests.cluster.golden"
    )


def test_every_golden_script_is_of_a_job_that_is_rendered() -> None:
    assert {path.stem for path in golden.HERE.glob("*.sh")} == set(golden.NAMES)


@pytest.mark.parametrize("name", golden.NAMES)
def test_bash_can_read_every_script(name: str) -> None:
    checked = subprocess.run(["bash", "-n", golden.HERE / f"{name}.sh"], capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")


def test_rendering_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with dask.config.set({"jobqueue.slurm.log-directory": "logs"}):
        script = render(spec_of(tmp_path / "run"), site_of("slurm"))

    assert "logs" not in script
    assert list(tmp_path.iterdir()) == []


def test_what_a_site_leaves_out_is_jobqueue_yamls() -> None:
    defaults = {"queue": "long", "account": "lab42", "cores": 3, "memory": "5GB", "walltime": "01:00:00"}
    defaults |= {"job-extra-directives": ["--exclusive"], "shebang": "#!/bin/bash -l"}
    defaults |= {"job-directives-skip": ["--cpus-per-task"], "job-script-prologue": ["module load tools"]}
    with dask.config.set({"jobqueue.slurm": dask.config.get("jobqueue.slurm") | defaults}):
        script = render(spec_of(), site_of("slurm"))

    assert script.startswith("#!/bin/bash -l\n")
    for line in ("#SBATCH -p long", "#SBATCH -A lab42", "#SBATCH --mem=5G", "#SBATCH -t 01:00:00", "#SBATCH --exclusive"):
        assert f"\n{line}\n" in script
    assert "#SBATCH --cpus-per-task" not in script
    assert "\nmodule load tools\n" in script
    assert "OMP_NUM_THREADS:-3}" in script


def test_the_site_has_the_last_word_over_jobqueue_yaml() -> None:
    defaults = {"queue": "long", "job-extra-directives": ["--exclusive"], "job-script-prologue": ["module load tools"]}
    site = site_of("slurm", setup=["module load mine"], cpu={"queue": "short", "directives": ["--mail-type=END"]})
    with dask.config.set({"jobqueue.slurm": dask.config.get("jobqueue.slurm") | defaults}):
        script = render(spec_of(), site)

    assert "#SBATCH -p short\n" in script
    assert "#SBATCH --mail-type=END\n" in script
    assert "--exclusive" not in script
    assert "module load tools" not in script


def test_a_memory_in_jobqueue_yaml_that_cannot_be_read_is_told() -> None:
    with (
        dask.config.set({"jobqueue.slurm.memory": "plenty"}),
        pytest.raises(RadforgeError, match=r"jobqueue\.yaml: memory 'plenty' is not a size"),
    ):
        render(spec_of(), site_of("slurm"))


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # dask-jobqueue's
@pytest.mark.parametrize(("unit", "limit"), [(None, "3000000"), ("MB", "3000"), ("GB", "3")])
def test_lsf_counts_memory_in_the_unit_of_its_own_file(
    unit: str | None, limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSF_ENVDIR", str(tmp_path))
    (tmp_path / "lsf.conf").write_text(f"LSF_UNIT_FOR_LIMITS={unit}\n" if unit else "# nothing\n")

    assert f"#BSUB -M {limit}" in header_of(site_of("lsf", cpu={"memory": "3GB"}))


@pytest.mark.parametrize(
    ("text", "slurm", "lsf"),
    [("00:20", "00:20:00", "00:20"), ("00:20:30", "00:20:30", "00:21"), ("2-00:30", "2-00:30:00", "48:30")],
)
def test_a_walltime_cannot_be_misread(text: str, slurm: str, lsf: str) -> None:
    assert f"#SBATCH -t {slurm}" in header_of(site_of("slurm", cpu={"walltime": text}))
    assert f"#BSUB -W {lsf}" in header_of(site_of("lsf", cpu={"walltime": text}))


@pytest.mark.parametrize(
    ("kind", "resource", "line"),
    [
        ("slurm", {"gpu_request": "gres", "gpu_type": "v100"}, "#SBATCH --gres=gpu:v100:4"),
        ("slurm", {}, "#SBATCH --gres=gpu:4"),
        ("slurm", {"gpu_request": "gpus"}, "#SBATCH --gpus=8"),
        ("slurm", {"gpu_request": "gpus-per-node"}, "#SBATCH --gpus-per-node=4"),
        ("lsf", {"gpu_type": "TeslaV100"}, '#BSUB -gpu "num=4:gmodel=TeslaV100"'),
        ("lsf", {}, '#BSUB -gpu "num=4"'),
        ("slurm", {"constraint": "bigmem"}, '#SBATCH -C "bigmem"'),
        ("lsf", {"constraint": "bigmem"}, '#BSUB -R "select[bigmem]"'),
        ("slurm", {"qos": "fast"}, "#SBATCH --qos=fast"),
        ("slurm", {"account": "own"}, "#SBATCH -A own"),
        ("lsf", {"account": "own"}, '#BSUB -P "own"'),
    ],
)
def test_what_a_resource_asks_for_is_in_the_header(kind: str, resource: dict[str, str], line: str) -> None:
    site = site_of(kind, account="everyone", gpu=resource)

    assert line in header_of(site, resource="gpu", gpus=4, processes=4, nodes=2)


@pytest.mark.parametrize(("kind", "line"), [("slurm", "--mem="), ("lsf", "-M ")])
def test_a_queue_that_refuses_to_be_told_the_memory_is_not_told(kind: str, line: str) -> None:
    def told(memory_line: bool) -> bool:
        return any(line in each for each in header_of(site_of(kind, cpu={"memory_line": memory_line})))

    assert (told(True), told(False)) == (True, False)


def test_the_sites_own_directives_come_last_and_lines_can_be_left_out() -> None:
    site = site_of("slurm", cpu={"directives": ["--nice=10", "-N 1-2"], "skip": ["--ntasks"], "queue": "x"})

    lines = header_of(site)

    assert lines[-2:] == ["#SBATCH --nice=10", "#SBATCH -N 1-2"]
    assert not any("--ntasks" in line for line in lines)


def test_workers_of_the_etl_ask_for_the_same() -> None:
    site = site_of("lsf", account="p", interface="ib0", cpu={"queue": "q", "cores": 2, "memory": "3GB", "walltime": "00:30"})

    asked = arguments(site, site.cpu)

    assert {key: asked[key] for key in ("queue", "project", "walltime", "interface", "cores", "memory", "python")} == {
        "queue": "q",
        "project": "p",
        "walltime": "00:30",
        "interface": "ib0",
        "cores": 2,
        "memory": "3000000000B",
        "python": "/opt/python",
    }


def test_a_container_stands_before_the_python() -> None:
    script = render(spec_of(), site_of("slurm", container="apptainer exec --nv radforge.sif"))

    assert " apptainer exec --nv radforge.sif /opt/python -P -m cluster.launch 1 " in script


@pytest.mark.parametrize("kind", ["slurm", "lsf", "local"])
def test_a_python_whose_path_holds_a_blank_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/my env/bin/python")

    with pytest.raises(RadforgeError, match="/my env/bin/python"):
        render(spec_of(), site_of(kind, python=None))


@pytest.mark.parametrize(
    ("fields", "message"), [({"nodes": 2}, "one machine is one node"), ({"after": ("L1",)}, "do not wait for others")]
)
def test_what_one_machine_cannot_do_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RadforgeError, match=message):
        render(spec_of(**fields), site_of("local"))


def test_words_of_a_command_stay_whole(tmp_path: Path) -> None:
    words = ("a b", "$HOME", "'", '"', "*", "")
    spec = spec_of(tmp_path, "python", "-c", "import sys; print(sys.argv[1:])", *words)
    code, log, _ = ran(spec, site_of("local", python=None))

    assert code == 0
    assert log.splitlines()[-1] == str(list(words))


def test_setup_lines_see_no_words_of_the_command(tmp_path: Path) -> None:
    # A script that is sourced sees the words of the one that sources it, and some (conda's, a compiler's) read them.
    (tmp_path / "activate").write_text('echo "activate was given $# words"\nexport FROM_SETUP=yes\n')
    site = site_of("local", python=None, setup=[f"source {tmp_path}/activate"])

    _, log, _ = ran(spec_of(tmp_path, "python", "-c", "import os; print(os.environ['FROM_SETUP'])", "x", "y"), site)

    assert log.splitlines()[1:] == ["activate was given 0 words", "yes"]


def test_a_job_tells_its_log_and_events_what_became_of_it(tmp_path: Path) -> None:
    code, log, events = ran(spec_of(tmp_path, "python", "-c", PROBE, "x"), site_of("local", python=None))

    assert code == 0
    assert log.splitlines()[1:] == ["x ['RANK', 'WORLD_SIZE']"]
    assert events == "start | end 0"


def test_a_failing_command_is_the_jobs_code(tmp_path: Path) -> None:
    code, _, events = ran(spec_of(tmp_path, "python", "-c", "import sys; sys.exit(3)"), site_of("local", python=None))

    assert (code, events) == (3, "start | end 3")


def test_a_folder_that_is_gone_ends_the_job_before_it_begins(tmp_path: Path) -> None:
    code, log, events = ran(spec_of(tmp_path, "true", cwd=tmp_path / "gone"), site_of("local", python=None))

    assert (code, events) == (66, "end 66")
    assert "gone: No such file or directory" in log


def test_a_place_that_the_array_does_not_have_is_told(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, members=(Member(command=("true",)), Member(command=("true",))))
    (tmp_path / "job").mkdir()
    script = tmp_path / "job.sh"
    script.write_text(render(spec, site_of("local", python=None)))

    done = subprocess.run(["bash", script], env=os.environ | {"RADFORGE_LOCAL_TASK": "2"}, check=False)

    assert done.returncode == 64
    assert "no member 2" in (tmp_path / "job/log-2.txt").read_text()


def test_a_job_that_begins_and_begins_without_getting_further_is_given_up(tmp_path: Path) -> None:
    member = Member(command=("false",), again=tmp_path / "again", progress=f"{tmp_path}/done*")
    spec = spec_of(tmp_path, members=(member,), resumable=True)
    site = site_of("local", python=None)

    codes = [ran(spec, site)[0] for _ in range(3)]
    (tmp_path / "done1").write_text("1")  # it got further: it has its three tries again
    codes += [ran(spec, site)[0] for _ in range(4)]
    _, log, events = ran(spec, site)

    assert codes == [1, 1, 1, 1, 1, 1, 70]
    assert events.endswith("end 70 | end 70")
    assert log.count("given up") == 2
    assert "No such file" not in log


def test_a_request_of_an_earlier_run_does_not_count(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, members=(Member(command=("true",), again=tmp_path / "again"),), resumable=True)
    (tmp_path / "again").touch()

    code, _, events = ran(spec, site_of("local", python=None))

    assert (code, events) == (0, "start | end 0")


def test_a_job_asks_to_go_on_when_its_command_did_and_runs_again(tmp_path: Path) -> None:
    once = f"touch {tmp_path}/began; test -e {tmp_path}/twice && exit 0; touch {tmp_path}/twice $RADFORGE_AGAIN"
    member = Member(command=("bash", "-c", once), again=tmp_path / "again", progress=str(tmp_path / "twice"))
    code, _, events = ran(spec_of(tmp_path, members=(member,), resumable=True), site_of("local", python=None))

    assert (code, events) == (0, "start | end 0 | requeue | start | end 0")


def test_a_warning_that_came_before_anything_could_answer_is_a_reason_to_go_on(tmp_path: Path) -> None:
    shot = f"test -e {tmp_path}/twice && exit 0; touch {tmp_path}/twice; kill -USR1 $$"
    spec = spec_of(tmp_path, members=(Member(command=("bash", "-c", shot), again=tmp_path / "again"),), resumable=True)
    # As the launcher of a command that has not taken the signals off the mask would end.
    setup = ['srun() { shift 8; "$@"; }', "scontrol() { exec bash $RADFORGE_JOB/../job.sh; }"]
    site = site_of("slurm", python=None, setup=setup)

    code, _, events = ran(spec, site)

    assert (code, events) == (0, "start | end 138 | requeue | start | end 0")


@pytest.mark.parametrize(("word", "asks"), [("", "start | end 0 | requeue"), ("cancelled", "start | end 0 | end 143")])
def test_a_cancelled_job_does_not_ask_to_go_on(word: str, asks: str, tmp_path: Path) -> None:
    again = f"test -e {tmp_path}/twice && exit 9; touch {tmp_path}/twice $RADFORGE_AGAIN"
    spec = spec_of(tmp_path, members=(Member(command=("bash", "-c", again), again=tmp_path / "again"),), resumable=True)
    if word:
        (tmp_path / "job").mkdir()
        (tmp_path / "job" / word).touch()

    _, _, events = ran(spec, site_of("local", python=None))

    assert events.startswith(asks)
    assert ("requeue" in events) == (not word)


def test_a_queue_that_refuses_the_requeue_makes_it_a_failed_job(tmp_path: Path) -> None:
    # `true` in place of srun: the command has asked to go on already. The queue says no.
    setup = ["scontrol() { echo requeue is disabled; return 1; }", f"srun() {{ touch {tmp_path}/again; }}"]
    spec = spec_of(tmp_path, members=(Member(command=("true",), again=tmp_path / "again"),), resumable=True)

    code, log, events = ran(spec, site_of("slurm", python=None, setup=setup))

    assert "requeue is disabled" in log
    assert code not in {0, 70}
    assert events.endswith(f"requeue | end {code}")


def test_an_outer_jobs_request_is_not_an_inner_jobs(tmp_path: Path) -> None:
    probe = "import os; print(os.environ.get('RADFORGE_AGAIN', 'none'))"
    _, log, _ = ran(spec_of(tmp_path, "python", "-c", probe), site_of("local", python=None), RADFORGE_AGAIN="/outer/again")

    assert log.splitlines()[-1] == "none"
