"""Encapsulated Pixel Data: items of bytes, several or one for each frame (PS3.5 A.4)."""

from __future__ import annotations

import struct

from etl.pixels.claims import DecodeError, name

_ITEM = b"\xfe\xff\x00\xe0"
_DELIMITER = b"\xfe\xff\xdd\xe0"
_STARTS = (
    b"\xff\xd8\xff",
    b"\xff\x4f\xff\x51",
    b"\x00\x00\x00\x0cjP  ",
    b"\xff\x0a",
    b"\x00\x00\x00\x0cJXL ",
)


def is_encapsulated(data: bytes) -> bool:
    """Whether the value of Pixel Data begins with an item."""
    return data[:4] == _ITEM


def split_frames(data: bytes, frames: int) -> tuple[list[bytes], tuple[str, ...]]:
    """One compressed stream for each of `frames` frames, and problems met (our own codes).

    `data` is the value of Pixel Data: a basic offset table (often empty, at times missing), then the
    fragments. The extended offset table (PS3.3 C.7.6.3.1.8) allows one fragment a frame only, so it tells
    nothing new. Raises DecodeError when fragments are cut or cannot be divided into the frames.
    """
    spans = _item_spans(data)
    problems: list[str] = []
    offsets = _offset_table(data, spans[0]) if spans else None
    if offsets is None:
        problems.append("offset_table_missing")
    else:
        spans = spans[1:]
    while len(spans) > frames and spans[-1][0] == spans[-1][1]:
        spans.pop()  # empty items at the end belong to no frame
    if not spans:
        raise DecodeError(f"{name('PixelData')} holds no fragment, expected {frames} or more")
    groups = _group(data, spans, offsets or (), frames)
    if len(groups) > frames:
        problems.append("more_frames_than_claimed")
    if len(groups) < frames:
        raise DecodeError(
            f"{name('PixelData')} holds {len(spans):,} fragments that begin {len(groups):,} frames,"
            f" NumberOfFrames (0028,0008) claims {frames:,}"
        )
    return [b"".join(data[start:end] for start, end in group) for group in groups[:frames]], tuple(problems)


_Span = tuple[int, int]


def _item_spans(data: bytes) -> list[_Span]:
    """First and last byte (exclusive) of each item's value."""
    spans: list[_Span] = []
    at = 0
    while at + 8 <= len(data) and data[at : at + 4] != _DELIMITER:
        if data[at : at + 4] != _ITEM:
            raise DecodeError(f"{name('PixelData')} has no item tag (FFFE,E000) at byte {at:,} of its value")
        length = struct.unpack_from("<I", data, at + 4)[0]
        at += 8
        if length > len(data) - at:
            raise DecodeError(f"{name('PixelData')} claims a fragment of {length:,} bytes, {len(data) - at:,} are left")
        spans.append((at, at + length))
        at += length
    return spans


def _offset_table(data: bytes, span: _Span) -> tuple[int, ...] | None:
    """Offsets of the frames; () for an empty table; None when the first item is no table but a fragment."""
    start, end = span
    if (end - start) % 4:
        return None
    offsets = struct.unpack_from(f"<{(end - start) // 4}I", data, start)
    return None if offsets and offsets[0] != 0 else offsets


def _group(data: bytes, spans: list[_Span], offsets: tuple[int, ...], frames: int) -> list[list[_Span]]:
    """Fragments by frame: one each, by the offset table, or by the signature that begins a stream."""
    if len(spans) == frames:
        return [[span] for span in spans]
    base = spans[0][0] - 8
    by_offset = {start - 8 - base: index for index, (start, _) in enumerate(spans)}
    if len(offsets) == frames and all(offset in by_offset for offset in offsets):
        firsts = [by_offset[offset] for offset in offsets]
        if firsts == sorted(set(firsts)):
            return _cut(spans, firsts)
    firsts = [index for index, (start, _) in enumerate(spans) if data[start : start + 12].startswith(_STARTS)]
    if not firsts or firsts[0] != 0:
        firsts = [0, *firsts]
    if frames == 1 and len(firsts) > 1 and not data[spans[0][0] : spans[0][0] + 12].startswith(_STARTS):
        firsts = [0]
    return _cut(spans, firsts)


def _cut(spans: list[_Span], firsts: list[int]) -> list[list[_Span]]:
    return [spans[first:last] for first, last in zip(firsts, [*firsts[1:], len(spans)], strict=True)]
