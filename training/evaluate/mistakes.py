"""The studies that a run got wrong, worst first: for the report, and for a reader who looks at them again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from schemas.errors import RadforgeError
from training.evaluate.cases import Cases, at_level, strings


@dataclass(frozen=True)
class Mistake:
    """One study on the wrong side of the threshold."""

    study_id: str
    image_ids: tuple[str, ...]
    target: int
    score: float
    threshold: float
    rule: str

    @property
    def distance(self) -> float:
        """How far on the wrong side."""
        return abs(self.score - self.threshold)


def mistakes(rows: pa.Table, cases: Cases, rule: str, threshold: float) -> list[Mistake]:
    """All wrong studies of a rule, the farthest from the threshold first."""
    pictures: dict[str, list[str]] = {}
    instances = at_level(rows, "instance")
    for study, image in zip(strings(instances["study_id"]).tolist(), strings(instances["image_id"]).tolist(), strict=True):
        pictures.setdefault(study, []).append(image)
    wrong = [
        Mistake(study, tuple(pictures.get(study, ())), int(target), float(score), threshold, rule)
        for study, target, score in zip(cases.study.tolist(), cases.target, cases.score, strict=True)
        if (score > threshold) != (target > 0.5)
    ]
    return sorted(wrong, key=lambda each: (-each.distance, each.study_id))


def export_mistakes(found: list[Mistake], path: Path) -> None:
    """Write them as `.csv` (image ids separated by blanks) or `.parquet` (a list): study_id, image_ids, target, score,
    threshold, rule. Raises RadforgeError for another ending, or when the disk refuses.
    """
    rows = [asdict(each) | {"image_ids": list(each.image_ids)} for each in found]
    schema = pa.schema(
        [
            ("study_id", pa.string()),
            ("image_ids", pa.list_(pa.string())),
            ("target", pa.int8()),
            ("score", pa.float64()),
            ("threshold", pa.float64()),
            ("rule", pa.string()),
        ]
    )
    table = pa.Table.from_pylist(rows, schema=schema)
    try:
        if path.suffix == ".parquet":
            pq.write_table(table, path)
        elif path.suffix == ".csv":
            joined = pa.array([" ".join(each.image_ids) for each in found], pa.string())
            pa_csv.write_csv(table.set_column(1, "image_ids", joined), path)
        else:
            raise RadforgeError("unknown ending", f"--export-errors {path}", expected="FILE.csv or FILE.parquet")
    except OSError as error:
        raise RadforgeError("cannot be written", f"--export-errors {path}", found=error.strerror or "I/O error") from None
