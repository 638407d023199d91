"""`[metadata] keep`: numbers and codes pass, words do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import metadata


@pytest.mark.parametrize(
    "keyword", ["KVP", "ExposureTime", "XRayTubeCurrent", "DistanceSourceToDetector", "Grid", "PatientPosition"]
)
def test_numbers_and_codes_may_be_kept(keyword: str) -> None:
    assert metadata.check((keyword,)) == []


@pytest.mark.parametrize(
    "keyword",
    ["PatientName", "StudyDate", "StudyTime", "StudyInstanceUID", "StudyDescription", "InstitutionName", "AccessionNumber",
     "PatientBirthDate", "OperatorsName", "ImageComments", "BodyPartExamined", "StationName", "DeviceSerialNumber"],
)  # fmt: skip
def test_names_dates_uids_and_free_text_are_refused(keyword: str) -> None:
    problems = metadata.check((keyword,))

    assert [keyword in str(problem) and "refused" in str(problem) for problem in problems] == [True]


def test_an_unknown_keyword_is_told() -> None:
    assert "is no DICOM keyword" in str(metadata.check(("Kvp",))[0])


def test_numbers_come_as_numbers_and_rubbish_as_nothing() -> None:
    assert metadata.value("KVP", " 70,5 ") == 70.5
    assert metadata.value("KVP", "seventy") is None
    assert metadata.value("KVP", "nan") is None
    assert metadata.value("KVP", "") is None


@given(st.text())
def test_a_code_is_a_defined_term_or_other(text: str) -> None:
    assert metadata.value("Grid", text) in {None, "OTHER", "FIXED", "FOCUSED", "RECIPROCATING", "PARALLEL", "CROSSED",
                                            "CYLINDRICAL", "NONE", "IN", "HC"}  # fmt: skip


def test_columns_are_named_by_the_keyword() -> None:
    assert [(c.name, str(c.type)) for c in metadata.columns(("KVP", "ExposureTime", "Grid"))] == [
        ("dicom_exposure_time", "double"),
        ("dicom_grid", "string"),
        ("dicom_kvp", "double"),
    ]
