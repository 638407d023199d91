"""A file of corrections: what people saw in the pictures of a version. `etl review` writes it, a run obeys it.

    # a line a picture; ids are pseudonyms
    schema_version = 1
    key_fingerprint = "0b5cbbaf9f21"
    pictures = [
      { image_id = "…", source_id = "…", frame_index = 0, region_index = 0, region_count = 1, seen_in = "9f0c…",
        verdict = "mended", mended = ["rotation"], inverted = false, rotation_deg = -87.5 },
    ]

A line states what is true of a picture, not what is to be done to it: asked of other steps that were right by themselves, it
changes nothing.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

CORRECTIONS_VERSION: Literal[1] = 1

Mended = Literal["inversion", "rotation", "split"]
MENDED: tuple[Mended, ...] = ("inversion", "rotation", "split")


class Place(NamedTuple):
    """Which picture a line speaks of: the file, its frame, and the part of it."""

    source_id: str
    frame_index: int
    region_index: int
    region_count: int


class Correction(BaseModel):
    """What was seen in one picture."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    image_id: str = Field(pattern=r"^[0-9a-f]{20}$")
    """The picture that was looked at, as the manifest names it."""
    source_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    """Its file: a keyed hash of the path in the archive, the same in every version made with one key."""
    frame_index: int = Field(ge=0)
    """Its frame, from 0."""
    region_index: int = Field(ge=0)
    """Which of the frame's pictures it was, from 0."""
    region_count: int = Field(ge=1)
    """How many pictures the frame had."""
    seen_in: str = Field(pattern=r"^[0-9a-f]{12}$")
    """The version that was looked at."""
    verdict: Literal["right", "wrong", "mended"]
    """`right`: as it should be; `wrong`: to be left out; `mended`: to be kept with the changes below."""
    mended: tuple[Mended, ...] = ()
    """What was changed: wanted whatever the recipe, where what was right binds a recipe that has the step."""
    inverted: bool | None = None
    """How the manifest's `inverted` should be."""
    rotation_deg: float | None = Field(default=None, ge=-360, le=360, strict=True)
    """How the manifest's `rotation_deg` should be, to a quarter turn; kept in (-180, 180]."""
    pictures: Literal["one", "several"] | None = None
    """How many pictures the frame should give, where that was wrong."""
    pending: bool = False
    """Marked only, not yet said to be right so: the review shows the picture again. A run obeys it like any other."""

    @property
    def place(self) -> Place:
        """The picture that is meant."""
        return Place(self.source_id, self.frame_index, self.region_index, self.region_count)

    @property
    def said(self) -> tuple[object, ...]:
        """All of the line that decides what becomes of its picture; of one that is left out only that."""
        if self.verdict == "wrong":
            return (self.verdict,)
        return self.verdict, self.mended, self.inverted, self.pictures, self.rotation_deg

    def agrees(self, other: Correction) -> bool:
        """Whether two lines about a picture say the same of it: a turn is meant to a quarter."""
        if self.verdict == "wrong" or self.rotation_deg is None or other.rotation_deg is None:
            return self.said == other.said
        off = abs((self.rotation_deg - other.rotation_deg + 180.0) % 360.0 - 180.0)
        return self.said[:-1] == other.said[:-1] and off < 45.0

    @field_validator("mended")
    @classmethod
    def _in_order(cls, mended: tuple[Mended, ...]) -> tuple[Mended, ...]:
        return tuple(name for name in MENDED if name in mended)

    @field_validator("rotation_deg")
    @classmethod
    def _one_turn(cls, degrees: float | None) -> float | None:
        """The same turn is the same number: 0 and not -0 or 360."""
        if degrees is None:
            return None
        turn = round(degrees, 3)
        return round(turn - 360.0 if turn > 180.0 else turn + 360.0 if turn <= -180.0 else turn, 3) + 0.0

    @model_validator(mode="after")
    def _sense(self) -> Self:
        if self.region_index >= self.region_count:
            raise ValueError(f"picture {self.image_id}: region {self.region_index} of {self.region_count}, counted from 0")
        if (self.pictures is not None) != ("split" in self.mended):
            raise ValueError(f'picture {self.image_id}: `pictures` belongs to `mended = ["split"]`')
        if self.pictures == ("one" if self.region_count == 1 else "several"):
            raise ValueError(f"picture {self.image_id}: {self.pictures} is what the frame had")
        if (self.verdict == "mended") != bool(self.mended):
            raise ValueError(f"picture {self.image_id}: `mended` says what was changed, for the verdict `mended` only")
        for name, value in (("inversion", self.inverted), ("rotation", self.rotation_deg)):
            if name in self.mended and value is None:
                key = "inverted" if name == "inversion" else "rotation_deg"
                raise ValueError(f'picture {self.image_id}: `mended = ["{name}"]` wants `{key}`, how it should be')
        return self


class CorrectionsFile(BaseModel):
    """The file as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    schema_version: Literal[1] = CORRECTIONS_VERSION
    """Of this file's format."""
    key_fingerprint: str | None = None
    """Of the key whose pseudonyms the lines use."""
    pictures: tuple[Correction, ...] = ()
    """A line a picture, the last one decided last."""
