"""`etl plan` and `etl run --dry-run`: the plan of a run as a value that can be read. Nothing is written."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydicom.uid import UID, UID_dictionary

from cluster.progress import Reporter
from etl import derive
from etl.batches import estimate
from etl.build import Session
from etl.deidentify import Key
from etl.labels import read_labels
from etl.order import Order, check, version_source
from etl.private import Private
from etl.run import plan_archive, walk
from etl.workers import Workers


def preview(order: Order, say: Reporter) -> dict[str, Any]:
    """Files, studies, formats, body parts, what would be left out by header, and the work that remains.

    Raises RadforgeError for a wrong order. Uses the index and the key of the dataset where there are any.
    """
    check(order)
    source = version_source(order.archives)
    if source is not None:
        derive.check_recipe(order.recipe)
        derived = derive.plan_from(source, order.recipe)
        reasons = Counter(row["reason"] for row in derived.drops)
        return {
            "source version": source.version,
            "pictures to process": sum(task.frames for task in derived.tasks),
            "left out": dict(reasons.most_common()),
        }
    labels = read_labels(order.labels) if order.labels else None
    with ExitStack() as stack:
        # An index of its own that goes with the preview: a plan writes nothing beside the dataset.
        scratch = Private(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="radforge-"))))
        session = Session(order, scratch, Workers(order, stack, say), say)
        plan = plan_archive(session, walk(order, say), Key(b"a plan shows no id"), labels)
    seconds = sum(estimate(task) for task in plan.tasks)
    value: dict[str, Any] = {
        "files, members of archives counted": plan.files,
        "gigabytes": round(plan.bytes / 1e9, 3),
        "studies": plan.studies,
        "patients": plan.patients,
        "left out by header, frames": plan.reasons,
        "studies to process": len(plan.tasks),
        "frames to process": plan.frames,
        "transfer syntaxes, files": {_syntax(uid): number for uid, number in plan.syntaxes.items()},
        "body parts, files": dict(plan.body_parts),
        "steps": ", ".join(order.recipe.steps),
        "estimated core seconds": round(seconds, 1),
    }
    if labels is not None:
        value["labels"] = {
            "studies with a label": plan.match.studies_labelled,
            "studies without": len(plan.match.studies_without),
            "label rows that match no study": len(plan.match.unmatched),
        }
    return value


def _syntax(uid: str) -> str:
    return str(UID(uid).name) if uid in UID_dictionary else "unknown"
