"""Films to measure on: phantom films at default size, in the transfer syntaxes of a mixed archive."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from etl.phantom.dicom_files import film_file, to_bytes
from etl.phantom.plan import plan
from etl.phantom.wishes import mixture
from etl.phantom.writing import draw_film

# 40 % uncompressed, 20 % each of the compressed syntaxes that archives hold.
SYNTAXES: dict[str, tuple[UID, ...]] = {
    "raw": (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
    "jpeg lossless": (JPEGLosslessSV1,),
    "jpeg-ls": (JPEGLSLossless,),
    "jpeg 2000": (JPEG2000Lossless,),
}


def write_films(folder: Path, per_syntax: int, seed: int = 11) -> None:
    """`folder/<syntax>/<n>`: the same wrist films in every syntax; raw gets twice as many."""
    studies = plan(mixture(studies=4 * per_syntax, seed=seed, size=None, views=None, splits=None))
    films = [(study, film) for study in studies if study.body_part == "wrist" and not study.axial for film in study.films]
    ordinary = [(study, film) for study, film in films if 1500 <= film.rows <= 2500]
    for number, (study, film) in enumerate(islice(ordinary, 2 * per_syntax)):
        stored = draw_film(study, film).stored
        for name, uids in SYNTAXES.items():
            if name != "raw" and number >= per_syntax:
                continue
            path = folder / name / f"{number:03d}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(to_bytes(film_file(study, film, stored, uids[number % len(uids)])))


if __name__ == "__main__":
    write_films(Path(sys.argv[1]), int(sys.argv[2]))
