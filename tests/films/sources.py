"""Films to start from: drawn ones at any seed, the real ones of the data folder, and a folder of your own."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from etl.phantom.bodies import draw_region
from etl.phantom.wrist import draw_wrist
from etl.phantom.wrist_anatomy import View
from etl.pixels.film import Film, read_film
from schemas.recipe import Pixels
from tests.films.known import KnownFilm, Mask, Picture, plain

DATA = Path(__file__).parents[3] / "shared" / "data" / "dicom"
REAL = {  # of the data folder: whether its way up is known, and where it was exposed (x0, y0, x1, y1 of its sides)
    "pylibjpeg-data/NM_Kakadu44_SOTmarkerincons.dcm": (True, (0.03, 0.12, 1.0, 1.0)),  # a hand
    "pylibjpeg-data/RG3_J2KI.dcm": (False, (0.27, 0.0, 0.69, 1.0)),  # a child's lower leg between white blades
}
WHOLE = (0.0, 0.0, 1.0, 1.0)
LONGEST = 900  # pixels: larger films are shrunk, the steps look at thumbnails anyway


def drawn(seeds: range) -> Iterator[tuple[str, KnownFilm]]:
    """Wrists, whole hands and lateral views as a phantom draws them, upright, with noise and a heel effect."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        rows = int(rng.integers(560, 760))
        columns = int(rows * rng.uniform(0.62, 0.9))
        kind = ("wrist", "hand", "wrist", "lateral")[seed % 4]
        if kind == "hand":
            film = draw_region(rng, "hand", rows, columns)
        else:
            view: View = "lateral" if kind == "lateral" else "pa"
            film = draw_wrist(rng, rows, columns, view=view, mirrored=seed % 3 == 0, rows_mm=float(rng.uniform(190, 260)))
        noise = cv2.GaussianBlur(rng.normal(0, 1, film.pixels.shape).astype(np.float32), (0, 0), 0.5)
        heel = np.linspace(-0.5, 0.5, rows)[:, None] * rng.uniform(-0.06, 0.06)
        grey = rng.uniform(0.02, 0.1) + 0.88 * film.pixels * (1 + heel) + noise * rng.uniform(0.008, 0.02)
        pixels = np.asarray(np.clip(grey, 0, 1) * 255, np.uint8)
        yield f"drawn {kind} {seed}", plain(f"drawn {seed}", pixels, film.limb, film.parts[0].tilt_deg)


def real() -> Iterator[tuple[str, KnownFilm]]:
    """The radiographs of the data folder that show a limb; nothing where the folder is absent."""
    for name, (knows_up, window) in REAL.items():
        path = DATA / name
        if not path.exists():
            continue
        for item in read_film(path.read_bytes(), Pixels()):
            if isinstance(item, Film):
                yield name, _of_picture(name, np.asarray(item.frame.pixels, np.uint8), 0.0, knows_up, window)


def own(folder: Path, parts: tuple[str, ...] = ()) -> Iterator[tuple[str, KnownFilm]]:
    """The films that `folder/truth.csv` lists (file, body_part, air_is_bright, parts, upside_down, tilt_deg_estimate, notes).

    Only films of one limb, and of `parts` where some are named, are used; the way up counts where `upside_down` or a tilt of
    about 90 says it.
    """
    with (folder / "truth.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if parts and row["body_part"].strip() not in parts:
                continue
            picture = cv2.imread(str(folder / row["file"]), cv2.IMREAD_GRAYSCALE)
            if picture is None or row["parts"].strip() != "1" or not row["air_is_bright"].strip():
                continue
            pixels = cv2.bitwise_not(picture) if row["air_is_bright"].strip() == "1" else picture
            tilt, below = row["tilt_deg_estimate"].strip(), row["upside_down"].strip()
            turn = float(tilt or 0.0) + (180.0 if below == "1" else 0.0)
            known = bool(below) or abs(float(tilt or 0.0)) > 45
            yield row["file"], _of_picture(row["file"], np.asarray(pixels, np.uint8), turn, known)


def _of_picture(
    name: str, pixels: Picture, turn: float, knows_up: bool, window: tuple[float, float, float, float] = WHOLE
) -> KnownFilm:
    scale = min(1.0, LONGEST / max(pixels.shape))
    small = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else pixels)
    rows, columns = small.shape
    x0, y0, x1, y1 = (round(share * side) for share, side in zip(window, (columns, rows, columns, rows), strict=True))
    exposed = np.zeros(small.shape, bool)
    exposed[y0:y1, x0:x1] = True
    flesh = np.zeros(small.shape, bool)
    flesh[y0:y1, x0:x1] = _flesh(small[y0:y1, x0:x1])
    film = plain(name, small, flesh, turn, knows_up=knows_up)
    return replace(film, exposed=exposed)


def _flesh(pixels: Picture) -> Mask:
    """The largest component above Otsu's threshold: good enough to say which pixels belong to the limb."""
    smooth = cv2.GaussianBlur(pixels, (0, 0), 3)
    _, bright = cv2.threshold(smooth, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bright)
    return np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])), np.bool_) if len(stats) > 1 else bright > 0
