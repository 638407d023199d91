"""`etl plan` and `etl run --dry-run`: the plan of a run as a value that can be read. Nothing is written."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydicom.uid import UID, UID_dictionary

from cluster.progress import Reporter
from etl import derive
from etl.build import Session
from etl.corrections import Corrections, read_corrections
from etl.deidentify import Key
from etl.header_texts import HeaderTexts
from etl.labels import read_labels
from etl.order import Order, check, version_source
from etl.planning import Plan
from etl.private import Private
from etl.run import plan_archive, walk
from etl.scratch import Scratch
from etl.workers import Workers
from schemas.dataset import DatasetVersion


def preview(order: Order, say: Reporter, texts: HeaderTexts | None = None) -> dict[str, Any]:
    """Files, studies, formats, body parts, what would be left out by header, and the work that remains.

    `texts` counts the headers' texts where asked for; a dataset version has none.
    Raises RadforgeError for a wrong order. Uses the index and the key of the dataset where there are any.
    """
    check(order)
    said = read_corrections(order.corrections)
    source = version_source(order.archives)
    # An index of its own that goes with the preview: a plan writes nothing beside the dataset.
    with ExitStack() as stack:
        private = Private(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="radforge-"))))
        scratch = stack.enter_context(Scratch.beside(private, order.out))
        if source is not None:
            return _of_version(source, order, scratch) | _of_corrections(said)
        labels = read_labels(order.labels) if order.labels else None
        session = Session(order, private, scratch, Workers(order, stack, say), say)
        key = Key(b"a plan shows no id")
        return _of_archive(plan_archive(session, walk(order, say), key, labels, texts=texts), order) | _of_corrections(said)


def _of_version(source: DatasetVersion, order: Order, scratch: Scratch) -> dict[str, Any]:
    derive.check_recipe(order.recipe)
    work = derive.plan_from(source, order.recipe, scratch)
    return {
        "source version": source.version,
        "pictures to process": work.tasks.frames(),
        "left out": {name: n for name, n in work.reasons.most_common() if not name.endswith(" (failure)")},
    }


def _of_archive(plan: Plan, order: Order) -> dict[str, Any]:
    tasks = plan.work.tasks
    value: dict[str, Any] = {
        "files, members of archives counted": plan.files,
        "gigabytes": round(plan.bytes / 1e9, 3),
        "studies": plan.studies,
        "patients": plan.patients,
        "left out by header, frames": dict(plan.work.reasons.most_common()),
        "studies to process": len(tasks),
        "frames to process": tasks.frames(),
        "transfer syntaxes, files": {_syntax(uid): number for uid, number in plan.syntaxes.most_common()},
        "body parts, files": dict(plan.body_parts.most_common()),
        "steps": ", ".join(order.recipe.steps),
        "estimated core seconds": round(tasks.seconds(), 1),
    }
    if order.labels is not None:
        value["labels"] = {
            "studies with a label": plan.studies_labelled,
            "studies without": len(plan.studies_without),
            "label rows that match no study": len(plan.unmatched),
        }
    return value


def _of_corrections(said: Corrections) -> dict[str, Any]:
    return {"corrections": len(said.lines)} if said else {}


def _syntax(uid: str) -> str:
    return str(UID(uid).name) if uid in UID_dictionary else "unknown"
