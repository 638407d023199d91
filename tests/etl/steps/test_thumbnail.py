from __future__ import annotations

import gc
import weakref

import numpy as np

from etl.steps.thumbnail import remembered, thumbnail
from tests.etl.steps.films import hand


def test_a_film_is_shrunk_once_for_all_steps_that_look_at_it() -> None:
    film = hand(0)

    assert thumbnail(film) is thumbnail(film)
    assert thumbnail(film.copy()) is not thumbnail(film)
    assert np.array_equal(thumbnail(film.copy()), thumbnail(film))


def test_films_in_the_same_memory_are_not_taken_for_one_another() -> None:
    for grey in range(50):
        film = np.full((300, 300), grey, np.uint8)
        assert float(thumbnail(film).mean()) == grey
        del film


def test_a_remembered_answer_does_not_keep_its_film_alive() -> None:
    film = np.zeros((300, 300), np.uint8)
    gone = weakref.ref(film)
    thumbnail(film)

    del film
    gc.collect()

    assert gone() is None


def test_only_the_last_few_answers_are_kept() -> None:
    looked = []

    @remembered
    def look(picture: np.ndarray) -> int:
        looked.append(id(picture))
        return int(picture[0])

    pictures = [np.array([n], np.uint8) for n in range(6)]
    assert [look(picture) for picture in pictures] == list(range(6))
    assert [look(picture) for picture in reversed(pictures)] == list(range(5, -1, -1))

    assert len(looked) == 8  # the last four were known still
