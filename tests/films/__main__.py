"""`make bench-films`: every known change on many films, the thesis' steps and ours side by side.

`python -m tests.films [--films FOLDER] [--seeds FIRST:LAST] [--no-real] [--sample N] [--worst SHEET.png]`
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from tests.films import sources
from tests.films.changes import EVERY, JOINED, SINGLE, every_seventh, joined
from tests.films.known import KnownFilm
from tests.films.score import Method, Score, score
from tests.films.sheet import worst
from tests.films.table import Row, claims, lines

METHODS: tuple[Method, ...] = ("thesis", "ours")


Named = tuple[str, KnownFilm]


def cases(films: list[Named], only: str = "", sample: int = 0) -> Iterator[tuple[str, str, KnownFilm]]:
    """(case, film, changed film); the same films give the same cases. `sample`: at most so many films a case, 0 for all."""
    for case, change in SINGLE.items():
        for name, film in _some(films, case, sample) if only in case else ():
            yield case, name, change(film, _random(case, name))
    if only in EVERY:
        for name, film in _some([each for each in films if each[1].limbs[0].knows_up] or films, EVERY, 1):
            yield from ((EVERY, name, each) for each in every_seventh(film))
    for case, (number, gap, brightness) in JOINED.items():
        for first in _some(films, case, sample) if only in case and len(films) >= number else ():
            rng = _random(case, first[0])
            members = [first, *_some([film for film in films if film is not first], f"{case} {first[0]}", number - 1)]
            yield case, first[0], joined([film for _, film in members], rng, gap=gap, brightness=brightness)


def _some(films: list[Named], what: str, number: int) -> list[Named]:
    if not 0 < number < len(films):
        return films
    return [films[place] for place in sorted(_random(what, "").choice(len(films), number, replace=False))]


def _random(case: str, name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(f"{case} {name}".encode()))


def measure(films: list[Named], only: str = "", sample: int = 0) -> list[Row]:
    """Score every case by both methods; tilts are told against the film's own run as it is."""
    own: dict[Method, dict[str, float]] = {method: {} for method in METHODS}
    for _, film in films:
        for method in METHODS:
            upright = score(film, method)
            own[method] |= {limb.of: away for limb, away in zip(upright.matched, upright.away_deg, strict=True)}
    rows = []
    for case, name, film in cases(films, only, sample):
        scores = {method: score(film, method) for method in METHODS}
        tilts = {method: _tilts(scores[method], own[method]) for method in METHODS}
        below = {method: _below(scores[method]) for method in METHODS}
        rows.append(Row(case, name, scores, tilts, below))
    return rows


def _tilts(found: Score, own: dict[str, float]) -> list[float]:
    errors = []
    for limb, away in zip(found.matched, found.away_deg, strict=True):
        if limb.of in own:
            error = away - (-own[limb.of] if limb.mirrored else own[limb.of])
            errors.append(abs((error + 90) % 180 - 90))
    return errors


def _below(found: Score) -> list[tuple[bool, float]]:
    limbs = zip(found.matched, found.away_deg, found.confidence, strict=True)
    return [(abs(away) > 90, sure) for limb, away, sure in limbs if limb.knows_up]


def say(text: str) -> None:
    """A line of the report."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Draw, change, score, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.films", description=__doc__)
    parser.add_argument("--films", type=Path, help="a folder of films of your own with a truth.csv")
    parser.add_argument("--seeds", default="1000:1024", help="seeds of the drawn films, FIRST:LAST")
    parser.add_argument("--no-real", action="store_true", help="without the films of the data folder")
    parser.add_argument("--parts", default="", help="only films of your own that show these (hand,wrist)")
    parser.add_argument("--sample", type=int, default=0, help="at most so many films a case")
    parser.add_argument("--case", default="", help="only cases whose name holds this")
    parser.add_argument("--worst", type=Path, help="a contact sheet of the worst decisions")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    first, last = (int(part) for part in options.seeds.split(":"))
    groups = {"drawn films": list(sources.drawn(range(first, last)))}
    if not options.no_real:
        groups["real films of the data folder"] = list(sources.real())
        if not groups["real films of the data folder"]:
            say("no real films: the data folder is not beside this checkout")
    if options.films:
        groups[f"films of {options.films.name}"] = list(
            sources.own(options.films, tuple(options.parts.split(",")) if options.parts else ())
        )
    everything = []
    say("what each column counts: docs/films.md")
    for title, films in groups.items():
        if not films:
            continue
        rows = measure(films, options.case, options.sample)
        everything += rows
        say(f"\n{title}: {len(films)} films, {len(rows)} cases\n")
        say("\n".join(lines(rows, chain(SINGLE, (EVERY,), JOINED))))
        say(claims(rows))
    if options.worst:
        cv2.imwrite(str(options.worst), worst(everything))


if __name__ == "__main__":
    main()
