"""The free texts of an archive's headers by frequency, and how each is understood: what a data steward reads before a run.

Counted are the films that get as far as the question of their body part. Every value of Body Part Examined is a row; a text
of another field is one where it decided the part, and where a film names none at all.

A text can hold a name. One that SHARED patients have in common is told as it stands, and so is one of listed words alone
("MUÑECA IZQ") without a title: "DR HAND" may be a person, and is told as "DR ***". Any other is told in the words of the
vocabulary: a word that is not listed is "***", one that was read as a misspelt word is that word behind "~".
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from etl.deidentify import KEY_BYTES, Key, Pseudonyms
from etl.steps import anatomy
from etl.steps.body_part_text import all_listed, in_listed_words
from etl.study import Drop, Failure, Instance
from etl.text import words_and_numbers
from schemas.steps import Anatomy

SHARED = 3  # patients; the same person is often filed under two numbers
KEPT = 100_000  # different texts that are remembered, about 70 MB: of more, the rarest are let go
LENGTH = 256  # letters of a text that are looked at; LO has 64
_TITLES = (
    "dr dra doctor doctora doktor docteur dott dottore prof profa professor herr hr frau fr fraulein mr mrs ms miss mister "
    "sr sra srta senor senora senorita don dona mme mlle monsieur madame mademoiselle sig signor signora dhr mevr mw"
)
TITLES = frozenset(_TITLES.split())
"""A word beside one of these may be a name, though it is listed: "Herr Hand"."""
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


class Text(NamedTuple):
    """A text of a header field."""

    field: str  # DICOM keyword
    text: str


@dataclass(frozen=True)
class TextRow:
    """A text, or several rare ones that look the same in the vocabulary's words."""

    field: str
    text: str  # as it stands, or masked
    masked: bool
    texts: int  # different ones in this row
    files: int
    patients: int | None  # with a Patient ID; None where several texts are in the row
    decides: int  # films whose part this text decided
    left_out: int  # films that the recipe leaves out by their part
    part: str | None
    code: str | None
    score: float | None
    also: tuple[str, ...]  # other parts that it names with equal right
    laterality: str | None
    view: str | None


class HeaderTexts:
    """Counts of texts, partition by partition. A patient's films must come in one partition (`etl.partitions`)."""

    def __init__(self, settings: Anatomy) -> None:
        self._settings = settings
        self._key = Key(secrets.token_bytes(KEY_BYTES))  # the hashes mean nothing outside this object
        self._people: dict[Text, tuple[str, ...]] = {}  # up to SHARED hashes of persons
        self._files: Counter[Text] = Counter()
        self._patients: Counter[Text] = Counter()
        self._decides: Counter[Text] = Counter()
        self._left_out: Counter[Text] = Counter()
        self.let_go = 0  # rare texts that were not kept: the counts of other rare ones may be too low

    def add(self, instances: Sequence[Instance], ids: Sequence[Pseudonyms], fates: Sequence[Drop | Failure | None]) -> None:
        """Count the films of a partition that came to be judged by their part."""
        patients: defaultdict[Text, set[str]] = defaultdict(set)
        for instance, id_, fate in zip(instances, ids, fates, strict=True):
            left_out = isinstance(fate, Drop) and fate.reason == "anatomy"
            if fate is not None and not left_out:
                continue
            deciding, counted = self._texts(instance)
            for text in counted:
                self._files[text] += 1
                self._left_out[text] += left_out
                if not id_.patient_id_missing:
                    patients[text].add(id_.patient_id)
                    self._share(text, person(instance.patient_id))
            if deciding is not None:
                self._decides[deciding] += 1
        for text, people in patients.items():
            self._patients[text] += len(people)
        if len(self._files) > KEPT:
            self._forget()

    def rows(self, *, as_they_stand: bool = False) -> list[TextRow]:
        """The texts, Body Part Examined first, the most frequent first. `as_they_stand` masks none."""
        rows: dict[tuple[object, ...], TextRow] = {}
        for text in self._files:
            row = self._row(text, as_they_stand)
            same = (row.field, row.text, row.masked or row.text, row.part, row.also, row.laterality, row.view)
            rows[same] = _merged(rows[same], row) if same in rows else row
        return sorted(rows.values(), key=lambda row: (anatomy.FIELDS.index(row.field), -row.files, row.text))

    def _texts(self, instance: Instance) -> tuple[Text | None, Iterable[Text]]:
        """The text that decides a film's part, and those that are counted."""
        found = anatomy.recognise(instance, self._settings)
        texts = {field: Text(field, text[:LENGTH]) for field, text in anatomy.texts_of(instance)}
        first = texts[anatomy.FIELDS[0]]
        if found is None:
            return None, [first, *(text for text in texts.values() if text.text and text is not first)]
        deciding = texts[found.field]
        return deciding, {first, deciding}

    def _row(self, text: Text, as_they_stand: bool) -> TextRow:
        found = anatomy.understood(*text, self._settings)
        patients = self._patients[text]
        known = anatomy.vocabulary_of(self._settings)
        titled = _titled(text.text)
        shared = len(self._people.get(text, ())) >= SHARED
        masked = not as_they_stand and not shared and (bool(titled) or not all_listed(text.text, known))
        return TextRow(
            field=text.field,
            text=(titled or in_listed_words(text.text, known)) if masked else _printable(text.text),
            masked=masked,
            texts=1,
            files=self._files[text],
            patients=patients,
            decides=self._decides[text],
            left_out=self._left_out[text],
            part=found.part if found else None,
            code=found.code if found else None,
            score=found.score if found else None,
            also=found.ambiguous if found else (),
            laterality=found.laterality if found else None,
            view=found.view if found else None,
        )

    def _share(self, text: Text, who: str) -> None:
        """Remember that a person has a text, whichever partition the films come in."""
        known = self._people.get(text, ())
        if who and len(known) < SHARED and (hashed := self._key.repeated("person", who)) not in known:
            self._people[text] = (*known, hashed)

    def _forget(self) -> None:
        for text, _ in self._files.most_common()[KEPT // 2 :]:
            for counts in (self._files, self._patients, self._decides, self._left_out):
                counts.pop(text, None)
            self._people.pop(text, None)
            self.let_go += 1


def person(patient_id: str) -> str:
    """A PatientID as far as it tells people apart for sure: `Q1`, `q 1`, `Q01` and `Q1^X`, of any issuer, may be one person."""
    plain = unicodedata.normalize("NFKC", patient_id.partition("^")[0]).casefold()
    return _LEADING_ZEROS.sub("", "".join(letter for letter in plain if letter.isalnum()))


def _titled(text: str) -> str:
    """A text that holds a title, without its other words: "DR ***"; "" without a title or with nothing beside it."""
    said = words_and_numbers(text)
    if TITLES.isdisjoint(said) or TITLES.issuperset(said):
        return ""
    return " ".join(word.upper() if word in TITLES else "***" for word in said)


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair cannot be written


def _merged(a: TextRow, b: TextRow) -> TextRow:
    lowest = None if a.score is None or b.score is None else min(a.score, b.score)
    return replace(
        a, texts=a.texts + b.texts, files=a.files + b.files, patients=None, decides=a.decides + b.decides,
        left_out=a.left_out + b.left_out, score=lowest,
    )  # fmt: skip


def as_values(rows: Iterable[TextRow]) -> list[dict[str, object]]:
    """The rows for JSON."""
    return [asdict(row) for row in rows]
