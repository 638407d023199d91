"""The doors through which header values may leave for a dataset: only listed values come out.

Manufacturer, model, laterality, view and sex are free text at the source and may hold anything, a name
included. Each function here reads such a text and answers with a value of `vocabulary.toml`, never with a
piece of it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, cast

from etl.text import fold, repair, words

Side = Literal["L", "R", "B", "U"]
Phrases = Mapping[tuple[str, ...], str]

OLDEST = 89  # years; above, an age identifies (HIPAA Safe Harbor pools 90 and over)
_LIFESPAN = 130  # years; an age above is a typing error

_LISTS: dict[str, Any] = tomllib.loads((files("etl") / "vocabulary.toml").read_text("utf-8"))
_SIDES = {word: side for side, entry in _LISTS["laterality"].items() for word in entry["words"]}
_SIDES_ALONE = {word: side for side, entry in _LISTS["laterality"].items() for word in entry["alone"]}
_VIEWS: dict[tuple[str, ...], str] = {
    words(phrase): view for view, entry in _LISTS["view"].items() for phrase in [view, *entry["words"]]
}
_VIEWS |= {words(phrase): "" for phrase in _LISTS["views_unclear"]}
_MANUFACTURERS: Phrases = {
    words(phrase): name for name, phrases in _LISTS["manufacturer"].items() for phrase in [name, *phrases]
}
_SEXES = {word: sex for sex, listed in _LISTS["sex"].items() for word in listed}
_BURNED_IN = {word: flag for flag, listed in _LISTS["burned_in"].items() for word in listed}

_AGE = re.compile(r"\s*(\d{1,3})\s*([DWMY]?)\s*", re.IGNORECASE | re.ASCII)
_DATE = re.compile(r"\s*(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})\s*", re.ASCII)
_VALUES = 4096  # different texts of one field that are remembered: an archive of millions repeats a few hundred
_MODALITIES = frozenset(_LISTS["modalities"])

SIDE_WORDS = frozenset(_SIDES)
VIEW_WORDS = frozenset(phrase[0] for phrase in _VIEWS if len(phrase) == 1)
VIEWS = tuple(_LISTS["view"])
MANUFACTURERS = (*_LISTS["manufacturer"], "other")


def modality(text: str) -> str | None:
    """A Defined Term of (0008,0060) Modality as it stands; None for any other text."""
    return text if text in _MODALITIES else None


@lru_cache(maxsize=_VALUES)
def laterality(text: str) -> Side | None:
    """The side that a text names: L, R, both sides B, unilateral U; None when it names none.

    For (0020,0060) Laterality and (0020,0062) Image Laterality, and for free text ("MUÑECA IZQ"). Two words
    mean a side at one place only: "dx" is Italian for right behind a word and the modality before one ("DX
    HAND"); "der" is Spanish for right at the end or before a view, and a German article elsewhere.
    """
    return side_of(words(text))


def side_of(text: Sequence[str]) -> Side | None:
    """`laterality` of a text that is in words already (`etl.text.words`)."""
    named = {_SIDES[word] for place, word in enumerate(text) if word in _SIDES and _is_side(text, place)}
    if not named and len(text) == 1:
        named = {_SIDES_ALONE[word] for word in text if word in _SIDES_ALONE}
    if len(named) == 1:
        return cast(Side, next(iter(named)))
    return "B" if named else None


def _is_side(text: Sequence[str], place: int) -> bool:
    if text[place] == "dx":
        return place > 0 or len(text) == 1
    if text[place] == "der":
        return place + 1 == len(text) or text[place + 1] in VIEW_WORDS
    return True


@lru_cache(maxsize=_VALUES)
def view_position(text: str) -> str | None:
    """The view that a text names, as a Defined Term of (0018,5101) or its kin of CID 4010 and 4014.

    None when it names none, or several: "AP/LAT" is what was ordered, not what this film shows.
    """
    return view_of(words(text))


def view_of(text: Sequence[str]) -> str | None:
    """`view_position` of a text that is in words already."""
    named = set(_listed(text, _VIEWS))
    return (named.pop() or None) if len(named) == 1 else None


@lru_cache(maxsize=_VALUES)
def manufacturer(text: str) -> str | None:
    """The listed vendor that (0008,0070) Manufacturer names, else "other"; None when it says nothing."""
    if not any(character.isalnum() for character in text):
        return None
    return next(_listed(words(text), _MANUFACTURERS), "other")


@lru_cache(maxsize=_VALUES)
def model(text: str, extra: tuple[str, ...] = ()) -> str | None:
    """The listed product that (0008,1090) Manufacturer's Model Name begins with, in the list's own spelling.

    `extra` are more names (the recipe's), preferred to the shipped ones. What follows the name (a software
    version, a serial number) is cut off. None when no listed name fits.
    """
    text_key = _product_key(text)
    for products in (_products(extra), _products(_SHIPPED)):
        for length in range(len(text_key), 0, -1):
            if text_key[:length] in products:
                return products[text_key[:length]]
    return None


@lru_cache(maxsize=_VALUES)
def sex(text: str) -> str | None:
    """(0010,0040) Patient's Sex as F, M or O; None when absent or not understood."""
    return _only_word(text, _SEXES)


@lru_cache(maxsize=_VALUES)
def burned_in(text: str) -> str | None:
    """(0028,0301) Burned In Annotation as YES or NO; None when absent or not understood."""
    return _only_word(text, _BURNED_IN)


def age_years(age: str, birth_date: str, study_date: str) -> int | None:
    """Whole years from (0010,1010) Patient's Age ("034Y", "006M"), else from birth and study dates (DA).

    0 to 89: older people are pooled at 89. None when neither says, or when what they say cannot be an age.
    """
    stated = _AGE.fullmatch(age)
    if stated:
        years = int(int(stated[1]) / {"D": 365.25, "W": 52.18, "M": 12}.get(stated[2].upper(), 1))
        return min(years, OLDEST) if years <= _LIFESPAN else None
    born, studied = _day(birth_date), _day(study_date)
    if born is None or studied is None:
        return None
    years = studied.year - born.year - ((studied.month, studied.day) < (born.month, born.day))
    return min(years, OLDEST) if 0 <= years <= _LIFESPAN else None


def _listed(text: Sequence[str], phrases: Phrases) -> Iterator[str]:
    """The values of the phrases that stand in the text, left to right, the longest first at each place."""
    longest = max(map(len, phrases))
    start = 0
    while start < len(text):
        for length in range(min(longest, len(text) - start), 0, -1):
            value = phrases.get(tuple(text[start : start + length]))
            if value is not None:
                yield value
                start += length - 1
                break
        start += 1


def _only_word(text: str, values: Mapping[str, str]) -> str | None:
    said = words(text)
    return values.get(said[0]) if len(said) == 1 else None


def _product_key(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z]+|[0-9]+", fold(repair(text))))  # CR500, CR-500 and "CR 500" are one


@lru_cache(maxsize=64)
def _products(names: tuple[str, ...]) -> dict[tuple[str, ...], str]:
    return {_product_key(name): name for name in reversed(names)}


_SHIPPED: tuple[str, ...] = tuple(name for names in _LISTS["models"].values() for name in names)


def _day(text: str) -> date | None:
    """A DA value (YYYYMMDD, or the old YYYY.MM.DD) as a date."""
    stated = _DATE.fullmatch(text)
    if not stated:
        return None
    try:
        return date(int(stated[1]), int(stated[2]), int(stated[3]))
    except ValueError:
        return None
