"""All pictures of a version, decoded and fitted once, in one file: epochs cost no decoding.

    CACHE/<version>-<key>.npy       uint8 (pictures, rows, columns), written beside and renamed: it is whole or not there
    CACHE/<version>-<key>.lock      while it is built: whoever comes second waits for the first

The key covers the pictures' hashes, the size, the fit, OpenCV's version and this format, and not the label: every label of a
version uses the same file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import socket
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cluster.progress import Reporter
from schemas.errors import RadforgeError
from schemas.train_recipe import Data
from training.data.films import Films
from training.data.lock import alone_at
from training.data.packing import pack

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Pictures:
    """The inputs of some films: `pictures[position]` is uint8 (rows, columns), `pictures[positions]` has one more axis.

    A worker process gets the path, never the pixels: the file is mapped where it is first read.
    """

    path: Path
    stored: NDArray[np.int64]
    """(n,): where in the file the picture of each film lies."""

    @cached_property
    def file(self) -> NDArray[np.uint8]:
        """The whole file, mapped read-only: uint8 (pictures, rows, columns)."""
        mapped: NDArray[np.uint8] = np.load(self.path, mmap_mode="r")
        return mapped

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, rows, columns)."""
        return (len(self), *self.file.shape[1:])

    def __len__(self) -> int:
        return int(self.stored.size)

    def __getitem__(self, positions: Any) -> NDArray[np.uint8]:
        return np.asarray(self.file[self.stored[positions]])

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "stored": self.stored}


def open_cache(films: Films, data: Data, folder: Path | None, say: Reporter) -> Pictures:
    """The inputs of `films`, in their order, from the cache; it is built first where it is not there yet.

    `folder`: where caches lie; else $RADFORGE_CACHE, $XDG_CACHE_HOME/radforge or ~/.cache/radforge. Safe when several
    processes do it at once. Raises RadforgeError for missing or damaged pictures, and where the disk refuses.
    """
    names = ["image_id", "image_path", "sha256", "rows", "columns"]
    rows = films.version.table("manifest", names).sort_by("image_id")
    path = _cache_folder(folder) / f"{films.version.version}-{_key(rows, data, films.largest)}.npy"
    columns, high = data.size
    shape = (rows.num_rows, high, columns)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _whole(path, shape):
            _build(path, shape, rows, films, data, say)
    except OSError as error:
        raise RadforgeError(
            "the cache cannot be written",
            str(path.parent),
            error.strerror or "I/O error",
            f"a place with room for {_size(shape)}; --cache FOLDER chooses one",
        ) from None
    place = {image: index for index, image in enumerate(rows["image_id"].to_pylist())}
    return Pictures(path, np.array([place[image] for image in films.rows["image_id"].to_pylist()], dtype=np.int64))


def _build(path: Path, shape: tuple[int, int, int], rows: pa.Table, films: Films, data: Data, say: Reporter) -> None:
    with alone_at(path.with_suffix(".lock"), say) as alone:
        if _whole(path, shape):
            return  # somebody else built it while we waited
        if alone:
            for left_behind in path.parent.glob(f"{path.stem}.*.part"):
                left_behind.unlink(missing_ok=True)
        if shutil.disk_usage(path.parent).free < math.prod(shape):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        say.say(f"decoding {shape[0]:,} pictures once, at {shape[2]} x {shape[1]}, into {path} ({_size(shape)})")
        draft = path.with_name(f"{path.stem}.{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}.part")
        try:
            with draft.open("wb") as file:
                pack(file, rows, films.version, data, films.largest, say)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def _whole(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether the file is there, of this shape, and as long as that. A file cut short cannot be mapped."""
    try:
        mapped = np.load(path, mmap_mode="r")
    except (FileNotFoundError, ValueError, EOFError):
        return False
    return bool(mapped.shape == shape and mapped.dtype == np.uint8)


def _key(rows: pa.Table, data: Data, largest: tuple[int, int]) -> str:
    pictures = list(zip(rows["image_id"].to_pylist(), rows["sha256"].to_pylist(), strict=True))
    canvas = largest if data.fit == "pad_largest" else None
    identity = json.dumps([_FORMAT, cv2.__version__, data.size, data.fit, canvas, pictures])
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _cache_folder(chosen: Path | None) -> Path:
    if chosen is not None:
        return chosen
    if own := os.environ.get("RADFORGE_CACHE"):
        return Path(own)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "radforge"


def _size(shape: tuple[int, ...]) -> str:
    size = math.prod(shape)
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
