"""The `etl` command: parse, call one function, show the result. Results go to stdout, messages to stderr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster import command
from etl import show
from schemas.errors import DamageFound, RadforgeError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Raw DICOM radiograph archives to clean, versioned, de-identified datasets.\n\n"
    "    etl phantom try --studies 40\n\n"
    "    etl run try/archive --out dataset --recipe wrist --labels try/labels.csv\n\n"
    "    etl inspect dataset\n",
)
if TYPE_CHECKING:
    from cluster.span import Span
    from schemas.site import Site

options = command.Options(app)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Reference = Annotated[str, typer.Argument(metavar="DATASET[@VERSION]", help="A dataset; the newest version unless named.")]
Archives = Annotated[
    list[Path],
    typer.Argument(metavar="ARCHIVE...", help="Folders, files, .zip, .tar, .tar.gz, DICOMDIR, or DATASET@VERSION."),
]
Recipe = Annotated[str, typer.Option(help="A recipe in TOML, or the name of a shipped one (`etl steps` lists them).")]
Labels = Annotated[Path | None, typer.Option(help="CSV or Parquet with StudyInstanceUID, AccessionNumber or PatientID.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="Key file of the pseudonyms (16 bytes or more); else DATASET.private/key, made at first use."),
]
Private = Annotated[Path | None, typer.Option(help="Where the key, the index and the crosswalks are kept.")]
Workers = Annotated[
    str | None,
    typer.Option(metavar="N|MIN:MAX", help="Worker processes; else one per core. On a queue: hold MIN, grow to MAX; else 1:8."),
]
SiteFile = Annotated[
    str | None,
    typer.Option("--site", help="Run the workers on a queue: a site file in TOML, or a shipped one (`rjobs site list`)."),
]


@app.command("run")
def run_command(
    archives: Archives,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DATASET", help="The dataset: a folder of versions.")],
    recipe: Recipe = "radiograph",
    labels: Labels = None,
    key: KeyFile = None,
    crosswalk: Annotated[Path | None, typer.Option(help="Private way back, .csv or .parquet, outside the dataset.")] = None,
    corrections: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="What `etl review` wrote, to be obeyed; may be given again.")
    ] = None,
    private: Private = None,
    workers: Workers = None,
    site: SiteFile = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only this part of the archive; `etl merge` puts the parts together.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="With --site: the driver too as a job; prints its id, for `rjobs logs ID -f`.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be done, and stop; with --detach, print the script.")
    ] = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Warnings and errors only.")] = False,
) -> None:
    """Build a dataset version from raw DICOM archives. The same command again goes on, or says "already built"."""
    from etl.order import Order
    from etl.run import run
    from etl.shards import Shard
    from schemas.loading import load
    from schemas.recipe import EtlRecipe

    chosen, part = load(EtlRecipe, recipe, "etl"), Shard.parse(shard) if shard is not None else None
    said = tuple(corrections or ())
    order = Order(tuple(archives), out, chosen, labels, key, crosswalk, private, *_where(workers, site), part, said)
    say = options.reporter(quiet)
    if detach:
        from cluster.show_jobs import hand_over
        from etl.detach import driver_job
        from etl.private import Private as Folder

        spec, files = driver_job(order)
        if not dry_run:
            Folder.beside(out, private).make()  # closed to others, before the job's folder is made in it
        assert order.site is not None
        hand_over(spec, order.site, site or "", dry_run, json, say, dataset=str(out.resolve()), files=files)
        return
    if dry_run:
        from etl.preview import preview

        show.plan(preview(order, say), json)
        return
    show.built(run(order, say), json, say)


@app.command("plan")
def plan_command(
    archives: Archives,
    recipe: Recipe = "radiograph",
    labels: Labels = None,
    workers: Workers = None,
    site: SiteFile = None,
    top: Annotated[int, typer.Option(min=0, help="Most frequent header texts to print; 0 and --json print all.")] = 20,
    unmask: Annotated[
        bool, typer.Option("--unmask", help="Print the texts of one or two patients as they stand; they may hold names.")
    ] = False,
    json: Json = False,
) -> None:
    """What a run would do: files, studies, formats, how the headers name body parts, expected drops. Writes nothing."""
    from etl import show_texts
    from etl.header_texts import HeaderTexts, as_values
    from etl.order import Order
    from etl.preview import preview
    from schemas.loading import load
    from schemas.recipe import EtlRecipe

    span, where = _where(workers, site)
    order = Order(tuple(archives), Path("dataset"), load(EtlRecipe, recipe, "etl"), labels, workers=span, site=where)
    texts = HeaderTexts(order.recipe.anatomy)
    value = preview(order, options.reporter(), texts)
    rows = texts.rows(as_they_stand=unmask)
    if json:
        show.as_json(value | {"header texts": as_values(rows), "rare header texts not kept": texts.let_go})
    else:
        show.plan(value, json)
        show_texts.texts(rows, top, texts.let_go)


@app.command("inspect")
def inspect_command(
    target: Annotated[str, typer.Argument(metavar="DATASET[@VERSION]", help="A dataset, or a Parquet file or folder.")],
    where: Annotated[str | None, typer.Option(help='SQL condition, e.g. "inverted AND rows > 2000".')] = None,
    columns: Annotated[str, typer.Option(help="Columns to show, separated by commas.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Rows to show, also with --json.")] = 20,
    drops: Annotated[bool, typer.Option("--drops", help="Look into the drops.")] = False,
    failures: Annotated[bool, typer.Option("--failures", help="Look into the failures.")] = False,
    json: Json = False,
) -> None:
    """Look into a version: pictures, drops, failures, and the totals by fate and reason."""
    from etl.inspect import inspect

    if drops and failures:
        raise RadforgeError("--drops and --failures exclude each other")
    table = "drops" if drops else "failures" if failures else "manifest"
    names = [name.strip() for name in columns.split(",") if name.strip()]
    found = inspect(target, table, where, names, limit)  # type: ignore[arg-type]
    show.answer(found, json, totals=not (where or names))


@app.command("report")
def report_command(
    dataset: Reference,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.html", help="The page; else report-VERSION.html in this folder.")
    ] = None,
) -> None:
    """One self-contained HTML page: what became of every film and why, figures, pictures before and after."""
    from etl.report.report import write_report
    from schemas.dataset import DatasetVersion

    version = DatasetVersion.open(dataset)
    say = options.reporter()
    show.report(write_report(version, out or Path(f"report-{version.version}.html"), say))


@app.command("review")
def review_command(
    dataset: Reference,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The corrections; else DATASET.corrections.toml.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen on 127.0.0.1; else a free port.")] = 0,
) -> None:
    """A page to look through the pictures, the least sure first, and say by key what is wrong with them. Ends with Ctrl-C.

    Each decision is on the disk at once; `etl run --corrections FILE` makes the next version of them.
    """
    from etl.review.next_run import next_run
    from etl.review.review import serve, sitting
    from schemas.dataset import DatasetVersion

    version = DatasetVersion.open(dataset)
    with sitting(version, out, port) as server:
        say = options.reporter()
        session = server.session
        say.say(f"{len(session):,} pictures of {version.dataset}@{version.version}, {session.decided():,} looked at already")
        say.say(f"decisions go to {session.file.path}; Ctrl-C ends")
        serve(server, show.review_page)
        show.reviewed(session.counts(), next_run(version.card, str(session.file.path)), session.file.is_there())


@app.command("merge")
def merge_command(
    versions: Annotated[
        list[str], typer.Argument(metavar="DATASET@VERSION...", help="Versions that parts of an archive became.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DATASET", help="The dataset of the merged version.")],
    private: Private = None,
    json: Json = False,
) -> None:
    """One version of several, e.g. of shards that were built at the same time. No film is opened; pictures are linked."""
    from etl.merge import merge
    from schemas.dataset import DatasetVersion

    say = options.reporter()
    show.built(merge([DatasetVersion.open(name) for name in versions], out, private, say), json, say)


@app.command("verify")
def verify_command(dataset: Reference, json: Json = False) -> None:
    """Read and hash every file of a version again. Exit 4 and the name of each damaged file when it is not whole."""
    from etl.verify import verify, without
    from schemas.dataset import DatasetVersion

    version = DatasetVersion.locate(dataset)
    say = options.reporter()
    with say.stage("verify", 0, "pictures") as stage:
        damages = verify(version, stage.reach)
    show.damages(version, damages, json, without(version))
    if damages:
        raise DamageFound(f"{len(damages)} damaged files", f"{version.dataset}@{version.version}")


@app.command("where")
def where_command(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A folder of versions.")],
    source_id: Annotated[str, typer.Argument(metavar="SOURCE_ID", help="A source_id, or an image_id of the newest version.")],
    private: Private = None,
    json: Json = False,
) -> None:
    """The private way back from a source_id to its file, UIDs and patient. Prints identifiers."""
    from etl.crosswalk import source_of, where
    from etl.private import Private as Folder

    show.rows(where(Folder.beside(dataset, private), source_of(dataset, source_id)), json)


@app.command("versions")
def versions_command(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A folder of versions.")], json: Json = False
) -> None:
    """The versions of a dataset: when, from what recipe, how many rows, at what cost."""
    from etl.versions import history

    show.history(history(dataset), json)


@app.command("diff")
def diff_command(
    a: Annotated[str, typer.Argument(metavar="DATASET@A", help="A version, or a beginning of its name.")],
    b: Annotated[str, typer.Argument(metavar="DATASET@B", help="Another one.")],
    json: Json = False,
) -> None:
    """What changed from one version to another: settings, films, fates."""
    from etl.versions import diff
    from schemas.dataset import DatasetVersion

    show.difference(diff(DatasetVersion.open(a), DatasetVersion.open(b)), json)


@app.command("explain")
def explain_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One DICOM file, or CONTAINER!/MEMBER.")],
    recipe: Recipe = "radiograph",
    out: Annotated[Path | None, typer.Option(help="Write the picture strip here, .png.")] = None,
    overlay: Annotated[
        Path | None, typer.Option(metavar="HEAT.png", help="Draw heat that `train explain` wrote over the film, into --out.")
    ] = None,
    json: Json = False,
) -> None:
    """One file through every step: what each saw and did, and why it was dropped or turned."""
    from etl.explain import explain
    from schemas.loading import load
    from schemas.recipe import EtlRecipe

    show.explanation(explain(file, load(EtlRecipe, recipe, "etl"), out, overlay), out, json)


@app.command("steps")
def steps_command(json: Json = False) -> None:
    """The steps a recipe can name, with their settings and defaults, and the shipped recipes."""
    from etl.describe import describe_steps

    show.steps(describe_steps(), json)


@app.command("schema")
def schema_command(
    of: Annotated[str, typer.Argument(metavar="[recipe|site|manifest|corrections|parts]", help="What to describe.")] = "recipe",
    json: Json = False,
) -> None:
    """What a recipe, a site or a file of corrections can say (JSON Schema), the tables' columns, or the body parts known."""
    from etl.describe import describe_schema

    show.line(describe_schema(of, json))


