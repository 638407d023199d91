"""What a training recipe can say, told from the one place that declares it: docs/train_recipe.md."""

from __future__ import annotations

import json
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from schemas.loading import shipped_names
from schemas.train_recipe import TrainRecipe


def recipe_page() -> str:
    """docs/train_recipe.md: every table and setting of a training recipe."""
    lines = [
        "# What a training recipe can say",
        "",
        "Generated from `schemas/train_recipe.py`; a test compares the two. A recipe is a TOML file; what it does not say",
        "has the default below, and a key that is not here is an error. `--set optim.lr=1e-4` on the command line wins over",
        "the file.",
        f"Shipped: {', '.join(f'`{name}`' for name in shipped_names('train'))}.",
        "",
        *_table({name: field for name, field in TrainRecipe.model_fields.items() if not _models(field)}),
    ]
    for name, field in TrainRecipe.model_fields.items():
        for model in _models(field):
            kind = model.model_fields.get("kind")
            title = f"## [{name}]" + (f' kind = "{kind.default}"' if kind else "")
            rest = {key: value for key, value in model.model_fields.items() if key != "kind"}
            lines += ["", title, "", " ".join((model.__doc__ or "").split()), "", *_table(rest)]
    return "\n".join(lines)


def _table(fields: dict[str, FieldInfo]) -> list[str]:
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in fields.items():
        default = "must be given" if field.default is PydanticUndefined else f"`{json.dumps(field.default, default=list)}`"
        rows.append(f"| `{name}` | {default} | {' '.join((field.description or '').split())} |")
    return rows


def _models(field: FieldInfo) -> list[type[BaseModel]]:
    """The tables that may stand at a field; none for a plain value."""
    candidates = (field.annotation, *get_args(field.annotation))
    return [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
