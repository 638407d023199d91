"""How any command prints results: tables, lines and JSON, to stdout."""

from __future__ import annotations

import json as _json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def as_json(value: Any) -> None:
    """Print a value as JSON to stdout."""
    sys.stdout.write(_json.dumps(value, indent=1, default=str, ensure_ascii=False) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, wrap: bool = False) -> None:
    """Print a table to stdout. Ids are for copying, so nothing is wrapped unless `wrap`: a terminal folds long lines itself."""
    console = Console() if wrap and sys.stdout.isatty() else Console(width=10_000)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(_cell(value) for value in row))
    console.print(drawn, highlight=False)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).replace("[", "\\[")


def many(number: int, word: str) -> str:
    """`1 picture`, `2,000 pictures`."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def line(text: str = "") -> None:
    """Print a line to stdout."""
    sys.stdout.write(text + "\n")


def rows(items: Sequence[Mapping[str, Any]], json: bool) -> None:
    """Rows as they are."""
    if json:
        as_json(list(items))
    elif items:
        columns = list(dict.fromkeys(name for item in items for name in item))
        table(columns, [[item.get(name) for name in columns] for item in items])
