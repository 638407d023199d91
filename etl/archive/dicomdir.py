"""The DICOMDIR of a disc: an index of its files, and of its patients (DICOM PS3.3 F, PS3.10 section 8)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pydicom.dataelem import RawDataElement

from etl.archive.dicom_reading import DAMAGE, Unreadable, ascii_of, is_dicom, parse, read_elements
from schemas.errors import RadforgeError

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002
DIRECTORY_GROUP = 0x0004  # occurs in a DICOMDIR and nowhere else
DIRECTORY_RECORD_SEQUENCE = 0x00041220
REFERENCED_FILE_ID = 0x00041500
HEAD_BYTES = 1 << 16


def referenced_files(file: Path) -> list[tuple[str, str]]:
    """What a DICOMDIR names: (name relative to its folder, path), sorted; [] when the file is no DICOMDIR.

    File IDs are matched without case, with or without the `;1` of ISO 9660. A file that is not there keeps
    the path where it should be. Raises RadforgeError when not one of them is there, OSError when unreadable.
    """
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
        size = os.fstat(opened.fileno()).st_size
        if not _is_directory(head, size):
            return []
        data = head + opened.read()  # a whole disc's index is a few MiB
    folder = str(file.parent)
    listings: dict[str, dict[str, str]] = {}
    names = sorted({_resolve(folder, parts, listings) for parts in _file_ids(data)})
    files = [(name, os.path.join(folder, name)) for name in names]  # noqa: PTH118 - may hold bytes that are no text
    if not any(os.path.isfile(path) for _, path in files):  # noqa: PTH113
        raise RadforgeError(
            "the DICOMDIR leads to no file",
            where=str(file),
            found=f"{len(files)} file names, none of them beside it",
            expected="the disc's files beside the DICOMDIR; to read a folder as it is, give the folder",
        )
    return files


def _is_directory(head: bytes, size: int) -> bool:
    if not is_dicom(head, size):
        return False
    try:
        meta = read_elements(head, size=size, stop=lambda _tag: True).meta
    except Unreadable:
        return False
    return ascii_of(meta.get(MEDIA_STORAGE_SOP_CLASS_UID)) == MEDIA_STORAGE_DIRECTORY


def _file_ids(data: bytes) -> Iterator[list[str]]:
    """The parts of each Referenced File ID (0004,1500); none that is absolute or climbs out of the folder."""
    try:
        records = parse(data)[DIRECTORY_RECORD_SEQUENCE].value
        elements = [record.get_item(REFERENCED_FILE_ID) for record in records]
    except (Unreadable, *DAMAGE):
        return
    for element in elements:
        if isinstance(element, RawDataElement) and element.value:
            text = element.value.decode("utf-8", "surrogateescape").strip("\0 ")
            parts = text.replace("/", "\\").split("\\")
            if all(parts) and ".." not in parts:
                yield parts


def _resolve(folder: str, parts: list[str], listings: dict[str, dict[str, str]]) -> str:
    """The file ID as the file system spells it, "/" between its parts; as it stands where nothing fits."""
    spelt: list[str] = []
    for part in parts:
        here = os.path.join(folder, *spelt)  # noqa: PTH118
        if here not in listings:
            listings[here] = _listing(here)
        names = listings[here]
        bare = part.split(";")[0].rstrip(".")
        spelt.append(names.get(part.casefold()) or names.get(bare.casefold()) or part)
    return "/".join(spelt)


def _listing(folder: str) -> dict[str, str]:
    """Folded name without `;1` -> name as spelt; the first by name wins."""
    try:
        names = sorted(os.listdir(folder), reverse=True)  # noqa: PTH208
    except OSError:
        return {}
    return {name.split(";")[0].rstrip(".").casefold(): name for name in names} | {n.casefold(): n for n in names}
