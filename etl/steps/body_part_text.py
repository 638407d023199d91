"""What a free text of a header says of the body: parts, side, view.

First each word that is not listed is mended, by the first of these that fits:

1. a side, view or filler word is glued to a name, or another name ("LTWRIST", "Thoraxaufnahme", "HANDWRIST");
2. a letter was beyond repair ("MU?ECA");
3. it is misspelt ("WIRST", "MUNECCA"): the nearest listed word by the share of letters that differ, or none.

Then the names are found, the longest first, written together or apart ("C SPINE", "CSPINE", "MU ECA").

A label (Body Part Examined) without any name may be one that was cut off at its field's length ("TOTAL B",
"CLAVIC"). A description is read more strictly, since its words can be anything, a person's name too: half
as much misspelling is forgiven, and nothing is completed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from etl.steps.body_parts import SHORT, Named, Vocabulary, vocabulary
from etl.text import UNKNOWN_LETTER, blank, fold, repair, words, words_and_numbers
from etl.vocabulary import SIDE_WORDS, Side, side_of, view_of

MIN_SCORE = 80.0
_LONG_NUMBER = re.compile(r"\d[\d\W_]*\d[\d\W_]*\d")  # "2 3 4" too: a date, a file number


class Reading(NamedTuple):
    """What one text says."""

    parts: Mapping[str, float]  # part -> score 0..100, in the order of the text; all with equal right
    side: Side | None = None
    view: str | None = None


class Spelt(NamedTuple):
    """A word as the vocabulary spells it, and how alike (0..1) the word of the text was."""

    word: str
    likeness: float
    before: str = ""  # the link or article in front of it, which is left out


@lru_cache(maxsize=16384)
def read(text: str, min_score: float = MIN_SCORE, *, label: bool = True, known: Vocabulary | None = None) -> Reading:
    """What a text says: the body parts it names, the side and the view; each empty where it is silent.

    `min_score` (0..100) is the likeness that a misspelt word needs; `label` is False for a description; `known`
    is another vocabulary than the shipped one. Cached.
    """
    known = known or vocabulary()
    if not label:
        min_score = (min_score + 100.0) / 2
    text = known.spelled_out(text)
    reading = _read(words(text), min_score, label, known)
    blanked = blank(text)
    return reading if reading.parts or blanked == text else _read(words(blanked), min_score, label, known)


def _read(said: tuple[str, ...], min_score: float, label: bool, known: Vocabulary) -> Reading:
    mended = tuple(piece for word in said for piece in _mend(word, min_score, known, label))
    content = _content(mended, known)
    found, unexplained = _find(content, min_score, known)
    counted = _that_count(found, unexplained, known)
    if not counted and label:
        counted = [Found(named) for named in _cut_off(tuple(spelt.word for spelt in content), known)]
    scores: dict[str, float] = {}
    for one in counted:
        for part in one.named.parts:
            scores[part] = max(one.named.score, scores.get(part, 0.0))
    own = {word for one in found for word in one.words if len(word) == 1}  # "L SPINE": no side
    own |= {word for one in counted for word in one.words if word in known.views_or_parts}  # "os de la face": no view
    around = [word for word, *_ in mended if word not in own]
    linked = any(word in known.links for word, *_ in mended)
    return Reading(_equals(scores, linked, known), side_of(around), view_of(around))


def _content(mended: tuple[Spelt, ...], known: Vocabulary) -> tuple[Spelt, ...]:
    """The words without links and articles, each with the one that stood in front of it."""
    content = []
    before = ""
    for spelt in mended:
        if spelt.word in known.links | known.articles:
            before = spelt.word
        else:
            content.append(spelt._replace(before=before))
            before = ""
    return tuple(content) or mended


def all_listed(text: str, known: Vocabulary) -> bool:
    """Whether a text has nothing but words of the vocabulary, marks, and numbers of one or two digits."""
    foreign = UNKNOWN_LETTER in fold(repair(text))
    return not foreign and not _LONG_NUMBER.search(text) and all(word in known.words for word in words(text))


def in_listed_words(text: str, known: Vocabulary) -> str:
    """A text in the words of the vocabulary alone, in capitals: "~WRIST" for a misspelt one, "***" for any other word and for
    numbers; a recipe's own codes stand as they are.
    """
    told: list[str] = []
    for piece, code in _up_to_codes(repair(text), known):
        told += _masked(words_and_numbers(piece), known)
        told += [code.upper()] if code else []
    return " ".join(told) or "***"


def _up_to_codes(text: str, known: Vocabulary) -> Iterator[tuple[str, str]]:
    """The pieces of a text, each with the recipe's own code behind it; "" behind the last."""
    start = 0
    for code in known.local_pattern.finditer(text) if known.local_pattern else ():
        yield text[start : code.start()], code[0]
        start = code.end()
    yield text[start:], ""


