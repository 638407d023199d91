"""TOML in, a frozen model out; every problem of the file told at once, with the likely word meant."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from schemas.errors import Problem, RadforgeError

Model = TypeVar("Model", bound=BaseModel)

_SHIPPED = "shipped recipe "
_KINDS = {"sites": "a site file in TOML", "corrections": "a file of corrections in TOML"}


def load(model: type[Model], name_or_path: str, shipped: str, settings: Sequence[str] = ()) -> Model:
    """Read a TOML file, or the shipped one of that name (package data under schemas/recipes/<shipped>).

    `settings` are `key=value` pairs of the command line (`optim.lr=1e-4`) that win over the file.
    Raises RadforgeError naming every unknown key, wrong type and value out of range.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        return _parse(model, _read(path, _KINDS.get(shipped, "a recipe in TOML")), str(path), settings)
    names = shipped_names(shipped)
    if name_or_path not in names:
        flag = {"etl": "--recipe", "sites": "--site"}.get(shipped, "RECIPE")
        raise RadforgeError(
            "no such site" if shipped == "sites" else "no such recipe",
            f"{flag} {name_or_path}",
            expected=f"a .toml file or one of: {', '.join(names)}" + _meant(name_or_path, names),
        )
    return _parse(model, shipped_text(shipped, name_or_path), f"{_SHIPPED}{name_or_path}", settings)


def shipped_names(shipped: str) -> list[str]:
    """Names of the recipes that come with radforge, those in folders as `folder/name`."""
    return sorted(_names(resources.files("schemas") / "recipes" / shipped, ""))


def _names(folder: Traversable, before: str) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _names(entry, f"{before}{entry.name}/")
        elif entry.name.endswith(".toml"):
            yield before + entry.name.removesuffix(".toml")


def shipped_text(shipped: str, name: str) -> str:
    """The TOML of a shipped recipe."""
    return (resources.files("schemas") / "recipes" / shipped / f"{name}.toml").read_text("utf-8")


def as_toml(model: BaseModel, *, only_set: bool = False) -> str:
    """The resolved settings as TOML that `load` reads back to an equal model. What is None is left out.

    `only_set`: what was said, without the defaults; for a model where a table that is said means something.
    """
    values = model.model_dump(mode="json", exclude_none=True, exclude_unset=only_set)
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for name, table in values.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    # JSON's text, numbers, booleans and lists are TOML's too, where they hold no null and no table.
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _read(path: Path, expected: str) -> str:
    try:
        return path.read_text("utf-8-sig")  # some editors begin a file with a mark
    except FileNotFoundError:
        raise RadforgeError("no such file", str(path), expected=expected) from None
    except UnicodeDecodeError:
        raise RadforgeError("not a text file in UTF-8", str(path), expected=expected) from None
    except OSError as error:
        raise RadforgeError("cannot be read", str(path), found=error.strerror or "an I/O error") from None


def _parse(model: type[Model], text: str, where: str, settings: Sequence[str] = ()) -> Model:
    try:
        values = tomllib.loads(text)
        if "name" in model.model_fields:
            values.setdefault("name", Path(where.removeprefix(_SHIPPED)).stem)
        for setting in settings:
            _set(values, setting)
        return model.model_validate(values)
    except RecursionError:
        raise RadforgeError("nested too deeply", where, expected="a few tables") from None
    except tomllib.TOMLDecodeError as error:
        raise RadforgeError("not valid TOML", where, found=str(error)) from None
    except ValidationError as error:
        raise RadforgeError.of([_problem(model, item, where) for item in error.errors()]) from None


def _set(values: dict[str, Any], setting: str) -> None:
    """`optim.lr=1e-4` into the nested tables. A value that is no TOML is taken as text: `model.kind=resnet18`."""
    key, equals, text = setting.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names):
        raise RadforgeError("not understood", f"--set {setting}", expected="key=value, e.g. optim.lr=1e-4")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for name in names[:-1]:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise RadforgeError(f"`{name}` is a value, not a table", f"--set {setting}")
    values[names[-1]] = value


def _problem(model: type[BaseModel], item: Any, where: str) -> Problem:
    location = [str(part) for part in item["loc"]]
    key = ".".join(part for i, part in enumerate(location) if part not in _kinds(model, location[:i]))
    if item["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        return Problem(
            f"unknown key `{key}`",
            where,
            expected=f"one of: {', '.join(known)}" + _meant(location[-1], known),
        )
    if item["type"] in {"union_tag_not_found", "union_tag_invalid"}:
        words = str(item["ctx"].get("expected_tags", "")).replace("'", "") or ", ".join(sorted(_kinds(model, location)))
        tag = str(item["ctx"].get("tag", ""))
        found = repr(tag)[:80] if tag else "none"
        return Problem(f"`{key}.kind` must say which", where, found, words + _meant(tag, words.split(", ")))
    if item["type"] == "literal_error":
        words = str(item["ctx"]["expected"]).replace("'", "")
        meant = _meant(str(item["input"]), re.split(r", | or ", words))
        return Problem(f"`{key}` is not a known word", where, found=repr(item["input"])[:80], expected=words + meant)
    if item["type"] == "value_error":
        return Problem(str(item["ctx"]["error"]), where)
    if item["type"] in {"tuple_type", "list_type"}:
        expected = "a list of texts" if _holds_texts(model, location) else "a list"
        return Problem(f"`{key}` is no list", where, found=repr(item["input"])[:80], expected=expected)
    found = "" if item["type"] == "missing" else repr(item["input"])
    return Problem(f"`{key}` {item['msg'][0].lower()}{item['msg'][1:]}", where, found=found[:80])


def _keys_at(model: type[BaseModel], location: list[str]) -> list[str]:
    models = _models_at(model, location)
    return list(dict.fromkeys(name for inner in models for name in inner.model_fields))


def _models_at(model: type[BaseModel], location: list[str]) -> list[type[BaseModel]]:
    """The models that may stand at a place: more than one where a `kind` chooses."""
    models = [model]
    for part in location:
        chosen = [m for m in models if len(models) > 1 and m.model_fields["kind"].default == part]
        if chosen:
            models = chosen
            continue
        fields = [m.model_fields[part] for m in models if part in m.model_fields]
        candidates = [t for field in fields for t in (field.annotation, *get_args(field.annotation))]
        models = [t for t in candidates if isinstance(t, type) and issubclass(t, BaseModel)]
    return models


def _holds_texts(model: type[BaseModel], location: list[str]) -> bool:
    """Whether the setting of a place is declared as a list of texts, or a table of such."""
    owners = ((own, part) for i, part in enumerate(location) for own in _models_at(model, location[:i]))
    return any("tuple[str" in str(own.model_fields[part].annotation) for own, part in owners if part in own.model_fields)


def _kinds(model: type[BaseModel], location: list[str]) -> set[str]:
    """Words that choose among the models of a place; pydantic puts them into the path, the file does not have them."""
    if not location:
        return set()
    models = _models_at(model, location)
    return {m.model_fields["kind"].default for m in models if "kind" in m.model_fields} if len(models) > 1 else set()


def _meant(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean `{close[0]}`?)" if close else ""
