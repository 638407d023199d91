"""The DICOM files themselves: headers full of invented identity, pixels in the study's transfer syntax, as
bytes.
"""

from __future__ import annotations

import io

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
)

from etl.phantom.encoding import ENCAPSULATED, Stored, encode
from etl.phantom.film import Exposure
from etl.phantom.people import ascii_only
from etl.phantom.plan import FilmPlan, StudyPlan

IMPLEMENTATION_UID = UID("2.25.182630914007214835206190735042218653071")
_MAKERS = (
    ("FUJIFILM Corporation", "FCR XG5000"), ("Philips Medical Systems", "DigitalDiagnost"), ("Agfa",
    "CR85-X"),
    ("SIEMENS", "Fluorospot Compact FD"), ("Equipos Radiologicos Inventados S.L.", "RX-Norte 2"),
)  # fmt: skip
_VIEW_POSITION = {"pa": "PA", "lateral": "LL", "oblique": "RLO"}


def film_file(study: StudyPlan, film: FilmPlan, stored: Stored, syntax: UID | None = None) -> Dataset:
    """One film as a data set with its file meta information, ready for `to_bytes`.

    `stored`: uint16 (rows, columns), as it must come out of any decoder. `syntax` replaces the study's own.
    """
    syntax = study.syntax if syntax is None else syntax
    dx = study.modality == "DX"
    storage = DigitalXRayImageStorageForPresentation if dx else ComputedRadiographyImageStorage
    ds = _identity(study, storage, film.sop_instance_uid, film.series_instance_uid, syntax)
    exposure = film.exposure
    ds.Modality = study.modality
    ds.SeriesNumber, ds.InstanceNumber = (film.number, 1) if dx else (1, film.number)
    ds[Tag(0x0018, 0x0015)] = _raw_text(0x00180015, study.part_text.examined)
    if study.body_part != "chest" and study.person.sex != "O":
        ds.ImageLaterality = "L" if film.left else "R"
    ds.ViewPosition = _VIEW_POSITION[film.view] if not study.axial else ""
    ds.KVP = str(50 + 2 * (film.number % 6))
    ds.ExposureTime, ds.XRayTubeCurrent = str(20 + film.number), "200"
    spacing = f"{film.rows_mm / film.rows:.5f}"
    ds.ImagerPixelSpacing = [spacing, spacing]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if exposure.monochrome1 else "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = (
        16,
        exposure.bits,
        exposure.bits - 1,
        0,
    )
    _greys(ds, exposure)
    if dx:
        ds.PresentationIntentType = "FOR PRESENTATION"
        ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
        ds.PresentationLUTShape = "INVERSE" if exposure.monochrome1 else "IDENTITY"
        ds.BurnedInAnnotation = "NO"
    ds.add_new(0x7FE00010, "OB" if syntax in ENCAPSULATED else "OW", encode(stored, exposure.bits, syntax))
    return ds


def report(study: StudyPlan, uid: str, series: str) -> Dataset:
    """A structured report (Basic Text SR): words about a film, no film."""
    ds = _identity(study, BasicTextSRStorage, uid, series, ExplicitVRLittleEndian)
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "SR", 90, 1
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.ContentDate, ds.ContentTime = study.visit.study_date, study.visit.study_time
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = [_code("121060", "DCM", "History")]
    text = Dataset()
    text.RelationshipType, text.ValueType = "CONTAINS", "TEXT"
    text.ConceptNameCodeSequence = [_code("121071", "DCM", "Finding")]
    text.TextValue = ascii_only(
        f"{study.person.name.replace('^', ' ')}: {study.visit.comment or 'sin hallazgos'}",
        study.person.charset,
    )
    ds.ContentSequence = [text]
    return ds


def presentation_state(study: StudyPlan, uid: str, series: str) -> Dataset:
    """A greyscale softcopy presentation state of the study's first film: how to show it, no film."""
    ds = _identity(study, GrayscaleSoftcopyPresentationStateStorage, uid, series, ExplicitVRLittleEndian)
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "PR", 91, 1
    ds.ContentLabel, ds.ContentCreatorName = "INVERTED", study.visit.operator
    ds.PresentationCreationDate, ds.PresentationCreationTime = study.visit.study_date, study.visit.study_time
    film = study.films[0]
    image, of_series = Dataset(), Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = (
        ComputedRadiographyImageStorage,
        film.sop_instance_uid,
    )
    of_series.SeriesInstanceUID, of_series.ReferencedImageSequence = film.series_instance_uid, [image]
    ds.ReferencedSeriesSequence = [of_series]
    ds.PresentationLUTShape = "INVERSE"
    return ds


