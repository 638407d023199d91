"""`etl report`: gather what a version says of itself, and write it as one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa

from cluster.progress import Reporter, Stage
from etl.report import columns, figures, greys, place
from etl.report.account import Account, account
from etl.report.facets import Facet, facets
from etl.report.sheet import cards, choose, least_sure_first, sureness
from etl.report.thumbs import side_by_side, thumb
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError

FATES = {"record": "became a picture", "drop": "left out", "failure": "could not be read"}


@dataclass(frozen=True)
class Report:
    """What was written. `shown` of `pictures` stand on the contact sheet."""

    path: Path
    bytes: int
    shown: int
    pictures: int


def write_report(version: DatasetVersion, out: Path, say: Reporter) -> Report:
    """Write the page of a version. Raises RadforgeError: the version cannot be read, or `out` is no place for a page."""
    place.check(out)
    pictures, without = columns.read(version, "manifest")
    try:
        page, shown = render(version, pictures, without, say)
    except jinja2.UndefinedError as error:
        raise RadforgeError("card.json lacks what the page tells", version.folder.name, found=error.message or "") from None
    place.write(out, page)
    return Report(out, out.stat().st_size, shown, len(pictures))


def render(version: DatasetVersion, pictures: pa.Table, without: list[str], say: Reporter) -> tuple[str, int]:
    """The page as HTML, every picture inside, and how many pictures its contact sheet shows. `without`: missing columns."""
    card = version.card
    told_apart = facets(pictures)
    sure = sureness(pictures)
    rows = choose(least_sure_first(pictures, sure), pictures, told_apart)
    tokens = _tokens(told_apart)
    shown = list(cards(pictures, rows, told_apart, tokens))
    fates = account(pictures, columns.read(version, "drops")[0], columns.read(version, "failures")[0])
    classes = figures.classes_of(pictures, told_apart)
    below = card.get("recipe", {}).get("review", {}).get("below")
    wanted = sorted({str(path) for path in _paths(shown, fates) if path})
    with say.stage("pictures", len(wanted) + min(greys.SAMPLED, len(pictures)), "pictures") as stage:
        thumbs = dict(
            zip(wanted, _counted(side_by_side(lambda name: thumb(version.folder / name), wanted), stage), strict=True)
        )
        grey = greys.chart(version.folder, pictures, classes, stage.advance)
    charts = [*figures.charts(pictures, classes), grey, figures.confidence_chart(sure, below)]
    page = _template("page.html.j2").render(
        version=version.version,
        card=card,
        without=without,
        account=fates,
        facets={facet.name: facet for facet in told_apart},
        filters=_filters(told_apart, tokens, fates),
        tokens={name: number for (facet, name), number in tokens.items() if facet == "fate"},
        cards=shown,
        thumbs=thumbs,
        charts=[chart for chart in charts if chart is not None],
        splits=figures.splits(pictures),
        balance=figures.balance(pictures),
        measurements=figures.measurements(pictures),
        sizes=_frequent_sizes(pictures),
        below=below,
        total=len(pictures),
    )
    return page, len(shown)


def _tokens(told_apart: list[Facet]) -> dict[tuple[str, str], int]:
    """A number for each value of each facet: what the cards carry and the filter looks for."""
    names = [("fate", fate) for fate in FATES] + [(facet.name, value) for facet in told_apart for value in facet.values]
    return {name: number for number, name in enumerate(names)}


def _filters(told_apart: list[Facet], tokens: Mapping[tuple[str, str], int], fates: Account) -> list[dict[str, Any]]:
    """What the page's filter offers: for each facet its values with their number and how many there are in the version."""
    rows = {name: sum(reason.count for reason in some) for name, some in (("drop", fates.drops), ("failure", fates.failures))}
    counts = {"record": fates.pictures} | rows
    of_fate = [{"value": f, "word": word, "token": tokens["fate", f], "count": counts[f]} for f, word in FATES.items()]
    offered = [{"name": "fate", "title": "Fate", "values": of_fate}]
    for facet in told_apart:
        values = [
            {"value": value, "word": facet.word(value), "token": tokens[facet.name, value], "count": facet.count(value)}
            for value in facet.values
        ]
        offered.append({"name": facet.name, "title": facet.title, "values": values})
    return offered


def _paths(shown: list[Any], fates: Account) -> Iterator[str | None]:
    for card in shown:
        yield card.row["image_path"]
        yield card.row["preview_path"]
    for reason in (*fates.drops, *fates.failures):
        for example in reason.examples:
            yield example["preview_path"]


def _counted(results: Iterator[Any], stage: Stage) -> Iterator[Any]:
    for result in results:
        stage.advance(1)
        yield result


def _frequent_sizes(pictures: pa.Table) -> list[tuple[str, int, str]]:
    """Words, number, and no address: a size is nothing to filter by."""
    films = pictures.group_by(["source_id", "frame_index"]).aggregate([("source_columns", "min"), ("source_rows", "min")])
    sizes = films.group_by(["source_columns_min", "source_rows_min"]).aggregate([([], "count_all")])
    top = sizes.sort_by([("count_all", "descending"), ("source_columns_min", "ascending")]).slice(0, 10).to_pylist()
    known = [row for row in top if row["source_rows_min"]]
    return [(f"{row['source_columns_min']} × {row['source_rows_min']}", row["count_all"], "") for row in known]


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": lambda number: f"{number:,}", "percent": _percent, "sure": _sure}
    return environment.get_template(name)


def _percent(part: float, whole: float) -> str:
    share = 100 * part / whole if whole else 0.0
    return f"{share:.0f} %" if share >= 10 or share == 0 else f"{share:.1f} %"


def _sure(value: float | None) -> str:
    """Never rounded up to certain."""
    return "–" if value is None or np.isnan(value) else f"{min(value, 0.99) if value < 1 else 1:.2f}"