def _masked(said: Sequence[str], known: Vocabulary) -> list[str]:
    told = []
    for word in said:
        mended = _mend(word, MIN_SCORE, known, True)
        listed = all(spelt.word in known.words for spelt in mended)
        plain = "".join(spelt.word for spelt in mended) == word
        told.append(("" if plain else "~") + "+".join(spelt.word.upper() for spelt in mended) if listed else "***")
    return told


def read_code(item: str, min_score: float = MIN_SCORE, *, known: Vocabulary | None = None) -> Reading:
    """What an item of Anatomic Region Sequence says, given as "scheme:code value:meaning".

    By its code where that is one of CID 4031 (SNOMED CT or the older SNOMED-RT) or of the recipe, else by its meaning.
    """
    known = known or vocabulary()
    _, _, rest = item.partition(":")
    code, _, meaning = rest.partition(":")
    part = known.codes.get(code.strip())
    return Reading({part: 100.0}) if part else read(meaning, min_score, known=known)


def likely_part(name: str) -> str | None:
    """The part that somebody who typed this name for one probably meant; None when nothing is near."""
    from rapidfuzz import fuzz, process  # noqa: PLC0415 - only for a user's mistake

    understood = next(iter(read(name).parts), None)
    near = process.extractOne(name, list(vocabulary().parts), scorer=fuzz.ratio, score_cutoff=60)
    return understood or (near[0] if near else None)


def _equals(scores: Mapping[str, float], linked: bool, known: Vocabulary) -> dict[str, float]:
    """The parts that stand side by side: a larger part gives way to what lies within it ("HAND FINGER").

    Unless the text sets them apart ("HAND AND FINGER"); a region gives way always. Parts for which there is a
    name together become that one.
    """
    equal = {
        part: score
        for part, score in scores.items()
        if not any(known.within(other, part) for other in scores) or (linked and not known.parts[part].region)
    }
    members = {part: names for names, part in known.together.items()}
    together = known.together.get(frozenset().union(*(members.get(part, {part}) for part in equal)))
    return {together: min(equal.values())} if together else equal


class Found(NamedTuple):
    """A name in a text."""

    named: Named
    words: tuple[str, ...] = ()
    linked: bool = False  # to a name beside it, by a link that is nothing else


def _find(content: tuple[Spelt, ...], min_score: float, known: Vocabulary) -> tuple[list[Found], list[str]]:
    """The names in a text whose words are mended, in its order; and the words that may be anything."""
    found: list[Found] = []
    unexplained: list[str] = []
    start = end = 0  # `end`: where the last name ended
    while start < len(content):
        named, length = _listed(content, start, known)
        word, _, before = content[start]
        if named is not None and not named.parts:
            pass  # "C-ARM": known, and no part
        elif named is not None:
            linked = before in known.firm_links and 0 < start == end
            if linked:
                found[-1] = found[-1]._replace(linked=True)
            if (before, word) in known.postures and length == 1:
                named = named._replace(weak=True)
            found.append(Found(named, tuple(spelt.word for spelt in content[start : start + length]), linked))
            end = start + length
        elif word not in known.fillers and len(word) > 1:
            unexplained.append(word)
        start += length
    if not found and 1 < len(unexplained) <= 3:  # a word that was broken and misspelt: "MUA ECA"
        whole = _misspelt("".join(unexplained), min_score, known)
        named = known.joined.get(whole.word) if whole else None
        if whole and named:
            return [Found(_as_spelt(named, whole.likeness))], []
    return found, unexplained


def _that_count(found: list[Found], unexplained: list[str], known: Vocabulary) -> list[Found]:
    """The strong names, and the weak ones where nothing else is said or where they are linked to a name."""
    strong = any(not one.named.weak for one in found)
    if strong:
        return [one for one in found if not one.named.weak or (one.linked and not unexplained)]
    if unexplained:
        return []
    sure = [one for one in found if one.words[-1] not in known.views_or_parts]  # "MAIN FACE" is a view of a hand
    return sure or found


def _listed(content: tuple[Spelt, ...], start: int, known: Vocabulary) -> tuple[Named | None, int]:
    """The longest name that begins at a word, and its number of words; (None, 1) when there is none."""
    for length in range(min(6, len(content) - start), 0, -1):
        window = content[start : start + length]
        words_ = tuple(spelt.word for spelt in window)
        named = known.names.get(words_)
        if named is None and sum(map(len, words_)) >= (SHORT - 1 if length > 1 else 3):
            named = known.joined.get("".join(words_))
        if named is not None:
            return _as_spelt(named, min(spelt.likeness for spelt in window)), length
    return None, 1


def _as_spelt(named: Named, likeness: float) -> Named:
    return named._replace(score=named.score * likeness)


