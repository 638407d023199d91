"""The door to pydicom's parser: bytes in, elements out, whatever state the file is in.

`dcmread` is not used: after a missing delimiter it hands back an *empty* data set without an error, it
inflates without a limit, it believes a meta group that lies about the encoding, and it goes on reading
behind the pixels. Here the encoding is judged from the elements, every read is counted, and what came
before the damage is kept.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Collection, Mapping
from typing import Literal, NamedTuple, TypeAlias

import pydicom.config
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from etl.archive.encoding import IMPLICIT_LITTLE, UNDEFINED, Encoding, encoding_at, first_element

# Reading does not judge values, and pydicom's messages quote them: no patient's name may reach a log.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom\b")

_UID = re.compile(r"[0-9.]{1,64}")  # PS3.5 section 9.1

SPECIFIC_CHARACTER_SET = 0x00080005
TRANSFER_SYNTAX_UID = 0x00020010
PIXEL_DATA = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # float, double float, and the usual one
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)  # deflated ones stay so

MAX_READS = 400_000  # from one data set: 2,000 frames with 60 elements each need some 300,000
MAX_META_READS = 10_000
MAX_RATIO = 200  # deflate goes to 1032:1, a film beyond 200:1 is blank, and blank films are small
RATIO_FREE_BYTES = 64 << 20  # below this much any ratio is harmless

# What pydicom 3.0 raises on damaged input, found by reading its source and by mutating headers.
DAMAGE = (
    EOFError,
    OSError,
    ValueError,  # with UnicodeError
    LookupError,  # with KeyError, IndexError and unknown encodings
    ArithmeticError,  # OverflowError: a seek beyond 2**63
    NotImplementedError,  # a VR without a converter
    RecursionError,  # sequences nested a thousand deep
    MemoryError,
    struct.error,
)

Element: TypeAlias = RawDataElement | DataElement
Stop = Callable[[int], bool]
End = Literal["stop", "end", "cut", "damage"]
"""How a walk over elements ended: asked to, at the last byte, within an element, where nothing made sense."""


class Unreadable(Exception):  # noqa: N818 - it becomes a Failure row, not a traceback
    """Bytes that cannot be had or understood. `error` is our own sentence, without a word of the source."""

    def __init__(self, stage: str, error: str) -> None:
        super().__init__(stage, error)
        self.stage = stage
        self.error = error


class Elements(NamedTuple):
    """The elements of one file as far as they could be read, their values still as they lie in the file."""

    meta: Mapping[int, Element]  # group 0002
    data_set: Mapping[int, Element]
    transfer_syntax: str  # UID of the meta group, or the one found where that is absent or lies
    encoding: Encoding
    charset: list[str]  # Python names of (0008,0005)'s terms
    end: End
    seen: int  # elements of the data set, kept or not
    last: int  # tag of the last of them, which is the one that was not read any more when `end` is "stop"


def parse(data: bytes) -> Dataset:
    """A whole DICOM file as a data set that ends with the pixels, `file_meta` filled in.

    A missing preamble or meta group, a meta group that lies about the encoding, trailing garbage and a
    missing last delimiter are mended; values are not decoded until asked for. Pixel data that is cut short
    is handed on as short as it is: whoever decodes it holds its length against the header. Raises
    Unreadable("read", ...).
    """
    read = read_elements(data)
    if not read.data_set:
        raise Unreadable("read", "no DICOM element could be read")
    dataset = Dataset({BaseTag(tag): element for tag, element in read.data_set.items()})
    dataset.set_original_encoding(*read.encoding, read.charset)
    meta = {BaseTag(tag): element for tag, element in read.meta.items() if tag >> 16 == 2}
    meta.pop(BaseTag(TRANSFER_SYNTAX_UID), None)
    dataset.file_meta = FileMetaDataset(meta)
    dataset.file_meta.TransferSyntaxUID = UID(read.transfer_syntax)
    return dataset


def transfer_syntax(dataset: Dataset) -> str:
    """The transfer syntax UID of what `parse` returned: the meta group's, or the one found if that lied."""
    return str(dataset.file_meta.TransferSyntaxUID)


def is_dicom(data: bytes, size: int) -> bool:
    """Whether `data`, the first bytes of a file of `size` bytes, begin a DICOM file, prefixed or not."""
    return first_element(data, size) is not None


