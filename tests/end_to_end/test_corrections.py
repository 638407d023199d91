"""From a key pressed in a browser to the next version, which differs in that and in nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.progress import Reporter
from cluster.span import Span
from etl import phantom
from etl.correction_file import CorrectionFile
from etl.detach import driver_job
from etl.merge import merge
from etl.order import Built, Order
from etl.preview import preview
from etl.review.pictures import Row, place_of
from etl.review.session import line_of
from etl.run import run
from etl.shards import Shard
from etl.verify import verify
from etl.versions import diff
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.loading import load
from schemas.recipe import EtlRecipe
from schemas.site import Site
from tests import browser
from tests.end_to_end.conftest import QUIET

ROOT = Path(__file__).resolve().parents[2]


class Here:
    """Workers that are this process: what is built is the same, and ten builds take the time of one."""

    dashboard = "none"

    def map(self, work: Callable[[Any], Any], items: Iterable[Any], seconds: object = None) -> Iterator[tuple[Any, Any]]:
        for item in items:
            yield item, work(item)


@pytest.fixture(scope="module", autouse=True)
def in_this_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("etl.workers.local", lambda count, memory: nullcontext(Here()))
        yield


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Callable[..., Built]:
    """Run on a small drawn archive: `build(out, corrections=...)`."""
    drawn = tmp_path_factory.mktemp("small") / "phantom"
    phantom.draw(drawn, studies=5, seed=4, size=(320, 260))

    def make(out: Path, **changes: Any) -> Built:
        order = {"archives": (drawn / "archive",), "recipe": EtlRecipe(), "key": key, "workers": Span(1, 1), **changes}
        return run(Order(out=out, **order), QUIET)

    return make


@pytest.fixture(scope="module")
def first(build: Callable[..., Built], tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    """The version that was looked at."""
    return DatasetVersion.open(build(tmp_path_factory.mktemp("looked at") / "ds").folder)


def pictures(version: DatasetVersion) -> list[Row]:
    return list(version.table("manifest").to_pylist())


def single(version: DatasetVersion) -> list[Row]:
    """Films that are one picture."""
    return sorted((row for row in pictures(version) if row["region_count"] == 1), key=lambda row: str(row["image_id"]))


def write(version: DatasetVersion, path: Path, wishes: dict[str, dict[str, Any]]) -> Path:
    rows = {row["image_id"]: row for row in pictures(version)}
    with CorrectionFile(path, version.card["key_fingerprint"]) as file:
        for image_id, wish in wishes.items():
            file.decide(place_of(rows[image_id]), line_of(rows[image_id], wish, version.version))
    return path


@contextmanager
def reviewing(dataset: Path, out: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`etl review` as a process of its own, and its address."""
    command = (sys.executable, "-m", "etl", "-q", "review", str(dataset), "--out", str(out))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ})
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_one_correction_made_in_a_browser_is_all_that_differs_in_the_next_version(
    first: DatasetVersion, build: Callable[..., Built], tmp_path: Path
) -> None:
    browser.required()
    out = tmp_path / "c.toml"

    async def look() -> tuple[str, list[str]]:
        with reviewing(first.folder, out) as (url, _):
            async with browser.browser(tmp_path / "profile") as page:
                await page.open(url)
                seen = str(await page.until("document.querySelector('#name').dataset.id"))
                for key in ("r", "r", "ArrowRight"):
                    await page.press(key)
                await page.until(f"![null, '', '{seen}'].includes(document.querySelector('#name').dataset.id)")
                await page.until("unsaved === 0")
                return seen, page.errors

    seen, errors = asyncio.run(look())
    assert errors == []
    (said,) = tomllib.loads(out.read_text())["pictures"]
    assert (said["image_id"], said["mended"]) == (seen, ["rotation"])

    next_ = DatasetVersion.open(build(first.dataset, corrections=(out,)).folder)

    before, after = ({row["image_id"]: row for row in pictures(version)} for version in (first, next_))
    assert {name for name in before if before[name]["sha256"] != after[name]["sha256"]} == {seen}
    assert {name for name in before if before[name] != after[name]} == {seen}
    assert np.array_equal(next_.picture(after[seen]), np.rot90(first.picture(before[seen]), 2))
    assert after[seen]["corrected"] == ["rotation"]
    assert after[seen]["review"] is False
    told = diff(first, next_)
    (change,) = told.changed
    assert (change["source_id"], change["corrected"]) == (before[seen]["source_id"], ["rotation"])
    assert {key.partition(".")[0] for key in told.identity} == {"corrections"}
    assert verify(next_) == []


