"""Pseudonyms: the same under one key, other under another, and never merging two people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from etl.deidentify import Key, make_key, pseudonyms, read_key
from etl.private import Private
from etl.splits import split_of
from etl.store import lock
from etl.study import Instance, Source
from schemas.errors import RadforgeError
from schemas.recipe import Splits

KEY = Key(b"0123456789abcdef")


def film(name: str = "a/1", **facts: str) -> Instance:
    return Instance(source=Source(name, "/x/" + name, "", 1, 1), **facts)  # type: ignore[arg-type]


def test_the_same_person_has_the_same_id_in_every_study() -> None:
    one = pseudonyms(KEY, film(patient_id="7", study_instance_uid="1.1"))
    two = pseudonyms(KEY, film(patient_id="7", study_instance_uid="1.2"))

    assert one.patient_id == two.patient_id
    assert one.study_id != two.study_id


def test_another_key_gives_other_ids() -> None:
    instance = film(patient_id="7", study_instance_uid="1.1", sop_instance_uid="1.1.1")

    ours, theirs = pseudonyms(KEY, instance), pseudonyms(Key(b"another secret..."), instance)

    assert {ours.patient_id, ours.study_id, ours.instance_id, ours.source_id}.isdisjoint(
        {theirs.patient_id, theirs.study_id, theirs.instance_id, theirs.source_id}
    )


def test_one_patient_id_under_two_issuers_is_two_people() -> None:
    one = pseudonyms(KEY, film(patient_id="7", issuer_of_patient_id="A"))
    two = pseudonyms(KEY, film(patient_id="7", issuer_of_patient_id="B"))

    assert one.patient_id != two.patient_id


def test_a_blank_patient_id_does_not_merge_people_and_is_flagged() -> None:
    one = pseudonyms(KEY, film(study_instance_uid="1.1"))
    two = pseudonyms(KEY, film(study_instance_uid="1.2"))

    assert one.patient_id != two.patient_id
    assert one.patient_id_missing


def test_a_blank_study_uid_is_a_study_of_its_own_per_file() -> None:
    assert pseudonyms(KEY, film("a")).study_id != pseudonyms(KEY, film("b")).study_id


def test_ids_do_not_run_into_each_other() -> None:
    assert KEY.pseudonym("patient", "a", "bc") != KEY.pseudonym("patient", "ab", "c")
    assert KEY.pseudonym("study", "1.2") != KEY.pseudonym("series", "1.2")


def test_the_secret_is_not_shown() -> None:
    assert "0123456789abcdef" not in repr(KEY)


def test_a_key_is_made_closed_to_others_and_read_back(tmp_path: Path) -> None:
    made = make_key(tmp_path / "key")

    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert read_key(tmp_path / "key") == made
    assert list(tmp_path.iterdir()) == [tmp_path / "key"]


def test_a_dataset_with_versions_is_not_given_a_new_key(tmp_path: Path) -> None:
    private = Private.beside(tmp_path / "ds")
    private.make()

    with pytest.raises(RadforgeError, match="the dataset has versions, but their key is missing"):
        private.key(None, tmp_path / "ds", versions_exist=True)


def test_key_and_private_folder_may_not_lie_inside_the_dataset(tmp_path: Path) -> None:
    dataset = tmp_path / "ds"
    dataset.mkdir()

    with pytest.raises(RadforgeError, match="must not lie inside the dataset"):
        Private.beside(dataset, dataset / "private")
    with pytest.raises(RadforgeError, match="the key must not lie inside the dataset"):
        Private.beside(dataset).key(dataset / "key", dataset, versions_exist=False)


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")

    with pytest.raises(RadforgeError, match="too short"):
        read_key(tmp_path / "key")


def test_only_one_run_builds_in_a_dataset(tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(RadforgeError, match="another run is building"), lock(tmp_path):
        pass


def test_the_private_folder_is_closed_to_others_and_an_open_one_is_refused(tmp_path: Path) -> None:
    Private.beside(tmp_path / "ds").make()
    (tmp_path / "open").mkdir(mode=0o755)

    assert (tmp_path / "ds.private").stat().st_mode & 0o777 == 0o700
    with pytest.raises(RadforgeError, match="is open to others"):
        Private.beside(tmp_path / "ds", tmp_path / "open").make()


def test_patients_fall_into_splits_by_their_shares() -> None:
    counts = Counter(split_of(KEY, f"patient {n}", Splits()) for n in range(4000))

    assert 0.67 < counts["train"] / 4000 < 0.73
    assert 0.12 < counts["val"] / 4000 < 0.18
    assert 0.12 < counts["test"] / 4000 < 0.18


def test_a_split_without_a_share_stays_empty() -> None:
    shares = Splits(train=0.8, val=0.2, test=0)

    assert {split_of(KEY, f"patient {n}", shares) for n in range(500)} == {"train", "val"}
