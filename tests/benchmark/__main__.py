"""`make bench`: the stage table, films per second and core, one worker against two, and the ratio to a thesis-style run."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cluster.shell import call
from tests.benchmark.films import SYNTAXES

ROUNDS = 3
PER_SYNTAX = 5
ETL = str(Path(sys.executable).parent / "etl")


def measure(name: str, films: Path, scratch: Path) -> dict[str, Any]:
    """One contender over a folder of films, in a fresh process and a fresh folder."""
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    done = call([sys.executable, "-m", "tests.benchmark.contender", name, str(films), str(out)], timeout_s=900)
    if done.code:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def compare(films: Path, scratch: Path) -> dict[str, Any]:
    """Both contenders in turn, so that a drift of the machine hits both; medians of the pairs."""
    rounds = [(measure("radforge", films, scratch), measure("thesis", films, scratch)) for _ in range(ROUNDS)]
    return {
        "ours": statistics.median(ours["cpu_s"] for ours, _ in rounds),
        "thesis": statistics.median(theirs["cpu_s"] for _, theirs in rounds),
        "ratio": statistics.median(theirs["cpu_s"] / ours["cpu_s"] for ours, theirs in rounds),
        "ours_mb": max(ours["peak_mb"] for ours, _ in rounds),
        "thesis_mb": max(theirs["peak_mb"] for _, theirs in rounds),
        "stages": {
            stage: statistics.median(ours["stages_s"][stage] for ours, _ in rounds) for stage in rounds[0][0]["stages_s"]
        },
    }


def run_seconds(archive: Path, scratch: Path, workers: int) -> tuple[int, float]:
    """Films and wall-clock seconds of the working part of a real `etl run`."""
    out = scratch / f"run{workers}"
    done = call([ETL, "-q", "run", str(archive), "--out", str(out), "--workers", str(workers), "--json"], timeout_s=900)
    if done.code:
        raise SystemExit(done.stderr)
    record = json.loads(next((out / ".runs").glob("*.json")).read_text())
    shutil.rmtree(out)
    return int(record["films"]), float(record["stages_s"]["process"])


def steps_share(stages: dict[str, float]) -> str:
    """What the steps take, the warp of the full film apart, beside decoding and PNG encoding."""
    steps = sum(stages.get(name, 0.0) for name in ("inversion", "otsu_split", "pca_rotation", "resize"))
    steps -= stages.get("(of it) warp", 0.0)
    coding = stages["decode"] + stages["encode"] - stages.get("(of it) metal", 0.0)
    return f"{1e3 * steps:.1f} ms = {100 * steps / coding:.1f} %"


def say(text: str = "") -> None:
    """A line of the report."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Draw, measure, print."""
    with tempfile.TemporaryDirectory(prefix="radforge-bench-") as folder:
        scratch = Path(folder)
        began = time.monotonic()
        films = scratch / "films"
        # In a process of its own: a child's largest memory begins with that of its parent.
        call([sys.executable, "-m", "tests.benchmark.films", str(films), str(PER_SYNTAX)], timeout_s=300)
        say(f"films drawn in {time.monotonic() - began:.0f} s; CPU per film, medians of {ROUNDS} paired rounds\n")
        say(f"{'archive':<16}{'radforge':>12}{'thesis-style':>14}{'ratio':>8}{'films/s/core':>14}{'peak MB':>10}{'theirs':>8}")
        mixed = None
        for name in ("mixed", *SYNTAXES):
            result = compare(films if name == "mixed" else films / name, scratch)
            mixed = mixed or result
            say(
                f"{name:<16}{1e3 * result['ours']:>9.0f} ms{1e3 * result['thesis']:>11.0f} ms{result['ratio']:>8.2f}"
                f"{1 / result['ours']:>14.1f}{result['ours_mb']:>10.0f}{result['thesis_mb']:>8.0f}"
            )
        assert mixed is not None
        say("\nstage (mixed archive, wall clock per film)")
        for stage, seconds in sorted(mixed["stages"].items(), key=lambda item: -item[1]):
            say(f"  {stage:<16}{1e3 * seconds:>9.1f} ms")
        say(f"\nsteps without the warp: {steps_share(mixed['stages'])} of decoding and encoding (aim: under 25 %)")
        say(f"the same on raw films: {steps_share(measure('radforge', films / 'raw', scratch)['stages_s'])}")
        say("\n`etl run`, wall clock of the working part")
        rates = {}
        for workers in (1, 2):
            count, seconds = run_seconds(films, scratch, workers)
            rates[workers] = count / seconds
            say(f"  {workers} worker{'s' if workers > 1 else ' '}       {rates[workers]:>9.2f} films/s")
        say(f"  ratio           {rates[2] / rates[1]:>9.2f}")
        done = call([sys.executable, "-m", "tests.benchmark.training", str(scratch)], timeout_s=900)
        say(done.stdout if done.code == 0 else done.stderr)
        say("the driver of `etl run`, on an archive that exists as an index only")
        done = call([sys.executable, "-m", "tests.benchmark.scale"], timeout_s=3600)
        say(done.stdout if done.code == 0 else done.stderr)


if __name__ == "__main__":
    main()
