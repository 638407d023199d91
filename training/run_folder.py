"""The RUN folder of a training that begins, goes on, or continues another."""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from schemas.dataset import DatasetVersion
from schemas.errors import Problem, RadforgeError
from schemas.loading import as_toml
from schemas.train_recipe import TrainRecipe
from schemas.training_run import TrainingRecord, TrainingRun, write_bytes, write_json

_OURS = {".lock", "again", "recipe.toml", "recipe.toml.tmp", "run.json.tmp", "checkpoints", "metrics.parquet", "steps.parquet"}
_OURS |= {"job", "job.sh", "job.sh.tmp"}  # of a run that was submitted
_MAY_CHANGE = {"name", "epochs", "optim", "schedule", "loop", "sampling", "augment"}


@dataclass(frozen=True)
class Order:
    """What `train run` was asked for."""

    recipe: TrainRecipe
    version: DatasetVersion
    folder: Path
    resume: bool = False
    continues: TrainingRun | None = None
    device: str = "auto"
    cache: Path | None = None


def default_folder(recipe: TrainRecipe, version: DatasetVersion) -> Path:
    """`runs/mvcnn-8bcae76718e9-seed0`, so that seeds and versions do not collide."""
    fold = f"-fold{recipe.data.fold}" if recipe.data.folds else ""
    return Path("runs") / f"{recipe.name}-{version.version}-seed{recipe.seed}{fold}"


def check(order: Order) -> bool:
    """Whether the folder holds a run to go on with. Raises RadforgeError where a run would be lost or is another one."""
    folder = order.folder
    if folder.resolve().is_relative_to(order.version.dataset.resolve()):
        raise RadforgeError("a run does not belong into a dataset", f"--out {folder}", expected="a folder of its own")
    there = (folder / "run.json").is_file()
    if order.continues is not None and not there:
        _check_continued(order.continues, order)
    if not there:
        # A run that ended before its first record left nothing but names of ours: it begins anew.
        if folder.exists() and (not folder.is_dir() or any(p.name not in _OURS for p in folder.iterdir())):
            raise RadforgeError("not an empty folder, and not a run", f"--out {folder}", expected="a new folder")
        return False
    run = TrainingRun.open(folder)
    if not order.resume:
        state = "finished" if run.finished else "not finished; --resume goes on with it"
        raise RadforgeError("there is a run already", str(folder), state, "--resume, another --out, or another seed")
    record, own = run.record, run.recipe
    problems = []
    if record.version != order.version.version:
        problems.append(
            Problem(
                "version mismatch",
                str(folder),
                f"a run on {record.version}",
                f"--data with that version, not {order.version.version}",
            )
        )
    if own != order.recipe:
        names = [n for n in type(own).model_fields if getattr(own, n) != getattr(order.recipe, n)]
        problems.append(
            Problem(
                "another recipe than the run's", str(folder), f"other values in: {', '.join(names)}", "the same, or --continue"
            )
        )
    if problems:
        raise RadforgeError.of(problems)
    return (folder / "checkpoints" / "last.pt").is_file()


def _check_continued(source: TrainingRun, order: Order) -> None:
    own = source.recipe
    if not source.finished:
        raise RadforgeError(
            "the run is not finished", f"--continue {source.folder}", expected="train run --resume to its end first"
        )
    if order.recipe.epochs <= own.epochs:
        raise RadforgeError(
            "nothing to go on with",
            f"--continue {source.folder}",
            f"{order.recipe.epochs} epochs asked for, {own.epochs} in the run",
            f"more, e.g. --set epochs={2 * own.epochs}",
        )
    names = [n for n in type(own).model_fields if n not in _MAY_CHANGE and getattr(own, n) != getattr(order.recipe, n)]
    if names:
        raise RadforgeError(
            "a continued run keeps its data and model",
            f"--continue {source.folder}",
            f"other values in: {', '.join(names)}",
            f"changes in {', '.join(sorted(_MAY_CHANGE))} only; for the rest, a new run with init.run",
        )
    if source.record.version != order.version.version:
        raise RadforgeError(
            "version mismatch",
            f"--continue {source.folder}",
            f"a run on {source.record.version}, and --data {order.version.version}",
            "the same version; for another one, a new run with init.run",
        )


def adopt(order: Order) -> None:
    """A new folder that starts from the checkpoints and figures of the run it continues, if it does."""
    source = order.continues
    if source is None:
        return
    for name in ("checkpoints/last.pt", "checkpoints/best.pt", "checkpoints/first.pt", "metrics.parquet", "steps.parquet"):
        if (source.folder / name).is_file():
            target = order.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.folder / name, target)


def write(folder: Path, recipe: TrainRecipe, record: TrainingRecord) -> None:
    """recipe.toml and run.json."""
    write_bytes(folder / "recipe.toml", as_toml(recipe).encode())
    write_json(folder / "run.json", record.model_dump(mode="json"))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time trains in a folder. Raises RadforgeError when another does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise RadforgeError("cannot be written", f"--out {folder}", error.strerror or "I/O error") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RadforgeError("another process is training in this folder", str(folder)) from None
        except OSError:
            pass  # a file system without locks: nothing to hold
        yield


def command_line() -> tuple[str, ...]:
    """What was typed."""
    return ("train", *sys.argv[1:])
