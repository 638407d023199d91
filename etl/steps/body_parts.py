"""The vocabulary of body parts: `body_parts.toml` in the shapes that reading a text needs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

from etl.text import words
from etl.vocabulary import SIDE_WORDS, VIEW_WORDS

SHORT = 5  # letters; shorter words are matched exactly or not at all
Key = TypeVar("Key", tuple[str, ...], str)

_LANGUAGES = ("en", "es", "la", "de", "fr", "it", "pt", "ca", "nl")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


class Named(NamedTuple):
    """What a listed name means."""

    parts: tuple[str, ...]  # more than one where an abbreviation means several
    score: float  # 100; less for a form that has lost a letter
    weak: bool  # counts only where no other part and no unknown word is beside it


@dataclass(frozen=True, slots=True)
class Part:
    """One table of body_parts.toml."""

    code: str  # SNOMED CT
    within: str | None
    region: bool
    limb: bool | None  # None: as the part it lies within


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All parts and names."""

    parts: Mapping[str, Part]
    codes: Mapping[str, str]  # SNOMED CT or SNOMED-RT code -> part
    together: Mapping[frozenset[str], str]  # {"chest", "abdomen"} -> "chest_and_abdomen"
    names: Mapping[tuple[str, ...], Named]  # by their words
    joined: Mapping[str, Named]  # the same, written without gaps
    words: frozenset[str]  # all listed words, of names or not
    nameable: tuple[str, ...]  # the words of names
    misspellable: tuple[str, ...]  # those that are long enough to be recognised misspelt
    links: frozenset[str]  # "and", "with": two parts are meant
    articles: frozenset[str]
    fillers: frozenset[str]  # words that say nothing of anatomy, sides and views included
    affixes: tuple[str, ...]  # those that are met glued to a name

    def within(self, part: str, larger: str) -> bool:
        """Whether a part lies inside a larger one (not: is it)."""
        parent = self.parts[part].within
        return parent is not None and (parent == larger or self.within(parent, larger))

    def kept(self, part: str, keep: Iterable[str]) -> bool:
        """Whether a recipe that keeps these parts keeps this one: named, or lying in a region that is."""
        return any(
            part == name or (name in self.parts and self.parts[name].region and self.within(part, name)) for name in keep
        )

    def is_limb(self, part: str) -> bool:
        """Whether the part, or the nearest larger one that says so, is marked as a limb."""
        entry = self.parts.get(part)
        if entry is None:
            return False
        return entry.limb if entry.limb is not None else entry.within is not None and self.is_limb(entry.within)


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """The shipped vocabulary, read once."""
    tables: dict[str, Any] = tomllib.loads((files("etl.steps") / "body_parts.toml").read_text("utf-8"))
    other_words = tables.pop("_words")
    fillers = frozenset(other_words["empty"]) | SIDE_WORDS | VIEW_WORDS
    links, articles = frozenset(other_words["links"]), frozenset(other_words["articles"])
    names: dict[tuple[str, ...], Named] = {}
    for part, table in tables.items():
        for form, score, weak in _forms(part, table):
            said = words(form)
            key = tuple(word for word in said if word not in links | articles) or said
            _add(names, key, Named((part,), score, weak))
    joined: dict[str, Named] = {}
    for key, named in names.items():
        _add(joined, "".join(key), named)
    in_full = {key for key, named in names.items() if named.score == 100}
    nameable = {word for key in in_full for word in (*key, "".join(key))}
    strong = {word for key in in_full if not names[key].weak for word in key if len(word) >= SHORT} - fillers
    return Vocabulary(
        parts={
            name: Part(table["codes"][0], table.get("within"), table.get("region", False), table.get("limb"))
            for name, table in tables.items()
        },
        codes={
            code: name
            for name, table in tables.items()
            for code in (*table["codes"], *table.get("former", ()), *table.get("srt", ()))
        },
        together={frozenset(table["of"]): name for name, table in tables.items() if "of" in table},
        names=names,
        joined=joined,
        words=frozenset(word for key in names for word in key) | joined.keys() | fillers | links | articles,
        nameable=tuple(sorted(nameable)),
        misspellable=tuple(sorted(strong)),
        links=links,
        articles=articles,
        fillers=fillers,
        affixes=(*other_words["glued"], *sorted(word for word in fillers if len(word) >= SHORT - 1)),
    )


def _forms(part: str, table: Mapping[str, Any]) -> Iterator[tuple[str, float, bool]]:
    """(form, score, weak) of each name: as listed, `ue` for `ü`, and with accented letters lost ("mueca")."""
    listed = [(part.replace("_", " "), False)]
    listed += [(name, False) for language in _LANGUAGES for name in table.get(language, ())]
    listed += [(name, True) for name in table.get("weak", ())]
    for name, weak in listed:
        yield name, 100.0, weak
        if not name.isascii():
            yield name.translate(_UMLAUTS), 100.0, weak
            lost = "".join(letter for letter in name if letter.isascii())
            if len(lost) >= SHORT - 1:
                yield lost, 100.0 * len(lost) / len(name), weak


def _add(names: dict[Key, Named], key: Key, new: Named) -> None:
    """A better form of a name replaces a worse one; one form of two parts means either."""
    old = names.get(key)
    if old is None or (new.score, not new.weak) > (old.score, not old.weak):
        names[key] = new
    elif (new.score, new.weak) == (old.score, old.weak) and new.parts[0] not in old.parts:
        names[key] = old._replace(parts=old.parts + new.parts)
