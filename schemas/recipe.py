"""The recipe of `etl run`: which films, which pixels, which steps in which order."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from schemas.steps import Anatomy, Inversion, OtsuSplit, PcaRotation, Resize, Settings

StepName = Literal["anatomy", "inversion", "otsu_split", "pca_rotation", "resize"]

STEP_NAMES: tuple[StepName, ...] = get_args(StepName)


class Select(Settings):
    """Which films are wanted, by header."""

    modalities: tuple[str, ...] = ("CR", "DX", "MG", "RF", "XA", "IO", "PX", "RG")
    """Modalities (0008,0060) to keep; others are drops `modality`. Empty: all."""


class StudyRule(Settings):
    """Rules on a study as a whole, before the steps."""

    max_instances: int = Field(default=32, ge=1)
    """A study with more images than this is dropped (`study_too_large`)."""


class Pixels(Settings):
    """From stored values to a picture."""

    bits: Literal[8, 16] = 8
    """Bits of the PNG."""
    low_percentile: float = Field(default=0.5, ge=0, lt=50)
    """Without a usable window: the percentile of the film's values that becomes black."""
    high_percentile: float = Field(default=99.5, gt=50, le=100)
    """Without a usable window: the percentile that becomes white."""


class Review(Settings):
    """Which pictures somebody should look at: the column `review`."""

    below: float = Field(default=0.7, ge=0, le=1)
    """A picture is marked when a decision about it is less sure than this: 0.5 is a guess, 1 is certain, 0 marks
    none."""


class Metadata(Settings):
    """More columns from the header."""

    keep: tuple[str, ...] = ()
    """DICOM keywords of numeric and coded attributes to add as columns; text, names, dates and UIDs are refused."""
    models: tuple[str, ...] = ()
    """Values of Manufacturer's Model Name that may be written beside the shipped list."""


class Splits(Settings):
    """How patients are divided. A patient never changes split between versions made with the same key."""

    train: float = Field(default=0.70, ge=0, le=1)
    """Share of patients in `train`."""
    val: float = Field(default=0.15, ge=0, le=1)
    """Share in `val`."""
    test: float = Field(default=0.15, ge=0, le=1)
    """Share in `test`."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, got {self.train + self.val + self.test:g}")
        return self


class Limits(Settings):
    """How long and how large one film may be before it is given up. No part of what a version is."""

    seconds_per_film: float = Field(default=120.0, gt=0)
    """Time one film may take on one core before its worker is restarted (failure `timeout`)."""
    worker_memory_gb: float = Field(default=2.0, ge=0.25)
    """Memory a worker may take before it is restarted (failure `memory`)."""


class EtlRecipe(Settings):
    """A recipe: strict TOML, every problem reported at once."""

    name: str = "radiograph"
    """What the recipe is called in the dataset's card."""
    steps: tuple[StepName, ...] = ("inversion", "otsu_split", "pca_rotation")
    """The steps, in the order they are applied."""
    select: Select = Select()
    study: StudyRule = StudyRule()
    pixels: Pixels = Pixels()
    anatomy: Anatomy = Anatomy()
    inversion: Inversion = Inversion()
    otsu_split: OtsuSplit = OtsuSplit()
    pca_rotation: PcaRotation = PcaRotation()
    resize: Resize = Resize()
    review: Review = Review()
    metadata: Metadata = Metadata()
    splits: Splits = Splits()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _used(self) -> Self:
        """A setting that nothing obeys is a mistake that would go unseen."""
        idle = [name for name in STEP_NAMES if name not in self.steps and name in self.model_fields_set]
        if "anatomy" in idle and not self.anatomy.keep:
            idle.remove("anatomy")  # the part is recognised and written also when nothing is filtered by it
        if idle:
            raise ValueError(f"[{idle[0]}] is set, but `{idle[0]}` is not in `steps`")
        return self

    @field_validator("steps")
    @classmethod
    def _once(cls, steps: tuple[StepName, ...]) -> tuple[StepName, ...]:
        twice = sorted({step for step in steps if steps.count(step) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return steps
