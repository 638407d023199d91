"""What a member of a container is, and which members are refused before a byte of them is unpacked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from etl.archive.dicom_reading import MAX_RATIO, RATIO_FREE_BYTES

MAX_MEMBER_BYTES = 4 << 30
MAX_MEMBERS = 1_000_000


class Member(NamedTuple):
    """One file within a container."""

    name: str  # unique in its container: the second "a.dcm" of a zip is "a.dcm#2"
    size: int  # bytes, as declared
    problem: str  # our sentence when it must not be read, else ""
    head: Callable[[int], bytes]  # its first n bytes; raises Unreadable("read", ...)


def refusal(name: str, size: int, packed: int) -> str:
    """Why a member of `size` bytes, stored in `packed` bytes, must not be read, or ""."""
    parts = name.replace("\\", "/").split("/")
    if not name:
        return "the member has no name"
    if parts[0] == "" or parts[0].endswith(":"):
        return "the member's name is an absolute path"
    if ".." in parts:
        return "the member's name climbs out of its container"
    if size > MAX_MEMBER_BYTES:
        return f"the member is larger than {MAX_MEMBER_BYTES >> 30} GiB"
    if size > RATIO_FREE_BYTES and size > MAX_RATIO * packed:
        return f"the member grows more than {MAX_RATIO} times when it is unpacked"
    return ""
