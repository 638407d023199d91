"""The steps a recipe can name, one file each. `anatomy` selects by header, so it is asked before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from etl.steps import inversion, otsu_split, pca_rotation, resize
from etl.study import Drop, Frame

Step = Callable[[Frame, Any], list[Frame] | Drop]

STEPS: Mapping[str, Step] = {
    "inversion": inversion.apply,
    "otsu_split": otsu_split.apply,
    "pca_rotation": pca_rotation.apply,
    "resize": resize.apply,
}
