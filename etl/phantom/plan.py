"""What an archive will hold, decided before anything is drawn: studies, films, and their mixture, from a
seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLosslessSV1

from etl.phantom import rates
from etl.phantom.film import Exposure
from etl.phantom.part_names import PartText, part_text
from etl.phantom.people import Person, Visit, person, visit
from etl.phantom.visibility import broken_films, mimic_films
from etl.phantom.wishes import Mixture
from etl.phantom.wrist_anatomy import View

Rng = np.random.Generator
SPLITS = ("train", "val", "test")
OTHER_PARTS = ("hand", "elbow", "knee", "chest")
_VIEWS: tuple[View, ...] = ("pa", "lateral", "oblique", "pa", "lateral", "oblique", "pa", "lateral")


@dataclass(frozen=True)
class FilmPlan:
    """One film: what is on it and how it is exposed. All randomness that is left comes from `seed`."""

    seed: tuple[int, ...]
    sop_instance_uid: str
    series_instance_uid: str
    number: int
    rows: int
    columns: int
    view: View
    tilts_deg: tuple[float, ...]  # one per part: two wrists have two
    upside_down: bool
    fracture: bool
    left: bool
    rows_mm: float
    exposure: Exposure
    mimic: bool = False  # a harmless line is on the film
    bold: bool = False  # its lines are drawn for small films (lines.py)
    implant: tuple[int, ...] | None = None  # seed of the metal in the wrist (implants.py), the same for all films of a study


@dataclass(frozen=True)
class _Shared:
    """What the films of one study have in common."""

    body_part: str
    rows: float  # before scaling
    small: bool
    left: bool
    bits: int


@dataclass(frozen=True)
class StudyPlan:
    """One study: a patient's visit, the body part and its films. `label` is None for unlabelled studies."""

    number: int
    study_instance_uid: str
    person: Person
    visit: Visit
    body_part: str
    part_text: PartText
    modality: str
    syntax: UID
    films: tuple[FilmPlan, ...]
    label: int | None = None
    split: str | None = None
    axial: bool = False
    mistagged: bool = False  # the header says wrist, the films show `body_part`


