"""The measuring stick itself, on few films: what `make bench-films` prints for many is true of these."""

from __future__ import annotations

import numpy as np
import pytest

from tests.films import sources
from tests.films.__main__ import _random, cases, measure
from tests.films.changes import EVERY, JOINED, SINGLE
from tests.films.known import KnownFilm
from tests.films.score import score
from tests.films.table import claims, lines

FILMS = list(sources.drawn(range(40, 44)))  # a wrist, a hand, a wrist, a lateral view
CASES = [*cases(FILMS, sample=1)]
CASES = [entry for index, entry in enumerate(CASES) if entry[0] != EVERY or index % 10 == 0]  # each tenth of the angles


@pytest.mark.parametrize(("case", "name", "film"), CASES, ids=[case for case, _, _ in CASES])
def test_a_changed_film_is_seen_as_what_it_is(case: str, name: str, film: KnownFilm) -> None:
    found = score(film, "ours")

    assert found.polarity
    assert found.count
    assert found.transform
    assert min(found.limb_iou) > 0.95
    assert max(abs(away) for away in found.away_deg) < 12  # of the drawn axis; 180 for a limb left upside down


def test_every_case_of_the_issue_is_there() -> None:
    assert {case for case, _, _ in CASES} == {*SINGLE, EVERY, *JOINED}


def test_the_same_films_give_the_same_cases() -> None:
    again = list(cases(FILMS, "collimated", sample=1))
    before = [film for case, _, film in CASES if "collimated" in case]

    assert all(np.array_equal(a.pixels, b[2].pixels) for a, b in zip(before, again, strict=True))


def test_the_score_sees_a_negative_a_wrong_count_and_a_film_left_upside_down() -> None:
    name, film = FILMS[1]

    assert not score(SINGLE["white frame"](film, _random("white frame", name)), "thesis").polarity
    assert abs(score(SINGLE["by 180"](film, _random("by 180", name)), "thesis").away_deg[0]) > 170
    two = KnownFilm(film.pixels, film.positive, film.exposed, film.limbs * 2)
    assert not score(two, "ours").count


def test_the_table_has_a_line_a_case_and_one_over_all() -> None:
    rows = measure(FILMS[:1], "frame")

    table = lines(rows, [*SINGLE, *JOINED])

    assert [line[:28].strip() for line in table[2:]] == [case for case in SINGLE if "frame" in case] + ["all"]
    assert claims(rows).startswith("confidence above 0.9: claimed for ")
