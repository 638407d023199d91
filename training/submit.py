"""`train submit`: the command line of `train run`, as a job that goes on by itself after a warning or a failed node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import order as jobs
from cluster import snapshot
from schemas.errors import RadforgeError
from schemas.job import JobSpec, Member
from schemas.loading import as_toml
from schemas.site import Site
from schemas.training_run import TrainingRun
from training import run_folder
from training.models.build import build
from training.order import order_of
from training.run_folder import Order
from training.targets import BinaryLabel

RECIPE = "job/recipe.toml"


@dataclass(frozen=True)
class Wish:
    """What was typed after `train submit`."""

    recipe: str | None
    data: str | None
    site: Site
    out: Path | None = None
    settings: tuple[str, ...] = ()
    continues: Path | None = None
    array: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    gpus: int | None = None
    nodes: int = 1
    together: int | None = None
    device: str = "auto"
    cache: Path | None = None


@dataclass(frozen=True)
class Submission:
    """A job, the files that go beside its script, and the version it reads."""

    spec: JobSpec
    files: dict[str, str]
    dataset: str


def submission_of(wish: Wish) -> Submission:
    """Everything a job needs, decided and checked here: a mistake must not wait in the queue for a day.

    Raises RadforgeError for what `train run` would refuse: recipe, shapes, version, a folder with another run.
    """
    members = jobs.array(wish.array)
    single = _order(wish, wish.out, ())
    base = jobs.job_folder(single.folder if not members else wish.out or _base(single, members[0]))
    orders = [_order(wish, base / _label(chosen), chosen) for chosen in members] if members else [_order(wish, base, ())]
    if len({order.folder for order in orders}) < len(orders):
        raise RadforgeError(
            "two members of the array would write one folder", "--array", expected="values that differ as folder names"
        )
    if all(order.continues is None and _finished(order) for order in orders):
        raise RadforgeError("is finished already", str(base), expected="--continue for a longer run, or another --out")
    seen = set()
    for order in orders:
        run_folder.check(order)
        shape = (order.recipe.model, order.recipe.data.size)
        if shape not in seen:
            seen.add(shape)
            build(order.recipe.model, order.recipe.data.size, BinaryLabel().outputs)
    resource = wish.site.resource("gpu")
    gpus = resource.gpus if wish.gpus is None else wish.gpus
    if gpus and wish.site.gpu is None and wish.site.kind != "local":
        raise RadforgeError("the site has no GPUs", f"--gpus {gpus}", expected="a [gpu] table in the site file")
    dataset = f"{single.version.dataset.resolve()}@{single.version.version}"
    spec = JobSpec(
        name=jobs.job_name(single.recipe.name.replace("/", "-")),
        members=tuple(
            Member(
                label=",".join(chosen),
                command=_command(wish, base, order, dataset, chosen),
                run=order.folder,
                again=order.folder / "again",
                progress=str(order.folder / "steps.parquet"),
            )
            for order, chosen in zip(orders, members or [()], strict=True)
        ),
        folder=base,
        cwd=Path.cwd(),
        resource="gpu",
        nodes=wish.nodes,
        processes=max(1, gpus),
        gpus=gpus,
        after=jobs.queue_ids(wish.after, wish.site),
        together=wish.together,
        resumable=True,
        git_commit=snapshot.commit(),
    )
    files = {} if wish.continues else {RECIPE: as_toml(single.recipe)}
    return Submission(spec, files, dataset)


def _finished(order: Order) -> bool:
    return (order.folder / "run.json").is_file() and TrainingRun(order.folder).finished


def _order(wish: Wish, out: Path | None, chosen: Sequence[str]) -> Order:
    settings = [*wish.settings, *chosen]
    return order_of(wish.recipe, wish.data, out, settings, True, wish.continues, wish.device, wish.cache)


def _base(order: Order, first: Sequence[str]) -> Path:
    keys = "-".join(setting.partition("=")[0].rpartition(".")[2] for setting in first)
    return Path("runs") / f"{order.recipe.name}-{order.version.version}-by-{keys}"


def _label(chosen: Sequence[str]) -> str:
    """`seed=3`, `optim.lr=1e-4` to the folder `seed3-lr1e-4`."""
    pairs = [setting.partition("=") for setting in chosen]
    return "-".join(f"{key.rpartition('.')[2]}{value}".replace("/", "-") for key, _, value in pairs)


def _command(wish: Wish, base: Path, order: Order, dataset: str, chosen: Sequence[str]) -> tuple[str, ...]:
    # The recipe is the resolved one beside the script, so that an edit of the file it came from changes no waiting job.
    source = ["--continue", str(wish.continues.resolve())] if wish.continues else [str(base / RECIPE)]
    settings = [*wish.settings, *chosen] if wish.continues else chosen
    return (
        *("python", "-P", "-m", "training", "run", *source),
        *("--data", dataset, "--out", str(order.folder), "--resume"),
        *(word for setting in settings for word in ("--set", setting)),
        *(("--device", wish.device) if wish.device != "auto" else ()),
        *(("--cache", str(wish.cache.resolve())) if wish.cache else ()),
    )