def read_elements(
    data: bytes,
    *,
    size: int | None = None,
    tags: Collection[int] = (),
    stop: Stop | None = None,
    max_reads: int = MAX_READS,
) -> Elements:
    """The elements of `data`, the first bytes of a file of `size` bytes (default: all of it).

    `tags`: only these are kept, and (0008,0005). `stop(tag, vr, length)` ends the reading before an
    element; the end of the pixels always does. Raises Unreadable("read", ...) where no DICOM is found or a
    bomb is.
    """
    size = len(data) if size is None else size
    start = first_element(data, size)
    if start is None:
        raise Unreadable("read", "neither a DICOM prefix nor DICOM elements were found")
    meta, start = _file_meta(data, start, size)
    claimed = ascii_of(meta.get(TRANSFER_SYNTAX_UID))
    claimed = claimed if _UID.fullmatch(claimed) else ""
    if claimed == DeflatedExplicitVRLittleEndian:
        body = _inflated(data[start:])
        if body is None:
            claimed = ""  # it lied: read it as it stands
        else:
            data, start, size = body, 0, max(len(body), 1032 * size)
    encoding = encoding_at(data, start, size, claimed)
    if not claimed or claimed in NATIVE:
        claimed = encoding.uid
    walk = _Walk(data, start, encoding, tags=tags, stop=stop, max_reads=max_reads)
    end = walk.run()
    return Elements(meta, walk.found, claimed, encoding, _character_set(walk.found), end, walk.seen, walk.last)


def ascii_of(element: Element | None) -> str:
    """An element's bytes as ASCII without padding, "" where it is absent or a sequence: UIDs and codes."""
    value = element.value if isinstance(element, RawDataElement) else b""
    return (value or b"").decode("ascii", "replace").strip("\0 ")


class _Counted(io.BytesIO):
    """Bytes that can be read only so often: garbage parses as millions of tiny elements."""

    def __init__(self, data: bytes, max_reads: int) -> None:
        super().__init__(data)
        self._left = max_reads

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many elements")
        return super().read(size)


class _Walk:
    """One pass over the elements of a data set, remembering where it was when it broke."""

    def __init__(
        self,
        data: bytes,
        start: int,
        encoding: Encoding,
        *,
        tags: Collection[int] = (),
        stop: Stop | None = None,
        max_reads: int = MAX_READS,
    ) -> None:
        self.found: dict[int, Element] = {}
        self.position = start  # where it ended
        self._data = data
        self._bytes = _Counted(data, max_reads)
        self._bytes.seek(start)
        self._encoding = encoding
        self._tags: list[BaseTag | int] = list(tags)
        self._stop = stop
        self._stopped = self._past_pixels = self._cut = False
        self.seen = 0
        self.last = 0  # tag
        self._value: tuple[str | None, int, int] = (None, 0, start)  # VR, length and place of the last

    def run(self) -> End:
        implicit, little = self._encoding
        elements = data_element_generator(self._bytes, implicit, little, self._before, specific_tags=self._tags)
        try:
            for element in elements:
                self.found[int(element.tag)] = element
        except DAMAGE:
            self._save_pixels()
            return "cut" if self._bytes.tell() >= len(self._data) else "damage"
        finally:
            self.position = min(self._bytes.tell(), len(self._data))
        if self._stopped:
            return "stop"
        return "cut" if self._cut else "end"

    def _before(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        place = self._bytes.tell()
        self.seen += 1
        self.last = int(tag)  # a BaseTag compares slowly
        self._value = (vr, length, place)
        self._stopped = self._past_pixels or (self._stop is not None and self._stop(self.last))
        self._past_pixels = self.last in PIXEL_DATA
        self._cut = length != UNDEFINED and place + length > len(self._data)
        return self._stopped

    def _save_pixels(self) -> None:
        """Encapsulated pixels without a last delimiter: all fragments may be there, a decoder will see."""
        vr, length, place = self._value
        if self.last in PIXEL_DATA and length == UNDEFINED and (not self._tags or self.last in self._tags):
            element = RawDataElement(BaseTag(self.last), vr, length, self._data[place:], place, *self._encoding)
            self.found[self.last] = element


def _character_set(found: Mapping[int, Element]) -> list[str]:
    terms = ascii_of(found.get(SPECIFIC_CHARACTER_SET)).split("\\")
    try:
        return list(convert_encodings([term.strip() for term in terms]))
    except DAMAGE:
        return [default_encoding]


def _file_meta(data: bytes, start: int, size: int) -> tuple[Mapping[int, Element], int]:
    """Group 0002 (PS3.10 section 7.1), and where the data set begins behind it (and behind a command set)."""
    meta = _Walk(data, start, encoding_at(data, start, size), stop=lambda tag: tag >> 16 != 2, max_reads=MAX_META_READS)
    meta.run()
    command = _Walk(data, meta.position, IMPLICIT_LITTLE, stop=lambda tag: tag >> 16 != 0, max_reads=MAX_META_READS)
    command.run()
    return meta.found, command.position


def _inflated(packed: bytes) -> bytes | None:
    """A deflated data set (PS3.5 A.5), as far as it goes; None where it is not deflated at all.

    Raises Unreadable("read", ...) when it grows beyond any film's ratio.
    """
    limit = max(RATIO_FREE_BYTES, MAX_RATIO * len(packed))
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    pieces: list[bytes] = []
    try:
        while packed and not inflate.eof and limit > 0:
            pieces.append(inflate.decompress(packed, min(limit, 1 << 24)))
            limit -= len(pieces[-1])
            packed = inflate.unconsumed_tail
    except zlib.error:
        if not pieces:
            return None
    if limit <= 0:
        raise Unreadable("read", f"the deflated data set grows more than {MAX_RATIO} times")
    return b"".join(pieces)
