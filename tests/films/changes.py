"""Known changes of a film. Each takes films and a generator and keeps the truth beside the pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import cv2
import numpy as np
from numpy.random import Generator

from tests.films.known import KnownFilm, Limb, Mask, Picture

Change = Callable[[KnownFilm, Generator], KnownFilm]


# greys


def inverted(film: KnownFilm, rng: Generator) -> KnownFilm:
    """The negative: what lies outside the exposed field stays as it is, as where a scanner made the border."""
    turned = np.where(film.exposed, 255 - film.pixels, film.pixels).astype(np.uint8)
    return replace(film, pixels=turned)


def _regrey(film: KnownFilm, grey: np.ndarray) -> KnownFilm:
    pixels = np.asarray(np.clip(np.round(grey), 0, 255), np.uint8)
    return replace(film, pixels=pixels)


def noisy(film: KnownFilm, rng: Generator) -> KnownFilm:
    """Noise of a tenth of the range."""
    return _regrey(film, film.pixels + rng.normal(0, 25, film.pixels.shape))


def faint(film: KnownFilm, rng: Generator) -> KnownFilm:
    """A fifth of the contrast, somewhere in the range."""
    return _regrey(film, rng.uniform(20, 180) + 0.2 * film.pixels)


def saturated(film: KnownFilm, rng: Generator) -> KnownFilm:
    """A window so narrow that a third of the greys end as black or white."""
    low, high = np.percentile(film.pixels, (10, 88))
    return _regrey(film, (film.pixels - low) * (255.0 / max(high - low, 1.0)))


# borders


def _bordered(film: KnownFilm, widths: tuple[int, int, int, int], grey: int) -> KnownFilm:
    top, bottom, left, right = widths

    def grown(picture: np.ndarray, value: int) -> np.ndarray:
        return np.asarray(cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=value))

    limbs = tuple(replace(limb, mask=grown(limb.mask.astype(np.uint8), 0) > 0) for limb in film.limbs)
    exposed = grown(film.exposed.astype(np.uint8), 0) > 0
    return replace(film, pixels=grown(film.pixels, grey), positive=grown(film.positive, grey), exposed=exposed, limbs=limbs)


def _widths(film: KnownFilm, rng: Generator) -> tuple[int, int, int, int]:
    top, bottom, left, right = (round(max(film.pixels.shape) * w) for w in rng.uniform(0.02, 0.12, 4))
    return top, bottom, left, right


def white_frame(film: KnownFilm, rng: Generator) -> KnownFilm:
    """White on all sides, of uneven width."""
    return _bordered(film, _widths(film, rng), 255)


def black_frame(film: KnownFilm, rng: Generator) -> KnownFilm:
    """Black on all sides, of uneven width."""
    return _bordered(film, _widths(film, rng), 0)


def text_border(film: KnownFilm, rng: Generator) -> KnownFilm:
    """A band of writing below or above, dark on white or white on black."""
    height, ink = round(0.14 * film.pixels.shape[0]), int(rng.choice([0, 255]))
    below = bool(rng.random() < 0.5)
    grown = _bordered(film, (0, height, 0, 0) if below else (height, 0, 0, 0), 255 - ink)
    pixels = grown.pixels.copy()
    first = pixels.shape[0] - height if below else 0
    for line in range(3):
        place = (10, first + round(height * (line + 0.8) / 3.2))
        cv2.putText(pixels, "Radiology  kV 52  mAs 2.5", place, cv2.FONT_HERSHEY_SIMPLEX, height / 110, ink, 1, cv2.LINE_AA)
    return replace(grown, pixels=pixels)


def scanned(film: KnownFilm, rng: Generator) -> KnownFilm:
    """A sheet on a scanner's lid: slanted, bright lid around, a dark rim of unexposed film, dust."""
    rim = _bordered(film, _widths(film, rng), 12)
    lid = _bordered(rim, _widths(film, rng), 245)
    lid = _warped(lid, float(rng.uniform(-4, 4)), 245, grow=False)
    noise = rng.normal(0, 3, lid.pixels.shape)
    return _regrey(lid, np.where(lid.exposed, lid.pixels, lid.pixels + noise))


# collimation


