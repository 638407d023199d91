"""The thesis' pipeline as it is described: a PNG between the steps, GDCM, OpenCV's defaults. What radforge is held against.

Decode -> PNG; read, invert by four corners -> PNG; read, Otsu + components -> PNG per part; read, PCA of all pixels -> PNG.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels import apply_modality_lut, apply_voi_lut

Picture = NDArray[Any]


def film_to_png(source: Path, folder: Path) -> int:
    """One film through the whole pipeline; returns the number of pictures."""
    decoded = folder / f"{source.name}.0.png"
    cv2.imwrite(str(decoded), decode(source))
    inverted = folder / f"{source.name}.1.png"
    cv2.imwrite(str(inverted), invert(read(decoded)))
    parts = split(read(inverted))
    for number, part in enumerate(parts):
        path = folder / f"{source.name}.2.{number}.png"
        cv2.imwrite(str(path), part)
        cv2.imwrite(str(folder / f"{source.name}.3.{number}.png"), rotate(read(path)))
    return len(parts)


def read(path: Path) -> Picture:
    """A PNG as uint8 (rows, columns)."""
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return np.asarray(picture)


def decode(source: Path) -> Picture:
    """Stored values by GDCM where they are compressed, VOI, min-max to 8 bits."""
    dataset = pydicom.dcmread(BytesIO(source.read_bytes()))
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.pixel_array_options(decoding_plugin="gdcm" if "1.2.5" not in dataset.file_meta.TransferSyntaxUID else "pydicom")
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset).astype(float)
    low, high = values.min(), values.max()
    picture = ((values - low) / max(high - low, 1) * 255).astype(np.uint8)
    return 255 - picture if dataset.PhotometricInterpretation == "MONOCHROME1" else picture


def invert(picture: Picture) -> Picture:
    """Equation 4.1: turn when the corners' mean reaches 100."""
    rows, columns = (max(1, side // 20) for side in picture.shape)
    corners = (picture[:rows, :columns], picture[:rows, -columns:], picture[-rows:, :columns], picture[-rows:, -columns:])
    return 255 - picture if np.mean([corner.mean() for corner in corners]) >= 100 else picture


def split(picture: Picture) -> list[Picture]:
    """Otsu, components, small ones removed, components again."""
    _, mask = cv2.threshold(picture, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] > 0.02 * picture.size]
    cleaned = np.isin(labels, large).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(cleaned)
    if count <= 2:
        return [picture]
    return [picture[y : y + h, x : x + w] for x, y, w, h, _ in stats[1:]]


def rotate(picture: Picture) -> Picture:
    """Equation 4.2: arccos of the first principal component of all limb pixels."""
    _, mask = cv2.threshold(picture, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    kernel = np.ones((15, 15), np.uint8)
    mask = cv2.morphologyEx(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel), cv2.MORPH_OPEN, kernel)
    points = np.argwhere(mask)[:, ::-1].astype(np.float32)
    if len(points) < 2:
        return picture
    _, vectors, _ = cv2.PCACompute2(points, np.empty(0))
    angle = 90 - float(np.degrees(np.arccos(np.clip(vectors[0, 0], -1, 1))))
    rows, columns = picture.shape
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), angle, 1)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    size = (int(rows * sin + columns * cos), int(rows * cos + columns * sin))
    matrix[0, 2] += size[0] / 2 - columns / 2
    matrix[1, 2] += size[1] / 2 - rows / 2
    return np.asarray(cv2.warpAffine(picture, matrix, size))
