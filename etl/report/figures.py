"""The thesis' figures, for the data of one version. Each is worked out on columns; no picture is opened here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl.report.charts import NO_CLASS, Chart, scatter, stacked
from etl.report.columns import LABEL
from etl.report.facets import UNSAID, Facet, is_class, key, text
from etl.report.greys import sample

POINTS = 1500
"""Dots of a scatter plot; more would only make the page heavy."""
TAIL = 24
"""Films per study above this share one bar."""

Classes = list[tuple[str, NDArray[np.bool_]]]


def classes_of(pictures: pa.Table, facets: Sequence[Facet]) -> Classes:
    """Name and bool (pictures,) of each class of the first label that has 2 to 4; else all pictures as one."""
    for facet in facets:
        named = [value for value in facet.values if value != UNSAID]
        if facet.name.startswith(LABEL) and 2 <= len(named) <= 4:
            found = [(f"{facet.name.removeprefix(LABEL)} {facet.word(value)}", facet.values[value]) for value in sorted(named)]
            return found + [(NO_CLASS, mask) for value, mask in facet.values.items() if value == UNSAID]
    return [("all pictures", np.ones(len(pictures), np.bool_))]


def charts(pictures: pa.Table, classes: Classes) -> Iterator[Chart]:
    """Films per study, sizes before and after, turns, brightness; nothing of no pictures."""
    if not len(pictures):
        return
    yield _films_per_study(pictures, classes)
    yield from _sizes(pictures)
    yield _longer_sides(pictures)
    yield _turns(pictures, classes)
    yield _brightness(pictures, classes)


def _films_per_study(pictures: pa.Table, classes: Classes) -> Chart:
    film = pc.binary_join_element_wise(pictures["source_id"], pc.cast(pictures["frame_index"], pa.string()), "/")
    kind = np.full(len(pictures), len(classes))
    for index, (_, mask) in enumerate(classes):
        kind[mask] = np.minimum(kind[mask], index)
    table = pa.table({"study": pictures["study_id"], "film": film, "kind": kind}).group_by("study")
    grouped = table.aggregate([("film", "count_distinct"), ("kind", "min")])
    films, kinds = grouped["film_count_distinct"].to_numpy(), grouped["kind_min"].to_numpy()
    most = int(films.max(initial=1))
    last = min(most, TAIL)
    edges = np.arange(0.5, last + 1)
    series = [
        (name, np.histogram(np.minimum(films[kinds == index], last), edges)[0]) for index, (name, _) in enumerate(classes)
    ]
    title = "Films per study" if len(classes) < 2 else "Films per study, by label"
    tail = f"{TAIL}+" if most > TAIL else ""
    about = f"{len(films):,} studies"
    note = "Films that became a picture; what was left out of a study is not counted."
    return stacked(title, about, "films", "studies", edges, series, whole=True, last=tail, note=note)


def _sizes(pictures: pa.Table) -> Iterator[Chart]:
    """Width against height, of stored films and of pictures, on the same axes."""
    films = pictures.group_by(["source_id", "frame_index"]).aggregate([("source_columns", "min"), ("source_rows", "min")])
    before = (films["source_columns_min"].drop_null().to_numpy(), films["source_rows_min"].drop_null().to_numpy())
    after = (pictures["columns"].to_numpy(), pictures["rows"].to_numpy())
    most = max((int(side.max(initial=1)) for side in (*before, *after)), default=1) * 1.04
    words = (("Sizes before: the films as stored", "films", before), ("Sizes after: the pictures", "pictures", after))
    for title, what, (wide, high) in words:
        if not len(wide):  # a version that does not say how large its films were
            continue
        sizes = pa.table({"x": wide, "y": high}).group_by(["x", "y"]).aggregate([([], "count_all")])
        sizes = sizes.sort_by([("count_all", "descending"), ("x", "ascending"), ("y", "ascending")])
        shown = sizes.slice(0, POINTS)
        xs, ys, weight = (shown[name].to_numpy() for name in ("x", "y", "count_all"))
        upright = int((high > wide).sum())
        note = f"{upright:,} of {len(wide):,} are higher than wide. Dots grow with the number of {what} of one size."
        if len(shown) < len(sizes):
            note += f" The {len(shown):,} most frequent of {len(sizes):,} sizes are drawn."
        about = f"{len(wide):,} {what}, {len(sizes):,} sizes"
        limits = (0.0, most, 0.0, most)
        yield scatter(
            title, about, "width in pixels", "height in pixels", [(what, xs, ys, weight)],
            limits=limits, diagonal=True, note=note,
        )  # fmt: skip


def _longer_sides(pictures: pa.Table) -> Chart:
    longer = np.maximum(pictures["rows"].to_numpy(), pictures["columns"].to_numpy())
    edges = (
        np.histogram_bin_edges(longer, 24) if len(set(longer.tolist())) > 1 else np.array([longer[0] * 0.5, longer[0] * 1.5])
    )
    counts = np.histogram(longer, edges)[0]
    middle = f"Half of the pictures are longer than {np.median(longer):,.0f} pixels."
    return stacked(
        "Longer side of the pictures",
        f"{len(longer):,} pictures",
        "pixels",
        "pictures",
        edges,
        [("pictures", counts)],
        note=middle,
    )


def _turns(pictures: pa.Table, classes: Classes) -> Chart:
    turn = np.asarray(pc.fill_null(pictures["rotation_deg"], 0.0).to_numpy(), np.float64)
    edges = np.arange(-180, 181, 10)
    turned = turn != 0
    series = [(name, np.histogram(turn[mask & turned], edges)[0]) for name, mask in classes]
    about = f"{int(turned.sum()):,} pictures that were turned, of {len(turn):,}"
    note = "Degrees counter-clockwise; beyond ±90 the film had been upside down."
    return stacked("Tilt that was taken out", about, "degrees", "pictures", edges, series, note=note)


def _brightness(pictures: pa.Table, classes: Classes) -> Chart:
    mean, std = (pictures[name].to_numpy() for name in ("mean", "std"))
    known = ~(np.isnan(mean) | np.isnan(std))
    each = max(1, POINTS // len(classes))
    series, drawn = [], 0
    for name, mask in classes:
        rows = sample(pictures, mask & known, each)
        series.append((name, mean[rows], std[rows], np.ones(len(rows))))
        drawn += len(rows)
    about = f"{drawn:,} of {len(mean):,} pictures" if drawn < len(mean) else f"{drawn:,} pictures"
    note = "Greys from 0 (black) to 1 (white), over the exposed pixels of each picture."
    return scatter(
        "Mean and spread of the greys", about, "mean", "standard deviation", series, limits=(0, 1, 0, 0.55), note=note
    )


def confidence_chart(sure: dict[str, NDArray[np.float64]], below: float | None) -> Chart | None:
    """How sure the steps are; float (pictures,) a decision, NaN where none was taken."""
    edges = np.linspace(0, 1, 21)
    known = {name: values[~np.isnan(values)] for name, values in sure.items() if name != "body_part"}  # no step, one value
    series = [(name.replace("_", " "), np.histogram(values, edges)[0]) for name, values in known.items() if len(values)]
    if not series:
        return None
    about = ", ".join(f"{name} {int(counts.sum()):,}" for name, counts in series) + " decisions"
    limit = f" Below {below:g} a picture is marked for review." if below else ""
    return stacked(
        "How sure the steps are", about, "confidence", "decisions", edges, series, note=f"0.5 is a guess, 1 is certain.{limit}"
    )


def splits(pictures: pa.Table) -> list[dict[str, object]]:
    """Pictures, studies and patients of each split, and of all."""
    counted = [("image_id", "count"), ("study_id", "count_distinct"), ("patient_id", "count_distinct")]
    named = ("pictures", "studies", "patients")
    names = [f"{column}_{how}" for column, how in counted]
    own = pictures.group_by("split").aggregate(counted).sort_by("split").to_pylist()
    studies, patients = (pc.count_distinct(pictures[name]).as_py() for name in ("study_id", "patient_id"))
    rows = [{"split": row["split"], **{to: row[name] for to, name in zip(named, names, strict=True)}} for row in own]
    rows.sort(key=lambda row: _split_order(row["split"]))
    return [*rows, {"split": None, "pictures": len(pictures), "studies": studies, "patients": patients}]


def balance(pictures: pa.Table) -> list[dict[str, object]]:
    """For each label of classes: its values, and how many studies of each split have them."""
    found: list[dict[str, object]] = []
    for column in pictures.column_names:
        if not column.startswith(LABEL) or not is_class(pictures[column]):
            continue
        once = pictures.select(["study_id", "split", column]).group_by(["study_id", "split", column]).aggregate([])
        counted = once.group_by(["split", column]).aggregate([("study_id", "count")]).to_pylist()
        words = {key(row[column]): text(row[column]) if row[column] is not None else NO_CLASS for row in counted}
        values = sorted(words, key=lambda value: (value == UNSAID, value))
        number = {(row["split"], key(row[column])): row["study_id_count"] for row in counted}
        rows: list[dict[str, object]] = [
            {"split": split, "counts": [number.get((split, value), 0) for value in values]}
            for split in sorted({split for split, _ in number}, key=_split_order)
        ]
        rows.append({"split": "", "counts": [sum(n for (_, own), n in number.items() if own == value) for value in values]})
        name, heads = column.removeprefix(LABEL), [words[value] for value in values]
        found.append({"column": column, "name": name, "values": values, "words": heads, "unsaid": UNSAID, "rows": rows})
    return found


def _split_order(split: str | None) -> tuple[int, str]:
    known = ("train", "val", "test")
    return (len(known) + 1, "") if split is None else (known.index(split) if split in known else len(known), split)


def measurements(pictures: pa.Table) -> list[dict[str, object]]:
    """Labels of too many values to be classes: how many pictures have one, and the range where it is a number."""
    found: list[dict[str, object]] = []
    for column in pictures.column_names:
        if not column.startswith(LABEL) or is_class(pictures[column]):
            continue
        own = pictures[column].drop_null()
        facts: dict[str, object] = {"name": column.removeprefix(LABEL), "n": len(own), "values": len(own.unique()), "range": ""}
        if len(own) and (pa.types.is_integer(own.type) or pa.types.is_floating(own.type)):
            ends = pc.min_max(own).as_py()
            facts["range"] = f"{text(ends['min'])} to {text(ends['max'])}, mean {pc.mean(own).as_py():.6g}"
        found.append(facts)
    return found
