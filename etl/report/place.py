"""Where the page of a report may lie, and how it gets there: whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

from etl.picture_store import disk_error, write_durably
from schemas import manifest
from schemas.errors import RadforgeError

_VERSION = re.compile(r"[0-9a-f]{12}")
_KEPT = re.compile(r"\.runs|\.last-run|\.building-.*|.*\.private")  # folders of a dataset that are no version


def check(out: Path) -> None:
    """Raises RadforgeError where a page cannot lie, or must not: in a version, or beside the key."""
    if out.suffix not in {".html", ".htm"}:
        raise RadforgeError("not a place for a page", f"--out {out}", expected="a file that ends in .html")
    if not out.absolute().parent.is_dir():
        raise RadforgeError("no such folder", f"--out {out}", expected="a file in a folder that is there")
    if any(_is_closed(folder) for folder in out.resolve().parents):
        raise RadforgeError(
            "a page must not lie in what a dataset keeps",
            f"--out {out}",
            expected="a place outside its versions, .runs, .building-* and DATASET.private",
        )


def write(out: Path, page: str) -> None:
    """Write a page. An earlier one stays until this one is whole. Raises RadforgeError when the disk fails."""
    whole = out.resolve()  # a link stays one
    write_durably(whole, page.encode(), lambda error: disk_error(error, f"--out {out}", "the same command writes the page"))


def _is_closed(folder: Path) -> bool:
    tables = all((folder / name).is_dir() for name in manifest.TABLES)
    version = tables or (_VERSION.fullmatch(folder.name) is not None and (folder / "card.json").is_file())
    private = (folder / "crosswalks").is_dir() and (folder / "key").is_file()  # as --private may name it
    return version or private or _KEPT.fullmatch(folder.name) is not None
