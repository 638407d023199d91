"""The label file: what joins, what contradicts, what may not pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.deidentify import Key, pseudonyms
from etl.label_join import refuse_mixed
from etl.labels import Labels, read_labels
from etl.plan import plan_part
from etl.study import Instance, Source
from schemas.errors import RadforgeError
from schemas.recipe import EtlRecipe


def labels_from(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, "utf-8")
    return path


def film(**facts: str) -> Instance:
    return Instance(source=Source("a", "/a", "", 1, 1), **facts)  # type: ignore[arg-type]


def test_a_study_is_found_by_its_uid_and_keeps_the_types_of_its_labels(tmp_path: Path) -> None:
    labels = read_labels(labels_from(tmp_path, "StudyInstanceUID,fracture,grade\n1.2,1,mild\n1.3,0,\n"))

    key = labels.key_of(film(study_instance_uid="1.2"))

    assert key is not None
    assert labels.rows[key] == {"fracture": 1, "grade": "mild"}
    assert str(labels.types["fracture"]) == "int64"


def test_leading_zeros_of_an_accession_number_survive(tmp_path: Path) -> None:
    labels = read_labels(labels_from(tmp_path, "AccessionNumber,fracture\n000123,1\n"))

    assert labels.key_of(film(accession_number="000123")) in labels.rows
    assert labels.key_of(film(accession_number="123")) not in labels.rows


def test_a_patient_and_day_name_a_study_whatever_the_date_looks_like(tmp_path: Path) -> None:
    labels = read_labels(labels_from(tmp_path, "PatientID,StudyDate,fracture\nP1,2020-01-31,1\nP1,20200201,0\n"))

    assert labels.rows[labels.key_of(film(patient_id="P1", study_date="20200131"))] == {"fracture": 1}  # type: ignore[index]
    assert labels.rows[labels.key_of(film(patient_id="P1", study_date="20200201"))] == {"fracture": 0}  # type: ignore[index]


def test_an_instance_without_the_join_field_has_no_key(tmp_path: Path) -> None:
    labels = read_labels(labels_from(tmp_path, "StudyInstanceUID,fracture\n1.2,1\n"))

    assert labels.key_of(film()) is None


def test_equal_rows_are_one_and_contradicting_rows_are_an_error_that_quotes_no_identifier(
    tmp_path: Path,
) -> None:
    assert len(read_labels(labels_from(tmp_path, "PatientID,x\nDOE-1,1\nDOE-1,1\n")).rows) == 1

    with pytest.raises(RadforgeError, match="rows 2 and 3 contradict each other") as error:
        read_labels(labels_from(tmp_path, "PatientID,x\nDOE-1,1\nDOE-1,0\n"))

    assert "DOE" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,x\n1,2\n", "no column to join by"),
        ("StudyInstanceUID,PatientName\n1,Doe\n", "`PatientName` would carry identifying text"),
        ("StudyInstanceUID,when\n1,2020-01-02\n", "`when` holds dates"),
        ("StudyInstanceUID,note\n1,seen on 20200102 by Dr. Who\n", "long texts or dates"),
        ("StudyInstanceUID,when\n1,02/01/2020\n", "dates"),
        ("StudyInstanceUID,when\n1,20200102\n", "dates"),
        ("StudyInstanceUID,when\n1,20200102.0\n2,0\n", "dates"),
        ("StudyInstanceUID,x\n1,inf\n", "infinite"),
        ("StudyInstanceUID,my label\n1,2\n", "cannot be a column name"),
        ("StudyInstanceUID,x,split\n1,2,dev\n", "unknown split"),
        ("StudyInstanceUID,x\n,2\n", "row 2 has no StudyInstanceUID"),
        ("StudyInstanceUID,x,x\n1,2,3\n", "stands twice"),
        ("", "cannot be read as a table"),
    ],
)
def test_what_is_wrong_with_a_label_file_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RadforgeError, match=message):
        read_labels(labels_from(tmp_path, text))


def test_a_column_of_many_different_texts_is_taken_for_identifiers(tmp_path: Path) -> None:
    rows = "".join(f"1.{n},Name{n}\n" for n in range(65))

    with pytest.raises(RadforgeError, match="65 different texts"):
        read_labels(labels_from(tmp_path, "StudyInstanceUID,who\n" + rows))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match="no such file"):
        read_labels(tmp_path / "nothing.csv")


def test_a_patient_in_two_splits_is_an_error() -> None:
    key = Key(b"0123456789abcdef")
    labels = Labels(("StudyInstanceUID",), rows={("1",): {}, ("2",): {}, ("3",): {}},
                    splits={("1",): "train", ("2",): "val", ("3",): "train"})  # fmt: skip
    p1, p2, p3, q2 = (study("p", "1"), study("p", "2"), study("p", "3"), study("q", "2"))
    p, q = (pseudonyms(key, instance).patient_id for instance in (p1, q2))

    agreed = plan_part([p1, p3, q2], EtlRecipe(), key, labels).match
    mixed = plan_part([p1, p2], EtlRecipe(), key, labels).match

    assert (agreed.splits, agreed.mixed) == ({p: "train", q: "val"}, ())
    assert mixed.mixed == (p,)
    with pytest.raises(RadforgeError, match="1 patients stand in more than one split"):
        refuse_mixed(mixed.mixed)


def study(patient: str, uid: str) -> Instance:
    return Instance(source=Source(f"{patient}/{uid}", "", "", 1, 1), patient_id=patient, study_instance_uid=uid)


def test_a_file_that_is_no_utf_8_is_told_and_nothing_of_it_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("StudyInstanceUID,a\xf1o\n1,2\n".encode("latin-1"))
    headerless = labels_from(tmp_path, "1.2.3,DOE^JANE,MRN998877\n1.2.4,ROE^RICHARD,MRN1\n")

    with pytest.raises(RadforgeError, match="cannot be read as a table"):
        read_labels(tmp_path / "latin.csv")
    with pytest.raises(RadforgeError, match="no column to join by") as error:
        read_labels(headerless)
    assert "DOE" not in str(error.value)
