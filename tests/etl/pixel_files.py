"""DICOM files around given pixels or streams, and the real ones in ../shared/data, for the pixel tests."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from etl.archive.dicom_reading import parse
from etl.pixels.claims import read_claims
from etl.pixels.decode import StoredFrame, decode
from etl.pixels.film import Film, read_film
from schemas.recipe import Pixels

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
DICOM = REAL / "dicom"
INVENTORY: list[dict[str, str]] = (
    list(csv.DictReader((REAL / "inventory.csv").read_text(encoding="utf-8").splitlines())) if REAL.is_dir() else []
)

needs_real_files = pytest.mark.skipif(not INVENTORY, reason="../shared/data is absent: no real files to test on")


def rows_with(*keywords: str) -> list[Any]:
    """Rows of the inventory in which all of these columns are filled, as test parameters named by file."""
    rows = [row for row in INVENTORY if all(row[keyword] for keyword in keywords)]
    return [pytest.param(row, id=row["file"]) for row in rows]


def dicom(pixels: NDArray[Any] | bytes | list[bytes], syntax: str = ExplicitVRLittleEndian, **fields: Any) -> bytes:
    """A CR file. `pixels`: an array (fields follow from it), native bytes, or a list of compressed frames."""
    ds = Dataset()
    ds.SOPClassUID = ComputedRadiographyImageStorage
    ds.SOPInstanceUID = generate_uid(entropy_srcs=["pixels"])
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    if isinstance(pixels, np.ndarray):
        ds.Rows, ds.Columns = pixels.shape[:2]
        ds.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
        ds.BitsAllocated = pixels.dtype.itemsize * 8
        ds.BitsStored = fields.get("BitsStored", ds.BitsAllocated)
        ds.HighBit = ds.BitsStored - 1
        ds.PixelRepresentation = int(pixels.dtype.kind == "i")
        pixels = pixels.tobytes()
    for keyword, value in fields.items():
        setattr(ds, keyword, value)
    if isinstance(pixels, list):
        ds.PixelData = encapsulate(pixels)
        ds["PixelData"].is_undefined_length = True
    else:
        ds.PixelData = pixels + b"\0" * (len(pixels) % 2)
    ds["PixelData"].VR = "OB" if isinstance(pixels, list) or ds.BitsAllocated <= 8 else "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    buffer = DicomBytesIO()  # by hand: pydicom refuses to write syntaxes that it does not know
    buffer.write(bytes(128) + b"DICM")
    write_file_meta_info(buffer, ds.file_meta, enforce_standard=False)
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    return bytes(buffer.getvalue())


def stored(data: bytes) -> StoredFrame:
    """The first frame's stored values; raises DecodeError when there are none."""
    ds = parse(data)
    frame = next(iter(decode(ds, read_claims(ds))))
    if not isinstance(frame, StoredFrame):
        raise frame
    return frame


def shown(data: bytes, **settings: Any) -> Film:
    """The first frame as a film."""
    item = next(iter(read_film(data, Pixels(**settings))))
    assert isinstance(item, Film), item
    return item


def ramp(rows: int = 40, columns: int = 30, top: int = 4095) -> NDArray[np.uint16]:
    """Greys that rise evenly from 0 to `top` with a little texture, so that decoders have something to do."""
    even = np.linspace(0, top, rows * columns).reshape(rows, columns)
    return np.clip(even + np.random.default_rng(1).normal(0, 20, even.shape), 0, top).astype(np.uint16)
