"""Where files lie: nested folders that mean nothing, folders named after patients, a zip, a tar, a CD with
DICOMDIR.
"""

from __future__ import annotations

import gc
import gzip
import hashlib
import io
import os
import tarfile
import unicodedata
import warnings
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import UID

from etl.phantom.plan import FilmPlan, StudyPlan, uid

Place = Literal["nested", "named", "flat", "zip", "tar", "cd"]

MOMENT_S = 1_577_923_200  # modification time of everything: 2 January 2020, 00:00 UTC
_ZIP_MOMENT = (2020, 1, 2, 0, 0, 0)
ZIP, TAR, CD = "entrega_03/rx_2a_parte.zip", "backup/lote7.tar.gz", "discos/CD_0417"
_CYCLE: tuple[Place, ...] = (
    "nested", "zip", "named", "cd", "flat", "tar", "nested", "nested", "named", "zip", "flat", "nested",
)  # fmt: skip


def place_of(study: StudyPlan) -> Place:
    """Studies take their places in turn; what a CD's index cannot hold (no PatientID, hundreds of slices)
    does not.
    """
    if study.axial:
        return "flat"
    place = _CYCLE[study.number % len(_CYCLE)]
    return "nested" if place == "cd" and not study.person.patient_id else place


def name_of(study: StudyPlan, film: FilmPlan, place: Place, seed: int) -> str:
    """The path of a film within its place: some with, some without an extension."""
    mixed = hashlib.sha256(repr((seed, "path", study.number, film.number)).encode()).hexdigest()
    group = hashlib.sha256(repr((seed, "folder", study.number)).encode()).hexdigest()
    if place == "named":
        folder = _file_name(study.person.name.replace("^", "_"))
        return f"PACS_EXPORT/{folder}/RX_{study.visit.study_date}/IM-{film.number:04d}.dcm"
    if place == "flat":
        suffix = "" if study.number % 2 else ".DCM"
        return f"rx_varios/{study.visit.accession_number}_{film.number:03d}{suffix}"
    if place == "zip":
        return f"DICOM/{group[:4].upper()}/I{film.number:07d}"
    if place == "tar":
        return f"lote7/{group[:6]}/{film.sop_instance_uid}.dcm"
    return f"{group[:2]}/{group[2:6]}/{mixed[:8]}/{mixed[8:16]}"


class Delivery:
    """Writes the archive's files one by one; `finish` closes the containers and gives everything its fixed
    time.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self._root, self._seed = root, seed
        self._open = ExitStack()
        self._zip: zipfile.ZipFile | None = None
        self._tar: tarfile.TarFile | None = None
        self._disc: FileSet | None = None

    def put(self, place: Place, name: str, content: bytes) -> str:
        """Write one file (not for the CD) and return its source path."""
        if place == "zip":
            return self._into_zip(name, content)
        if place == "tar":
            return self._into_tar(name, content)
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return name

    def put_on_cd(self, dataset: Dataset) -> str:
        """Add one film to the CD, which names its files itself, and return its source path."""
        if self._disc is None:
            self._disc = FileSet()
            self._disc.UID, self._disc.ID = UID(uid(self._seed, "disc")), "CD0417"
        return f"{CD}/{Path(self._disc.add(dataset).FileID).as_posix()}"

    def finish(self) -> str | None:
        """Close everything, write the CD with its DICOMDIR; returns the DICOMDIR's source path if there is
        one.
        """
        self.close()
        index = None
        if self._disc is not None:
            self._write_disc(self._disc)
            index = f"{CD}/DICOMDIR"
        for path in sorted(self._root.rglob("*"), reverse=True):
            os.utime(path, (MOMENT_S, MOMENT_S))
        return index

    def close(self) -> None:
        """Close the containers, also when drawing was given up."""
        self._open.close()

    def _write_disc(self, disc: FileSet) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # FileSet leaves its staging folder to the collector
            disc.write(self._root / CD)
            self._disc = None
            del disc
            gc.collect()

    def _into_zip(self, name: str, content: bytes) -> str:
        if self._zip is None:
            self._zip = self._open.enter_context(zipfile.ZipFile(self._made(ZIP), "w"))
        member = zipfile.ZipInfo(name, _ZIP_MOMENT)
        member.create_system, member.external_attr = 3, 0o644 << 16  # as if made on Unix, wherever it is made
        member.compress_type = zipfile.ZIP_DEFLATED if name[-1] in "02468" else zipfile.ZIP_STORED
        self._zip.writestr(member, content, compresslevel=1)
        return f"{ZIP}!/{name}"

    def _into_tar(self, name: str, content: bytes) -> str:
        if self._tar is None:
            raw = self._open.enter_context(self._made(TAR).open("wb"))
            packed = self._open.enter_context(gzip.GzipFile("", "wb", 1, raw, mtime=MOMENT_S))
            self._tar = self._open.enter_context(tarfile.TarFile(fileobj=packed, mode="w"))
        member = tarfile.TarInfo(name)
        member.size, member.mtime = len(content), MOMENT_S
        self._tar.addfile(member, io.BytesIO(content))
        return f"{TAR}!/{name}"

    def _made(self, name: str) -> Path:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _file_name(text: str) -> str:
    """A person's name as a folder's: accents off where they come off, no spaces."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.replace(" ", "_")
