"""People, places and words that do not exist, as hospitals write them. None of it may reach a dataset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator

# SpecificCharacterSet ("" is the default repertoire), family names, given names
_NAMES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("ISO_IR 100",
     ("García López", "Muñoz Iglesias", "Núñez Feijóo", "Peña Castaño", "Güell Solà", "Pérez Ybarra"),
     ("María José", "Íñigo", "Begoña", "Andrés", "Concepción", "Raúl")),
    ("ISO_IR 192", ("Ferrándiz Bañón", "Puigdomènech", "Østergård", "Brâncoveanu", "Škvorecký", "Çelikkaya"),
     ("Núria", "Søren", "Ionuț", "Žofie", "Gülşen", "Àngels")),
    ("", ("Thornbury", "Okonkwo", "Whitcombe", "Castellanos", "Abernathy", "Lindqvist"),
     ("Margaret", "Chidi", "Harold", "Dolores", "Edmund", "Astrid")),
    ("ISO_IR 101", ("Wójcikowski", "Dvořáček", "Kőszegi", "Łabędź"),
     ("Małgorzata", "Jiří", "Zsófia", "Bogusław")),
    ("ISO_IR 144", ("Кузнецова", "Соловьёв", "Жуковский"), ("Надежда", "Игорь", "Фёдор")),
)  # fmt: skip
_HOSPITALS = (
    ("Hospital Comarcal de Valdeolmos", "Avenida de los Tilos 14, Valdeolmos"),
    ("Clinica San Baudelio", "Calle Mayor 3, Berlanga del Rio"),
    ("Kreiskrankenhaus Oberwiesental", "Am Mühlbach 7, Oberwiesental"),
    ("Saint Aldhelm's Infirmary", "22 Quarry Road, Marlingham"),
)
_DOCTORS = (
    "Etxeberria^Koldo",
    "Haversham^Lucinda^^Dr",
    "Zumalacarregui^Ines",
    "Pfefferkorn^Ulrich",
    "Desrosiers^Solange",
)
_COMMENTS = (
    "caida en la escalera de su casa, refiere dolor", "fell off a ladder at work yesterday",
    "control tras yeso, acude con su hija",
    "tel. 555 0142 avisar a la hija", "Patient trägt Ring, nicht abgenommen",
    "paciente conocido del Dr. Etxeberria",
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """A patient as the header tells it. `name` is in DICOM's form, family^given."""

    charset: str
    name: str
    patient_id: str
    issuer: str
    birth_date: str
    sex: str
    address: str


@dataclass(frozen=True)
class Visit:
    """A study's circumstances, all of them identifying."""

    study_date: str
    study_time: str
    accession_number: str
    study_id: str
    institution: str
    institution_address: str
    referring: str
    operator: str
    comment: str


def person(rng: Rng, number: int) -> Person:
    """The `number`-th patient of an archive: PatientIDs do not repeat."""
    charset, families, given = _NAMES[int(rng.choice(len(_NAMES), p=[0.38, 0.22, 0.25, 0.09, 0.06]))]
    family = families[rng.integers(len(families))]
    first = given[rng.integers(len(given))]
    if charset == "ISO_IR 100" and rng.random() < 0.5:
        family = family.upper()
    born = _date(rng, 1926, 2014)
    patient_id = (
        f"NHC{number:05d}{rng.integers(100):02d}",
        f"{70_000_000 + 7919 * number}",
        f"{number:04d}/{born[2:4]}",
    )[number % 3]
    address = f"{('Calle', 'Carrer', 'Plaza')[number % 3]} Inventada {rng.integers(1, 200)}"
    return Person(
        charset,
        f"{family}^{first}",
        patient_id,
        "HCV-RIS",
        born,
        ("F", "M", "F", "M", "O")[rng.integers(5)],
        address,
    )


def visit(rng: Rng, number: int) -> Visit:
    """Where, when and why the `number`-th study was made."""
    hospital, address = _HOSPITALS[rng.integers(len(_HOSPITALS))]
    clock = f"{rng.integers(7, 22):02d}{rng.integers(60):02d}{rng.integers(60):02d}"
    return Visit(
        study_date=_date(rng, 2009, 2023),
        study_time=clock,
        accession_number=f"RX{number:06d}{rng.integers(1000):03d}",
        study_id=f"{rng.integers(10**5, 10**6)}",
        institution=hospital,
        institution_address=address,
        referring=_DOCTORS[rng.integers(len(_DOCTORS))],
        operator=_DOCTORS[rng.integers(len(_DOCTORS))],
        comment=_COMMENTS[rng.integers(len(_COMMENTS))] if rng.random() < 0.4 else "",
    )


def _date(rng: Rng, first_year: int, last_year: int) -> str:
    return f"{rng.integers(first_year, last_year + 1)}{rng.integers(1, 13):02d}{rng.integers(1, 29):02d}"


def ascii_only(text: str, charset: str) -> str:
    """The text as a header of this SpecificCharacterSet can hold it (ñ becomes n where there is none)."""
    codec = {"ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}.get(charset, "ascii")
    plain = {"Ñ": "N", "ñ": "n", "ü": "ue", "ä": "ae"}
    return text if _fits(text, codec) else "".join(plain.get(letter, letter) for letter in text)


def _fits(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True
