"""From the bytes of Pixel Data to stored values: one decoder for each transfer syntax, its guard beside it.

No decoder is tried just because another one failed: a fallback is a line of the table, and the manifest's
column `decoder` tells of it. Why each stands where it does:

- libjpeg-turbo (JPEG): exact and faster than GDCM, but returns a full picture for half a stream. So the end
  marker must be there and its values unsuspicious; otherwise GDCM decides, which tells of damage. (It is not
  the first: bad streams can make it abort.)
- CharLS, OpenJPEG, libjxl: refuse what is cut. OpenJPH does not, so HTJ2K goes through OpenJPEG as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from etl.archive import dicom_reading
from etl.pixels import compressed
from etl.pixels.agreement import as_announced, colour_model, disagreements, require_plausible, with_sign
from etl.pixels.claims import Claims, DecodeError, name
from etl.pixels.codestream import Colour, StreamHeader, read_header
from etl.pixels.fragments import is_encapsulated, split_frames
from etl.pixels.suspicion import OUT_OF_RANGE, suspect_lossless, suspect_lossy
from etl.pixels.uncompressed import native_frame

Values = NDArray[Any]
Reader = Callable[[bytes, StreamHeader | None, Claims], Values]


@dataclass(frozen=True, slots=True)
class Codec:
    """How a kind of stream is decoded.

    `suspect(values, header, claims)` is our code for why the result may not be believed, "" where it may;
    then the fallback decides.
    """

    name: str
    read: Reader
    suspect: Callable[[Values, StreamHeader, Claims], str] | None = None
    fallback: Codec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFrame:
    """Stored values of one frame before any table: (rows, columns), or (rows, columns, 3) in `colour`.

    `decoder` names what decoded it, with the reason for a fallback; `problems` are our codes for what
    header and stream do not agree on.
    """

    pixels: Values
    decoder: str
    colour: Colour = ""
    problems: tuple[str, ...] = ()


def _plain(stream: bytes, _: StreamHeader | None, claims: Claims) -> Values:
    """One uncompressed frame in fragments of its own."""
    one = replace(claims, frames=1)
    one.require_length(len(stream))
    return native_frame(stream, one, 0, big_endian=False, words=False)


def _deflated(stream: bytes, header: StreamHeader | None, claims: Claims) -> Values:
    """One deflated frame; single-bit frames fill whole bytes (PS3.5 A.4.12)."""
    return _plain(compressed.inflate(stream, replace(claims, frames=1).native_bytes), header, claims)


NATIVE = Codec("native", _plain)
DEFLATED = Codec("deflate", _deflated)
RLE = Codec("imagecodecs-packbits", compressed.decode_rle)
GDCM = Codec("gdcm", compressed.decode_gdcm)
JPEG_LOSSY = Codec("imagecodecs-jpeg", compressed.decode_jpeg, suspect_lossy, GDCM)
JPEG_LOSSLESS = Codec("imagecodecs-jpeg", compressed.decode_jpeg, suspect_lossless, GDCM)
JPEG_COLOUR = Codec("imagecodecs-jpeg", compressed.decode_jpeg)
JPEG_LS = Codec("imagecodecs-jpegls", compressed.decode_jpeg_ls)
JPEG_2000 = Codec("imagecodecs-jpeg2k", compressed.decode_jpeg_2000)
JPEG_XL = Codec("imagecodecs-jpegxl", compressed.decode_jpeg_xl)

UNDEFINED = 0xFFFFFFFF  # a length
END_MARKER = b"\xff\xd9"  # EOI, EOC
BIG_ENDIAN = "1.2.840.10008.1.2.2"

DECODERS: Mapping[str, Codec] = {
    "1.2.840.10008.1.2": NATIVE,  # Implicit VR Little Endian
    "1.2.840.10008.1.2.1": NATIVE,  # Explicit VR Little Endian
    "1.2.840.10008.1.2.1.98": NATIVE,  # Encapsulated Uncompressed Explicit VR Little Endian
    "1.2.840.10008.1.2.1.99": NATIVE,  # Deflated Explicit VR Little Endian (the whole data set is)
    BIG_ENDIAN: NATIVE,  # Explicit VR Big Endian (retired)
    "1.2.840.10008.1.2.5": RLE,
    "1.2.840.10008.1.2.8.1": DEFLATED,  # Deflated Image Frame Compression
    "1.2.840.10008.1.2.4.50": JPEG_LOSSY,  # Baseline (Process 1)
    "1.2.840.10008.1.2.4.51": JPEG_LOSSY,  # Extended (Process 2 and 4)
    "1.2.840.10008.1.2.4.53": JPEG_LOSSY,  # Spectral Selection (retired)
    "1.2.840.10008.1.2.4.55": JPEG_LOSSY,  # Full Progression (retired)
    "1.2.840.10008.1.2.4.57": JPEG_LOSSLESS,  # Process 14
    "1.2.840.10008.1.2.4.70": JPEG_LOSSLESS,  # Process 14, Selection Value 1
    "1.2.840.10008.1.2.4.80": JPEG_LS,
    "1.2.840.10008.1.2.4.81": JPEG_LS,  # near-lossless
    "1.2.840.10008.1.2.4.90": JPEG_2000,  # lossless
    "1.2.840.10008.1.2.4.91": JPEG_2000,
    "1.2.840.10008.1.2.4.110": JPEG_XL,  # lossless
    "1.2.840.10008.1.2.4.111": JPEG_XL,  # recompressed JPEG
    "1.2.840.10008.1.2.4.112": JPEG_XL,
    "1.2.840.10008.1.2.4.201": JPEG_2000,  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202": JPEG_2000,  # HTJ2K lossless, RPCL
    "1.2.840.10008.1.2.4.203": JPEG_2000,  # HTJ2K
}


def decode(ds: Dataset, claims: Claims) -> Iterator[StoredFrame | DecodeError]:
    """The frames of a data set in order, one decoded at a time; a frame that cannot be had is a DecodeError.

    `ds` as dicom_reading.parse returns it. Raises DecodeError before the first frame when none can be had.
    """
    element = ds.get_item(tag_for_keyword(claims.element) or 0, keep_deferred=True)
    data = getattr(element, "value", None)
    if not isinstance(data, bytes) or not data:
        raise DecodeError(f"{name(claims.element)} is empty")
    undefined = getattr(element, "length", 0) == UNDEFINED or getattr(element, "is_undefined_length", False)
    syntax = dicom_reading.transfer_syntax(ds)
    codec = DECODERS.get(syntax)
    if is_encapsulated(data) and (undefined or codec is not NATIVE):
        streams, problems = split_frames(data, claims.frames)
    elif codec is NATIVE:
        words = getattr(element, "VR", None) == "OW"
        yield from _native(data, claims, big_endian=syntax == BIG_ENDIAN, words=words)
        return
    elif claims.frames == 1 and read_header(data) is not None:
        streams, problems = [data], ("not_encapsulated",)
    elif codec is not None and len(data) == claims.native_bytes + claims.native_bytes % 2:
        unpacked = replace(claims, problems=(*claims.problems, "not_compressed"))
        yield from _native(data, unpacked, big_endian=False, words=False)
        return
    else:
        raise DecodeError(
            f"the transfer syntax is {'none' if codec is None else 'one'} of the {len(DECODERS)} known,"
            f" {name(claims.element)} holds {len(data):,} bytes and no item"
        )
    claims = replace(claims, problems=(*claims.problems, *problems))
    for stream in streams:
        try:
            yield _compressed(stream, codec, claims)
        except DecodeError as error:
            yield error


def _native(data: bytes, claims: Claims, *, big_endian: bool, words: bool) -> Iterator[StoredFrame]:
    if claims.subsampled and len(data) >= claims.native_bytes // 2 * 3:
        claims = replace(claims, photometric="YBR_FULL", problems=(*claims.problems, "chroma_not_subsampled"))
    claims.require_length(len(data))
    problems = claims.problems
    if len(data) > claims.native_bytes + claims.native_bytes % 2:
        problems = (*problems, "trailing_bytes")
    for index in range(claims.frames):
        pixels = native_frame(data, claims, index, big_endian=big_endian, words=words)
        yield StoredFrame(pixels=pixels, decoder="native", colour=colour_model(claims, None), problems=problems)


def _compressed(stream: bytes, codec: Codec | None, claims: Claims) -> StoredFrame:
    """One frame. On size, samples and kind the stream is believed over the data set, which is recorded."""
    header = None if codec is DEFLATED else read_header(stream)
    if header is None:
        return _headless(stream, codec, claims)
    require_plausible(stream, header, claims)
    believed = _codec_of(header)
    problems = [*claims.problems, *disagreements(header, claims)]
    if codec is not believed and not (believed is JPEG_COLOUR and codec in (JPEG_LOSSY, JPEG_LOSSLESS)):
        problems.append("transfer_syntax_codestream")
    if not header.complete:
        if believed is JPEG_COLOUR:
            raise DecodeError("the JPEG stream has no end marker (EOI), and its decoder would not notice a cut")
        problems.append("end_marker_missing")
        stream += END_MARKER
    values, decoder, more = _believed(stream, header, believed, claims)
    pixels, signs = with_sign(values, header, claims)
    return StoredFrame(
        pixels=pixels,
        decoder=decoder,
        colour=colour_model(claims, header) if values.ndim == 3 else "",
        problems=(*problems, *more, *signs),
    )


def _headless(stream: bytes, codec: Codec | None, claims: Claims) -> StoredFrame:
    """A stream that says nothing of itself: run lengths, deflated or plain; its size is the header's word."""
    if codec not in (NATIVE, DEFLATED, RLE):
        raise DecodeError("the frame does not begin as a stream of any transfer syntax that is read")
    claims.require_plausible(len(stream))
    return StoredFrame(
        pixels=codec.read(stream, None, claims),
        decoder=codec.name,
        colour=colour_model(claims, None),
        problems=claims.problems,
    )


