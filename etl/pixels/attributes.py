"""Single attributes of a data set, whose values may be missing, plural, or not what their VR promises."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

from etl.archive.dicom_reading import DAMAGE

# What pydicom raises while it turns raw bytes into a value of their VR.
UNREADABLE = (*DAMAGE, BytesLengthException)

_NUMBER = re.compile(r"\s*[-+]?\d")


def value(ds: Dataset, keyword: str) -> Any:
    """The element's value as pydicom gives it; None when absent, empty or unreadable."""
    try:
        element = ds.get(tag_for_keyword(keyword))
        return None if element is None else element.value
    except UNREADABLE:
        return None


def text(ds: Dataset, keyword: str) -> str:
    """First value of a text attribute, stripped; "" when absent or unreadable."""
    found = value(ds, keyword)
    if isinstance(found, MultiValue | list | tuple):
        found = found[0] if found else ""
    return "" if found is None else str(found).strip(" \0")


def numbers(ds: Dataset, keyword: str) -> tuple[float, ...]:
    """All finite values of a numeric attribute, in order; () when absent or when one of them is no number.

    A decimal comma is read as a point: it is a common error of DS (PS3.5 6.2), and no separator of values.
    """
    found = value(ds, keyword)
    if found is None:
        found = _raw_values(ds, keyword)
    values: Iterable[Any] = found if isinstance(found, MultiValue | list | tuple) else (found,)
    try:
        parsed = tuple(float(str(each).strip(" \0").replace(",", ".")) for each in values)
    except ValueError:
        return ()
    return parsed if all(map(math.isfinite, parsed)) else ()


def first_number(ds: Dataset, keyword: str) -> float | None:
    """First value of a numeric attribute, None when absent or unreadable."""
    found = numbers(ds, keyword)
    return found[0] if found else None


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    """Items of a sequence; [] when absent, empty, or no sequence at all."""
    found = value(ds, keyword)
    try:
        return [item for item in found or [] if isinstance(item, Dataset)]
    except UNREADABLE:
        return []


def is_present(ds: Dataset, keyword: str) -> bool:
    """Whether the element is there, whatever it holds."""
    tag = tag_for_keyword(keyword)
    return tag is not None and tag in ds


def _raw_values(ds: Dataset, keyword: str) -> list[str] | tuple[int, ...]:
    """What the bytes say for themselves, where they are no value of the VR that is written beside them."""
    element = _raw(ds, keyword)
    if element is None or not 0 < len(element.value) <= 1024:
        return [""]
    if len(element.value) == 2 and dictionary_VR(tag_for_keyword(keyword) or 0) in ("US", "SS", "US or SS"):
        return struct.unpack("<H" if element.is_little_endian else ">H", element.value)
    words = element.value.decode("latin-1")
    return words.split("\\") if _NUMBER.match(words) else [""]


def _raw(ds: Dataset, keyword: str) -> RawDataElement | None:
    element = ds.get_item(tag_for_keyword(keyword) or 0, keep_deferred=True)
    return element if isinstance(element, RawDataElement) and isinstance(element.value, bytes) else None


def raw_length(ds: Dataset, keyword: str) -> int:
    """Bytes of an element that has not been turned into a value; 0 when absent, empty or turned."""
    element = _raw(ds, keyword)
    return 0 if element is None else len(element.value)
