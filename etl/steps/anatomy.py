"""Which body part a film shows, by its header; films of other parts are dropped before they are decoded.

(0018,0015) Body Part Examined ought to be a Defined Term (PS3.16 Annex L) and is free text in practice: any
language, any spelling, any code page. It is read first; (0008,2218) Anatomic Region Sequence and the
descriptions help out where it names nothing, or only a region ("UPPER EXTREMITY") that they make more
exact.

A film is taken for a part only on a word of the vocabulary. Where a text names several parts with equal
right ("MANO Y MUÑECA") all are reported: the first in `part` (one that the recipe keeps before the others),
the rest in `ambiguous`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from etl.steps.body_part_text import Reading, likely_part, read, read_code
from etl.steps.body_parts import Vocabulary, vocabulary
from etl.steps.own_words import own_words, problems_of
from etl.study import Drop, Instance
from etl.vocabulary import Side
from schemas.errors import Problem
from schemas.steps import Anatomy


@dataclass(frozen=True, slots=True)
class BodyPart:
    """A recognised part. Every text in it is from our own lists."""

    part: str  # vocabulary name, e.g. "wrist"
    code: str  # SNOMED CT, of DICOM PS3.16 CID 4031
    score: float  # 0..100: 100 where a word of the vocabulary stands as it is listed
    field: str  # DICOM keyword of the header field that named it
    laterality: Side | None = None  # as the texts say; not the header's own Laterality
    view: str | None = None  # likewise, see `etl.vocabulary.view_position`
    ambiguous: tuple[str, ...] = ()  # other parts named with equal right


Texts = tuple[tuple[str, str], ...]  # (keyword, text), in the order of trust
FIELDS = ("BodyPartExamined", "AnatomicRegionSequence", "StudyDescription", "SeriesDescription", "ProtocolName")


def recognise(instance: Instance, settings: Anatomy) -> BodyPart | None:
    """The body part that the header of a film names, None when it names none that the vocabulary knows.

    Pure, and cached on the texts: an archive of millions repeats a few hundred of them.
    """
    return _recognise(texts_of(instance), settings.keep, settings.min_score, vocabulary_of(settings))


def understood(field: str, text: str, settings: Anatomy) -> BodyPart | None:
    """The body part that one text of a header names by itself."""
    return _recognise(((field, text),), settings.keep, settings.min_score, vocabulary_of(settings))


def texts_of(instance: Instance) -> Texts:
    """The texts that may name a film's part, with their DICOM keywords, in the order of FIELDS."""
    texts = (
        instance.body_part_examined,
        instance.anatomic_region,
        instance.study_description,
        instance.series_description,
        instance.protocol_name,
    )
    return tuple(zip(FIELDS, texts, strict=True))


def select(instance: Instance, settings: Anatomy) -> Drop | None:
    """A drop `anatomy` for a film of a part that the recipe does not keep; None for a film that stays."""
    if not settings.keep:
        return None
    found = recognise(instance, settings)
    if found is None:
        return Drop("anatomy", "unknown") if settings.unknown == "drop" else None
    if any(keeps(part, settings) for part in (found.part, *found.ambiguous)):
        return None
    named = " or ".join((found.part, *found.ambiguous))
    return Drop("anatomy", f"{named} (score {found.score:.0f}, {found.field})")


def keeps(part: str, settings: Anatomy) -> bool:
    """Whether a recipe keeps films of this part: it names none, or this, or a region in which this lies."""
    return not settings.keep or vocabulary().kept(part, settings.keep)


def vocabulary_of(settings: Anatomy) -> Vocabulary:
    """The shipped vocabulary with the recipe's own words. The settings must be `check`ed."""
    return vocabulary(own_words(settings), settings.ignore)


def check(settings: Anatomy) -> list[Problem]:
    """What is wrong with the parts and words that a recipe names."""
    return [
        *check_parts(settings.keep, "anatomy.keep"),
        *check_parts(tuple(settings.words), "anatomy.words"),
        *problems_of(settings),
    ]


def check_parts(names: tuple[str, ...], where: str = "anatomy.keep") -> list[Problem]:
    """One problem for each name that is no body part, with the part that was likely meant."""
    return [
        Problem(
            "no such body part",
            where,
            found=f'"{name}"',
            expected=f'"{meant}"' if (meant := likely_part(name)) else "a name that `etl steps` lists",
        )
        for name in names
        if name not in vocabulary().parts
    ]


def parts() -> tuple[str, ...]:
    """The names of all body parts of the vocabulary, sorted."""
    return tuple(sorted(vocabulary().parts))


def is_limb(part: str | None) -> bool:
    """Whether films of this part are worth splitting and turning upright; an unknown part (None) may be."""
    return part is None or vocabulary().is_limb(part)


@lru_cache(maxsize=65536)
def _recognise(texts: Texts, keep: tuple[str, ...], min_score: float, known: Vocabulary) -> BodyPart | None:
    named = _most_exact(texts, min_score, known)
    if named is None:
        return None
    field, reading = named
    first = next((part for part in reading.parts if known.kept(part, keep)), next(iter(reading.parts)))
    others = [_read(other, text, min_score, known) for other, text in texts]  # for a side that is not named here
    return BodyPart(
        part=first,
        code=known.parts[first].code,
        score=round(reading.parts[first], 1),
        field=field,
        laterality=reading.side or next((other.side for other in others if other.side), None),
        view=reading.view or next((other.view for other in others if other.view), None),
        ambiguous=tuple(part for part in reading.parts if part != first),
    )


def _most_exact(texts: Texts, min_score: float, known: Vocabulary) -> tuple[str, Reading] | None:
    """The first field that names a part; if that is only a region, the first that names parts within it."""
    region: tuple[str, Reading] | None = None
    for field, text in texts:
        reading = _read(field, text, min_score, known)
        if not reading.parts:
            continue
        if region is None:
            if not all(known.parts[part].region for part in reading.parts):
                return field, reading
            region = field, reading
        elif all(any(known.within(part, larger) for larger in region[1].parts) for part in reading.parts):
            return field, reading
    return region


def _read(field: str, text: str, min_score: float, known: Vocabulary) -> Reading:
    if field == "AnatomicRegionSequence":
        return read_code(text, min_score, known=known)
    return read(text, min_score, label=field == "BodyPartExamined", known=known)
