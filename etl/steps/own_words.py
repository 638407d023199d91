"""The words a recipe adds to the vocabulary of body parts: `[anatomy.words]` and `[anatomy] ignore`.

A text with a number in it is a house's own code ("RX2041", "4711") and found as it stands; any other is read like a name
of the vocabulary, accents, case and misspelling forgiven, and goes before the shipped ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from etl.steps.body_parts import OwnWords, vocabulary
from etl.text import words
from etl.vocabulary import SIDE_WORDS, VIEW_WORDS
from schemas.errors import Problem
from schemas.steps import Anatomy

_WORDS, _IGNORE = "anatomy.words", "anatomy.ignore"


def own_words(settings: Anatomy) -> OwnWords:
    """`[anatomy.words]` as a value that can be a key."""
    return tuple(settings.words.items())


def problems_of(settings: Anatomy) -> list[Problem]:
    """What is wrong with the texts themselves: nothing to find, a side or view alone, or two meanings."""
    meant: dict[tuple[str, ...], str] = {}
    problems = []
    for where, text, meaning in _listed(settings):
        key = tuple(words(text)) if not any(map(str.isdigit, text)) else (text.lower(),)
        if not key:
            problems.append(Problem("a text without a letter or a digit", where, f'"{text}"', "a word, e.g. WRIST"))
        elif set(key) <= SIDE_WORDS | VIEW_WORDS | vocabulary().links | vocabulary().articles:
            expected = "a text that names a part: this one says a side or a view wherever it stands"
            problems.append(Problem("no name of a part", where, f'"{text}"', expected))
        elif meant.setdefault(key, meaning) != meaning:
            expected = f"one meaning: it is also listed for {meant[key]}"
            problems.append(Problem("listed twice", where, f'"{text}"', expected))
    return problems


def _listed(settings: Anatomy) -> Iterator[tuple[str, str, str]]:
    """(place in the recipe, text, what it is said to mean) of each text."""
    for part, texts in settings.words.items():
        for text in texts:
            yield f"{_WORDS}.{part}", text, part
    for text in settings.ignore:
        yield _IGNORE, text, "nothing"
