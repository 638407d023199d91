"""From raw DICOM to a dataset version as the training data were made: by running `etl`, which training never imports."""

from __future__ import annotations

import hashlib
import hmac
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import RootModel

from cluster.progress import Reporter
from cluster.shell import follow
from schemas.dataset import DatasetVersion, split_reference, versions
from schemas.errors import RadforgeError
from schemas.loading import as_toml
from schemas.recipe import STEP_NAMES
from schemas.training_run import TrainingRecord

NOTHING_USABLE = 3
INTERRUPTED = 130
_ETL = (sys.executable, "-c", "from etl.cli import main; main()")


@dataclass(frozen=True)
class Delivery:
    """Raw films, and how their ids are made."""

    paths: Sequence[Path]
    key: Path | None = None
    crosswalk: Path | None = None
    workers: int | None = None


def named_version(paths: Sequence[str | Path]) -> DatasetVersion | None:
    """The dataset version that the arguments name; None when they name raw films. Raises RadforgeError for a mixture."""
    named = [path for path in paths if split_reference(str(path))[1] is not None or _is_dataset(Path(path))]
    if not named:
        return None
    if len(paths) > 1:
        raise RadforgeError(
            "a dataset version cannot be mixed with others",
            ", ".join(map(str, paths)),
            expected="one DATASET[@VERSION], or DICOM files, folders and archives only",
        )
    return DatasetVersion.open(str(named[0]))


def build_version(record: TrainingRecord, delivery: Delivery, folder: Path, say: Reporter) -> DatasetVersion:
    """Run `etl run` with the run's own recipe into `folder` (made, closed to others, and removed by the caller).

    When not one film could be used, what comes back holds rows of drops and failures and no picture. Raises RadforgeError
    when the recipe is not known or `etl` refuses (it says itself why), KeyboardInterrupt when it was interrupted.
    """
    recipe, dataset = folder / "recipe.toml", folder / "dataset"
    recipe.write_text(recipe_toml(record), "utf-8")
    key = _key(record, delivery.key, say)
    options: dict[str, object] = {
        "--key": key,
        "--crosswalk": delivery.crosswalk,
        "--workers": delivery.workers,
    }
    command = [*_ETL, "run", "--json", "--out", str(dataset), "--recipe", str(recipe)]
    command += ["--quiet"] if say.quiet else []
    for flag, value in options.items():
        command += [flag, str(value)] if value is not None else []
    say.say("preparing the films as the training data were, by `etl run`")
    done = follow([*command, "--", *map(str, delivery.paths)])
    if done.code == NOTHING_USABLE:
        return DatasetVersion(dataset / ".last-run", "")
    if done.code == INTERRUPTED:
        raise KeyboardInterrupt
    if done.code == 1:
        raise RuntimeError("`etl run` ended by a mistake of radforge, told above")
    if done.code:
        raise RadforgeError("the films could not be prepared", found=f"`etl run` ended with {done.code}, and said why above")
    return DatasetVersion.open(dataset)


def recipe_toml(record: TrainingRecord) -> str:
    """The ETL recipe of the training data, for `etl run --recipe`. Raises RadforgeError when it does not say it all.

    Splits mean nothing for films that are only scored, so all are `test`.
    """
    if not record.etl_recipe:
        raise RadforgeError(
            "the run does not say how its pictures were made", "run.json", expected="a dataset version made by `etl run`"
        )
    if record.etl_parent is not None:
        raise RadforgeError(
            "the run's pictures were made in two steps: its dataset version comes from another one",
            record.version,
            expected="the same two `etl run` on the new films, and `train predict` on their result",
        )
    steps = record.etl_recipe.get("steps", ())
    # A table of a step that is not applied is refused in a recipe. What [anatomy] says of recognising parts always holds.
    idle = {name for name in STEP_NAMES if name not in steps} - {"anatomy"}
    values = {name: _stated(value) for name, value in record.etl_recipe.items() if name not in idle}
    values["splits"] = {"train": 0.0, "val": 0.0, "test": 1.0}
    return as_toml(RootModel[dict[str, Any]](values))


def other_pixels(record: TrainingRecord, version: DatasetVersion) -> list[str]:
    """Parts of the ETL recipe by which a version's pictures were made otherwise than the training's."""
    theirs, ours = version.card.get("recipe", {}), record.etl_recipe
    if not ours:
        return []
    applied = {*ours.get("steps", ()), *theirs.get("steps", ())} - {"anatomy"}
    return [name for name in ("steps", "pixels", *sorted(applied)) if ours.get(name) != theirs.get(name)]


def key_fingerprint(path: Path) -> str | None:
    """The 12 hex digits by which card.json tells keys apart (HMAC-SHA256 of "fingerprint"); None when it cannot be read."""
    try:
        with path.open("rb") as file:
            secret = file.read(65_536).strip()
    except OSError:
        return None
    return hmac.new(secret, b"fingerprint", hashlib.sha256).hexdigest()[:12]


def _key(record: TrainingRecord, chosen: Path | None, say: Reporter) -> Path | None:
    """`chosen`, else the dataset's key if it still is where it was, else None: a fresh one, with a warning."""
    kept = Path(f"{record.dataset}.private") / "key"
    path = chosen or kept
    same = record.key_fingerprint is not None and key_fingerprint(path) == record.key_fingerprint
    if chosen is not None:
        if not same:
            say.warn(f"--key {chosen} is not the key of the training data: no id can be compared with an id there")
        return chosen
    if same:
        return kept
    say.warn(
        f"the key of the training data is not in {kept}: ids are made with a fresh key that is not kept, so they can be linked "
        "with nothing, nor made again; --key FILE names a key, --crosswalk FILE keeps the way back"
    )
    return None


def _stated(value: Any) -> Any:
    """Without what is None: TOML has no word for it."""
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else value


def _is_dataset(path: Path) -> bool:
    return bool(versions(path)) or (path / "card.json").is_file()