def uid(seed: int, *what: object) -> str:
    """A UID under 2.25 (PS3.5 B.2) that depends on nothing but its arguments."""
    digest = hashlib.sha256(repr((seed, *what)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big') | 1 << 126}"


def plan(wish: Mixture) -> list[StudyPlan]:
    """All studies of an archive: the labelled wrists, other body parts, and the axial study."""
    labels, splits = _labels(wish), _splits(wish)
    people = _people(wish, splits)
    studies = []
    for number in range(wish.studies):
        study = _study(wish, number, people[number], "wrist", labels[number])
        studies.append(replace(study, label=labels[number], split=splits[number]))
    others = max(1, round(wish.studies * rates.OTHER_PARTS))
    for extra in range(others):
        number = wish.studies + extra
        who = person(np.random.default_rng([wish.seed, 3, number]), number)
        studies.append(_study(wish, number, who, OTHER_PARTS[extra % len(OTHER_PARTS)], 0))
    if wish.studies >= rates.AXIAL_FROM:
        studies.append(_axial(wish, wish.studies + others))
    first = wish.studies + others + 1
    return studies + [_mistagged(wish, first + extra) for extra in range(round(wish.mistagged * wish.studies))]


def _mistagged(wish: Mixture, number: int) -> StudyPlan:
    """An unlabelled study of the chest whose header says wrist."""
    who = person(np.random.default_rng([wish.seed, 3, number]), number)
    study = _study(wish, number, who, "chest", 0)
    text = part_text(np.random.default_rng([wish.seed, 11, number]), "wrist", number, False, False)
    return replace(study, part_text=text, mistagged=True)


def _labels(wish: Mixture) -> list[int]:
    """Positive studies drawn within each split, so that every split has both classes when it can."""
    rng = np.random.default_rng([wish.seed, 1])
    labels: list[int] = []
    for count in wish.splits or (wish.studies,):
        positive = round((rates.CALM_FRACTURE if wish.training else rates.FRACTURE) * count)
        if count >= 2:
            positive = min(max(positive, 1), count - 1)
        block = np.zeros(count, int)
        block[rng.permutation(count)[:positive]] = 1
        labels += block.tolist()
    return labels


def _splits(wish: Mixture) -> list[str | None]:
    if wish.splits is None:
        return [None] * wish.studies
    return [name for name, count in zip(SPLITS, wish.splits, strict=True) for _ in range(count)]


def _people(wish: Mixture, splits: Sequence[str | None]) -> list[Person]:
    """Who each labelled study is of: some have two studies, never across splits; some ids are missing or
    shared.
    """
    rng = np.random.default_rng([wish.seed, 2])
    people: list[Person] = []
    again = False
    for number in range(wish.studies):
        same_split = number > 0 and splits[number] == splits[number - 1]
        again = bool(rng.random() < rates.SECOND_STUDY) and same_split and not again and people[-1].patient_id != ""
        if again:
            people.append(people[-1])
            continue
        who = person(np.random.default_rng([wish.seed, 3, number]), number)
        if number % rates.BLANK_ID_EVERY == rates.BLANK_ID_EVERY - 1:
            who = replace(who, patient_id="", issuer="")
        people.append(who)
    known = [who for index, who in enumerate(people) if who.patient_id and who not in people[:index]]
    if len(known) >= 2:  # two hospitals gave the same number to two people
        namesake = replace(known[-1], patient_id=known[0].patient_id, issuer="CSB-ADT")
        people = [namesake if who is known[-1] else who for who in people]
    return people


def _study(wish: Mixture, number: int, who: Person, body_part: str, positive: int) -> StudyPlan:
    rng = np.random.default_rng([wish.seed, 4, number])
    small = number % rates.SMALL_EVERY == 7
    large = number % rates.LARGE_EVERY == 13
    study_uid = uid(wish.seed, "study", number)
    dx = bool(rng.random() < rates.DX)
    count = _film_count(rng, wish)
    broken = (
        broken_films(np.random.default_rng([wish.seed, 8, number]), wish, count, int(rng.integers(count))) if positive else ()
    )
    mimics = mimic_films(np.random.default_rng([wish.seed, 9, number]), wish, count) if body_part == "wrist" else ()
    implant = _implant(wish, number, positive) if body_part == "wrist" else None
    shared = _Shared(
        body_part,
        rows=rates.SMALL_ROWS if small else rates.LARGE_ROWS if large else float(rng.uniform(*rates.ROWS)),
        small=small,
        left=bool(rng.random() < 0.5),
        bits=14 if rng.random() < rates.BITS_14 else 12,
    )
    films = tuple(
        replace(
            _film(rng, wish, shared, _VIEWS[index % len(_VIEWS)]),
            seed=(wish.seed, 5, number, index),
            sop_instance_uid=uid(wish.seed, "instance", number, index),
            series_instance_uid=uid(wish.seed, "series", number, index if dx else 0),
            number=index + 1,
            fracture=index in broken,
            mimic=index in mimics,
            implant=implant,
        )
        for index in range(count)
    )
    syntax = rates.SYNTAX_CYCLE[number % len(rates.SYNTAX_CYCLE)]
    if large and syntax not in (ExplicitVRLittleEndian, JPEGLosslessSV1):
        syntax = ExplicitVRLittleEndian  # the largest films are for size, not for slow encoders
    nowhere = body_part == "wrist" and wish.splits is None and number % rates.UNNAMED_EVERY == 23
    elsewhere = bool(rng.random() < rates.PART_ELSEWHERE)
    turn = number if body_part == "wrist" else number // len(OTHER_PARTS)
    return StudyPlan(
        number=number,
        study_instance_uid=study_uid,
        person=who,
        visit=visit(rng, number),
        body_part=body_part,
        part_text=part_text(rng, body_part, turn, elsewhere, nowhere),
        modality="DX" if dx else "CR",
        syntax=syntax,
        films=films,
    )


def _implant(wish: Mixture, number: int, positive: int) -> tuple[int, ...] | None:
    """The seed of a study's metal, at the rate of its class; from random numbers of its own."""
    seed = (wish.seed, 10, number)
    with_fracture, without = wish.implants
    rate = with_fracture if positive else without
    return (*seed, 1) if np.random.default_rng(seed).random() < rate else None


def _film_count(rng: Rng, wish: Mixture) -> int:
    if wish.views is not None:
        return int(rng.integers(wish.views[0], wish.views[1] + 1))
    return int(rng.choice(list(rates.VIEWS), p=list(rates.VIEWS.values())))


def _film(rng: Rng, wish: Mixture, frame: _Shared, view: View) -> FilmPlan:
    """One film of a study; its seed, UIDs and number are filled in by the caller."""
    wrist = frame.body_part == "wrist"
    two = wrist and view == "pa" and not frame.small and rng.random() < rates.TWO_WRISTS and not wish.training
    upside_down = bool(rng.random() < rates.UPSIDE_DOWN) and wrist
    aspect = rng.uniform(1.25, 1.5) if two else rng.uniform(0.74, 0.86)
    rows, columns = _scaled(frame.rows * rng.uniform(0.97, 1.03) * (0.8 if two else 1.0), aspect, wish.scale)
    tilts: tuple[float, ...] = (_tilt(rng),)
    if two:
        tilts = (rng.uniform(-10, 10), rng.uniform(-10, 10))
    elif not wrist:
        tilts = (rng.uniform(-8, 8),)
    elif wish.training:
        tilts = (rng.uniform(-rates.CALM_TILT_DEG, rates.CALM_TILT_DEG),)
    film = FilmPlan(
        seed=(),
        sop_instance_uid="",
        series_instance_uid="",
        number=0,
        rows=rows,
        columns=columns,
        view=view,
        tilts_deg=tilts,
        upside_down=upside_down,
        fracture=False,
        left=frame.left,
        rows_mm=float(rng.uniform(195, 250)),
        exposure=Exposure.drawn(rng, frame.bits, "L" if frame.left else "R"),
    )
    return _calm(film) if wish.training and wrist else film


def _calm(film: FilmPlan) -> FilmPlan:
    """A close film of the wrist without what costs small films more than it teaches: half a turn, a frame, blades."""
    exposure = replace(film.exposure, frame=None, blades=None)
    return replace(film, bold=True, upside_down=False, rows_mm=rates.CALM_CLOSENESS * film.rows_mm, exposure=exposure)


def _tilt(rng: Rng) -> float:
    limits = ((0, 5), (5, 30), (30, 60))[int(rng.choice(3, p=list(rates.TILTED)))]
    return float(rng.choice([-1, 1]) * rng.uniform(*limits))


def _scaled(rows: float, aspect: float, scale: float) -> tuple[int, int]:
    floor = min(rates.SMALLEST_SIDE, 0.8 * scale * min(rates.MEDIAN_SIZE))
    scale = max(scale, floor / (rows * min(aspect, 1.0)))
    return round(rows * scale), round(rows * aspect * scale)


def _axial(wish: Mixture, number: int) -> StudyPlan:
    """One study of many small slices: no radiograph, although its header says so."""
    rng = np.random.default_rng([wish.seed, 4, number])
    side = max(32, round(rates.AXIAL_SIDE * wish.scale))
    series = uid(wish.seed, "series", number, 0)
    films = tuple(
        FilmPlan(
            seed=(wish.seed, 5, number, index),
            sop_instance_uid=uid(wish.seed, "instance", number, index),
            series_instance_uid=series,
            number=index + 1,
            rows=side,
            columns=side,
            view="pa",
            tilts_deg=(0.0,),
            upside_down=False,
            fracture=False,
            left=False,
            rows_mm=100.0,
            exposure=Exposure(bits=12),
        )
        for index in range(rates.AXIAL_INSTANCES)
    )
    return StudyPlan(
        number=number,
        study_instance_uid=uid(wish.seed, "study", number),
        person=person(np.random.default_rng([wish.seed, 3, number]), number),
        visit=visit(rng, number),
        body_part="wrist",
        part_text=part_text(rng, "wrist", 0, False, False),
        modality="CR",
        syntax=ExplicitVRLittleEndian,
        films=films,
        axial=True,
    )
