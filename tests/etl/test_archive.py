"""The walk finds every file once, whatever links, names and rights stand in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydicom.filereader import dcmread
from pydicom.fileset import FileSet

from etl.archive import headers
from etl.archive.listing import list_files
from etl.study import Drop, Failure
from schemas.errors import RadforgeError
from tests.etl.drawn import film


def names(*archives: Path) -> list[str]:
    return [found.name for found in list_files(archives)]


def test_files_are_listed_by_name_with_their_size_and_time_whatever_their_extension(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/IM2", "b/IM1", "a.txt", "c"):
        (tmp_path / name).write_bytes(name.encode())

    found = list(list_files([tmp_path]))

    assert [one.name for one in found] == ["a.txt", "b/IM1", "b/IM2", "c"]
    assert all((Path(f.path).stat().st_size, Path(f.path).stat().st_mtime_ns) == (f.size, f.mtime_ns) for f in found)


def test_links_that_go_round_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "film").touch()
    (tmp_path / "a" / "deep" / "up").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "a")
    (tmp_path / "self").symlink_to("self")

    found = list(list_files([tmp_path]))

    assert [one.name for one in found] == ["a/deep/film", "self"]
    assert found[1].problem


def test_folders_deeper_than_python_recurses_are_walked(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("film", os.O_CREAT, dir_fd=here))
    os.close(here)

    found = names(tmp_path)

    (tmp_path / ("d/" * 1200) / "film").unlink()
    for depth in range(1200, 0, -1):  # nor could pytest's own clean-up
        (tmp_path / ("d/" * depth)).rmdir()
    assert found == ["d/" * 1200 + "film"]


def test_a_file_that_two_arguments_reach_is_listed_once(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "film").touch()
    (tmp_path / "a" / "link").symlink_to("b/film")

    assert names(tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "film") == ["b/film"]
    assert names(tmp_path / "a" / "b" / "film", tmp_path / "a") == ["film"]


def test_only_colliding_names_of_later_archives_carry_their_archive(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "film").touch()
    (tmp_path / "two" / "other").touch()

    assert names(tmp_path / "one", tmp_path / "two") == ["2:two/film", "film", "other"]


def test_names_that_are_no_text_survive_and_open(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/Mu\xf1oz.dcm"
    Path(os.fsdecode(raw)).write_bytes(film())

    (found,) = list_files([tmp_path])

    assert found.name == "Mu\\xf1oz.dcm"
    found.name.encode("utf-8")
    assert headers.read(found)[0].modality == "CR"


def test_what_cannot_be_read_ends_as_a_failure_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "x.dcm").write_bytes(film())

    fates = {found.name: headers.read(found)[0].fate for found in list_files([tmp_path])}

    assert fates == {
        "broken": Failure("read", "a link that leads nowhere"),
        "pipe": Failure("read", "a device, a pipe or a socket"),
        "x.dcm": None,
    }


def test_a_folder_that_may_not_be_opened_ends_as_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "film").touch()
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("closed"):  # root may open everything, so the refusal is played
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)

    closed, film_ = list_files([tmp_path])

    assert (closed.name, film_.name) == ("closed", "film")
    assert headers.read(closed)[0].fate == Failure("read", "permission to read was denied")


def test_a_missing_archive_is_told_as_it_was_typed(tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match="does not exist") as raised:
        list_files([tmp_path / "nowhere"])

    assert raised.value.problems[0].where == str(tmp_path / "nowhere")
    assert raised.value.problems[0].expected


def disc(folder: Path, films: int) -> Path:
    fileset = FileSet()
    for seed in range(films):
        dataset = dcmread(_written(folder / f"source{seed}", film(seed)))
        dataset.PatientName, dataset.StudyDate, dataset.StudyTime, dataset.StudyID = (
            "A^B",
            "20200101",
            "1200",
            "1",
        )
        dataset.SeriesNumber = dataset.InstanceNumber = seed + 1
        dataset.AccessionNumber = "1"
        fileset.add(dataset)
    fileset.write(folder / "disc")
    return folder / "disc" / "DICOMDIR"


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_dicomdir_leads_to_its_files_in_lower_case_and_with_a_version(tmp_path: Path) -> None:
    dicomdir = disc(tmp_path, 2)
    for path in sorted(dicomdir.parent.rglob("*"), reverse=True):
        if path != dicomdir:
            path.rename(path.with_name(path.name.lower() + (";1" if path.is_file() else "")))
    (dicomdir.parent / "unnamed.dcm").write_bytes(film(9))

    instances = [headers.read(found)[0] for found in list_files([dicomdir])]

    assert [instance.fate for instance in instances] == [Drop("dicomdir"), None, None]
    assert {instance.patient_id for instance in instances[1:]} == {"P0", "P1"}


def test_a_dicomdir_names_a_lost_file_as_a_failure_and_without_any_file_is_the_users_error(
    tmp_path: Path,
) -> None:
    dicomdir = disc(tmp_path, 2)
    films = sorted(path for path in dicomdir.parent.rglob("*") if path.is_file() and path != dicomdir)
    films[0].unlink()

    lost = [found for found in list_files([dicomdir]) if found.problem]

    assert len(lost) == 1
    films[1].unlink()
    with pytest.raises(RadforgeError, match="leads to no file"):
        list_files([dicomdir])


def test_a_dicomdir_cannot_name_files_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    dicomdir = disc(tmp_path, 1)
    index = dcmread(dicomdir)
    for record in index.DirectoryRecordSequence:
        if "ReferencedFileID" in record:
            record.ReferencedFileID = ["..", "SECRET"]
    index.save_as(dicomdir)

    with pytest.raises(RadforgeError, match="leads to no file"):
        list_files([dicomdir])
