"""Work that lies on disk comes back as it was, heavy studies first, and closed to others."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np

from etl.batches import estimate
from etl.plan import Film, StudyTask
from etl.scratch import Scratch
from etl.study import Source
from etl.task_file import TaskFile


def study(number: int) -> StudyTask:
    films = tuple(
        Film(Source(f"{number}/{n}", f"/x/\udcff{n}", "", n, n), f"{number:08x}{n:08x}", n + 1, {"age_years": n, "sex": None},
             "wrist" if n else None, "twin" if n == 1 else "")
        for n in range(number % 3 + 1)
    )  # fmt: skip
    return StudyTask(f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}", films, float(number % 5))


def test_tasks_come_back_equal_and_heavy_ones_first(tmp_path: Path) -> None:
    tasks = [study(number) for number in range(50)]
    with Scratch(tmp_path / "work") as scratch:
        file: TaskFile[StudyTask] = TaskFile(scratch.file("tasks"))
        for task in tasks:
            file.add(task)
        wanted = np.array([number % 2 == 0 for number in range(50)])

        every, some = list(file.heavy_first()), list(file.heavy_first(wanted))

        assert every == sorted(tasks, key=lambda task: (-task.weight, task.study_id))
        assert some == [task for task in every if tasks.index(task) % 2 == 0]
        assert file.frames(wanted) == sum(task.frames for task in some)
        assert file.seconds() == sum(estimate(task) for task in tasks)


def test_a_study_is_found_by_its_id_and_no_other_is(tmp_path: Path) -> None:
    tasks = [study(number) for number in range(50)]
    with Scratch(tmp_path / "work") as scratch:
        file: TaskFile[StudyTask] = TaskFile(scratch.file("tasks"))
        for task in tasks:
            file.add(task)

        assert [file.place(task.study_id) for task in tasks] == list(range(50))
        assert [file.digests[task.study_id] for task in tasks] == [task.digest for task in tasks]
        assert file.place("ffffffffffffffff") is None
        assert file.digests.get("0000000000000001") is None


def test_equal_work_has_an_equal_digest_whichever_objects_it_is_made_of() -> None:
    one = study(2)
    shared, apart = "WRIST", "".join(["WRI", "ST"])
    films = [[one.films[0]._replace(columns={"a": a, "b": b})] for a, b in ((shared, shared), (shared, apart))]

    assert len({StudyTask("0" * 16, tuple(own), 1.0).digest for own in films}) == 1
    assert StudyTask("0" * 16, (one.films[0]._replace(columns={"a": "other"}),), 1.0).digest != one.digest


def test_scratch_is_closed_to_others_and_gone_at_the_end_also_what_a_killed_run_left(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "left").write_text("by a killed run")

    with Scratch(folder) as scratch:
        scratch.file("tasks")
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "tasks")]
        names = [path.name for path in folder.iterdir()]

    assert modes == [0o700, 0o600]
    assert names == ["tasks"]
    assert not folder.exists()