@app.command("phantom")
def phantom_command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that is empty or not there yet.")],
    studies: Annotated[int | None, typer.Option(min=1, help="Number of studies; 40 unless --splits says.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
    size: Annotated[str | None, typer.Option(metavar="ROWSxCOLUMNS", help="Scale films down to about this size.")] = None,
    views: Annotated[str | None, typer.Option(metavar="MIN:MAX", help="Views of every study, e.g. 2:4 or 2.")] = None,
    splits: Annotated[str | None, typer.Option(metavar="A,B,C", help="Studies in train, val and test.")] = None,
    visible: Annotated[
        str | None,
        typer.Option(
            metavar="one|all|thesis",
            help="How many films of a positive study show its fracture. For training: bold signs, close films of one wrist.",
        ),
    ] = None,
    mimics: Annotated[
        float | None,
        typer.Option(metavar="RATE", help="Share of films with a fainter, harmless line, never labelled; else as --visible."),
    ] = None,
    implants: Annotated[
        str,
        typer.Option(
            metavar="RATE|POS:NEG",
            help="Share of labelled studies with plates, wires or screws; or of positive and negative ones, e.g. 0.4:0.05",
        ),
    ] = "0",
    mistagged: Annotated[
        float, typer.Option(metavar="RATE", help="Chest studies whose header says wrist, per labelled study, e.g. 0.1")
    ] = 0.0,
) -> None:
    """Draw a raw DICOM archive with known truth, to try things on without patients."""
    from etl import phantom

    say = options.reporter()
    numbers = {
        "size": _numbers(size, "x", 2, "--size", "ROWSxCOLUMNS, e.g. 640x480"),
        "views": _numbers(views if views is None or ":" in views else f"{views}:{views}", ":", 2, "--views", "MIN:MAX"),
        "splits": _numbers(splits, ",", 3, "--splits", "A,B,C, e.g. 60,20,20"),
    }
    chosen: dict[str, Any] = {name: value for name, value in numbers.items() if value is not None}
    chosen |= {"implants": _rates(implants), "mistagged": mistagged}
    with say.stage("drawing", studies or 40, "studies") as stage:
        summary = phantom.draw(out, studies, seed, visible=visible, mimics=mimics, progress=stage.reach, **chosen)
    show.phantom(out, summary)


def _where(workers: str | None, site: str | None) -> tuple[Span | None, Site | None]:
    from cluster.span import Span
    from schemas.site import load_site

    return Span.parse(workers) if workers is not None else None, load_site(site) if site is not None else None


def _numbers(text: str | None, separator: str, count: int, flag: str, expected: str) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.lower().split(separator)
    if len(parts) != count or not all(part.strip().isdigit() for part in parts):
        raise RadforgeError("not understood", flag, repr(text), expected)
    return tuple(int(part) for part in parts)


def _rates(text: str) -> tuple[float, float]:
    """One rate for both classes, or `POSITIVE:NEGATIVE`."""
    try:
        rates = [float(part) for part in text.split(":")]
    except ValueError:
        rates = []
    if len(rates) not in (1, 2):
        raise RadforgeError("not understood", "--implants", repr(text), "a rate, e.g. 0.2, or two, e.g. 0.5:0.02")
    return rates[0], rates[-1]


def main() -> None:
    """Entry point."""
    command.run(app, lambda: options.debug)
