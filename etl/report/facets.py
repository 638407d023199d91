"""What the pictures of a version can be told apart by: the filters of the page, and what every number on it leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydicom.uid import UID, UID_dictionary

from etl.report.charts import NO_CLASS
from etl.report.columns import LABEL
from schemas.manifest import METAL

# What is no value of the data; `key` gives no value such a name.
UNSAID = "~not said"
OTHERS = "~others"
NOTHING = "~none"
OUR_WORDS: Mapping[str, str] = {UNSAID: "not said", OTHERS: "others", NOTHING: "none"}
MOST = 20
"""Values of a facet that are told apart; the thesis shows the twenty most frequent body parts."""
CLASSES = 12
"""A label with more values than this is a measurement, not a class."""

STEP_WORDS: Mapping[str, str] = {
    "inversion": "greys turned",
    "split": "cut from a film of several limbs",
    "rotation": "turned",
    "upside_down": "turned by more than 90°",
    "none": "none of these",
}
REVIEW_WORDS: Mapping[str, str] = {
    "yes": "to look at",
    "no": "sure enough",
    "inversion": "unsure of the greys",
    "split": "unsure of the limbs",
    "rotation": "unsure of the turn",
    "body_part": "unsure of the body part",
}


@dataclass(frozen=True)
class Facet:
    """One way to tell pictures apart. `values`: bool (pictures,) for each value's key; a picture may have several or none."""

    name: str
    title: str
    values: Mapping[str, NDArray[np.bool_]]
    words: Mapping[str, str]

    def count(self, value: str) -> int:
        """Pictures with a value."""
        return int(self.values[value].sum())

    def word(self, value: str) -> str:
        """How a value is shown."""
        return self.words.get(value) or OUR_WORDS.get(value, value)

    def address(self, value: str) -> str:
        """What stands after # to see only such pictures."""
        return f"{quote(self.name, safe='')}={quote(value, safe='')}"


_COLUMNS = (
    ("body_part", "part", "Body part"),
    ("split", "split", "Split"),
    ("modality", "modality", "Modality"),
    ("view_position", "view", "View position"),
    ("laterality", "side", "Side"),
    ("manufacturer", "vendor", "Vendor"),
    ("bits", "bits", "Bits per pixel"),
    ("photometric_interpretation", "photometric", "Photometric interpretation"),
    ("transfer_syntax", "encoding", "Encoding of the stored film"),
    ("header_problems", "header", "Problems of the header"),
    ("burned_in_annotation", "burned_in", "Burned-in annotation"),
    ("corrected", "corrected", "Corrected by people"),
    ("body_part_suspect", "suspect", "Pixels contradict the body part"),
)


def facets(pictures: pa.Table) -> list[Facet]:
    """Every facet that the columns of a manifest give; a column that tells nothing gives none."""
    there = set(pictures.column_names)
    found = [_steps(pictures)]
    if "review" in there:
        found.append(_review(pictures))
    found += [_facet(name, title, pictures[column]) for column, name, title in _COLUMNS[:1] if column in there]
    found += [
        _facet(column, f"Label “{column.removeprefix(LABEL)}”", pictures[column])
        for column in pictures.column_names
        if column.startswith(LABEL) and is_class(pictures[column])
    ]
    found += [_facet(name, title, pictures[column]) for column, name, title in _COLUMNS[1:] if column in there]
    if "metal_fraction" in there:
        found.append(_metal(pictures["metal_fraction"]))
    return [facet for facet in found if set(facet.values) - {UNSAID, NOTHING}]


def is_class(column: pa.ChunkedArray) -> bool:
    """Whether a label has few enough values to be one of classes."""
    return 0 < int(pc.count_distinct(column).as_py()) <= CLASSES


def key(value: Any) -> str:
    """A value of a column as an address: two values of a column never have the same, and none that of our own words."""
    if value is None:
        return UNSAID
    said = _plain(value)
    return f"~{said}" if said.startswith("~") else said


def text(value: Any) -> str:
    """A value of a column as a word, with all its digits; in quotes where the word is one of our own."""
    if value is None:
        return OUR_WORDS[UNSAID]
    said = _plain(value)
    return f"“{said}”" if isinstance(value, str) and said in {*OUR_WORDS.values(), NO_CLASS} else said


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _facet(name: str, title: str, column: pa.ChunkedArray) -> Facet:
    total = len(column)
    if pa.types.is_list(column.type):
        parents = pc.list_parent_indices(column).to_numpy()
        column = pc.list_flatten(column)
        said = np.isin(np.arange(total), parents)
    else:
        parents, said = np.arange(total), np.ones(total, np.bool_)
    counts = sorted(pc.value_counts(column).to_pylist(), key=lambda item: (-item["counts"], text(item["values"])))
    kept = [item["values"] for item in counts[:MOST]]
    values: dict[str, NDArray[np.bool_]] = {}
    words: dict[str, str] = {}
    rest = np.ones(len(column), np.bool_)
    for value in kept:
        equal = column.is_null() if value is None else pc.fill_null(pc.equal(column, value), False)
        mask = np.asarray(equal.to_numpy(), np.bool_)
        rest &= ~mask
        values[key(value)] = _spread(mask, parents, total)
        words[key(value)] = _syntax(value) if name == "encoding" and value is not None else text(value)
    if rest.any():
        values[OTHERS] = _spread(rest, parents, total)
    if not said.all():
        values[NOTHING] = ~said
    return Facet(name, title, values, words)


def _spread(mask: NDArray[np.bool_], parents: NDArray[Any], total: int) -> NDArray[np.bool_]:
    out = np.zeros(total, np.bool_)
    out[parents[mask]] = True
    return out


def _steps(pictures: pa.Table) -> Facet:
    inverted = np.asarray(pc.fill_null(pictures["inverted"], False).to_numpy(), np.bool_)
    turn = np.abs(np.asarray(pc.fill_null(pictures["rotation_deg"], 0.0).to_numpy(), np.float64))
    split = np.asarray(pictures["region_count"].to_numpy()) > 1
    values = {"inversion": inverted, "split": split, "rotation": turn > 0, "upside_down": turn > 90}
    values["none"] = ~(inverted | split | (turn > 0))
    return Facet("step", "What the steps did", values, STEP_WORDS)


def _review(pictures: pa.Table) -> Facet:
    marked = np.asarray(pc.fill_null(pictures["review"], False).to_numpy(), np.bool_)
    reasons = _facet("review", "", pictures["review_reasons"]).values if "review_reasons" in pictures.column_names else {}
    named = {name: mask for name, mask in reasons.items() if name not in {NOTHING, OTHERS}}
    return Facet("review", "Review", {"yes": marked, "no": ~marked} | named, REVIEW_WORDS)


def _metal(shares: pa.ChunkedArray) -> Facet:
    share = np.asarray(shares.to_numpy(), np.float64)  # null, where metal was not looked for, becomes NaN
    values = {"yes": share >= METAL, "no": share < METAL, UNSAID: np.isnan(share)}
    return Facet("metal", "Metal in the limb", {value: mask for value, mask in values.items() if mask.any()}, {})


def _syntax(uid: str) -> str:
    return str(UID(uid).name) if uid in UID_dictionary else uid
