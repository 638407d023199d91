"""`make docs`: the generated pages, written again. A test compares them with what is committed."""

from __future__ import annotations

from pathlib import Path

from cluster.describe import site_page
from etl.describe import dataset_page, recipe_page
from training.describe import recipe_page as train_recipe_page

PAGES = {
    "docs/dataset.md": dataset_page,
    "docs/recipe.md": recipe_page,
    "docs/train_recipe.md": train_recipe_page,
    "docs/site.md": site_page,
}


def main() -> None:
    """Write every generated page."""
    for path, page in PAGES.items():
        Path(path).write_text(page() + "\n", "utf-8")


if __name__ == "__main__":
    main()
