"""Pixel Data (7FE0,0010) in each transfer syntax that pinned libraries can write without loss."""

from __future__ import annotations

import gdcm
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

Stored = NDArray[np.uint16]  # (rows, columns), stored values

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
ENCAPSULATED = (RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless)


def encode(stored: Stored, bits: int, syntax: UID) -> bytes:
    """The value of Pixel Data for one frame of uint16 stored values, `bits` of them used (PS3.5 8 and annex
    A).

    Big endian words are swapped; encapsulated frames are one fragment behind an empty offset table's place.
    Raises KeyError for a syntax that is in neither NATIVE nor ENCAPSULATED.
    """
    if syntax == ExplicitVRBigEndian:
        return stored.astype(">u2").tobytes()
    if syntax in NATIVE:
        return stored.astype("<u2").tobytes()
    return bytes(encapsulate([_CODECS[syntax](stored, bits)]))


def _jpeg_lossless(stored: Stored, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg_encode(stored, lossless=True, bitspersample=bits, predictor=1))


def _jpeg_2000(stored: Stored, bits: int) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(stored, level=0, reversible=True, codecformat="j2k", bitspersample=bits, numthreads=1)
    )


def _rle(stored: Stored, bits: int) -> bytes:
    return _by_gdcm(stored, bits, gdcm.TransferSyntax.RLELossless)


def _jpeg_ls(stored: Stored, bits: int) -> bytes:
    return _by_gdcm(stored, bits, gdcm.TransferSyntax.JPEGLSLossless)


def _by_gdcm(stored: Stored, bits: int, syntax: int) -> bytes:
    writer = gdcm.ImageWriter()  # an image without a writer is freed under our feet
    image = writer.GetImage()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((stored.shape[1], stored.shape[0], 1))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ImplicitVRLittleEndian))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, 0))
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(stored.astype("<u2").tobytes())
    image.SetDataElement(element)
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(image)
    if not change.Change():
        raise RuntimeError("gdcm could not encode a drawn film")
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    buffers = [fragments.GetFragment(i).GetByteValue().GetBuffer() for i in range(fragments.GetNumberOfFragments())]
    return b"".join(buffer.encode("utf-8", "surrogateescape") for buffer in buffers)


_CODECS = {
    RLELossless: _rle,
    JPEGLosslessSV1: _jpeg_lossless,
    JPEGLSLossless: _jpeg_ls,
    JPEG2000Lossless: _jpeg_2000,
}
