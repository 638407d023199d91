"""`train models`: what each shipped recipe builds, and what it costs."""

from __future__ import annotations

from typing import Any

from schemas.errors import RadforgeError
from schemas.loading import load, shipped_names
from schemas.train_recipe import TrainRecipe
from training.models.describe import describe


def model_table(size: str | None, settings: list[str]) -> list[dict[str, Any]]:
    """One row a shipped recipe. `size`: `COLUMNSxROWS`; else the recipe's. Raises RadforgeError where a size is none."""
    changes = [*settings, *([f"data.size={list(_size(size))}"] if size else [])]
    return [_row(name, changes) for name in shipped_names("train") if "/" not in name]


def _row(name: str, changes: list[str]) -> dict[str, Any]:
    try:
        recipe = load(TrainRecipe, name, "train", changes)
    except RadforgeError as error:  # a setting of one kind of model is none of another's
        return {"recipe": name, "problem": str(error)}
    row = {"recipe": name, "model": getattr(recipe.model, "name", recipe.model.kind), "views": recipe.views}
    try:
        facts = describe(recipe.model, recipe.data.size)
    except RadforgeError as error:
        return row | {"input": _by(recipe.data.size), "parameters": None, "problem": str(error)}
    return row | {
        "input": _by(recipe.data.size),
        "parameters": facts.parameters,
        "maps": f"{facts.map_channels} x {' x '.join(map(str, facts.sizes[-1]))}",
        "gflops_per_view": round(facts.flops / 1e9, 3),
        "memory_per_view_mb": round(facts.activation_bytes / 2**20, 1),
        "training_memory_mb": round(facts.training_bytes(recipe.loop.batch) / 2**20),
        "batch": recipe.loop.batch,
    }


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _size(text: str) -> tuple[int, int]:
    columns, by, rows = text.lower().partition("x")
    if not (by and columns.isdigit() and rows.isdigit()):
        raise RadforgeError("not understood", f"--size {text}", expected="COLUMNSxROWS, e.g. 341x512")
    return int(columns), int(rows)
