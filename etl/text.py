"""Dirty header text to plain words: wrong code pages repaired, case and accents folded, numbers dropped.

A hospital's free text has been through several code pages on its way: UTF-8 read as Latin-1 ("MUÃ‘ECA"),
cp850 read as Latin-1 ("MU¥ECA"), letters replaced ("MU?ECA") or lost ("MU ECA"). What can be repaired is; a
letter that cannot be known any more becomes `UNKNOWN_LETTER` in its word, for the reader of the word to
bridge.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote_to_bytes

UNKNOWN_LETTER = "?"

_ESCAPES = re.compile(r"\x1b[\x20-\x2f]*[\x30-\x7e]")  # ISO 2022 code extension, left in the text by a poor decoder
_PERCENT = re.compile(r"(?:%[89A-F][0-9A-F])+")  # a letter as a web page sends it
_CONTROLS = re.compile(r"[\x80-\x9f]")
_ELISION = re.compile(r"\b[dl]['’´`](?=\w)", re.IGNORECASE)  # l'épaule, d'avant-bras, dell'anca keeps its own word
_OURS = "áéíóúàèìòùâêîôûäëïöüãõñçøåßœæªº¡¿·ÁÉÍÓÚÀÈÌÒÙÂÊÎÔÛÄËÏÖÜÃÕÑÇØÅŒÆ"  # letters of the languages we read
_MANGLED = re.compile(rf"[ÃÂ]\?|[^\x00-\x7f]*[^\x00-\x7f{_OURS}][^\x00-\x7f]*")
_DOTTED = re.compile(r"\b([a-z])\.([a-z])\b\.?")  # a.p., G.E.
_NUMBERS = re.compile(r"\b[a-z]\d+\b|\d+(?:vw|st|nd|rd|th|er|[adov])?\b|\d+")  # D2, C7, 2V, 1st, 3a, 0045
_WORD = re.compile(r"[a-z?]*[a-z][a-z?]*")
_WORD_OR_NUMBER = re.compile(rf"{_WORD.pattern}|#")
_NO_DECOMPOSITION = str.maketrans({"ø": "o", "ł": "l", "æ": "ae", "œ": "oe", "ı": "i"})


def repair(text: str) -> str:
    """The text with wrongly decoded characters mended where that is certain (ftfy), and escapes removed."""
    text = _ESCAPES.sub("", text)
    if "%" in text:
        text = _PERCENT.sub(lambda letters: unquote_to_bytes(letters[0]).decode("latin-1"), text)  # UTF-8 is mended below
    if not text.isascii() or "&" in text:
        from ftfy import fix_text  # noqa: PLC0415 - 0.1 s to import, and most archives are ASCII

        mended: str = fix_text(text)
        if len(mended) < len(text) or not _CONTROLS.search(text):  # else: letters of cp850, made quotes and commas
            return mended
    return text


def fold(text: str) -> str:
    """Lower case, without accents: "Épaule" and "ÉPAULE" are "epaule". Letters outside ASCII become "?"."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_NO_DECOMPOSITION))
    return "".join(_plain(character) for character in decomposed)


def _plain(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else " "
    category = unicodedata.category(character)
    if category[0] == "M" or category == "Cf":  # combining accents, soft hyphens
        return ""
    return " " if category[0] in "ZP" else UNKNOWN_LETTER


def blank(text: str) -> str:
    """The text with every run of foreign letters as one unknown letter, for what `repair` could not mend."""
    return _MANGLED.sub(UNKNOWN_LETTER, text)


@lru_cache(maxsize=16384)
def words(text: str) -> tuple[str, ...]:
    """The words of a header text, repaired and folded: only a-z, and "?" where a letter is beyond repair.

    Numbers go, and single letters with a number (D2, C7, 2V): they count views, fingers and vertebrae.
    "&" and "+" are the word "and".
    """
    return tuple(_WORD.findall(_NUMBERS.sub(" ", _folded(text))))


def words_and_numbers(text: str) -> tuple[str, ...]:
    """The same with "#" for each run of numbers."""
    marked = _NUMBERS.sub(" # ", _folded(text).replace("#", " "))
    found = _WORD_OR_NUMBER.findall(marked)
    return tuple(word for word, last in zip(found, ("", *found), strict=False) if word != "#" or last != "#")


def _folded(text: str) -> str:
    text = _ELISION.sub("", repair(text).replace("·", ""))  # Catalan mal·lèol
    text = fold(text).replace("_", " ").replace("&", " and ").replace("+", " and ")
    return _DOTTED.sub(r"\1\2", text)
