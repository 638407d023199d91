"""One contender in a process of its own: `python -m tests.benchmark.contender radforge|thesis FILMS OUT` prints JSON.

CPU seconds (user + system) per film, the largest memory, and for radforge the stages. Start-up is left out on both sides.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from tests.benchmark import thesis_style


def radforge(films: list[Path], out: Path) -> dict[str, float]:
    """Everything a worker does: header, hash, decode, steps, PNG, preview, fsync, rows."""
    from etl import process as process_module
    from etl.archive import headers
    from etl.archive.listing import list_files
    from etl.deidentify import Key
    from etl.picture_store import PictureStore, make_folders
    from etl.plan import plan_part
    from etl.process import process
    from etl.steps import pca_rotation
    from schemas.recipe import EtlRecipe

    recipe = EtlRecipe()
    make_folders(out)
    seconds: dict[str, float] = {}
    # Told apart: the warp within rotation, and what is booked with encoding but is not.
    pca_rotation.turned = _timed(pca_rotation.turned, "(of it) warp", seconds)
    process_module.metal_of_limb = _timed(process_module.metal_of_limb, "(of it) metal", seconds)
    for film in films:
        instances = [instance for found in list_files([film]) for instance in headers.read(found)]
        for task in plan_part(instances, recipe, Key(b"benchmark key...")).tasks:
            with PictureStore(out) as store:
                outcome = process(task, recipe, store)
            assert outcome.records, (film, outcome.drops, outcome.failures)
            for name, value in (*outcome.seconds.items(), *store.seconds.items()):
                seconds[name] = seconds.get(name, 0.0) + value
    return seconds


def _timed(function: Callable[..., Any], name: str, seconds: dict[str, float]) -> Any:
    """The function, its time booked under a name."""

    def timed(*arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began

    return timed


def thesis(films: list[Path], out: Path) -> dict[str, float]:
    """The thesis' chain of PNG files."""
    for film in films:
        assert thesis_style.film_to_png(film, out)
    return {}


def main() -> None:
    """Measure and print."""
    name, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    films = sorted(path for path in folder.rglob("*") if path.is_file())
    work = {"radforge": radforge, "thesis": thesis}[name]
    cv2.setNumThreads(1)  # one core each, so that CPU time is what can be compared
    work(films[:1], out)  # imports and caches
    before, began = _cpu(), time.perf_counter()
    stages = work(films, out)
    print(  # noqa: T201
        json.dumps(
            {
                "films": len(films),
                "cpu_s": (_cpu() - before) / len(films),
                "wall_s": (time.perf_counter() - began) / len(films),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "stages_s": {stage: value / len(films) for stage, value in stages.items()},
            }
        )
    )


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
