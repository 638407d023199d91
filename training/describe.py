"""What a training recipe can say, told from the one place that declares it: docs/train_recipe.md."""

from __future__ import annotations

from schemas import pages
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
        *pages.settings(pages.plain(TrainRecipe)),
    ]
    for name, field in TrainRecipe.model_fields.items():
        for model in pages.tables(field):
            kind = model.model_fields.get("kind")
            lines += pages.section(f"## [{name}]" + (f' kind = "{kind.default}"' if kind else ""), model)
    return "\n".join(lines)
