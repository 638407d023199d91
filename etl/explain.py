"""`etl explain`: one file through every step, with what each saw and did, as text and a strip of pictures."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from etl import overlay as heat_over
from etl.archive import headers
from etl.archive.containers import read_bytes
from etl.archive.dicom_reading import Unreadable
from etl.archive.listing import list_files
from etl.deidentify import Key
from etl.picture_store import shrink
from etl.pixels import png
from etl.pixels.film import Film, read_film
from etl.plan import plan_part
from etl.process import apply_steps
from etl.steps import anatomy
from etl.study import Drop, Failure, Frame
from etl.suspect import body_part_suspect, part_shown
from schemas.errors import RadforgeError
from schemas.recipe import EtlRecipe

_SIDE = 384


def explain(file: Path, recipe: EtlRecipe, out: Path | None, overlay: Path | None = None) -> dict[str, dict[str, Any]]:
    """What the header, the decoder and each step say of a file; `out` gets the film after each of them, side by side.

    `overlay`: heat of `train explain` in the stored film's coordinates; `out` then also shows the decoded film under it.
    A film is judged alone: rules about a study or about files that share a SOPInstanceUID need the whole archive, and only
    the first frame is shown. Raises RadforgeError when there is no such file, or the overlay is not of this film.
    """
    problems = anatomy.check(recipe.anatomy)
    if problems:
        raise RadforgeError.of(problems)
    container, _, member = str(file).partition("!/")
    if overlay is not None and out is None:
        raise RadforgeError("nowhere to draw it", f"--overlay {overlay}", expected="--out STRIP.png")
    if out is not None and (out.suffix != ".png" or os.path.realpath(out) == os.path.realpath(container)):
        raise RadforgeError("not a place for a picture", f"--out {out}", expected="a .png file of its own")
    found = list_files([Path(container)])
    instances = [i for f in found for i in headers.read(f, recipe.metadata.keep)]
    if member:
        instances = [i for i in instances if i.source.member == member or i.source.name.endswith(f"!/{member}")]
    if len(instances) != 1:
        raise RadforgeError("not one file", str(file), f"{len(instances)} files", "one DICOM file, or container!/member")
    instance = instances[0]
    plan = plan_part(instances, recipe, Key(b"explain shows no id"))
    told: dict[str, dict[str, Any]] = {
        "header": {
            "modality": instance.modality,
            "photometric_interpretation": instance.photometric_interpretation,
            "transfer_syntax": instance.transfer_syntax,
            "rows x columns": f"{instance.rows} x {instance.columns}",
            "bits_stored": instance.bits_stored,
            "frames": instance.frames,
            "header_problems": ", ".join(instance.header_problems) or "none",
        }
    }
    part = anatomy.recognise(instance, recipe.anatomy)
    told["anatomy"] = _named(part) if part else {"body_part": "unknown"}
    for row in plan.drops:
        return told | {"fate": {"drop": row["reason"], "detail": row["detail"]}}
    for row in plan.failures:
        return told | {"fate": {"failure": row["stage"], "error": row["error"]}}
    try:
        first = next(iter(read_film(read_bytes(instance.source), recipe.pixels)))
    except Unreadable as error:
        first = Failure(error.stage, error.error)
    if not isinstance(first, Film):
        return told | {"fate": _fate(first)}
    told["decode"] = dict(first.facts)
    film = Frame(
        pixels=first.frame.pixels,
        transform=first.frame.transform,
        padding=first.frame.padding,
        body_part=part.part if part else None,
    )
    suspect = body_part_suspect(film)
    told["decode"]["body_part_suspect"] = suspect
    frames: list[Frame | Drop] = [replace(film, body_part=part_shown(film.body_part, suspect))]
    strip: list[list[NDArray[Any]]] = [[first.frame.pixels]]
    if overlay is not None:
        strip.append([heat_over.over(first.frame.pixels, heat_over.read_heat(overlay, first.frame.pixels.shape))])
    for name in recipe.steps:
        if name == "anatomy":
            continue
        alone = recipe.model_copy(update={"steps": (name,)})
        frames = list(apply_steps([f for f in frames if isinstance(f, Frame)], alone)) + [
            f for f in frames if isinstance(f, Drop)
        ]
        told[name] = {f"region {i}": _told(frame) for i, frame in enumerate(frames)}
        strip.append([frame.pixels for frame in frames if isinstance(frame, Frame)])
    told["fate"] = {"judged alone": "study_too_large and duplicate need the whole archive"}
    told["fate"] |= {f"region {i}": "record" if isinstance(f, Frame) else f.reason for i, f in enumerate(frames)}
    if out is not None:
        _save(out, strip)
    return told


def _named(part: anatomy.BodyPart) -> dict[str, Any]:
    """What the header's texts say of the body, in our own words."""
    return {
        "body_part": part.part,
        "code": part.code,
        "score": part.score,
        "from": part.field,
        "or": ", ".join(part.ambiguous) or "none",
        "laterality": part.laterality or "unknown",
        "view": part.view or "unknown",
    }


def _fate(item: Drop | Failure) -> dict[str, Any]:
    if isinstance(item, Drop):
        return {"drop": item.reason, "detail": item.detail}
    return {"failure": item.stage, "error": item.error}


def _told(frame: Frame | Drop) -> str:
    if isinstance(frame, Drop):
        return f"dropped: {frame.reason} ({frame.detail})"
    done = ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in frame.done.items()
    )
    return f"{frame.pixels.shape[0]} x {frame.pixels.shape[1]}" + (f", {done}" if done else "")


def _save(out: Path, strip: list[list[NDArray[Any]]]) -> None:
    """One column a step; the regions of a step below each other, on grey so that air can be told from the page.

    Small films are shown larger, all by the same whole number, or heat on them could not be seen.
    """
    times = max(1, (_SIDE - 8) // max(max(picture.shape) for pictures in strip for picture in pictures))
    height = _SIDE * max(len(pictures) for pictures in strip)
    coloured = any(picture.ndim == 3 for pictures in strip for picture in pictures)
    page = np.full((height + 8, (_SIDE + 8) * len(strip), 3), 128, np.uint8)
    for column, pictures in enumerate(strip):
        for row, picture in enumerate(pictures):
            colours = np.moveaxis(np.atleast_3d(picture), 2, 0)  # one for grey, three for the film under heat
            small = np.dstack([shrink(np.ascontiguousarray(colour), _SIDE - 8) for colour in colours])
            small = small.repeat(times, axis=0).repeat(times, axis=1)
            page[row * _SIDE + 8 : row * _SIDE + 8 + small.shape[0], column * (_SIDE + 8) + 8 :][:, : small.shape[1]] = small
    try:
        out.write_bytes(_in_colour(page) if coloured else png.encode(np.ascontiguousarray(page[..., 0])))
    except OSError as error:
        raise RadforgeError("cannot be written", f"--out {out}", found=error.strerror or "I/O error") from None


def _in_colour(page: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", page)[1].tobytes())
