"""What people said of a film, put in the place of what the steps decided. The steps themselves know nothing of it.

Corrections state how a picture should be. A step that comes to the same by itself is left alone; where it does not, its grey
sense is turned, its picture is turned by quarters, and its film is kept whole or cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from etl.correct_split import cut
from etl.picture_store import image_id_of
from etl.steps.warp import turned
from etl.study import Drop, Frame
from schemas.corrections import MENDED
from schemas.recipe import EtlRecipe

REJECTED = Drop("rejected", "somebody looked at the picture and left it out")
_SAME_DEG = 1.0  # turns that differ by less are one
_ORDER = (*MENDED, "confirmed")


class State(NamedTuple):
    """How a picture should be; None where nothing was said."""

    wrong: bool = False
    inverted: bool | None = None
    rotation_deg: float | None = None
    confirmed: bool = False
    recut: bool = False  # its film gives other pictures, which nobody has seen yet
    mended: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """What was said of a frame: whether it is one picture (None: nothing), and of its pictures by (index, count)."""

    one: bool | None
    pictures: Mapping[tuple[int, int], State]

    def inverted(self) -> bool | None:
        """The grey sense of the film as a whole: what is said of every picture of it alike."""
        count = 1 if self.one else max((count for _, count in self.pictures), default=0)
        said = {self.pictures.get((index, count), State()).inverted for index in range(count)}
        if len(said) == 1 and None not in said:
            return said.pop()
        # Of a film that is to be cut otherwise the pictures are not known yet: what was said holds for all.
        film = {state.inverted for state in self.pictures.values() if state.recut} - {None}
        return film.pop() if len(film) == 1 else None


def own_lines(lines: Iterable[Mapping[str, Any]], instance_id: str) -> list[Mapping[str, Any]]:
    """The lines of a file whose `image_id` is that of its pictures: a line that names two films is not followed."""
    return [line for line in lines if line["image_id"] == image_id_of(instance_id, line["frame_index"], line["region_index"])]


def said_of(lines: Iterable[Mapping[str, Any]], frame_index: int) -> Said | None:
    """What the corrections of a file (plain values of `Correction`) say of one of its frames; None for nothing."""
    own = [line for line in lines if line["frame_index"] == frame_index]
    if not own:
        return None
    cuts = {line["pictures"] for line in own if line["pictures"]}
    one = cuts == {"one"} if cuts else True if any(line["region_count"] == 1 for line in own) else None
    return Said(one, {(line["region_index"], line["region_count"]): state_of(line) for line in own})


def said_of_row(row: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> Said | None:
    """The same for a picture of a version, whose steps begin with it. What was said before stays as the version has it."""
    place = ("source_id", "frame_index", "region_index", "region_count")
    now = next((line for line in lines if all(line[name] == row[name] for name in place)), None)
    if now is not None:
        return Said(now["pictures"] != "several", {(0, 1): state_of(now)})
    if row.get("corrected"):
        looked_at = row["review"] is False
        return Said(True, {(0, 1): State(False, row["inverted"], row["rotation_deg"], recut=not looked_at)})
    return None


def state_of(line: Mapping[str, Any]) -> State:
    """What a line says of its picture."""
    if line["verdict"] == "wrong":
        return State(wrong=True)
    return State(
        inverted=line["inverted"],
        rotation_deg=line["rotation_deg"],
        confirmed=line["verdict"] == "right",
        recut=line["pictures"] is not None,
        mended=tuple(line["mended"]),
    )


def after_step(name: str, came: Frame, left: list[Frame], recipe: EtlRecipe, said: Said) -> list[Frame]:
    """The frames a step made of one, or what they should have been."""
    if name == "inversion":
        return [_grey_sense(frame, said.inverted()) for frame in left]
    if name == "otsu_split" and said.one is not None:
        if said.one and len(left) > 1:
            found = {key: left[0].done[key] for key in ("split_score",) if key in left[0].done}
            return [_noted(replace(came, done={**came.done, **found}), "split")]
        if not said.one and len(left) == 1:
            return [_noted(piece, "split") for piece in cut(came, recipe.otsu_split)] or left
    if name == "pca_rotation" and len(left) == 1:
        # A picture that is turned right already is not turned there and back.
        before, wanted = came.done.get("rotation_deg"), [state.rotation_deg for state in said.pictures.values()]
        if before is not None and all(degrees is not None and abs(degrees - before) < 0.01 for degrees in wanted):
            return [replace(came, done={**left[0].done, "rotation_deg": before})]
    return left


def settled(leaves: Sequence[Frame | Drop], recipe: EtlRecipe, said: Said) -> list[Frame | Drop]:
    """The pictures of a frame in reading order, each as it was said of it."""
    count = len(leaves)
    return [_settled(leaf, recipe, said.pictures.get((index, count))) for index, leaf in enumerate(leaves)]


def _settled(leaf: Frame | Drop, recipe: EtlRecipe, state: State | None) -> Frame | Drop:
    if isinstance(leaf, Drop) or state is None:
        return leaf
    if state.wrong:
        return REJECTED
    # That a step did right binds a recipe that has the step; what was changed is wanted whatever the recipe.
    if "inversion" in (*recipe.steps, *state.mended):
        leaf = _grey_sense(leaf, state.inverted)
    if "pca_rotation" in recipe.steps or "rotation" in state.mended:
        leaf = _way_up(leaf, state.rotation_deg)
    if state.confirmed:
        leaf = _noted(leaf, "confirmed")
    if state.recut or not as_seen(leaf.done, state.inverted, state.rotation_deg):
        return leaf
    return replace(leaf, done={**leaf.done, "review": False})


def as_seen(row: Mapping[str, Any], inverted: bool | None, rotation_deg: float | None) -> bool:
    """Whether a picture is the one that somebody spoke of, so that nobody need look again."""
    off = float(row.get("rotation_deg") or 0.0) - (rotation_deg or 0.0)
    return bool(row.get("inverted")) == bool(inverted) and abs((off + 180.0) % 360.0 - 180.0) < _SAME_DEG


def _grey_sense(frame: Frame, inverted: bool | None) -> Frame:
    before = bool(frame.done.get("inverted", False))
    if inverted is None or inverted == before:
        return frame
    pixels = np.asarray(cv2.bitwise_not(frame.pixels))
    if frame.padding is not None:
        pixels[frame.padding] = 0
    return _noted(replace(frame, pixels=pixels, done={**frame.done, "inverted": inverted}), "inversion")


def _way_up(frame: Frame, degrees: float | None) -> Frame:
    """The frame turned by the quarters that bring it nearest to what its turn should be."""
    if degrees is None:
        return frame
    before = float(frame.done.get("rotation_deg") or 0.0)
    more = 90.0 * (round((degrees - before) / 90.0) % 4)
    if more == 0:
        return frame
    done = {**frame.done, "rotation_deg": 180.0 - (180.0 - before - more) % 360.0}  # in (-180, 180]
    return _noted(replace(turned(frame, more), done=done), "rotation")


def _noted(frame: Frame, what: str) -> Frame:
    known = {*(frame.done.get("corrected") or ()), what}
    return replace(frame, done={**frame.done, "corrected": [name for name in _ORDER if name in known]})
