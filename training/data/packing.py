"""Decode and fit every picture of a version into one open file, in threads: OpenCV works outside the interpreter's lock."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cluster.progress import Reporter
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.train_recipe import Data
from training.data.fit import fit
from training.loop import stopping

_NAMED = 5


def pack(file: IO[bytes], rows: pa.Table, version: DatasetVersion, data: Data, largest: tuple[int, int], say: Reporter) -> None:
    """Write the pictures of `rows` (image_id, image_path, sha256, rows, columns) as a .npy of uint8 (n, rows, columns).

    Raises RadforgeError that names the first pictures that are missing or not what they were, after a look at all of them;
    OSError when the disk refuses.
    """
    columns, high = data.size
    shape = (rows.num_rows, high, columns)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    file.flush()
    begin, bad = file.tell(), []

    def store(index: int, row: Mapping[str, Any]) -> str | None:
        picture = _checked(version, row)
        if picture is None:
            return str(row["image_id"])
        _write(file.fileno(), fit(picture, data.size, data.fit, largest).data, begin + index * high * columns)
        return None

    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        with say.stage("decode", rows.num_rows, "pictures") as stage:
            for image in pool.map(store, range(rows.num_rows), rows.to_pylist()):
                bad += [image] if image else []
                stage.advance(1)
                stopping.check()
    finally:
        pool.shutdown(cancel_futures=True)
    if bad:
        raise RadforgeError(
            "pictures are missing or damaged",
            str(version.folder),
            f"{len(bad):,} of {rows.num_rows:,}: {', '.join(bad[:_NAMED])}{', ...' if len(bad) > _NAMED else ''}",
            "files as they were written; `etl verify` names them all",
        )


def _checked(version: DatasetVersion, row: Mapping[str, Any]) -> NDArray[Any] | None:
    """The picture, unless its file is not the one that the manifest means: a PNG cut short may still decode in part."""
    try:
        with (version.folder / str(row["image_path"])).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != row["sha256"]:
                return None
        return version.picture(row)
    except (OSError, RadforgeError):
        return None


def _write(file: int, data: memoryview, offset: int) -> None:
    """By pwrite and not through a memory map, where a full disk kills the process instead of raising OSError."""
    data = data.cast("B")
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written