@lru_cache(maxsize=65536)  # descriptions differ, their words repeat
def _mend(word: str, min_score: float, known: Vocabulary, label: bool) -> tuple[Spelt, ...]:
    """A word as the vocabulary spells it; two where two were glued; the word itself where nothing is near."""
    if word in known.words:
        return (Spelt(word, 1.0),)
    if word.endswith("s") and len(word) >= SHORT and word[:-1] in known.joined:
        return (Spelt(word[:-1], 1.0),)
    pieces = _unglued(word, known, label)
    if pieces:
        return tuple(Spelt(piece, 1.0) for piece in pieces)
    return (_bridged(word, known) or _misspelt(word, min_score, known) or Spelt(word, 1.0),)


def _unglued(word: str, known: Vocabulary, label: bool = True) -> tuple[str, ...]:
    """The words that were written as one: a name and a side, view or filler word, or two names.

    A single letter behind a name is a side in a label only ("WRISTL"): in a description it ends a surname ("Fussel").
    """
    for affix in known.affixes:
        shortest = 3 if affix in SIDE_WORDS and 2 < len(affix) < len(word) - 2 else 4  # "PIEIZQ"
        if word.startswith(affix):
            core = _core(word[len(affix) :], 3 if len(affix) == 1 else shortest, known)
            if core:
                return (affix, *core)
        if word.endswith(affix) and (label or len(affix) > 1):
            core = _core(word[: -len(affix)], 5 if len(affix) == 1 else shortest, known)
            if core:  # a single letter that doubles the last one is a slip, "FINGERR"
                return core if core[-1].endswith(affix) and len(affix) == 1 else (*core, affix)
    for cut in range(SHORT - 1, len(word) - SHORT + 2):
        halves = word[:cut], word[cut:]
        if all(half in known.joined and not known.joined[half].weak for half in halves):
            return halves
    return ()


def _core(rest: str, shortest: int, known: Vocabulary) -> tuple[str, ...]:
    if len(rest) < shortest:
        return ()
    if rest in known.joined:
        return () if known.joined[rest].weak else (rest,)
    return _unglued(rest, known) if len(rest) > SHORT else ()


def _bridged(word: str, known: Vocabulary) -> Spelt | None:
    """The listed word that one with unknown letters must be, when there is only one, or only one part's."""
    if UNKNOWN_LETTER not in word:
        return None
    asked = word.strip(UNKNOWN_LETTER)
    if asked in known.joined:  # a true question mark: "WRIST?"
        return Spelt(asked, 1.0)
    gap = re.escape(UNKNOWN_LETTER)
    pattern = re.compile(re.sub(f"({gap})+", "[a-z]{0,2}", word))  # UTF-8 makes two of a letter
    fitting = [name for name in known.nameable if pattern.fullmatch(name)]
    names = [name for name in fitting if name in known.joined]
    letters = len(word.replace(UNKNOWN_LETTER, ""))
    for candidates in (names, fitting):
        same_length = [name for name in candidates if len(name) == len(word)]
        best = _only(candidates, known) or _only(same_length, known)
        if best:
            return Spelt(best, min(1.0, letters / len(best)))
    return None


def _misspelt(word: str, min_score: float, known: Vocabulary) -> Spelt | None:
    """The listed word that differs least from one, if it is alike enough and no other part's is as near."""
    plain = word.replace(UNKNOWN_LETTER, "")
    if len(plain) < SHORT:
        return None
    from rapidfuzz import process  # noqa: PLC0415 - most archives spell well
    from rapidfuzz.distance import OSA  # noqa: PLC0415

    cutoff = min_score / 100 - 1e-6
    near = process.extract(plain, known.misspellable, scorer=OSA.normalized_similarity, score_cutoff=cutoff, limit=8)
    near = [match for match in near if len(match[0]) > SHORT + 1 or match[0][0] == plain[0]]  # typists begin right
    nearest = [name for name, likeness, _ in near if likeness == near[0][1]]
    best = _only([name for name in nearest if name in known.joined] or nearest, known)  # rather than a word of a longer name
    return Spelt(best, near[0][1]) if best else None


def _only(candidates: Sequence[str], known: Vocabulary) -> str | None:
    """The one candidate, or the first of several that all are names of the same part."""
    meant = {known.joined[name].parts if name in known.joined else (name,) for name in candidates}
    return min(candidates, key=lambda name: (-len(name), name)) if len(meant) == 1 else None


def _cut_off(content: tuple[str, ...], known: Vocabulary) -> list[Named]:
    """The name of which the text is the beginning, broken off within a word, if only one part has such."""
    if sum(map(len, content)) < SHORT or set(content) <= known.fillers:
        return []
    *whole, broken = content
    begun = [
        name
        for name, named in known.names.items()
        if named.parts
        and len(name) >= len(content)
        and name[: len(whole)] == tuple(whole)
        and name[len(whole)].startswith(broken)
        and name[len(whole)] != broken
    ]
    parts = {part for name in begun for part in known.names[name].parts}
    if len(parts) != 1:
        return []
    share = sum(map(len, content)) / min(sum(map(len, name)) for name in begun)
    return [Named((parts.pop(),), 100.0 * share, weak=False)]