def _collimated(film: KnownFilm, rng: Generator, grey: float, soft: float, uneven: bool) -> KnownFilm:
    rows, columns = film.pixels.shape
    limb = np.argwhere(film.limbs[0].mask)
    y0, x0 = limb.min(axis=0)
    y1, x1 = limb.max(axis=0)
    shift = rng.uniform(-0.02, 0.02, 2) * (columns, rows)
    size = (min(0.94 * columns, (x1 - x0) * 1.12), min(0.9 * rows, (y1 - y0) * 0.92))
    middle = ((x0 + x1) / 2 + shift[0], (y0 + y1) / 2 + shift[1])
    corners = cv2.boxPoints((middle, size, float(rng.uniform(-9, 9))))
    if uneven:
        corners = corners + rng.uniform(-0.03, 0.03, (4, 2)) * (columns, rows)
    field = np.zeros((rows, columns), np.uint8)
    cv2.fillConvexPoly(field, np.round(corners).astype(np.int32), 255)
    share = cv2.GaussianBlur(field, (0, 0), soft).astype(np.float32) / 255 if soft else field.astype(np.float32) / 255
    beyond = grey + rng.normal(0, 2, (rows, columns))
    if uneven:  # scatter under the blades: not one grey
        beyond = beyond + np.linspace(-12, 12, columns)[None, :] * (1 if grey < 128 else -1)
    pixels = film.pixels * share + beyond * (1 - share)
    exposed = film.exposed & (field > 0)
    limbs = tuple(replace(part, mask=part.mask & exposed) for part in film.limbs)
    return replace(_regrey(film, pixels), exposed=exposed, limbs=limbs)


def collimated_black(film: KnownFilm, rng: Generator) -> KnownFilm:
    """Sharp black blades around a tilted rectangle."""
    return _collimated(film, rng, 4, 0.0, uneven=False)


def collimated_white(film: KnownFilm, rng: Generator) -> KnownFilm:
    """The same, white: unexposed in a film shown negative outside."""
    return _collimated(film, rng, 250, 0.0, uneven=False)


def collimated_soft(film: KnownFilm, rng: Generator) -> KnownFilm:
    """Slanted, soft, uneven blades of any grey, the hard ones."""
    return _collimated(film, rng, float(rng.choice([14, 60, 200, 240])), float(rng.uniform(2, 6)), uneven=True)


# geometry


def _warped(film: KnownFilm, degrees: float, grey: int, *, grow: bool = True) -> KnownFilm:
    """Turned clockwise by `degrees`, so that the turn back is counter-clockwise."""
    rows, columns = film.pixels.shape
    radians = math.radians(degrees)
    cos, sin = abs(math.cos(radians)), abs(math.sin(radians))
    wide, tall = (math.ceil(columns * cos + rows * sin), math.ceil(columns * sin + rows * cos)) if grow else (columns, rows)
    matrix = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), -degrees, 1.0)
    matrix[:, 2] += ((wide - columns) / 2, (tall - rows) / 2)

    def turned(picture: np.ndarray, value: int, how: int) -> np.ndarray:
        return np.asarray(cv2.warpAffine(picture, matrix, (wide, tall), flags=how, borderValue=value))

    limbs = tuple(
        replace(limb, mask=turned(limb.mask.astype(np.uint8), 0, cv2.INTER_NEAREST) > 0, turn_deg=limb.turn_deg + degrees)
        for limb in film.limbs
    )
    return replace(
        film,
        pixels=turned(film.pixels, grey, cv2.INTER_LINEAR),
        positive=turned(film.positive, grey, cv2.INTER_LINEAR),
        exposed=turned(film.exposed.astype(np.uint8), 0, cv2.INTER_NEAREST) > 0,
        limbs=limbs,
    )


def _seventh(rng: Generator) -> float:
    return 7.0 * int(rng.integers(1, 26)) * int(rng.choice([-1, 1]))


def turned(film: KnownFilm, rng: Generator) -> KnownFilm:
    """By a multiple of seven degrees, the new corners black."""
    return _warped(film, _seventh(rng), 0)


def turned_and_mirrored(film: KnownFilm, rng: Generator) -> KnownFilm:
    """Reflected left to right, then turned."""
    return _warped(_mirrored(film), _seventh(rng), 0)


def every_seventh(film: KnownFilm) -> Iterator[KnownFilm]:
    """Turned by 7, 14, .. 357 degrees, as it is and reflected."""
    for side in (film, _mirrored(film)):
        for degrees in range(7, 360, 7):
            yield _warped(side, float(degrees), 0)


