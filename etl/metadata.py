"""`[metadata] keep`: which header attributes may become columns, and how a value is made safe.

Numbers pass as numbers. Coded strings (VR CS) pass only as one of the Defined Terms of the standard, because scanners let
people type into them; anything else becomes OTHER. Text, names, dates, times and UIDs are refused by name.
"""

from __future__ import annotations

import math

import pyarrow as pa
from pydicom.datadict import dictionary_VR, tag_for_keyword

from schemas.errors import Problem
from schemas.manifest import Column, metadata_column

_NUMBERS = {"DS", "IS", "FL", "FD", "US", "SS", "UL", "SL"}

# Defined Terms and Enumerated Values of PS3.3 C.7.3.1, C.8.1 to C.8.11 (CR, DX, MG, X-Ray) that identify nobody.
_CODES: dict[str, frozenset[str]] = {
    "AnodeTargetMaterial": frozenset({"TUNGSTEN", "MOLYBDENUM", "RHODIUM"}),
    "BreastImplantPresent": frozenset({"YES", "NO"}),
    "CollimatorShape": frozenset({"RECTANGULAR", "CIRCULAR", "POLYGONAL"}),
    "DetectorConfiguration": frozenset({"AREA", "SLOT"}),
    "DetectorType": frozenset({"DIRECT", "SCINTILLATOR", "STORAGE", "FILM"}),
    "ExposureControlMode": frozenset({"MANUAL", "AUTOMATIC"}),
    "ExposureStatus": frozenset({"NORMAL", "ABORTED"}),
    "FieldOfViewHorizontalFlip": frozenset({"YES", "NO"}),
    "FieldOfViewShape": frozenset({"RECTANGLE", "ROUND", "HEXAGONAL"}),
    "FilterMaterial": frozenset({"MOLYBDENUM", "ALUMINUM", "COPPER", "RHODIUM", "NIOBIUM", "EUROPIUM", "LEAD"}),
    "FilterType": frozenset({"STRIP", "WEDGE", "BUTTERFLY", "MULTIPLE", "FLAT", "NONE", "SHAPED"}),
    "Grid": frozenset({"FIXED", "FOCUSED", "RECIPROCATING", "PARALLEL", "CROSSED", "CYLINDRICAL", "NONE", "IN", "HC"}),
    "LossyImageCompression": frozenset({"00", "01"}),
    "PartialView": frozenset({"YES", "NO"}),
    "PatientPosition": frozenset({"HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS"}),
    "PixelIntensityRelationship": frozenset({"LIN", "LOG", "DISP"}),
    "PlateType": frozenset({"IP"}),
    "PositionerType": frozenset({"CARM", "COLUMN", "MAMMOGRAPHIC", "PANORAMIC", "CEPHALOSTAT", "RIGID", "NONE"}),
    "PresentationIntentType": frozenset({"FOR PRESENTATION", "FOR PROCESSING"}),
    "PresentationLUTShape": frozenset({"IDENTITY", "INVERSE"}),
    "ScanOptions": frozenset({"EKG", "PHY", "TOMO", "CHASE", "STEP", "ROTA"}),
    "TableType": frozenset({"FIXED", "TILTING", "NONE"}),
}
# Numbers that count people, visits or images: they identify more than they explain.
_REFUSED = frozenset({"InstanceNumber", "SeriesNumber", "AcquisitionNumber", "OtherStudyNumbers"})


def check(keywords: tuple[str, ...]) -> list[Problem]:
    """Problems of a keep list: unknown keywords, and attributes that may not pass."""
    problems = []
    for keyword in keywords:
        if tag_for_keyword(keyword) is None:
            problems.append(Problem(f"`metadata.keep`: `{keyword}` is no DICOM keyword", expected="e.g. KVP"))
        elif _kind(keyword) is None:
            problems.append(
                Problem(
                    f"`metadata.keep`: {keyword} is refused",
                    found=f"VR {dictionary_VR(keyword)}",
                    expected="a number, or a coded attribute with Defined Terms; not text, names, dates or UIDs",
                )
            )
    return problems


def columns(keywords: tuple[str, ...]) -> tuple[Column, ...]:
    """The manifest columns of a checked keep list."""
    return tuple(
        Column(metadata_column(keyword), _kind(keyword) or pa.string(), f"{keyword}, from the header.")
        for keyword in sorted(set(keywords))
    )


def value(keyword: str, text: str) -> float | str | None:
    """The safe value of an attribute's text; None when absent or not a number."""
    text = text.strip()
    if not text:
        return None
    if keyword in _CODES:
        return text.upper() if text.upper() in _CODES[keyword] else "OTHER"
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _kind(keyword: str) -> pa.DataType | None:
    if _CODES.get(keyword):
        return pa.string()
    if keyword in _REFUSED or tag_for_keyword(keyword) is None or dictionary_VR(keyword) not in _NUMBERS:
        return None
    return pa.float64()
