"""What the user asks of `etl phantom`, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from etl.phantom import rates
from schemas.errors import RadforgeError

VISIBLE = ("one", "all", "thesis")


@dataclass(frozen=True)
class Mixture:
    """The user's wishes for an archive, checked."""

    studies: int
    seed: int
    scale: float  # of every film against its full size
    views: tuple[int, int] | None
    splits: tuple[int, int, int] | None
    visible: str | None = None  # of VISIBLE: in how many films of a positive study the fracture shows; None is one
    mimics: float | None = None  # share of the wrist films that show a harmless line
    implants: tuple[float, float] = (
        0.0,
        0.0,
    )  # share of the labelled studies with metal: of the positive, of the negative ones
    mistagged: float = 0.0  # studies of the chest whose header says wrist, per labelled study

    @property
    def training(self) -> bool:
        """Whether the archive is there to train on: bold signs on calm films (lines.py, rates.CALM_TILT_DEG)."""
        return self.visible is not None or self.mimics is not None


def mixture(
    studies: int | None,
    seed: int,
    size: tuple[int, int] | None,
    views: tuple[int, int] | None,
    splits: tuple[int, int, int] | None,
    visible: str | None = None,
    mimics: float | None = None,
    implants: tuple[float, float] = (0.0, 0.0),
    mistagged: float = 0.0,
) -> Mixture:
    """Check what was asked for. Raises RadforgeError on contradictions."""
    if splits is not None:
        if len(splits) != 3 or min(splits) < 0 or sum(splits) == 0:
            raise RadforgeError("bad numbers of studies", "--splits", str(splits), "three numbers of studies, e.g. 30,10,10")
        if studies is not None and studies != sum(splits):
            raise RadforgeError("contradicts --splits", "--studies", str(studies), f"{sum(splits)}, the sum of --splits")
        studies = sum(splits)
    studies = 40 if studies is None else studies
    if studies < 1:
        raise RadforgeError("too few", "--studies", str(studies), "at least 1")
    if seed < 0:
        raise RadforgeError("negative", "--seed", str(seed), "0 or more")
    if views is not None and not 1 <= views[0] <= views[1] <= 32:
        raise RadforgeError("no such range", "--views", f"{views[0]}:{views[1]}", "MIN:MAX with 1 <= MIN <= MAX <= 32")
    if size is not None and min(size) < 32:
        raise RadforgeError("too small to show anything", "--size", f"{size[0]}x{size[1]}", "at least 32x32")
    if visible not in (None, *VISIBLE):
        raise RadforgeError("no such choice", "--visible", repr(visible), " or ".join(VISIBLE))
    if mimics is not None and not 0 <= mimics <= 1:
        raise RadforgeError("no such share", "--mimics", str(mimics), "0 to 1")
    if not all(0 <= rate <= 1 for rate in implants):
        raise RadforgeError("no such share", "--implants", ":".join(map(str, implants)), "0 to 1")
    if not 0 <= mistagged <= 1:
        raise RadforgeError("no such share", "--mistagged", str(mistagged), "0 to 1")
    scale = 1.0 if size is None else min(1.0, *(a / b for a, b in zip(size, rates.MEDIAN_SIZE, strict=True)))
    return Mixture(studies, seed, scale, views, splits, visible, mimics, implants, mistagged)