def test_a_server_killed_in_the_middle_has_lost_nothing_and_the_next_goes_on(first: DatasetVersion, tmp_path: Path) -> None:
    browser.required()
    out, decided = tmp_path / "c.toml", 5

    async def look() -> tuple[list[str], str, str]:
        async with browser.browser(tmp_path / "profile") as page:
            with reviewing(first.folder, out) as (url, process):
                await page.open(url)
                seen = []
                for _ in range(decided):
                    seen.append(await page.until("document.querySelector('#name').dataset.id"))
                    await page.press("ArrowRight")
                await page.until("unsaved === 0")
                lost = str(await page.until("document.querySelector('#name').dataset.id"))
                process.kill()
                process.wait()
                await page.press("ArrowLeft")
                trouble = await page.until("!document.querySelector('#trouble').hidden && state.trouble")
                assert await page.until("document.querySelector('#name').dataset.id") == lost, "it is shown again"
            with reviewing(first.folder, out) as (url, _):
                await page.open(url)
                assert await page.until("document.querySelector('#name').dataset.id") == lost
                assert await page.value("Number(document.querySelector('#done').textContent)") == decided
                await page.press("u")
                assert await page.until(f"document.querySelector('#name').dataset.id === '{seen[-1]}'")
                await page.until("unsaved === 0")
            return seen, trouble, lost

    seen, trouble, _ = asyncio.run(look())

    assert "Not saved" in trouble
    said = tomllib.loads(out.read_text())["pictures"]
    assert [line["image_id"] for line in said] == seen[:-1]
    assert {line["verdict"] for line in said} == {"right"}


def test_all_kinds_of_corrections_and_what_cannot_be_followed(
    first: DatasetVersion, build: Callable[..., Built], tmp_path: Path
) -> None:
    wrong, turned, right, to_cut = single(first)[:4]
    cut = next(row for row in pictures(first) if row["region_count"] == 2)
    out = write(
        first,
        tmp_path / "c.toml",
        {
            wrong["image_id"]: {"verdict": "wrong"},
            turned["image_id"]: {"inverted": True},
            right["image_id"]: {"verdict": "right"},
            to_cut["image_id"]: {"split": True},
            cut["image_id"]: {"split": True},
        },
    )
    elsewhere = out.with_name("other.toml")
    elsewhere.write_text(out.read_text().replace(right["source_id"], "f" * 16).replace(wrong["source_id"], "e" * 16))

    built = build(first.dataset, corrections=(out,))
    next_ = DatasetVersion.open(built.folder)

    after = {row["image_id"]: row for row in pictures(next_)}
    assert wrong["image_id"] not in after
    assert built.reasons["rejected"] == 1
    assert after[turned["image_id"]]["inverted"] is not turned["inverted"]
    assert after[right["image_id"]]["sha256"] == right["sha256"]
    assert (after[right["image_id"]]["corrected"], after[right["image_id"]]["review"]) == (["confirmed"], False)
    films = {(row["source_id"], row["frame_index"]): row["region_count"] for row in after.values()}
    assert films[cut["source_id"], cut["frame_index"]] == 1
    could = films[to_cut["source_id"], to_cut["frame_index"]] == 2
    assert [w for w in built.warnings if "corrections" in w] == (
        [] if could else [w for w in built.warnings if w.startswith("1 of 5 corrections could not be followed")]
    )
    changed = {change["source_id"] for change in diff(first, next_).changed}
    assert changed == {row["source_id"] for row in (wrong, turned, cut, *([to_cut] if could else []))}
    assert verify(next_) == []

    lost = build(tmp_path / "other", corrections=(elsewhere,))
    (told,) = (warning for warning in lost.warnings if f"{2 if could else 3} of 5 corrections could not be followed" in warning)
    assert {image_id for image_id in (wrong["image_id"], right["image_id"]) if image_id in told.partition("image_id ")[2]}