def _mirrored(film: KnownFilm) -> KnownFilm:
    def flipped(picture: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(picture[:, ::-1])

    limbs = tuple(
        replace(limb, mask=flipped(limb.mask), turn_deg=-limb.turn_deg, mirrored=not limb.mirrored) for limb in film.limbs
    )
    return replace(
        film, pixels=flipped(film.pixels), positive=flipped(film.positive), exposed=flipped(film.exposed), limbs=limbs
    )


def turned_on_film(film: KnownFilm, rng: Generator) -> KnownFilm:
    """A little tilted on a film that is as upright as before: air of the film's own grey in the corners."""
    air = int(np.median(film.pixels[film.exposed & ~film.limbs[0].mask])) if (film.exposed & ~film.limbs[0].mask).any() else 0
    grown = _warped(film, float(rng.uniform(-25, 25)), air)
    return replace(grown, exposed=np.ones(grown.pixels.shape, bool))


def round_by_180(film: KnownFilm, rng: Generator) -> KnownFilm:
    """Upside down."""
    return _warped(film, 180.0, 0)


def touching(edges: int) -> Change:
    """Cropped so that the limb touches so many edges: the lower one first, then the sides."""

    def change(film: KnownFilm, rng: Generator) -> KnownFilm:
        rows, columns = film.pixels.shape
        ys, xs = np.nonzero(film.limbs[0].mask)
        x0, x1 = np.percentile(xs, (3, 97))
        top = max(0, int(ys.min() - 0.03 * rows))
        bottom = int(ys.max() - 0.06 * rows)
        left = int(x0) if edges >= 2 else 0
        right = int(x1) if edges >= 3 else columns
        window = (slice(top, bottom), slice(left, right))
        limbs = tuple(replace(limb, mask=np.ascontiguousarray(limb.mask[window])) for limb in film.limbs)
        return replace(
            film,
            pixels=np.ascontiguousarray(film.pixels[window]),
            positive=np.ascontiguousarray(film.positive[window]),
            exposed=np.ascontiguousarray(film.exposed[window]),
            limbs=limbs,
        )

    return change


# things on the film


def letter(film: KnownFilm, rng: Generator) -> KnownFilm:
    """A lead letter in the air, if there is room."""
    pixels = film.pixels.copy()
    height = max(12, round(0.07 * pixels.shape[0]))
    free = ~cv2.dilate(film.limbs[0].mask.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    for fx, fy in rng.uniform(0.03, 0.85, (60, 2)):
        x, y = round(fx * pixels.shape[1]), round(fy * pixels.shape[0])
        if free[y : y + height, x : x + height].all():
            mark = str(rng.choice(["L", "R"]))
            cv2.putText(pixels, mark, (x, y + height), cv2.FONT_HERSHEY_SIMPLEX, height / 21, 255, max(2, height // 7))
            break
    return replace(film, pixels=pixels)


def ruler(film: KnownFilm, rng: Generator) -> KnownFilm:
    """A metal ruler along one side."""
    rows, columns = film.pixels.shape
    width = max(8, round(0.05 * columns))
    pixels = film.pixels.astype(np.float32)
    x = 2 if rng.random() < 0.5 else columns - width - 2
    pixels[:, x : x + width] = np.maximum(pixels[:, x : x + width], 110)
    for y in range(0, rows, max(6, rows // 60)):
        pixels[y : y + 2, x : x + (width if y % 5 == 0 else width // 2)] = 250
    limbs = tuple(replace(limb, mask=limb.mask & (pixels == film.pixels)) for limb in film.limbs)
    return replace(_regrey(film, pixels), limbs=limbs)


def plaster(film: KnownFilm, rng: Generator) -> KnownFilm:
    """A cast around the lower two thirds: a veil with an uneven edge, a little larger than the limb."""
    rows = film.pixels.shape[0]
    reach = max(3, round(0.03 * rows)) | 1
    around = cv2.dilate(film.limbs[0].mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    around[: round(rows * rng.uniform(0.3, 0.5))] = 0
    veil = cv2.GaussianBlur(around.astype(np.float32), (0, 0), 2)
    weave = cv2.GaussianBlur(rng.normal(0, 1, film.pixels.shape).astype(np.float32), (0, 0), 2) * 20
    grey = film.pixels * (1 - 0.3 * veil) + veil * (95 + weave)
    limbs = tuple(replace(limb, mask=limb.mask | (around > 0)) for limb in film.limbs)
    return replace(_regrey(film, grey), limbs=limbs)


# several films in one


def joined(films: list[KnownFilm], rng: Generator, *, gap: bool, brightness: bool) -> KnownFilm:
    """Films side by side at one height. `brightness`: one of them is much fainter than the others."""
    rows = min(film.pixels.shape[0] for film in films)
    shrunk = [_resized(film, rows) for film in films]
    if brightness:
        which = int(rng.integers(len(shrunk)))
        shrunk[which] = _regrey(shrunk[which], shrunk[which].pixels * 0.45 + rng.uniform(0, 20))
    width = round(0.04 * rows) if gap else 0
    spacer = np.zeros((rows, width), np.uint8)
    total = sum(film.pixels.shape[1] for film in shrunk) + width * (len(films) - 1)
    pixels, positive, exposed = (np.zeros((rows, total), kind) for kind in (np.uint8, np.uint8, bool))
    limbs: list[Limb] = []
    start = 0
    for film in shrunk:
        window = (slice(None), slice(start, start + film.pixels.shape[1]))
        pixels[window], positive[window], exposed[window] = film.pixels, film.positive, film.exposed
        for limb in film.limbs:
            mask: Mask = np.zeros((rows, total), bool)
            mask[window] = limb.mask
            limbs.append(replace(limb, mask=mask))
        start += film.pixels.shape[1] + spacer.shape[1]
    return replace(films[0], pixels=pixels, positive=positive, exposed=exposed, limbs=tuple(limbs))


def _resized(film: KnownFilm, rows: int) -> KnownFilm:
    columns = round(film.pixels.shape[1] * rows / film.pixels.shape[0])

    def small(picture: Picture) -> Picture:
        return np.asarray(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)

    limbs = tuple(
        replace(limb, mask=cv2.resize(limb.mask.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST) > 0)
        for limb in film.limbs
    )
    exposed = cv2.resize(film.exposed.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST) > 0
    return replace(film, pixels=small(film.pixels), positive=small(film.positive), exposed=exposed, limbs=limbs)


def both(first: Change, second: Change) -> Change:
    """One change after the other."""
    return lambda film, rng: second(first(film, rng), rng)


def as_it_is(film: KnownFilm, rng: Generator) -> KnownFilm:
    """Nothing is changed."""
    return film


SINGLE: Mapping[str, Change] = {
    "as it is": as_it_is,
    "inverted": inverted,
    "white frame": white_frame,
    "white frame, inverted": both(inverted, white_frame),
    "black frame": black_frame,
    "black frame, inverted": both(inverted, black_frame),
    "text border": text_border,
    "text border, inverted": both(inverted, text_border),
    "scanned": scanned,
    "scanned, inverted": both(inverted, scanned),
    "collimated black": collimated_black,
    "collimated black, inverted": both(inverted, collimated_black),
    "collimated white": collimated_white,
    "collimated white, inverted": both(inverted, collimated_white),
    "collimated soft": collimated_soft,
    "collimated soft, inverted": both(inverted, collimated_soft),
    "strong noise": noisy,
    "low contrast": faint,
    "saturated": saturated,
    "saturated, inverted": both(saturated, inverted),
    "turned": turned,
    "turned, mirrored": turned_and_mirrored,
    "turned, inverted": both(turned, inverted),
    "turned on film": turned_on_film,
    "by 180": round_by_180,
    "letter": letter,
    "ruler": ruler,
    "plaster": plaster,
    "touches 1 edge": touching(1),
    "touches 2 edges": touching(2),
    "touches 3 edges": touching(3),
}

EVERY = "every 7 degrees"  # of one film, mirrored too

JOINED: Mapping[str, tuple[int, bool, bool]] = {  # how many, with a gap, of different brightness
    "two with gap": (2, True, False),
    "two without gap": (2, False, False),
    "two, unequal": (2, True, True),
    "two, unequal, no gap": (2, False, True),
    "three with gap": (3, True, False),
    "three without gap": (3, False, False),
    "three, unequal": (3, True, True),
}
