"""Small DICOM files, drawn in memory, for the tests of finding and reading them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from etl.archive.walk import Found

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def film(seed: int = 0, side: int = 16, syntax: str = ExplicitVRLittleEndian, **fields: Any) -> bytes:
    """A CR film of side x side pixels as the bytes of a file; `fields` replace its usual ones."""
    rng = np.random.default_rng(seed)
    dataset = Dataset()
    dataset.update(
        {
            "SOPClassUID": ComputedRadiographyImageStorage,
            "SOPInstanceUID": generate_uid(entropy_srcs=[f"instance {seed}"]),
            "StudyInstanceUID": generate_uid(entropy_srcs=["study"]),
            "SeriesInstanceUID": generate_uid(entropy_srcs=["series"]),
        }
    )
    usual = {
        "Modality": "CR", "PatientID": f"P{seed}", "BodyPartExamined": "WRIST", "KVP": "55",
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "Rows": side, "Columns": side,
        "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
        "PixelData": rng.integers(0, 4096, (side, side)).astype("<u2").tobytes(),
    }  # fmt: skip
    for keyword, value in (usual | fields).items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def put(path: Path, data: bytes) -> Found:
    """Write a file and list it."""
    path.write_bytes(data)
    return listed(path)


def listed(path: Path) -> Found:
    """A file as the walk lists it."""
    status = path.stat()
    return Found(path.name, str(path), status.st_size, status.st_mtime_ns)
