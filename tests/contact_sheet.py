"""Before and after, side by side: a page of films to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.picture_store import shrink
from etl.pixels import png
from schemas.dataset import DatasetVersion, read_picture

TILE = 200
GAP = 6
PAGE = 96  # grey of the page, so that air (black) can be told from it


def contact_sheet(version: DatasetVersion, films: int, columns: int, only: Sequence[str] = ()) -> NDArray[Any]:
    """uint8 (rows, columns): each film as it was decoded, then its pictures; the most changed films first."""
    records = version.table("manifest").to_pylist()
    by_film: dict[str, list[dict[str, Any]]] = {}
    for row in records:
        by_film.setdefault(f"{row['source_id']}/{row['frame_index']}", []).append(row)
    chosen = [key for key in by_film if not only or key.split("/")[0] in only]
    chosen.sort(key=lambda key: (-_changes(by_film[key]), key))
    strips = [_strip(version, by_film[key]) for key in chosen[:films]]
    return _page(strips, columns)


def _changes(rows: list[dict[str, Any]]) -> int:
    turned = any(abs(row["rotation_deg"] or 0) > 10 for row in rows)
    return 2 * (len(rows) > 1) + 2 * bool(rows[0]["inverted"]) + turned


def _strip(version: DatasetVersion, rows: list[dict[str, Any]]) -> NDArray[Any]:
    before = read_picture(version.folder / rows[0]["preview_path"])
    after = [version.picture(row) for row in sorted(rows, key=lambda row: row["region_index"])]
    tiles = [_tile(before)] + [_tile(picture) for picture in after[:2]]
    return np.hstack(tiles)


def _tile(picture: NDArray[Any]) -> NDArray[Any]:
    small = shrink(picture, TILE)
    tile = np.full((TILE + GAP, TILE + GAP), PAGE, np.uint8)
    top, left = (TILE - small.shape[0]) // 2, (TILE - small.shape[1]) // 2
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile


def _page(strips: list[NDArray[Any]], columns: int) -> NDArray[Any]:
    framed = [np.pad(strip, ((GAP, GAP), (0, 4 * GAP)), constant_values=PAGE) for strip in strips]
    lines = [np.hstack(framed[start : start + columns]) for start in range(0, len(framed), columns)]
    width = max(line.shape[1] for line in lines)
    return np.vstack([np.pad(line, ((0, 0), (0, width - line.shape[1])), constant_values=PAGE) for line in lines])


def save(path: Path, page: NDArray[Any]) -> None:
    """Write a page as PNG, half size when it is large."""
    if page.shape[1] > 2600:
        page = cv2.resize(page, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    path.write_bytes(png.encode(np.ascontiguousarray(page)))