def _codec_of(header: StreamHeader) -> Codec:
    if header.kind == "jpeg":
        return JPEG_COLOUR if header.samples == 3 else JPEG_LOSSLESS if header.lossless else JPEG_LOSSY
    return {"jpeg_ls": JPEG_LS, "jpeg_2000": JPEG_2000, "htj2k": JPEG_2000, "jpeg_xl": JPEG_XL}[header.kind]


def _believed(stream: bytes, header: StreamHeader, codec: Codec, claims: Claims) -> tuple[Values, str, tuple[str, ...]]:
    """Values, the decoder's name with the reason for a fallback, and problems.

    Two decoders that differ on a lossless stream have met damage. If they agree on values beyond
    BitsStored, the header may be wrong instead: the picture is kept and the problem told.
    """
    if codec.suspect is None or codec.fallback is None:
        return as_announced(codec.read(stream, header, claims), header), codec.name, ()
    first, reason = None, "end_marker_missing"
    if header.complete:
        try:
            first = as_announced(codec.read(stream, header, claims), header)
            reason = codec.suspect(first, header, claims)
            if not reason:
                return first, codec.name, ()
        except DecodeError:
            reason = "refused"
    values = as_announced(codec.fallback.read(stream, header, claims), header)
    if header.lossless and first is not None and not np.array_equal(first, values):
        raise DecodeError("two decoders differ on a lossless stream: it is damaged")
    beyond = codec.suspect(values, header, claims) == OUT_OF_RANGE
    return values, f"{codec.fallback.name}:{reason}", (OUT_OF_RANGE,) if beyond else ()
