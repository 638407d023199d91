"""Values of header fields, read so that no field can stop a file (DICOM PS3.5 section 6).

Wrong character sets, wrong VRs, decimal commas, letters in UIDs: the text is taken as it is, and the field is
noted in `problems` as "Keyword:VR", never with its value.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from functools import cache

from pydicom.charset import decode_bytes, python_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset

from etl.archive.dicom_reading import DAMAGE, SPECIFIC_CHARACTER_SET, Element, Elements, ascii_of

_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_LEGAL = {  # what a value of these VRs looks like (PS3.5 table 6.2-1); other text is free
    "UI": re.compile(r"[0-9.]{1,64}"),
    "DA": re.compile(r"\d{8}"),
    "TM": re.compile(r"\d{2}(:?\d{2}){0,2}(\.\d{1,6})?"),
    "AS": re.compile(r"\d{3}[DWMY]"),
    "DS": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"),
    "IS": re.compile(r"[+-]?\d+"),
}
_ESCAPE = b"\x1b"
_RESETS = set(b"\\=\r\n\f")  # code extensions end here (PS3.5 section 6.1.2.5.3)
MAX_BYTES = 10_240  # of a value: the most that LT allows; more is garbage, and unpacking it takes for ever


class Values:
    """Header fields of one data set by DICOM keyword; what cannot be read as its VR is in `problems`."""

    def __init__(self, elements: Mapping[int, Element], charset: Sequence[str], *, little: bool) -> None:
        self.problems: dict[str, None] = {}  # a set that keeps its order
        self._elements = elements
        self._charset = charset
        self._little = little
        self._declared = bool(ascii_of(elements.get(SPECIFIC_CHARACTER_SET)))

    @classmethod
    def of(cls, elements: Elements) -> Values:
        """The fields of a file's data set."""
        values = cls(elements.data_set, elements.charset, little=elements.encoding.little)
        terms = ascii_of(elements.data_set.get(SPECIFIC_CHARACTER_SET)).split("\\")
        if not all(term.strip() in python_encoding for term in terms):
            values._note("SpecificCharacterSet")
        return values

    def text(self, keyword: str, separator: str | None = None) -> str:
        """The first value as stripped text, "" where absent; all values, joined, with a `separator`."""
        values = self._values(keyword)
        if separator is not None:
            return separator.join(value for value in values if value)
        return values[0] if values else ""

    def number(self, keyword: str, default: int = 0) -> int:
        """The first value as a whole number >= 0, the default where it is absent or cannot be read."""
        values = self._values(keyword)
        if not values or not values[0]:
            return default
        try:
            number = int(float(values[0]))
        except (ValueError, OverflowError):
            number = -1
        if len(values) > 1 or not 0 <= number < 1 << 31:
            self._note(keyword)
        return number if 0 <= number < 1 << 31 else default

    def code(self, keyword: str) -> str:
        """The first item of a code sequence (PS3.3 section 8.8): "scheme:value:meaning", "" where absent."""
        item = self._item(keyword)
        if item is None:
            return ""
        parts = [item.text(part) for part in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning")]
        self.problems |= item.problems
        if not any(parts):
            self._note(keyword)
            return ""
        return ":".join(parts)

    def _values(self, keyword: str) -> list[str]:
        tag, vr = _entry(keyword)
        element = self._elements.get(tag)
        if not isinstance(element, RawDataElement) or not element.value:
            return []
        if len(element.value) > MAX_BYTES:
            self._note(keyword)
            element = element._replace(value=element.value[:MAX_BYTES])
        written = str(element.VR or vr)
        number = _NUMBERS.get(vr if written == "UN" else written)
        if written not in (vr, "UN") and (number or vr in _NUMBERS):
            self._note(keyword)
        if number:
            return self._unpacked(keyword, number, element.value)
        values = [value.strip(" \0\t\r\n") for value in self._decoded(keyword, element.value).split("\\")]
        if vr == "DA":
            values[0] = values[0].replace(".", "")  # yyyy.mm.dd of ACR-NEMA (PS3.5 table 6.2-1, note)
        legal = _LEGAL.get(vr)
        if legal and values[0] and not legal.fullmatch(values[0]):
            self._note(keyword)
            if vr in ("DS", "IS"):
                values[0] = _mended(values[0])
        return values

    def _unpacked(self, keyword: str, letter: str, value: bytes) -> list[str]:
        size = struct.calcsize(letter)
        if len(value) % size:
            self._note(keyword)
            value = value[: len(value) // size * size]
        order = "<" if self._little else ">"
        return [f"{number:g}" if letter in "fd" else str(number) for (number,) in struct.iter_unpack(order + letter, value)]

    def _decoded(self, keyword: str, value: bytes) -> str:
        if value.isascii() and _ESCAPE not in value:
            return value.decode("ascii")
        text = self._by_charset(value)
        if text is None or "\ufffd" in text or "\x1b" in text:
            self._note(keyword)  # not what the declared character set, or none, allows
        if text is None:
            try:
                text = value.decode("utf-8")
            except UnicodeError:
                text = value.decode("latin-1")
        return text.encode("utf-8", "replace").decode("utf-8")  # some codecs make lone surrogates

    def _by_charset(self, value: bytes) -> str | None:
        try:
            if _ESCAPE in value:  # code extensions (PS3.5 section 6.1.2.5)
                return str(decode_bytes(value, self._charset, _RESETS))
            return value.decode(self._charset[0]) if self._declared else None
        except DAMAGE:
            return None

    def _item(self, keyword: str) -> Values | None:
        element = self._elements.get(_entry(keyword)[0])
        if element is None:
            return None
        try:
            if isinstance(element, RawDataElement):
                if len(element.value or b"") > MAX_BYTES:
                    raise ValueError("no code sequence is that long")
                element = convert_raw_data_element(element, encoding=list(self._charset))
            items = element.value
            first = items[0] if items else None
        except DAMAGE:
            first = "damaged"
        if isinstance(first, Dataset):
            tags = list(first.keys())  # iterating it would decode
            raw = {int(tag): item for tag in tags if (item := first.get_item(tag)) is not None}
            return Values(raw, self._charset, little=self._little)
        if first is not None:
            self._note(keyword)
        return None

    def _note(self, keyword: str) -> None:
        self.problems[f"{keyword}:{_entry(keyword)[1]}"] = None


@cache
def _entry(keyword: str) -> tuple[int, str]:
    """Tag and VR of a keyword of the data dictionary (PS3.6); an ambiguous "US or SS" is its first."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is no keyword of the DICOM data dictionary")
    return tag, dictionary_VR(tag).split(" ")[0]


def _mended(number: str) -> str:
    """A number with a decimal comma or text behind it; "" when it is none."""
    match = _LEGAL["DS"].match(number.replace(",", "."))
    return match[0] if match else ""
