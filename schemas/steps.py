"""The settings of each step: one frozen model a step, a sentence under each field (docs and --help come from
it)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Settings(BaseModel):
    """A table of a recipe: strict (an unknown key is an error) and frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Anatomy(Settings):
    """Keep films of some body parts, judged by the free text of their header."""

    keep: tuple[str, ...] = ()
    """Body parts to keep, by vocabulary name (`wrist`, `hand`, ...). Empty: every part. A region (`spine`,
    `upper_limb`) keeps all that lies within it; a film that names several parts is kept for any of them."""
    unknown: Literal["keep", "drop"] = "keep"
    """What happens, where `keep` names parts, to a film whose header names no part of the vocabulary."""
    min_score: float = Field(default=80.0, ge=0, le=100)
    """How alike (0..100) a misspelt word must be to a word of the vocabulary to count as it: 100 less the
    share of letters changed, lost, added or swapped. 80 forgives one in 5 to 9 letters (in a description half as
    much); shorter words are never guessed."""
    words: dict[str, tuple[str, ...]] = {}
    """More names of body parts, a list by vocabulary name: `wrist = ["MONYECA", "RX2041"]`. They go before the shipped
    ones; a text with a number in it is a code and found as it stands. `etl plan` shows what is not understood yet.
    The recipe stands in the version's card: nobody's name belongs here."""
    ignore: tuple[str, ...] = ()
    """Texts that name no part wherever they stand, though a part's name is in them: `"ARM TROLLEY"`."""

    @field_validator("words")
    @classmethod
    def _sorted(cls, words: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """The order in which names are listed makes no other dataset."""
        return {part: tuple(sorted(set(words[part]))) for part in sorted(words)}


class Inversion(Settings):
    """Turn films whose air is bright."""

    method: Literal["evidence", "thesis"] = "evidence"
    """`evidence` judges inside frames and collimation; `thesis` is the mean of four corners against a
    threshold."""
    min_score: float = Field(default=0.05, gt=0, lt=1)
    """`evidence`: the film is turned when the score (-1 air is dark .. 1 air is bright) exceeds this."""
    min_score_elsewhere: float = Field(default=0.5, gt=0, lt=1)
    """`evidence`: the same for a film recognised as no limb; it may show no air, so the header is trusted
    longer."""
    threshold: float = Field(default=100.0, ge=0, le=255)
    """`thesis`: the film is turned when the corners' mean grey (0..255) reaches this."""
    corner: float = Field(default=0.05, gt=0, le=0.5)
    """`thesis`: side of each corner patch as a fraction of the picture's sides."""


class OtsuSplit(Settings):
    """Cut a film that shows several separate limbs into one picture each."""

    method: Literal["robust", "thesis"] = "robust"
    """`robust` ignores frames, letters and markers; `thesis` is plain Otsu and components of the whole film.
    """
    min_part: float = Field(default=0.02, gt=0, lt=1)
    """`thesis`: components smaller than this fraction of the film are removed."""
    min_of_largest: float = Field(default=0.12, gt=0, lt=1)
    """`robust`: a part is at least this fraction of the largest part's area."""
    margin: float = Field(default=0.02, ge=0, le=0.5)
    """Air left around a cut part, as a fraction of the part's longer side."""
    min_side: int = Field(default=64, ge=1)
    """A picture with a shorter side than this many pixels is dropped (`region_too_small`); nothing smaller is
    a part."""
    crop: bool = False
    """Crop a film with a single part to it; otherwise it is kept whole."""


class PcaRotation(Settings):
    """Turn a limb upright: forearm below, fingers above."""

    method: Literal["robust", "thesis"] = "robust"
    """`robust` resolves the sign and up/down; `thesis` is the unsigned arccos of the first principal
    component."""
    dead_band_deg: float = Field(default=1.0, ge=0, le=90)
    """Turns smaller than this many degrees are not applied."""
    min_elongation: float = Field(default=1.1, ge=1)
    """`robust`: how long beside broad (of its mass and of the lines in it) a part must be; below, it has no axis to speak of
    and is left as it is."""
    min_up_down_confidence: float = Field(default=0.55, ge=0.5, le=1)
    """`robust`: how sure (0.5 is a guess) the step must be that the far end is below before it turns a film
    round."""
    kernel: float = Field(default=0.01, gt=0, le=0.2)
    """Side of the opening and closing kernels as a fraction of the picture's longer side."""


class Resize(Settings):
    """Pad to the target's aspect with air, then resize."""

    rows: int = Field(default=512, ge=1)
    """Rows of the result."""
    columns: int = Field(default=341, ge=1)
    """Columns of the result (the thesis: 341 columns x 512 rows)."""