def test_a_run_says_that_it_is_not_the_one_that_was_looked_at(
    first: DatasetVersion, build: Callable[..., Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = write(first, tmp_path / "c.toml", {single(first)[0]["image_id"]: {"verdict": "right"}})
    bare = EtlRecipe.model_validate({"name": "bare", "steps": ()})

    told: list[str] = []
    monkeypatch.setattr(Reporter, "warn", lambda self, text: told.append(text))

    build(first.dataset, corrections=(out,))
    assert not [text for text in told if "corrections" in text]
    build(first.dataset, corrections=(out,), recipe=bare)

    made_on = f"the corrections were made on {first.version}, which was built with recipe radiograph, not bare"
    assert [text for text in told if "corrections" in text] == [made_on]


def test_a_dry_run_says_how_many_corrections_there_are(first: DatasetVersion, tmp_path: Path) -> None:
    out = write(first, tmp_path / "c.toml", {row["image_id"]: {"verdict": "right"} for row in single(first)[:2]})
    order = Order((first.folder,), tmp_path / "ds", EtlRecipe(), corrections=(out,))

    assert preview(order, QUIET)["corrections"] == 2


def test_corrections_of_another_key_are_refused_before_anything_is_built(
    first: DatasetVersion, build: Callable[..., Built], tmp_path: Path
) -> None:
    out = write(first, tmp_path / "c.toml", {single(first)[0]["image_id"]: {"verdict": "right"}})
    other = tmp_path / "key"
    other.write_text("another key that is no secret")

    with pytest.raises(RadforgeError, match=r"made with another key.*found those of key"):
        build(tmp_path / "ds", corrections=(out,), key=other)

    assert not list((tmp_path / "ds").glob("[0-9a-f]*"))


def test_a_line_that_names_two_films_is_not_followed_and_named_as_such(
    first: DatasetVersion, build: Callable[..., Built], tmp_path: Path
) -> None:
    meant, other = single(first)[:2]
    out = write(first, tmp_path / "c.toml", {meant["image_id"]: {"verdict": "wrong"}, other["image_id"]: {"verdict": "right"}})
    out.write_text(out.read_text().replace(meant["source_id"], "0" * 16).replace(other["source_id"], meant["source_id"]))

    from_archive = build(first.dataset, corrections=(out,))
    order = Order((first.folder,), tmp_path / "ds", EtlRecipe(), workers=Span(1, 1), corrections=(out,))
    from_version = run(order, QUIET)

    for built in (from_archive, from_version):
        rows = {row["image_id"]: row["corrected"] for row in pictures(DatasetVersion.open(built.folder))}
        assert rows[meant["image_id"]] is None
        (told,) = [warning for warning in built.warnings if "image_id is not a picture of their source_id" in warning]
        assert told.startswith("1 of 2 corrections could not be followed")
        assert other["image_id"] in told


@pytest.mark.parametrize("removed", [False, True])
def test_sigterm_ends_a_sitting_with_its_counts_and_tells_when_the_file_is_gone(
    first: DatasetVersion, tmp_path: Path, removed: bool
) -> None:
    out = write(first, tmp_path / "c.toml", {single(first)[0]["image_id"]: {"verdict": "wrong"}})

    with reviewing(first.folder, out) as (url, process):
        assert url.startswith("http://127.0.0.1")
        if removed:
            out.unlink()
        process.terminate()
        assert process.stdout is not None
        told = process.stdout.read()
        assert process.wait(10) == 0

    assert told.startswith("1 wrong\n")
    assert ("--corrections" in told, "is gone" in told) == (not removed, removed)


def test_what_was_corrected_stays_so_when_steps_run_on_the_version(
    first: DatasetVersion, build: Callable[..., Built], tmp_path: Path
) -> None:
    upside_down, later = single(first)[:2]
    out = write(first, tmp_path / "c.toml", {upside_down["image_id"]: {"quarters": 2}})
    second = DatasetVersion.open(build(first.dataset, corrections=(out,)).folder)
    more = write(second, tmp_path / "more.toml", {later["image_id"]: {"quarters": 1}})

    third = run(
        Order(
            (Path(f"{second.dataset}@{second.version}"),),
            tmp_path / "ds2",
            EtlRecipe(),
            workers=Span(1, 1),
            corrections=(more,),
        ),
        QUIET,
    )

    before, after = ({row["image_id"]: row for row in pictures(v)} for v in (second, DatasetVersion.open(third.folder)))
    held = upside_down["image_id"]
    assert after[held]["sha256"] == before[held]["sha256"]
    assert after[held]["corrected"] == ["rotation"]
    version = DatasetVersion.open(third.folder)
    turned = np.rot90(second.picture(before[later["image_id"]]), -1)
    assert np.array_equal(version.picture(after[later["image_id"]]), turned)


def test_shards_take_corrections_along_and_merge_to_the_whole(
    first: DatasetVersion, build: Callable[..., Built], tmp_path: Path
) -> None:
    out = write(first, tmp_path / "c.toml", {row["image_id"]: {"quarters": 1} for row in single(first)[:3]})
    whole = DatasetVersion.open(build(tmp_path / "whole", corrections=(out,)).folder)

    parts = [build(tmp_path / f"part{i}", private=tmp_path / "private", shard=Shard(i, 2), corrections=(out,)) for i in (1, 2)]
    bare = build(tmp_path / "bare", private=tmp_path / "private", shard=Shard(2, 2))
    merged = merge([DatasetVersion.open(part.folder) for part in parts], tmp_path / "merged", None, QUIET)

    assert DatasetVersion.open(merged.folder).table("manifest").equals(whole.table("manifest"))
    assert not any("corrections" in warning for part in parts for warning in part.warnings)
    with pytest.raises(RadforgeError, match="the shards differ in `corrections`"):
        merge([DatasetVersion.open(one.folder) for one in (parts[0], bare)], tmp_path / "mixed", None, QUIET)


def test_a_detached_driver_takes_the_corrections_as_they_are_now(first: DatasetVersion, tmp_path: Path) -> None:
    out = write(first, tmp_path / "c.toml", {single(first)[0]["image_id"]: {"verdict": "right"}})
    (tmp_path / "films").mkdir()
    site = Site.model_validate({"kind": "local"})
    wanted = Order((tmp_path / "films",), tmp_path / "set", load(EtlRecipe, "wrist", "etl"), site=site, corrections=(out,))

    spec, files = driver_job(wanted)

    assert files["job/corrections-1.toml"] == out.read_text()
    assert f"--corrections {spec.folder}/job/corrections-1.toml" in " ".join(spec.members[0].command)


def test_the_same_corrections_again_are_already_built(
    first: DatasetVersion, build: Callable[..., Built], tmp_path: Path
) -> None:
    out = write(first, tmp_path / "c.toml", {single(first)[0]["image_id"]: {"verdict": "wrong"}})
    once, twice = (build(first.dataset, corrections=(out,)) for _ in range(2))

    assert (twice.version, twice.already_built) == (once.version, True)
    assert json.loads((once.folder / "card.json").read_text())["corrections"]["wrong"] == 1
