"""One file's header: what the file is, judged by its content, and the facts that the rest of the run needs.

Only the head of a file is read, and only as far as the last wanted field; pixel data is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID_dictionary

from etl.archive.containers import kind, members
from etl.archive.dicom_reading import Elements, Unreadable, ascii_of, is_dicom, read_elements
from etl.archive.dicomdir import DIRECTORY_GROUP, MEDIA_STORAGE_DIRECTORY
from etl.archive.files import CHANGED, open_unchanged, read_at
from etl.archive.values import Values
from etl.archive.walk import Found, unicode_name
from etl.study import Drop, Failure, Instance, Source

Head = Callable[[int], bytes]  # the first n bytes of a file or member, fewer when it is shorter

FIRST_BYTES = 1 << 16  # holds the header of nearly every film
MAX_HEADER_BYTES = 1 << 25  # what still has not come to its end is no header
MAX_READS = 30_000  # of elements: half a second at worst

_TEXT = {  # DICOM keyword -> field of Instance
    "SOPClassUID": "sop_class_uid",
    "SOPInstanceUID": "sop_instance_uid",
    "StudyInstanceUID": "study_instance_uid",
    "SeriesInstanceUID": "series_instance_uid",
    "Modality": "modality",
    "PatientID": "patient_id",
    "IssuerOfPatientID": "issuer_of_patient_id",
    "AccessionNumber": "accession_number",
    "StudyDate": "study_date",
    "StudyTime": "study_time",
    "PatientSex": "patient_sex",
    "PatientAge": "patient_age",
    "PatientBirthDate": "patient_birth_date",
    "StudyDescription": "study_description",
    "SeriesDescription": "series_description",
    "ProtocolName": "protocol_name",
    "ViewPosition": "view_position",
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "model",
    "BurnedInAnnotation": "burned_in_annotation",
    "PhotometricInterpretation": "photometric_interpretation",
}
_NUMBERS = {
    "SamplesPerPixel": "samples_per_pixel",
    "Rows": "rows",
    "Columns": "columns",
    "BitsAllocated": "bits_allocated",
    "BitsStored": "bits_stored",
}
_OTHERS = ("BodyPartExamined", "AnatomicRegionSequence", "ImageLaterality", "Laterality", "NumberOfFrames")
_META = {"sop_class_uid": 0x00020002, "sop_instance_uid": 0x00020003}  # where the data set lacks them
_HAS_PIXELS = re.compile(r"(Image|(?<!Surface )Segmentation|RT Dose|Map|Volume Analysis) Storage")  # SOP class names


def read(found: Found, keep: tuple[str, ...] = ()) -> list[Instance]:
    """The instances of one file: one, or one for each member of a container.

    `keep`: keywords of further fields whose first value goes to `Instance.metadata`. `fate` is set where the
    header alone settles it (failure `read`, drops `not_dicom`, `dicomdir`, `not_an_image`), else None. Never
    raises.
    """
    source = source_of(found)
    if found.problem:
        return [_unread(source, found.problem)]
    try:
        with open_unchanged(found.path, found.size, found.mtime_ns) as file:
            head = read_at(file, min(FIRST_BYTES, found.size), 0)
            if is_dicom(head, found.size) or not kind(head):
                return [_instance(source, lambda size: read_at(file, size, 0), head, keep)]
    except Unreadable as refused:
        return [_unread(source, refused.error)]
    return list(_members(found, keep)) or [Instance(source=source, fate=Drop("not_dicom", "an empty container"))]


def source_of(found: Found, member: str = "", size: int = 0) -> Source:
    """Where a listed file, or a member of `size` bytes in it, lies."""
    if not member:
        return Source(found.name, found.path, "", found.size, found.mtime_ns)
    return Source(f"{found.name}!/{unicode_name(member)}", found.path, member, size, found.mtime_ns)


def _members(found: Found, keep: tuple[str, ...]) -> Iterator[Instance]:
    try:
        for member in members(found.path, found.size, found.mtime_ns):
            source = source_of(found, member.name, member.size)
            if member.problem:
                yield _unread(source, member.problem)
                continue
            try:
                head = member.head(min(FIRST_BYTES, member.size))
                if kind(head) and not is_dicom(head, member.size):
                    yield _unread(source, "a container within a container is not opened")
                else:
                    yield _instance(source, member.head, head, keep)
            except Unreadable as refused:
                yield _unread(source, refused.error)
    except Unreadable as broken:
        yield _unread(source_of(found), broken.error)


def _instance(source: Source, head_of: Head, head: bytes, keep: tuple[str, ...]) -> Instance:
    """The instance of a file or member whose first bytes are `head`. Raises Unreadable("read", ...)."""
    if not is_dicom(head, source.size):
        return Instance(source=source, fate=Drop("not_dicom", "" if source.size else "an empty file"))
    elements = _elements(head_of, head, source.size, _tags(keep))
    values = Values.of(elements)
    facts: dict[str, Any] = {field: values.text(keyword) for keyword, field in _TEXT.items()}
    facts |= {field: values.number(keyword) for keyword, field in _NUMBERS.items()}
    for field, tag in _META.items():
        facts[field] = facts[field] or ascii_of(elements.meta.get(tag))
    instance = Instance(
        source=source,
        transfer_syntax=elements.transfer_syntax,
        body_part_examined=values.text("BodyPartExamined", " "),
        anatomic_region=values.code("AnatomicRegionSequence"),
        laterality=values.text("ImageLaterality") or values.text("Laterality"),
        frames=max(1, values.number("NumberOfFrames", 1)),
        metadata={keyword: text for keyword in keep if (text := values.text(keyword))},
        **facts,
    )
    return instance._replace(fate=_fate(instance, elements), header_problems=tuple(values.problems))


def _elements(head_of: Head, head: bytes, size: int, tags: tuple[int, ...]) -> Elements:
    """The wanted elements, from as little of the file as holds them."""
    last = tags[-1]
    while True:
        elements = read_elements(
            head,
            size=size,
            tags=tags,
            stop=lambda tag: tag > last or tag >> 16 == DIRECTORY_GROUP,
            max_reads=MAX_READS,
        )
        if elements.end in ("stop", "damage") or len(head) >= min(size, MAX_HEADER_BYTES):
            return elements
        longer = head_of(min(size, 8 * len(head), MAX_HEADER_BYTES))
        if len(longer) <= len(head):
            raise Unreadable("read", CHANGED)
        head = longer


def _fate(instance: Instance, elements: Elements) -> Drop | Failure | None:
    """What the header alone settles, in the order in which a file is judged."""
    if instance.sop_class_uid == MEDIA_STORAGE_DIRECTORY or elements.last >> 16 == DIRECTORY_GROUP:
        return Drop("dicomdir")
    has_matrix = instance.rows > 0 and instance.columns > 0
    if elements.end == "damage" and not has_matrix:
        return Failure("read", "the header is damaged: its elements cannot be told apart")
    if elements.end != "stop" and instance.source.size > MAX_HEADER_BYTES:
        return Failure("read", f"the header does not end within {MAX_HEADER_BYTES >> 20} MiB")
    if not elements.seen or (elements.end == "cut" and not has_matrix):
        return Failure("read", "the file ends inside its header")
    name = _sop_class(instance.sop_class_uid)
    if name and not _HAS_PIXELS.search(name):
        return Drop("not_an_image", name)
    if has_matrix or (name and instance.modality):
        return None
    return Drop("not_an_image", f"{name}, but without rows and columns" if name else "without rows and columns")


@cache
def _sop_class(uid: str) -> str:
    """The registered name of a SOP class (PS3.6 annex A), "" for a private or absent one."""
    name, kind_of_uid, *_ = UID_dictionary.get(uid, ("", ""))
    return name if kind_of_uid == "SOP Class" else ""


@cache
def _tags(keep: tuple[str, ...]) -> tuple[int, ...]:
    keywords = (*_TEXT, *_NUMBERS, *_OTHERS, *keep)
    return tuple(sorted({tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None}))


def _unread(source: Source, error: str) -> Instance:
    return Instance(source=source, fate=Failure("read", error))
