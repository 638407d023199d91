"""The `train` command: parse, call one function, show the result. Results go to stdout, messages to stderr."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster import command
from cluster import show as plain
from schemas.errors import RadforgeError

if TYPE_CHECKING:
    from schemas.dataset import DatasetVersion
    from schemas.training_run import TrainingRun

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="From a dataset version to a model one can defend.\n\n"
    "    train check mvcnn --data dataset\n\n"
    "    train run mvcnn --data dataset --out runs/first\n\n"
    "    train evaluate runs/first\n",
)
options = command.Options(app)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `train run` made.")]
RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe in TOML, or a shipped one (`train models` lists them).")
]
Data = Annotated[
    str | None,
    typer.Option("--data", metavar="DATASET[@VERSION]", help="A version that `etl run` wrote; the newest unless named."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Wins over the recipe, e.g. optim.lr=1e-4; may be repeated."),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Cache = Annotated[
    Path | None, typer.Option(help="Where resized pictures are kept, e.g. the node's own disk; else the user's cache.")
]


@app.command("run")
def run_command(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="A recipe in TOML, or a shipped one (`train models` lists them).")
    ] = None,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="RUN", help="The run's folder; else runs/RECIPE-VERSION-seedN.")
    ] = None,
    settings: Set = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where this run was stopped; starts it when there is none.")
    ] = False,
    continues: Annotated[
        Path | None,
        typer.Option(
            "--continue", metavar="RUN", help="A new run that goes on from a finished one, e.g. with --set epochs=30."
        ),
    ] = None,
    device: Device = "auto",
    cache: Cache = None,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Warnings and errors only.")] = False,
) -> None:
    """Train a model, score it on validation and test, and write its report."""
    from training.loop import stopping

    stopping.listen()  # before torch is imported: a queue's warning may come early
    from training.order import order_of
    from training.run import run

    order = order_of(recipe, data, out, settings or [], resume, continues, device, cache)
    try:
        done = run(order, options.reporter(quiet))
    except stopping.Stopped as stopped:
        if os.environ.get("RANK", "0") == "0":
            goes_on = "rjobs rerun goes on" if "RADFORGE_JOB" in os.environ else "the same command with --resume goes on"
            in_time = stopped.number in stopping.WARNINGS and "RADFORGE_JOB" in os.environ
            sys.stderr.write(f"stopped by {stopped}; {'a checkpoint is written' if in_time else goes_on}: {order.folder}\n")
        raise typer.Exit(0 if stopped.number in stopping.WARNINGS else 130) from None
    from training import show

    if done is not None:
        show.finished(done, json)


@app.command("submit")
def submit_command(
    site: Annotated[str, typer.Option(help="A site file (.toml), or a shipped one: `rjobs site list`.")],
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="A recipe in TOML, or a shipped one (`train models` lists them).")
    ] = None,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="RUN", help="The run's folder; of an array, the folder of its runs.")
    ] = None,
    settings: Set = None,
    continues: Annotated[
        Path | None, typer.Option("--continue", metavar="RUN", help="Go on from a finished run, e.g. with --set epochs=30.")
    ] = None,
    array: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES", help="One run for each: seed=0..4, optim.lr=1e-3,1e-4. Repeated: every combination."
        ),
    ] = None,
    together: Annotated[int | None, typer.Option(min=1, help="Runs of an array at one time.")] = None,
    after: Annotated[
        list[str] | None, typer.Option(metavar="JOB", help="Begin when this job has ended well; may be repeated.")
    ] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="GPUs of a node, a process each; else the site's.")] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes.")] = 1,
    device: Device = "auto",
    cache: Cache = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Print the script, and stop.")] = False,
    json: Json = False,
) -> None:
    """Train as a job of SLURM or LSF: the same run, which goes on by itself after its time limit, preemption or a dead node."""
    from cluster.show_jobs import hand_over
    from schemas.site import load_site
    from training.submit import Wish, submission_of

    chosen = load_site(site)
    typed = (tuple(settings or ()), continues, tuple(array or ()), tuple(after or ()))
    wanted = submission_of(Wish(recipe, data, chosen, out, *typed, gpus, nodes, together, device, cache))
    hand_over(wanted.spec, chosen, site, dry_run, json, options.reporter(), dataset=wanted.dataset, files=wanted.files)


@app.command("check")
def check_command(
    recipe: RecipeName,
    data: Data = None,
    settings: Set = None,
    device: Device = "auto",
    cache: Cache = None,
    json: Json = False,
) -> None:
    """Prove a recipe on one batch: shapes, memory, a finite loss, and eight studies learned by heart."""
    from schemas.loading import load
    from schemas.train_recipe import TrainRecipe

    chosen = load(TrainRecipe, recipe, "train", settings or [])
    from training import show
    from training.check import check

    show.checked(check(chosen, _open(data), options.reporter(), device, cache), json)


@app.command("models")
def models_command(
    settings: Set = None,
    size: Annotated[str | None, typer.Option(metavar="COLUMNSxROWS", help="Size of the inputs, e.g. 341x512.")] = None,
    json: Json = False,
) -> None:
    """The shipped recipes and their models: parameters, feature maps, arithmetic, memory."""
    from training.model_table import model_table

    plain.rows(model_table(size, settings or []), json)


@app.command("evaluate")
def evaluate_command(
    run: RunFolder,
    data: Data = None,
    split: Annotated[str, typer.Option(help="train, val or test; all with another version as --data.")] = "test",
    where: Annotated[
        str | None,
        typer.Option(
            help="Only studies with a picture for which this SQL holds, e.g. \"sex = 'F'\". Studies without metal: "
            '"study_id NOT IN (SELECT study_id FROM manifest WHERE metal_fraction >= 0.001)".'
        ),
    ] = None,
    studies: Annotated[Path | None, typer.Option(help="Only the study_ids in this file (.csv, .txt, .parquet).")] = None,
    label: Annotated[str | None, typer.Option(help="Another label column, e.g. a revised one.")] = None,
    export_errors: Annotated[Path | None, typer.Option(help="Write the wrong studies here, for re-reading.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Where the report goes; else RUN/report.html for a plain evaluation."),
    ] = None,
    device: Device = "auto",
    cache: Cache = None,
    json: Json = False,
) -> None:
    """Numbers with intervals, per picture and per study, and the report."""
    from training import show
    from training.evaluate_command import Question, answer

    question = Question(data, split, where, studies, label, export_errors, out, device, cache)
    show.evaluated(answer(_run(run), question, options.reporter()), json)


@app.command("predict")
def predict_command(
    run: RunFolder,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="DATASET[@VERSION], or DICOM: folders, files, archives.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.parquet", help="Where the scores go; a new file.")],
    key: Annotated[
        Path | None, typer.Option(help="DICOM: key of the pseudonyms; else the training dataset's, else a fresh one.")
    ] = None,
    crosswalk: Annotated[Path | None, typer.Option(help="DICOM: private way back from the ids, .csv or .parquet.")] = None,
    device: Device = "auto",
    cache: Cache = None,
    workers: Annotated[int | None, typer.Option(help="DICOM: worker processes; else one per core.")] = None,
    json: Json = False,
) -> None:
    """Score new studies: of a dataset version, or straight from DICOM through the steps of the training pictures."""
    from training import show
    from training.predict import predict

    say = options.reporter()
    show.predicted(
        predict(_run(run), paths, out, say=say, key=key, crosswalk=crosswalk, device=device, cache=cache, workers=workers),
        json,
    )


@app.command("explain")
def explain_command(
    run: RunFolder,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A folder that is empty or not there yet.")],
    data: Data = None,
    method: Annotated[str, typer.Option(help="gradcam, lrp (needs zennit) or attention (transformers).")] = "gradcam",
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    studies: Annotated[Path | None, typer.Option(help="Only the study_ids in this file (.csv, .txt, .parquet).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Studies that are drawn: found ones and the worst mistakes.")] = 20,
    truth: Annotated[Path | None, typer.Option(help="truth.csv of `etl phantom`: does the heat point at the fracture?")] = None,
    crosswalk: Annotated[Path | None, typer.Option(help="With --truth: the crosswalk of the `etl run`.")] = None,
    device: Device = "auto",
    cache: Cache = None,
    json: Json = False,
) -> None:
    """Where a model looked: heat maps per view, red for and blue against, also in the stored film's coordinates."""
    from training import show
    from training.explain.explain import METHODS, explain

    if method not in METHODS:
        raise RadforgeError("no such method", f"--method {method}", expected=", ".join(METHODS))
    if split not in ("train", "val", "test"):
        raise RadforgeError("no such split", f"--split {split}", expected="train, val or test")
    chosen = _run(run)
    version = _open(data or f"{chosen.record.dataset}@{chosen.record.version}")
    told = explain(
        chosen,
        version,
        out,
        method=method,  # type: ignore[arg-type]
        split=split,  # type: ignore[arg-type]
        studies=studies,
        limit=limit,
        truth=truth,
        crosswalk=crosswalk,
        device=device,
        cache=cache,
        say=options.reporter(),
    )
    show.explained(told, out, json)


@app.command("compare")
def compare_command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs on the same studies.")],
    split: Annotated[str, typer.Option(help="val or test.")] = "test",
    json: Json = False,
) -> None:
    """Runs beside each other on the same studies: intervals, differences, time and hardware."""
    from training import show
    from training.evaluate.compare import compare

    show.compared(compare([(str(run), _run(run)) for run in runs], split=split), json)


def _open(data: str | None) -> DatasetVersion:
    from schemas.dataset import DatasetVersion

    if data is None:
        raise RadforgeError("no dataset named", "--data", expected="--data DATASET, a folder that `etl run --out` made")
    return DatasetVersion.open(data)


def _run(folder: Path) -> TrainingRun:
    from schemas.training_run import TrainingRun

    return TrainingRun.open(folder)


def main() -> None:
    """Entry point."""
    command.run(app, lambda: options.debug, interrupted="interrupted")
