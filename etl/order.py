"""What the user asked `etl run` for, checked before anything is done; and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.span import Span
from etl import metadata
from etl.private import is_inside
from etl.shards import Shard
from etl.steps import anatomy
from schemas.dataset import DatasetVersion, split_reference, versions
from schemas.errors import RadforgeError
from schemas.recipe import EtlRecipe
from schemas.site import Site


@dataclass(frozen=True)
class Order:
    """The command line of a run, parsed."""

    archives: tuple[Path, ...]
    out: Path
    recipe: EtlRecipe
    labels: Path | None = None
    key: Path | None = None
    crosswalk: Path | None = None
    private: Path | None = None
    workers: Span | None = None
    site: Site | None = None
    shard: Shard | None = None
    corrections: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Built:
    """A committed version, and what it took."""

    version: str
    folder: Path
    already_built: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    elapsed_s: float = 0.0
    films_per_s: float = 0.0
    warnings: tuple[str, ...] = ()


def check(order: Order) -> None:
    """What is wrong with the order itself. Raises RadforgeError."""
    problems = anatomy.check(order.recipe.anatomy) + metadata.check(order.recipe.metadata.keep)
    if problems:
        raise RadforgeError.of(problems)
    for path in order.archives:
        folder, version = split_reference(str(path))
        if version is not None or is_dataset(folder):
            continue
        if is_inside(order.out, path) and path.is_dir():
            raise RadforgeError(
                "the dataset would lie inside the archive", f"--out {order.out}", expected="a folder outside it"
            )
        if is_inside(folder, order.out):
            raise RadforgeError("the archive lies inside the dataset", str(path), expected="another --out folder")
    for flag, file in (("--crosswalk", order.crosswalk), ("--key", order.key)):
        if file is not None and is_inside(file, order.out):
            raise RadforgeError("must not lie inside the dataset", f"{flag} {file}", expected="a place that is not shared")
    for path in order.archives:
        if order.private is not None and path.is_dir() and is_inside(order.private, path):
            raise RadforgeError("must not lie inside the archive", f"--private {order.private}", expected="another folder")
    for path in order.corrections:
        if not path.is_file():
            raise RadforgeError("no such file", f"--corrections {path}", expected="what `etl review` wrote")
    if order.crosswalk is not None and order.crosswalk.is_dir():
        raise RadforgeError("is a folder", f"--crosswalk {order.crosswalk}", expected="a file to write")
    if order.crosswalk is not None and order.crosswalk.suffix not in {".csv", ".parquet"}:
        raise RadforgeError("unknown kind of file", f"--crosswalk {order.crosswalk}", expected=".csv or .parquet")


def is_dataset(path: Path) -> bool:
    """Whether a path is a dataset with versions, or a version's own folder."""
    return bool(versions(path)) or (path / "card.json").is_file()


def version_source(archives: Sequence[Path]) -> DatasetVersion | None:
    """The dataset version that the arguments name, if they do. Raises RadforgeError when it is mixed with others."""
    named = [path for path in archives if split_reference(str(path))[1] is not None or is_dataset(path)]
    if not named:
        return None
    if len(archives) > 1:
        raise RadforgeError(
            "a dataset version cannot be mixed with other archives",
            ", ".join(map(str, archives)),
            expected="one DATASET@VERSION, or archives only",
        )
    return DatasetVersion.open(str(named[0]))
