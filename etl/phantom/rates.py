"""How often each thing happens in a drawn archive: one number, one sentence each."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

FRACTURE = 0.31
"""Share of the labelled studies that are positive, in every split."""
CALM_FRACTURE = 0.5
"""The same of an archive to train on: its few studies teach most when both classes are as large."""
VISIBLE: Mapping[int, float] = {1: 0.82, 2: 0.14, 3: 0.04}
"""With `visible="thesis"`: share of the positive studies whose fracture shows in one part of so many of their films (81, 14
and 4 % in the thesis; the percent that is missing shows it in all)."""
VIEWS: Mapping[int, float] = {1: 0.30, 2: 0.48, 3: 0.11, 4: 0.05, 5: 0.02, 6: 0.02, 7: 0.01, 8: 0.01}
"""Share of studies with so many films."""
OTHER_PARTS = 0.15
"""Unlabelled studies of other body parts, per labelled wrist study (at least one)."""
AXIAL_FROM = 10
"""From so many labelled studies on, one study of AXIAL_INSTANCES small slices is added."""
AXIAL_INSTANCES = 195
"""Slices of the axial study: more than a radiograph can have."""
AXIAL_SIDE = 256
"""Rows and columns of a slice at full size."""

MEDIAN_SIZE = (2000, 1600)
"""Rows and columns of the median film before `size` scales it down."""
ROWS = (1500, 2500)
"""Range of rows of an ordinary film."""
SMALL_EVERY, SMALL_ROWS = 20, 250
"""One study in so many has films of about 250 rows."""
LARGE_EVERY, LARGE_ROWS = 20, 4000
"""One study in so many has films of about 4000 rows."""
SMALLEST_SIDE = 128
"""No film is scaled below so many pixels on its shorter side (unless `size` itself is smaller)."""

MONOCHROME1 = 0.22
"""Share of films stored as MONOCHROME1."""
WRONG_POLARITY = 0.12
"""Share of films whose stored values contradict their PhotometricInterpretation."""
FRAME = 0.14
"""Share of films with a constant band around, white or black with equal right."""
COLLIMATED = 0.55
"""Share of films with collimator edges inside the film."""
UNEXPOSED_BRIGHT = 0.25
"""Share of the collimated films whose outside is left unexposed (bright) rather than blackened."""
MARKER = 0.85
"""Share of films with a lead L or R."""
TWO_WRISTS = 0.10
"""Share of PA films that show both wrists."""
TILTED = (0.55, 0.30, 0.15)
"""Shares of films tilted by up to 5, 5..30 and 30..60 degrees, either way."""
CALM_CLOSENESS = 0.65
"""Films of an archive to train on show so much of the height that others show: the wrist is larger, the fingers are off."""
CALM_TILT_DEG = 10.0
"""Wrists of an archive to train on are tilted by up to so much, either way."""
UPSIDE_DOWN = 0.08
"""Share of films with the fingers down."""
BITS_14 = 0.35
"""Share of studies stored with 14 bits; the others with 12."""
DX = 0.5
"""Share of studies from a digital detector (DX); the others are CR."""
WINDOW = 0.55
"""Share of films with Window Center and Width."""
VOI_LUT = 0.05
"""Share of films with a VOI LUT Sequence instead."""
RESCALE = 0.25
"""Share of films with Rescale Slope and Intercept."""

SECOND_STUDY = 0.12
"""Chance that a study is of the patient of the study before."""
BLANK_ID_EVERY = 17
"""One patient in so many has no PatientID."""
UNNAMED_EVERY = 40
"""One wrist study in so many says nowhere what it shows (never when splits are fixed)."""
PART_ELSEWHERE = 0.10
"""Share of studies without BodyPartExamined whose part stands in another description."""
SCATTERED = 0.12
"""Share of studies of several films whose last film lies in another folder."""

DUPLICATES = 0.04
"""Files that repeat a film pixel for pixel, per labelled study (at least one)."""
CONFLICTS = 0.02
"""Files that repeat a SOPInstanceUID with other pixels, per labelled study (at least one)."""
TRUNCATED = 0.02
"""Films cut off within their pixels, per labelled study (at least one)."""
NOT_IMAGES = 0.05
"""Structured reports and presentation states, per labelled study (at least one each)."""

SYNTAX_CYCLE: tuple[UID, ...] = (
    ExplicitVRLittleEndian, JPEGLosslessSV1, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless,
    ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, ExplicitVRLittleEndian,
    JPEGLosslessSV1,
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGLosslessSV1, ExplicitVRLittleEndian, RLELossless,
    ImplicitVRLittleEndian, JPEGLSLossless, ExplicitVRLittleEndian, JPEGLosslessSV1, ImplicitVRLittleEndian,
    ExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGLosslessSV1,
)  # fmt: skip
"""Transfer syntaxes in the order studies take them: a study has one, eight studies have all."""
