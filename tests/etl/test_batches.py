"""Batches: long enough to be cheap, and one bad film costs one row."""

from __future__ import annotations

from cluster.pool import Lost
from etl.batches import Batch, Batches, estimate
from etl.plan import Film, StudyTask
from etl.process import failed
from etl.study import Source, StudyOutcome


def study(number: int, films: int = 1, weight: float = 1e7) -> StudyTask:
    members = tuple(
        Film(
            Source(f"{number}/{n}", "", "", 1, 1),
            f"{number}-{n}",
            1,
            dict.fromkeys(("patient_id", "study_id", "series_id", "instance_id"), "x") | {"source_id": f"{number}-{n}"},
        )
        for n in range(films)
    )
    return StudyTask(f"study{number}", members, weight)


def queue_of(*tasks: StudyTask, workers: int = 2) -> Batches[StudyTask]:
    ordered = sorted(tasks, key=lambda task: -task.weight)
    return Batches(ordered, sum(map(estimate, tasks)), workers, failed)


def play(queue: Batches[StudyTask], bad: set[str]) -> tuple[list[StudyOutcome], list[Batch[StudyTask]]]:
    """Run the queue; a batch that holds a bad film is lost."""
    outcomes: list[StudyOutcome] = []
    batches = []
    for batch in queue:
        batches.append(batch)
        lost = any(film.source_id in bad for task in batch.tasks for film in task.films)
        done = [StudyOutcome(task.study_id, records=[{"source_id": f.source_id} for f in task.films]) for task in batch.tasks]
        outcomes += queue.settle(batch, Lost("crash") if lost else done)
    return outcomes, batches


def test_every_study_travels_once_and_heavy_ones_first() -> None:
    tasks = [study(n, weight=(n % 7 + 1) * 1e7) for n in range(300)]

    outcomes, batches = play(queue_of(*tasks), bad=set())

    assert sorted(o.study_id for o in outcomes) == sorted(t.study_id for t in tasks)
    assert max(t.weight for t in batches[-1].tasks) <= min(t.weight for t in batches[0].tasks)
    assert 8 <= len(batches) <= 60


def test_one_bad_film_costs_one_row() -> None:
    tasks = [study(n, films=3) for n in range(20)]

    outcomes, _ = play(queue_of(*tasks), bad={"7-1"})

    assert sorted(o.study_id for o in outcomes) == sorted(t.study_id for t in tasks)
    failures = [row for o in outcomes for row in o.failures]
    assert [(row["source_id"], row["stage"]) for row in failures] == [("7-1", "crash")]
    assert sum(len(o.records) for o in outcomes) == 59


def test_a_study_of_one_film_is_tried_alone_and_given_up() -> None:
    outcomes, batches = play(queue_of(study(1), study(2)), bad={"1-0"})

    assert {o.study_id: len(o.failures) for o in outcomes} == {"study1": 1, "study2": 0}
    assert [batch.attempt for batch in batches if batch.tasks[0].study_id == "study1"] == [0, 1]


def test_a_lonely_film_has_its_own_time_and_a_batch_more() -> None:
    batch = Batch((study(1, films=2), study(2)))

    assert Batch((study(1, films=2),), 1).seconds(120) == 240
    assert batch.seconds(120) > 120
