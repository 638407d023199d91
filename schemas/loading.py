"""TOML in, a frozen model out; every problem of the file told at once, with the likely word meant."""

from __future__ import annotations

import difflib
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from schemas.errors import Problem, RadforgeError

Model = TypeVar("Model", bound=BaseModel)


def load(model: type[Model], name_or_path: str, shipped: str) -> Model:
    """Read a TOML file, or the shipped one of that name (package data under schemas/recipes/<shipped>).

    Raises RadforgeError naming every unknown key, wrong type and value out of range.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        return _parse(model, _read(path), str(path))
    names = shipped_names(shipped)
    if name_or_path not in names:
        raise RadforgeError(
            "no such recipe",
            f"--recipe {name_or_path}",
            expected=f"a .toml file or one of: {', '.join(names)}" + _meant(name_or_path, names),
        )
    return _parse(model, shipped_text(shipped, name_or_path), f"shipped recipe {name_or_path}")


def shipped_names(shipped: str) -> list[str]:
    """Names of the recipes that come with radforge."""
    folder = resources.files("schemas") / "recipes" / shipped
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def shipped_text(shipped: str, name: str) -> str:
    """The TOML of a shipped recipe."""
    return (resources.files("schemas") / "recipes" / shipped / f"{name}.toml").read_text("utf-8")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise RadforgeError("no such file", str(path), expected="a recipe in TOML") from None
    except UnicodeDecodeError:
        raise RadforgeError("not a text file in UTF-8", str(path), expected="a recipe in TOML") from None
    except OSError as error:
        raise RadforgeError("cannot be read", str(path), found=error.strerror or "an I/O error") from None


def _parse(model: type[Model], text: str, where: str) -> Model:
    try:
        values = tomllib.loads(text)
        if "name" in model.model_fields:
            values.setdefault("name", Path(where).stem)
        return model.model_validate(values)
    except RecursionError:
        raise RadforgeError("nested too deeply", where, expected="a recipe in TOML") from None
    except tomllib.TOMLDecodeError as error:
        raise RadforgeError("not valid TOML", where, found=str(error)) from None
    except ValidationError as error:
        raise RadforgeError.of([_problem(model, item, where) for item in error.errors()]) from None


def _problem(model: type[BaseModel], item: Any, where: str) -> Problem:
    location = [str(part) for part in item["loc"]]
    key = ".".join(location)
    if item["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        return Problem(
            f"unknown key `{key}`",
            where,
            expected=f"one of: {', '.join(known)}" + _meant(location[-1], known),
        )
    if item["type"] == "literal_error":
        words = str(item["ctx"]["expected"]).replace("'", "")
        meant = _meant(str(item["input"]), re.split(r", | or ", words))
        return Problem(f"`{key}` is not a known word", where, found=repr(item["input"])[:80], expected=words + meant)
    if item["type"] == "value_error":
        return Problem(str(item["ctx"]["error"]), where)
    found = repr(item["input"])
    return Problem(f"`{key}` {item['msg'][0].lower()}{item['msg'][1:]}", where, found=found[:80])


def _keys_at(model: type[BaseModel], location: list[str]) -> list[str]:
    for part in location:
        field = model.model_fields.get(part)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)


def _meant(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean `{close[0]}`?)" if close else ""
