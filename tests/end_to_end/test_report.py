"""`etl report` on a version that a run made."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from etl.order import Built
from etl.verify import verify
from schemas.dataset import DatasetVersion

ETL = str(Path(sys.executable).parent / "etl")
OF_THE_SOURCE = ("source_path", "study_instance_uid", "series_instance_uid", "sop_instance_uid", "patient_id_original")


def test_a_page_tells_of_a_version_and_names_nobody(built: Built, tmp_path: Path) -> None:
    version = DatasetVersion.open(built.folder)

    done = subprocess.run(
        [ETL, "report", version.dataset], capture_output=True, text=True, cwd=tmp_path, check=True, timeout=120
    )

    page = (tmp_path / f"report-{version.version}.html").read_text("utf-8")
    counts = version.card["counts"]
    assert f"report-{version.version}.html: {counts['records']}" in done.stdout
    assert page.count('<article class="card') == counts["records"]
    for reason, number in (counts["drops_by_reason"] | counts["failures_by_stage"]).items():
        link = f"{'failure' if reason in counts['failures_by_stage'] else 'drop'}-{reason}"
        assert f'<a href="#{link}">{number}</a>' in page
        assert f'id="{link}"' in page
    with (version.dataset.parent / "x.csv").open() as file:
        secrets = {row[name] for row in csv.DictReader(file) for name in OF_THE_SOURCE if len(row[name]) > 4}
    assert len(secrets) > 100
    assert [secret for secret in secrets if secret in page] == []
    assert str(version.dataset) not in page
    assert verify(version) == []
