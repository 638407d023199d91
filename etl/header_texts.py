"""The free texts of an archive's headers by frequency, and how each is understood: what a data steward reads before a run.

Counted are the films that get as far as the question of their body part. Every value of Body Part Examined is a row; a text
of another field is one where it decided the part, and where a film names none at all.

A text can hold a name. One that SHARED patients have in common is told as it stands, and so is one of listed words alone
("MUÑECA IZQ"). Any other is told in the words of the vocabulary: a word that is not listed is "***", one that was read as
a misspelt word is that word behind "~".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from etl.deidentify import Pseudonyms
from etl.steps import anatomy
from etl.steps.body_part_text import all_listed, in_listed_words
from etl.study import Drop, Failure, Instance
from schemas.steps import Anatomy

SHARED = 3  # patients; the same person is often filed under two numbers
KEPT = 100_000  # different texts that are remembered, about 50 MB: of more, the rarest are let go
LENGTH = 256  # letters of a text that are looked at; LO has 64


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
        masked = not as_they_stand and patients < SHARED and not all_listed(text.text, known)
        return TextRow(
            field=text.field,
            text=in_listed_words(text.text, known) if masked else _printable(text.text),
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

    def _forget(self) -> None:
        for text, _ in self._files.most_common()[KEPT // 2 :]:
            for counts in (self._files, self._patients, self._decides, self._left_out):
                counts.pop(text, None)
            self.let_go += 1


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
