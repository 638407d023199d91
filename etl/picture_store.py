"""Pictures to disk: PNG once, fsynced, by one background thread that writes while the next film decodes."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2

from etl.pixels import png
from etl.study import Pixels
from schemas.errors import RadforgeError

PREVIEW_SIDE = 256
FOLDERS = tuple(f"{number:02x}" for number in range(256))


def make_folders(content: Path) -> None:
    """All 256 folders once, before any worker starts: on a parallel file system each mkdir is a lock."""
    for kind in ("images", "previews"):
        for folder in FOLDERS:
            (content / kind / folder).mkdir(parents=True, exist_ok=True)


def image_id_of(instance_id: str, frame_index: int, region_index: int) -> str:
    """Id of a picture. An unkeyed hash is safe here, because instance_id is a keyed one already."""
    return hashlib.sha256(f"image:{instance_id}:{frame_index}:{region_index}".encode()).hexdigest()[:20]


class PictureStore:
    """Writes the pictures of one batch. Leaving the `with` block waits until all lie on the disk, or raises."""

    def __init__(self, content: Path) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._content = content
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="png")
        self._pending: list[Future[None]] = []

    def __enter__(self) -> PictureStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        started = time.perf_counter()
        self._thread.shutdown(wait=True)
        self.seconds["write"] += time.perf_counter() - started
        if error is None:
            self._collect()

    def picture(self, image_id: str, pixels: Pixels) -> dict[str, Any]:
        """Encode now, write behind. Returns the manifest columns of the picture."""
        path = f"images/{image_id[:2]}/{image_id}.png"
        return {"image_id": image_id, "image_path": path, "sha256": self._write(path, pixels)}

    def preview(self, instance_id: str, frame_index: int, pixels: Pixels) -> dict[str, Any]:
        """The decoded film, shrunk to PREVIEW_SIDE and 8 bits."""
        name = hashlib.sha256(f"preview:{instance_id}:{frame_index}".encode()).hexdigest()[:20]
        path = f"previews/{name[:2]}/{name}.png"
        return {"preview_path": path, "preview_sha256": self._write(path, shrink(pixels, PREVIEW_SIDE))}

    def _write(self, path: str, pixels: Pixels) -> str:
        data = png.encode(pixels)
        digest = hashlib.sha256(data).hexdigest()
        self.copy(path, data)
        return digest

    def copy(self, path: str, data: bytes) -> None:
        """Write bytes that are a picture already."""
        if len(self._pending) >= 4:  # a bound on the encoded pictures that wait in memory
            self._collect(keep=3)
        self._pending.append(self._thread.submit(write_durably, self._content / path, data))

    def _collect(self, keep: int = 0) -> None:
        while len(self._pending) > keep:
            self._pending.pop(0).result()


def shrink(pixels: Pixels, side: int) -> Pixels:
    """uint8 (rows, columns) copy whose longer side is at most `side`."""
    rows, columns = pixels.shape
    scale = side / max(rows, columns)
    if scale < 1:
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return pixels if pixels.dtype.itemsize == 1 else (pixels >> 8).astype("uint8")


def write_durably(path: Path, data: bytes, failed: Callable[[OSError], RadforgeError] | None = None) -> None:
    """Write, fsync, and only then give it its name. Raises RadforgeError when the disk is full, read-only or failing:
    what `failed` makes of it.

    A worker that outlives a killed driver for a moment may still write: by the rename it can only replace a picture by
    its equal, never cut one short that the next run has counted already.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise (failed or disk_error)(error) from None


def disk_error(
    error: OSError, of: str = "the dataset", then: str = "the same command goes on where it stopped"
) -> RadforgeError:
    """The disk's mistake as one sentence. What is committed and what is finished stays; `then`: what comes of mending it."""
    reason = {errno.ENOSPC: "is full", errno.EDQUOT: "quota is used up", errno.EROFS: "is read-only"}
    return RadforgeError(
        f"the disk of {of} {reason.get(error.errno or 0, 'cannot be written: ' + (error.strerror or 'I/O error'))}",
        expected=f"to be mended; then {then}",
    )
