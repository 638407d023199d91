"""One file's frames, from its bytes to greys: all that the pipeline needs of a DICOM picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydicom import Dataset

from etl.archive import dicom_reading
from etl.pixels import attributes, colour, geometry
from etl.pixels.claims import Claims, DecodeError, read_claims
from etl.pixels.decode import DECODERS, StoredFrame, decode
from etl.pixels.grey import Grey, render
from etl.pixels.presentation import read_presentation
from etl.study import Drop, Failure, Frame
from schemas.recipe import Pixels as PixelSettings

PHOTOMETRIC = frozenset(
    (
        "MONOCHROME1",
        "MONOCHROME2",
        "PALETTE COLOR",
        "RGB",
        "XYB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_ICT",
        "YBR_PARTIAL_420",
        "YBR_RCT",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A frame that can be looked at. `stored_sha256`: of the values before any table, "" when not asked for.

    `facts` are manifest columns: source_rows, source_columns, bits, photometric_interpretation,
    transfer_syntax, decoder, voi_source, window_center, window_width, pixel_spacing_row_mm,
    pixel_spacing_column_mm, header_problems, burned_in_annotation.
    """

    frame: Frame
    facts: Mapping[str, Any]
    stored_sha256: str = ""


def read_film(data: bytes, settings: PixelSettings, *, hash_stored: bool = True) -> Iterator[Film | Drop | Failure]:
    """The frames of a DICOM file in order, one decoded at a time.

    A frame that cannot be read is a Failure in its place, a colour frame a Drop; a file that is bad as a
    whole is one Failure. Nothing is raised. No text of the file is in what is returned. `hash_stored` costs
    10 ms a film.
    """
    try:
        ds = dicom_reading.parse(data)
        claims = read_claims(ds)
        for index, stored in enumerate(decode(ds, claims)):
            if isinstance(stored, DecodeError):
                yield Failure(stored.stage, str(stored))
            else:
                film = _film(ds, index, stored, claims, settings)
                if hash_stored and isinstance(film, Film):
                    film = replace(film, stored_sha256=stored_sha256(stored))
                yield film
    except dicom_reading.Unreadable as error:
        yield Failure(error.stage, error.error)
    except DecodeError as error:
        yield Failure(error.stage, str(error))


def stored_sha256(stored: StoredFrame) -> str:
    """SHA-256 of a frame's stored values: (rows, columns[, samples]), C order, little endian."""
    pixels = stored.pixels
    return hashlib.sha256(np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).data).hexdigest()


def _film(ds: Dataset, index: int, stored: StoredFrame, claims: Claims, settings: PixelSettings) -> Film | Drop:
    problems = list(stored.problems)
    if stored.pixels.ndim == 3 or claims.photometric == "PALETTE COLOR":
        grey = _grey_of_colour(ds, stored, claims, settings)
    else:
        header = read_presentation(
            ds,
            index,
            signed=stored.pixels.dtype.kind == "i",
            bits_allocated=8 * stored.pixels.dtype.itemsize,
            photometric=claims.photometric,
        )
        problems += header.problems
        grey = render(stored.pixels, header, settings)
    if isinstance(grey, Drop):
        return grey
    spacing = geometry.read_spacing(ds, index)
    problems += [*grey.problems, *spacing.problems]
    syntax = dicom_reading.transfer_syntax(ds)
    burned_in = attributes.text(ds, "BurnedInAnnotation").upper()
    facts = {
        "source_rows": stored.pixels.shape[0],
        "source_columns": stored.pixels.shape[1],
        "bits": settings.bits,
        "photometric_interpretation": claims.photometric if claims.photometric in PHOTOMETRIC else "other",
        "transfer_syntax": syntax if syntax in DECODERS else "other",
        "decoder": stored.decoder,
        "voi_source": grey.voi_source,
        "window_center": grey.window_center,
        "window_width": grey.window_width,
        "pixel_spacing_row_mm": spacing.row_mm,
        "pixel_spacing_column_mm": spacing.column_mm,
        "header_problems": tuple(dict.fromkeys(problems)),
        "burned_in_annotation": burned_in if burned_in in ("YES", "NO") else None,
    }
    return Film(
        frame=Frame(pixels=grey.pixels, padding=grey.padding),
        facts=facts,
    )


def _grey_of_colour(ds: Dataset, stored: StoredFrame, claims: Claims, settings: PixelSettings) -> Grey | Drop:
    pixels, model = stored.pixels, stored.colour
    white = (1 << max(claims.bits_stored, int(pixels.max()).bit_length(), 8)) - 1
    if pixels.ndim == 2:
        painted = colour.apply_palette(pixels, ds)
        if painted is None:
            return Drop("not_greyscale", "PALETTE COLOR without plain palette tables (0028,1201)-(0028,1203)")
        (pixels, white), model = painted, "rgb"
    share = colour.equal_share(pixels, model, white)
    if share < colour.MIN_EQUAL:
        return Drop("not_greyscale", f"the colour channels differ in {1 - share:.1%} of the pixels")
    grey = colour.luma(pixels, model)
    return Grey(pixels=colour.to_range(grey, white, settings.bits), padding=None, voi_source="display_range")
