"""`draw`: the whole archive on disk, with its labels and its truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from etl.phantom import extras
from etl.phantom.axial import draw_slice
from etl.phantom.bodies import draw_region
from etl.phantom.body import Film
from etl.phantom.delivery import Delivery, name_of, place_of
from etl.phantom.dicom_files import film_file, to_bytes
from etl.phantom.film import Exposed, expose
from etl.phantom.lines import Lines
from etl.phantom.plan import FilmPlan, StudyPlan, plan
from etl.phantom.rates import SCATTERED
from etl.phantom.truth import MORE_COLUMNS, TRUTH_COLUMNS, Row, film_row, settled, write_labels, write_truth
from etl.phantom.wishes import Mixture, mixture
from etl.phantom.wrist import draw_two_wrists, draw_wrist
from schemas.errors import RadforgeError


@dataclass(frozen=True)
class PhantomSummary:
    """What was written: counts, and the two files beside the archive."""

    archive: Path
    labels: Path
    truth: Path
    studies: int  # all of them: labelled wrists, other body parts, the axial study
    labelled_studies: int
    positive_studies: int
    files: int  # rows of the truth: files, with members of containers instead of the containers
    records: int  # films that recipe `wrist` keeps
    drops: int
    failures: int
    bytes: int  # of the archive on disk

    def __str__(self) -> str:
        return (
            f"{self.studies} studies ({self.labelled_studies} labelled, {self.positive_studies} positive), "
            f"{self.files} files, {self.bytes / 1e6:.0f} MB; recipe wrist keeps {self.records} films, "
            f"leaves {self.drops} files out and cannot read {self.failures}"
        )


def draw(
    out: Path,
    studies: int | None = None,
    seed: int = 0,
    *,
    size: tuple[int, int] | None = None,
    views: tuple[int, int] | None = None,
    splits: tuple[int, int, int] | None = None,
    visible: str | None = None,
    mimics: float | None = None,
    implants: tuple[float, float] = (0.0, 0.0),
    mistagged: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> PhantomSummary:
    """Draw `out`/archive, `out`/labels.csv and `out`/truth.csv; the same arguments give the same bytes.

    `studies` labelled wrist studies (40, or the sum of `splits`); other body parts, an axial study (from 10
    studies on) and files that are no films come on top. `size` (rows, columns): what the median film is
    scaled down to, all others in proportion. `views` (min, max) films a study. `splits` (train, val, test):
    that many labelled studies each. `visible` (in how many films of a positive study the fracture shows) and
    `mimics` (share of the films with a fainter, harmless line) make an archive to train on: bold lines
    (lines.py) on close films of one wrist, hardly tilted, without frame and collimation.
    `implants`: share of the labelled studies with metal in the wrist, of the positive and of the negative ones; `mistagged`:
    studies of the chest whose header says wrist, per labelled study. Both leave all other films as they are.
    `progress(done, total)` is called after every study.
    Raises RadforgeError when the wishes contradict each other or `out` is a file or a folder with something
    in it.
    """
    wish = mixture(studies, seed, size, views, splits, visible, mimics, implants, mistagged)
    _must_be_free(out)
    cv2.setNumThreads(1)  # the bytes must not depend on how many cores there are
    planned = plan(wish)
    extra = extras.choose(planned, wish.studies, seed)
    rows: list[Row] = []
    archive = out / "archive"
    archive.mkdir(parents=True, exist_ok=True)
    delivery = Delivery(archive, seed)
    try:
        for done, study in enumerate(planned, start=1):
            rows += _deliver(study, delivery, extra, seed)
            if progress is not None:
                progress(done, len(planned))
        rows += extras.loose_files(delivery)
        index = delivery.finish()
    finally:
        delivery.close()
    if index is not None:
        rows.append(Row(index, fate="drop", reason="dicomdir"))
    rows = settled(rows)
    write_truth(out / "truth.csv", rows, _columns(wish))
    labelled = write_labels(out / "labels.csv", planned)
    fates = Counter(row.fate for row in rows)
    return PhantomSummary(
        archive=archive,
        labels=out / "labels.csv",
        truth=out / "truth.csv",
        studies=len(planned),
        labelled_studies=labelled,
        positive_studies=sum(study.label or 0 for study in planned),
        files=len(rows),
        records=fates["record"],
        drops=fates["drop"],
        failures=fates["failure"],
        bytes=sum(path.stat().st_size for path in archive.rglob("*") if path.is_file()),
    )


def draw_film(study: StudyPlan, film: FilmPlan) -> Exposed:
    """The film as stored, with its truth: anatomy, then exposure."""
    return expose(drawing(study, film), film.exposure, film.seed)


def drawing(study: StudyPlan, film: FilmPlan) -> Film:
    """The film before its exposure: noise-free anatomy with its truth."""
    rng = np.random.default_rng([*film.seed, 0])
    if study.axial:
        return draw_slice(film.number, film.rows)
    if study.body_part != "wrist":
        return draw_region(rng, study.body_part, film.rows, film.columns, tilt_deg=film.tilts_deg[0])
    if len(film.tilts_deg) == 2:
        return draw_two_wrists(
            rng,
            film.rows,
            film.columns,
            tilts_deg=(film.tilts_deg[0], film.tilts_deg[1]),
            upside_down=film.upside_down,
            fractures=(film.fracture and film.left, film.fracture and not film.left),
            rows_mm=film.rows_mm,
            implants=(film.implant if film.left else None, None if film.left else film.implant),
        )
    return draw_wrist(
        rng,
        film.rows,
        film.columns,
        tilt_deg=film.tilts_deg[0],
        upside_down=film.upside_down,
        fracture=film.fracture,
        lines=Lines(film.fracture, film.mimic, film.seed) if film.bold else None,
        view=film.view,
        mirrored=film.left,
        rows_mm=film.rows_mm,
        implant=film.implant,
    )


def _columns(wish: Mixture) -> tuple[str, ...]:
    asked = (wish.training, any(wish.implants), bool(wish.mistagged))
    return TRUTH_COLUMNS + tuple(name for name, wanted in zip(MORE_COLUMNS, asked, strict=True) if wanted)


def _deliver(study: StudyPlan, delivery: Delivery, extra: extras.Extras, seed: int) -> list[Row]:
    """Draw, encode and write one study; returns the truth of its files."""
    place = place_of(study)
    rng = np.random.default_rng([seed, 6, study.number])
    scattered = len(study.films) > 1 and not study.axial and rng.random() < SCATTERED
    rows = []
    for film in study.films:
        exposed = draw_film(study, film)
        dataset = film_file(study, film, exposed.stored)
        if place == "cd":
            path = delivery.put_on_cd(dataset)
        else:
            where = "nested" if scattered and film is study.films[-1] else place
            preamble = f"exported for {study.person.patient_id}" if study.number % 9 == 4 else ""
            path = delivery.put(where, name_of(study, film, where, seed), to_bytes(dataset, preamble.encode()))
        row = film_row(path, study, film, None if study.axial else exposed)
        rows.append(row)
        rows += extra.of_film(delivery, study, film, exposed, row)
    return rows + extra.of_study(delivery, study)


def _must_be_free(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise RadforgeError("is a file", str(out), expected="a folder that does not exist yet, or an empty one")
    if out.is_dir() and any(out.iterdir()):
        raise RadforgeError("is not empty", str(out), expected="a folder that does not exist yet, or an empty one")
