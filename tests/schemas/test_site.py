"""Site files: every mistake is told in one line that says what, where and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import RadforgeError
from schemas.loading import as_toml, shipped_names
from schemas.site import Resource, Site, load_site, memory_bytes, walltime_s


def site_from(folder: Path, text: str) -> Site:
    path = folder / "mine.toml"
    path.write_text(text, "utf-8")
    return load_site(str(path))


def mistakes_of(folder: Path, text: str) -> list[str]:
    with pytest.raises(RadforgeError) as error:
        site_from(folder, text)
    return [str(problem) for problem in error.value.problems]


@pytest.mark.parametrize("name", shipped_names("sites"))
def test_every_shipped_site_loads_under_its_name_and_survives_being_written(name: str, tmp_path: Path) -> None:
    shipped = load_site(name)

    assert shipped.name == name
    assert site_from(tmp_path, as_toml(shipped)) == shipped


def test_the_shipped_sites_are_those_that_the_readme_names() -> None:
    assert shipped_names("sites") == ["cte_power9", "lab", "local", "lsf", "slurm"]


def test_a_file_gives_the_site_its_name_unless_it_says_another(tmp_path: Path) -> None:
    assert site_from(tmp_path, 'kind = "local"').name == "mine"
    assert site_from(tmp_path, 'kind = "local"\nname = "desk"').name == "desk"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:01", 60), ("04:00", 14_400), ("4:00", 14_400), ("120:00", 432_000), ("00:20:30", 1230), ("2-00:00", 172_800)],
)
def test_walltimes_are_hours_first(text: str, seconds: int) -> None:
    assert walltime_s(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "1:2:3:4", "04:60", "4h", "1-20", "-1:00", "04:00 "])
def test_another_walltime_is_refused_with_the_forms_that_are_read(text: str, tmp_path: Path) -> None:
    (told,) = mistakes_of(tmp_path, f'kind = "slurm"\n[cpu]\nwalltime = "{text}"')

    assert told == f"{tmp_path}/mine.toml: walltime {text!r} is not HH:MM, HH:MM:SS or D-HH:MM (hours first)"


def test_a_walltime_below_a_minute_is_refused(tmp_path: Path) -> None:
    (told,) = mistakes_of(tmp_path, 'kind = "slurm"\n[cpu]\nwalltime = "00:00:30"')

    assert told.endswith("walltime '00:00:30' is shorter than a minute")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8 * 10**9),
        ("500 MB", 5 * 10**8),
        ("500M", 5 * 10**8),
        ("2GiB", 2 * 1024**3),
        ("1.5 gb", 15 * 10**8),
        ("0.1TB", 10**11),
        ("64000000", 64 * 10**6),
    ],
)
def test_memory_is_a_size_with_a_unit(text: str, size: int) -> None:
    assert memory_bytes(text) == size


@pytest.mark.parametrize("text", ["", "lots", "8 XB", "-8GB", "8,5GB", "GB"])
def test_another_memory_is_refused(text: str, tmp_path: Path) -> None:
    (told,) = mistakes_of(tmp_path, f'kind = "slurm"\n[cpu]\nmemory = "{text}"')

    assert told == f"{tmp_path}/mine.toml: memory {text!r} is not a size such as 8GB"


@pytest.mark.parametrize("text", ["8MB", "8"])
def test_a_memory_in_which_no_python_starts_is_refused(text: str, tmp_path: Path) -> None:
    (told,) = mistakes_of(tmp_path, f'kind = "slurm"\n[cpu]\nmemory = "{text}"')

    assert told.endswith(f"memory {text!r} is less than 64 MB")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("python", "/my env/bin/python"),
        ("scratch", "/scratch/my folder"),
        ("shared", "/data/my folder"),
        ("interface", "ib0;rm"),
        ("account", "my project"),
        ("python", "python&"),
    ],
)
def test_what_a_shell_would_cut_or_read_is_refused(key: str, value: str, tmp_path: Path) -> None:
    (told,) = mistakes_of(tmp_path, f'kind = "slurm"\n{key} = "{value}"')

    assert told == (
        f"{tmp_path}/mine.toml: {value!r} holds a blank or a character that a shell would read; use a path or name without"
    )


def test_a_shared_folder_must_mean_the_same_on_every_node(tmp_path: Path) -> None:
    (told,) = mistakes_of(tmp_path, 'kind = "slurm"\nshared = "logs"')

    assert told.endswith("shared = 'logs' must be an absolute path: every node reads it")


@pytest.mark.parametrize("text", ['setup = ["a\\nb"]', '[cpu]\ndirectives = ["-x\\n-y"]', 'container = "a\\nb"'])
def test_a_line_is_one_line(text: str, tmp_path: Path) -> None:
    (told,) = mistakes_of(tmp_path, f'kind = "slurm"\n{text}')

    assert told.endswith("must be one line")


@pytest.mark.parametrize(
    ("kind", "request_", "known"),
    [("slurm", "gpu", "gres, gpus, gpus-per-node"), ("lsf", "gres", "gpu"), ("local", "gres", "none")],
)
def test_gpus_are_asked_for_in_the_queues_own_way(kind: str, request_: str, known: str, tmp_path: Path) -> None:
    (told,) = mistakes_of(tmp_path, f'kind = "{kind}"\n[gpu]\ngpu_request = "{request_}"')

    assert told.endswith(f"gpu.gpu_request = {request_!r} is not {kind}'s: {known}")


def test_lsf_has_no_quality_of_service(tmp_path: Path) -> None:
    (told,) = mistakes_of(tmp_path, 'kind = "lsf"\n[cpu]\nqos = "high"')

    assert told.endswith("cpu.qos: LSF has none; a directive such as -sla may be meant")


@pytest.mark.parametrize(("walltime", "fits"), [("00:06", True), ("00:05", False)])
def test_a_warning_needs_a_minute_more_for_slurm_may_come_early(walltime: str, fits: bool, tmp_path: Path) -> None:
    text = f'kind = "slurm"\n[gpu]\ngpus = 1\nwarn_s = 300\nwalltime = "{walltime}"'

    if fits:
        assert site_from(tmp_path, text).resource("gpu").walltime == walltime
        return
    (told,) = mistakes_of(tmp_path, text)
    assert told.endswith("warn_s = 300 leaves no time to work within walltime 00:05")


def test_all_mistakes_of_a_file_are_told_at_once_with_the_word_meant(tmp_path: Path) -> None:
    told = mistakes_of(tmp_path, 'kind = "slrm"\ninterfac = "ib0"\n[cpu]\nquue = "x"\ncores = 0\n[gpu]\ngpus = -1\n')

    assert len(told) == 5
    assert any("unknown key `interfac`" in each and "did you mean `interface`?" in each for each in told)
    assert any("unknown key `cpu.quue`" in each and "did you mean `queue`?" in each for each in told)
    assert any("`kind` is not a known word" in each and "did you mean `slurm`?" in each for each in told)
    assert any("`cpu.cores`" in each and "greater than or equal to 1" in each for each in told)
    assert any("`gpu.gpus`" in each for each in told)
    assert all(each.startswith(f"{tmp_path}/mine.toml: ") and "\n" not in each for each in told)


def test_a_site_without_a_kind_is_told_so(tmp_path: Path) -> None:
    (told,) = mistakes_of(tmp_path, 'interface = "lo"')

    assert "`kind` field required" in told


def test_a_site_that_is_not_shipped_is_told_with_those_that_are() -> None:
    with pytest.raises(RadforgeError, match=r"--site slrum: no such site; expected .*local.*did you mean `slurm`\?"):
        load_site("slrum")


def test_an_account_may_be_a_number(tmp_path: Path) -> None:
    assert site_from(tmp_path, 'kind = "slurm"\naccount = 4711').account == "4711"


def test_a_site_without_gpus_trains_on_its_cpus() -> None:
    site = Site.model_validate({"kind": "slurm", "cpu": {"queue": "all"}})

    assert site.resource("gpu") == site.resource("cpu") == Resource.model_validate({"queue": "all"})
