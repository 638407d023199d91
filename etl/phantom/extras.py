"""What lies among the films of a real archive: repetitions, cut files, reports, and files that are not
DICOM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from etl.phantom import rates
from etl.phantom.delivery import Delivery
from etl.phantom.dicom_files import film_file, presentation_state, report, scanned_form, to_bytes
from etl.phantom.encoding import Stored
from etl.phantom.film import Exposed
from etl.phantom.plan import FilmPlan, StudyPlan, uid
from etl.phantom.truth import Row

_KEPT_OF_CUT_FILE = 0.6  # of its bytes: the header and more than half of the pixels


@dataclass(frozen=True)
class Extras:
    """Which studies (by number) have what beside their films."""

    seed: int
    duplicated: frozenset[int]
    conflicting: frozenset[int]
    truncated: frozenset[int]
    reported: frozenset[int]
    presented: frozenset[int]
    scanned: frozenset[int]

    def of_film(self, delivery: Delivery, study: StudyPlan, film: FilmPlan, exposed: Exposed, row: Row) -> list[Row]:
        """Write what repeats or spoils a study's first film; returns the truth of those files."""
        if film is not study.films[0]:
            return []
        rows = []
        if study.number in self.duplicated:
            again = film_file(study, film, exposed.stored, syntax=ImplicitVRLittleEndian)
            path = delivery.put("flat", f"copia_seguridad/{study.number:03d}/{film.number}", to_bytes(again))
            rows.append(replace(row, source_path=path))
        if study.number in self.conflicting:
            other = film_file(study, film, _edited(exposed.stored, film.exposure.bits), syntax=ExplicitVRLittleEndian)
            path = delivery.put("flat", f"reprocesado/{study.number:03d}.dcm", to_bytes(other))
            rows.append(replace(row, source_path=path, pixels=f"{row.pixels} edited"))
        if study.number in self.truncated:
            cut = replace(film, sop_instance_uid=uid(self.seed, "cut", study.number))
            whole = to_bytes(film_file(study, cut, exposed.stored, syntax=ExplicitVRLittleEndian))
            path = delivery.put("flat", f"recuperados/{study.number:03d}", whole[: int(_KEPT_OF_CUT_FILE * len(whole))])
            rows.append(
                replace(
                    row,
                    source_path=path,
                    sop_instance_uid=cut.sop_instance_uid,
                    fate="failure",
                    reason="decode",
                )
            )
        return rows

    def of_study(self, delivery: Delivery, study: StudyPlan) -> list[Row]:
        """Write the study's objects that are no films; returns the truth of those files."""
        rows = []
        for kind, among, make, reason in (
            ("report", self.reported, report, "not_an_image"),
            ("state", self.presented, presentation_state, "not_an_image"),
            ("form", self.scanned, scanned_form, "modality"),
        ):
            if study.number in among:
                instance, series = (
                    uid(self.seed, kind, study.number),
                    uid(self.seed, kind, "series", study.number),
                )
                content = to_bytes(make(study, instance, series))
                path = delivery.put("flat", f"rx_varios/{study.visit.accession_number}_{kind}", content)
                rows.append(Row(path, study.study_instance_uid, instance, "drop", reason))
        return rows


def choose(studies: Sequence[StudyPlan], labelled: int, seed: int) -> Extras:
    """Draw which studies have extras: wrist studies whose part is named, so that their fate is the one
    meant.
    """
    rng = np.random.default_rng([seed, 7])
    able = [study.number for study in studies if study.label is not None and study.part_text.named]
    order = [able[i] for i in rng.permutation(len(able))]
    taken = 0

    def some(rate: float) -> frozenset[int]:
        nonlocal taken
        count = min(max(1, round(rate * labelled)), len(order))
        numbers = frozenset(order[(taken + i) % len(order)] for i in range(count)) if order else frozenset()
        taken += count
        return numbers

    return Extras(
        seed, some(rates.DUPLICATES), some(rates.CONFLICTS), some(rates.TRUNCATED), some(rates.NOT_IMAGES),
        some(rates.NOT_IMAGES), some(0.0),
    )  # fmt: skip


def loose_files(delivery: Delivery) -> list[Row]:
    """A text file and an empty one, as people leave them; returns their truth."""
    note = "Entrega de imagenes\nPaciente remitido por Dr. Etxeberria, tel. 555 0142.\n"
    files = {"LEEME.txt": note.encode(), "rx_varios/IM000099": b""}
    return [Row(delivery.put("flat", name, content), fate="drop", reason="not_dicom") for name, content in files.items()]


def _edited(stored: Stored, bits: int) -> Stored:
    """The same film after somebody's edge enhancement: other values in every row."""
    changed = stored.astype(np.int32)
    changed[:, 1:] += (changed[:, 1:] - changed[:, :-1]) // 2
    changed[0, 0] ^= 1
    return np.clip(changed, 0, (1 << bits) - 1).astype(np.uint16)
