"""What `train predict` writes: one Parquet file, a row per picture, per study, and per film that could not be scored.

Columns, fates and reasons are add-only. Ids are pseudonyms; no path, name, date or UID of the source is in it.
"""

from __future__ import annotations

import pyarrow as pa

from schemas.manifest import Column

NO_PICTURE = "no_picture"
"""`reason` of a study of which not one picture came out; its `detail` counts why. Other reasons are those of a dataset
version: of its drops (`anatomy`, `duplicate`, ...) and the stages of its failures (`read`, `decode`, ...)."""

COLUMNS: tuple[Column, ...] = (
    Column("level", pa.string(), "`instance`: a picture, or a film that gave none; `study`: all its pictures together.", False),
    Column("source_id", pa.string(), "Pseudonym of the file, as in the dataset; null at level `study`."),
    Column("study_id", pa.string(), "Pseudonym of the study; null for a file that is of none."),
    Column("patient_id", pa.string(), "Pseudonym of the patient."),
    Column("image_id", pa.string(), "Pseudonym of the picture; null at level `study` and without a picture."),
    Column("frame_index", pa.int32(), "Frame of the file, from 0; null at level `study`."),
    Column("region_index", pa.int32(), "Region of the frame, from 0; null when the whole film is meant."),
    Column("views", pa.int32(), "Pictures that the score was made from; 0: none.", False),
    Column("logit", pa.float32(), "What the model said; of a study by a single-view model: the highest of its pictures."),
    Column("probability", pa.float64(), "Sigmoid of the logit. This is what the threshold is for."),
    Column("probability_calibrated", pa.float64(), "Sigmoid of the logit over the run's temperature; null without one."),
    Column("threshold", pa.float64(), "Chosen on the run's validation studies and frozen with the run."),
    Column("positive", pa.bool_(), "Whether the probability is above the threshold; null: not scored, which is no `negative`."),
    Column("fate", pa.string(), "`scored`, `drop` (left out on purpose) or `failure` (could not be read).", False),
    Column("reason", pa.string(), "Of a drop its reason, of a failure its stage, of a study without any picture `no_picture`."),
    Column("detail", pa.string(), "More, in radforge's own words; of a study: how many of its films were not scored, and why."),
)

SCORES = pa.schema([pa.field(column.name, column.type, nullable=column.nullable) for column in COLUMNS])