def scanned_form(study: StudyPlan, uid: str, series: str) -> Dataset:
    """A secondary capture of the request form: an image, but of modality OT."""
    ds = _identity(study, SecondaryCaptureImageStorage, uid, series, ExplicitVRLittleEndian)
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber, ds.ConversionType = "OT", 92, 1, "SD"
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.Rows, ds.Columns = 1, "MONOCHROME2", 160, 120
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    page = np.full((160, 120), 235, np.uint8)
    page[20:150:12, 12:108] = 40  # lines of writing
    ds.add_new(0x7FE00010, "OW", page.tobytes())
    return ds


def to_bytes(ds: Dataset, preamble: bytes = b"") -> bytes:
    """The file: 128 bytes of preamble, file meta information, data set in its syntax (PS3.10 7.1)."""
    ds.preamble = preamble[:128].ljust(128, b"\0")
    buffer = io.BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def _identity(study: StudyPlan, storage: UID, uid: str, series: str, syntax: UID) -> Dataset:
    """Everything a hospital's header says about who, where and when."""
    who, visit, ds = study.person, study.visit, Dataset()
    maker, model = _MAKERS[study.number % len(_MAKERS)]
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = storage, uid
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.ImplementationClassUID, ds.file_meta.ImplementationVersionName = (
        IMPLEMENTATION_UID,
        "RADFORGE_PHANTOM",
    )
    ds.file_meta.SourceApplicationEntityTitle = "RX_URGENCIAS"
    if who.charset:
        ds.SpecificCharacterSet = who.charset
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SOPClassUID, ds.SOPInstanceUID = storage, uid
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = visit.study_date
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = visit.study_time
    ds.AccessionNumber, ds.StudyID = visit.accession_number, visit.study_id
    ds.Manufacturer, ds.ManufacturerModelName = maker, model
    ds.InstitutionName = visit.institution
    ds.InstitutionAddress = ascii_only(visit.institution_address, who.charset)
    ds.ReferringPhysicianName, ds.OperatorsName = visit.referring, visit.operator
    ds.StationName, ds.DeviceSerialNumber = f"SALA{study.number % 4 + 1}", f"SN-{77001 + study.number % 5}"
    ds.StudyDescription = ascii_only(study.part_text.study, who.charset)
    ds.SeriesDescription = ascii_only(study.part_text.series, who.charset)
    ds.PatientName, ds.PatientID = who.name, who.patient_id
    if who.issuer:
        ds.IssuerOfPatientID = who.issuer
    ds.PatientBirthDate, ds.PatientSex = who.birth_date, who.sex
    ds.PatientAge = f"{max(int(visit.study_date[:4]) - int(who.birth_date[:4]), 0):03d}Y"
    ds.PatientAddress = who.address
    if visit.comment:
        ds.PatientComments = ascii_only(visit.comment, who.charset)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study.study_instance_uid, series
    if study.number % 2 == 0:  # a private block that repeats what the standard attributes say
        block = ds.private_block(0x0011, "RIS INVENTADO 1.0", create=True)
        block.add_new(0x01, "LO", visit.referring.replace("^", ", "))
        block.add_new(0x02, "DA", who.birth_date)
        block.add_new(0x03, "SH", visit.accession_number)
    return ds


def _greys(ds: Dataset, exposure: Exposure) -> None:
    """Rescale and VOI of a film: the range it was drawn in, turned about when it is stored turned about."""
    top = (1 << exposure.bits) - 1
    low, high = exposure.span[0] * top, exposure.span[1] * top
    if exposure.monochrome1 != exposure.wrong_polarity:
        low, high = top - high, top - low
    slope, intercept = exposure.rescale or (1.0, 0.0)
    if exposure.voi == "lut":
        entries = top + 1
        ramp = (np.arange(entries) - (low + high) / 2) / max(high - low, 1)
        values = np.round(65535 / (1 + np.exp(-6 * ramp))).astype("<u2")
        table = Dataset()
        table.add_new(0x00283002, "US", [entries, 0, 16])
        table.LUTExplanation = "NORMAL"
        table.add_new(0x00283006, "US", values.tolist())
        ds.VOILUTSequence = [table]
        return
    if exposure.rescale is not None:
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = f"{intercept:g}", f"{slope:g}", "US"
    if exposure.voi == "window":
        ds.WindowCenter = f"{slope * (low + high) / 2 + intercept:.1f}"
        ds.WindowWidth = f"{slope * (high - low):.1f}"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _raw_text(tag: int, value: bytes) -> RawDataElement:
    """A CS whose bytes are no CS at all, which is how they come: written as they are, unchecked."""
    padded = value + b" " * (len(value) % 2)
    return RawDataElement(Tag(tag), "CS", len(padded), padded, 0, False, True, True)
