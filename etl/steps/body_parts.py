"""The vocabulary of body parts: `body_parts.toml` and a recipe's own words, in the shapes that reading a text needs."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

from etl.text import repair, words
from etl.vocabulary import SIDE_WORDS, VIEW_WORDS

SHORT = 5  # letters; shorter words are matched exactly or not at all
Key = TypeVar("Key", tuple[str, ...], str)
OwnWords = tuple[tuple[str, tuple[str, ...]], ...]  # (part, its texts): [anatomy.words] of a recipe, hashable

_LANGUAGES = ("en", "es", "la", "de", "fr", "it", "pt", "ca", "nl")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


class Named(NamedTuple):
    """What a listed name means."""

    parts: tuple[str, ...]  # more than one where an abbreviation means several, none where a text only sounds like one
    score: float  # 100; less for a form that has lost a letter
    weak: bool  # counts only where no other part and no unknown word is beside it


@dataclass(frozen=True, slots=True)
class Part:
    """One table of body_parts.toml."""

    code: str  # SNOMED CT
    within: str | None
    region: bool
    limb: bool | None  # None: as the part it lies within


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """All parts and names. One object for each set of own words, so that readings can be cached by it."""

    parts: Mapping[str, Part]
    codes: Mapping[str, str]  # SNOMED CT or SNOMED-RT code -> part
    together: Mapping[frozenset[str], str]  # {"chest", "abdomen"} -> "chest_and_abdomen"
    names: Mapping[tuple[str, ...], Named]  # by their words
    joined: Mapping[str, Named]  # the same, written without gaps
    words: frozenset[str]  # all listed words, of names or not
    nameable: tuple[str, ...]  # the words of names
    misspellable: tuple[str, ...]  # those that are long enough to be recognised misspelt
    links: frozenset[str]  # "and", "with": two parts are meant
    firm_links: frozenset[str]  # those that are nothing else in another language
    postures: frozenset[tuple[str, ...]]  # "de pie": standing, where a part is named besides
    articles: frozenset[str]
    fillers: frozenset[str]  # words that say nothing of anatomy, sides and views included
    views_or_parts: frozenset[str]  # "face": a part where nothing else is one, else a view
    affixes: tuple[str, ...]  # those that are met glued to a name
    local: Mapping[str, str]  # a house's own codes with a number in them, in lower case -> a part, "" for none
    local_pattern: re.Pattern[str] | None

    def spelled_out(self, text: str) -> str:
        """The text with a house's own codes as the names of their parts: "RX2041 li" is "wrist li"."""
        if self.local_pattern is None:
            return text
        return self.local_pattern.sub(lambda code: f" {self.local[code[0].lower()]} ", repair(text))

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


@lru_cache(maxsize=16)
def vocabulary(own: OwnWords = (), ignore: tuple[str, ...] = ()) -> Vocabulary:
    """The shipped vocabulary with a recipe's own words, which go before the shipped ones.

    `own` names parts of the vocabulary; `ignore` are texts that name none (see `etl.steps.own_words`).
    """
    tables = dict(_tables())
    other_words = tables.pop("_words")
    fillers = frozenset(other_words["empty"]) | SIDE_WORDS | VIEW_WORDS
    links, articles = frozenset(other_words["links"]), frozenset(other_words["articles"])
    names: dict[tuple[str, ...], Named] = {}
    joined: dict[str, Named] = {}

    def key_of(text: str) -> tuple[str, ...]:
        said = words(text)
        return tuple(word for word in said if word not in links | articles) or said

    for part, table in tables.items():
        for form, score, weak in _forms(part, table):
            _add(names, key_of(form), Named((part,), score, weak))
    for key, named in names.items():
        _add(joined, "".join(key), named)
    local = {text.lower(): part.replace("_", " ") for part, texts in own for text in texts if _has_number(text)}
    local |= {text.lower(): "" for text in ignore if _has_number(text)}
    nothing = [(text, ()) for text in (*other_words["no_part"], *ignore)]
    for text, parts in (*nothing, *((text, (part,)) for part, texts in own for text in texts)):
        if not _has_number(text):
            names[key_of(text)] = joined["".join(key_of(text))] = Named(parts, 100.0, weak=False)
    in_full = {key for key, named in names.items() if named.score == 100 and named.parts}
    nameable = {word for key in in_full for word in (*key, "".join(key))}
    strong = {word for key in in_full if not names[key].weak for word in key if len(word) >= SHORT}
    strong -= {word for word in fillers if word in joined}  # but for "distal", "lower": they tell parts apart
    return Vocabulary(
        parts={
            name: Part(table["codes"][0], table.get("within"), table.get("region", False), table.get("limb"))
            for name, table in tables.items()
        },
        codes={
            **{text: part for part, texts in own for text in texts if _has_number(text)},
            **{
                code: name
                for name, table in tables.items()
                for code in (*table["codes"], *table.get("former", ()), *table.get("srt", ()))
            },
        },
        together={frozenset(table["of"]): name for name, table in tables.items() if "of" in table},
        names=names,
        joined=joined,
        words=frozenset(word for key in names for word in key) | joined.keys() | fillers | links | articles,
        nameable=tuple(sorted(nameable)),
        misspellable=tuple(sorted(strong)),
        links=links,
        firm_links=frozenset(other_words["firm_links"]),
        postures=frozenset(words(text) for text in other_words["postures"]),
        articles=articles,
        fillers=fillers,
        views_or_parts=frozenset(key[0] for key in names if len(key) == 1) & VIEW_WORDS,
        affixes=(*other_words["glued"], *sorted(word for word in fillers if len(word) >= SHORT - 1)),
        local=local,
        local_pattern=_any_of(local),
    )


@lru_cache(maxsize=1)
def _tables() -> dict[str, Any]:
    return tomllib.loads((files("etl.steps") / "body_parts.toml").read_text("utf-8"))


def _has_number(text: str) -> bool:
    """Whether a listed text is a code, to be found as it stands: numbers are dropped from what is read as words."""
    return any(character.isdigit() for character in text)


def _any_of(codes: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted(map(re.escape, codes), key=lambda code: (-len(code), code))
    if not longest_first:
        return None
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(longest_first)})(?![^\W_])", re.IGNORECASE)


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
