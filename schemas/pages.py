"""Settings told as Markdown, from the models that declare them: the generated pages of docs/."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


def settings(fields: Mapping[str, FieldInfo]) -> list[str]:
    """The lines of a table: key, default, meaning."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in fields.items():
        default = field.get_default(call_default_factory=False)
        shown = "must be given" if default is PydanticUndefined else f"`{json.dumps(default, default=list)}`"
        rows.append(f"| `{name}` | {shown} | {' '.join((field.description or '').split())} |")
    return rows


def plain(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields that are values."""
    return {name: field for name, field in model.model_fields.items() if not tables(field)}


def tables(field: FieldInfo) -> list[type[BaseModel]]:
    """The tables that may stand at a field; none for a plain value."""
    candidates = (field.annotation, *get_args(field.annotation))
    return [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]


def section(title: str, model: type[BaseModel]) -> list[str]:
    """A heading, the model's own words, and its settings."""
    fields = {key: value for key, value in model.model_fields.items() if key != "kind"}
    return ["", title, "", " ".join((model.__doc__ or "").split()), "", *settings(fields)]
