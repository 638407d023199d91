"""A version that an older radforge wrote, before some columns were known."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from etl.inspect import inspect
from etl.order import Built
from etl.verify import verify, without
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.manifest import MANIFEST, TABLES

ETL = str(Path(sys.executable).parent / "etl")
LATER = ("corrections", "shard", "merged")  # what the first cards did not say
IDENTITY = ("recipe", "key_fingerprint", "labels", "parent", "schema_version", "software", "code", "machine")
NEWER = [column.name for column in MANIFEST if column.since > 1]


def older(built: Built, dataset: Path, columns: list[str]) -> DatasetVersion:
    """The version as a radforge without some columns would have written it; its name is told from its bytes anew."""
    made = dataset / "made"
    shutil.copytree(built.folder, made)
    (part,) = (made / "manifest").glob("*.parquet")
    pq.write_table(pq.read_table(part).drop_columns(columns), part)
    card = json.loads((made / "card.json").read_text())
    card = {name: value for name, value in card.items() if name not in LATER} | {"schema_version": 1}
    digest = hashlib.sha256(text({name: card[name] for name in IDENTITY}))
    for name in TABLES:
        table = pq.read_table(made / name)
        digest.update(f"\n{name} {table.num_rows}\n".encode())
        for row in table.to_pylist():
            digest.update(text(row))
    card["version"] = digest.hexdigest()[:12]
    card["files_sha256"]["manifest/" + part.name] = hashlib.sha256(part.read_bytes()).hexdigest()
    (made / "card.json").write_text(json.dumps(card))
    return DatasetVersion(made.rename(dataset / card["version"]), card["version"])


def text(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_columns_that_came_later_are_no_damage(built: Built, tmp_path: Path) -> None:
    version = older(built, tmp_path / "ds", NEWER)

    assert verify(version) == []
    assert without(version) == NEWER
    done = subprocess.run([ETL, "verify", version.folder], capture_output=True, text=True, check=True, timeout=60)
    assert f"written by an older radforge: without columns {', '.join(NEWER)}" in done.stdout
    page = tmp_path / "page.html"
    subprocess.run([ETL, "report", version.folder, "--out", page], check=True, timeout=60)
    assert "Written by an older radforge" in page.read_text("utf-8")


def test_a_column_that_was_always_there_is_damage(built: Built, tmp_path: Path) -> None:
    version = older(built, tmp_path / "ds", [*NEWER, "body_part"])

    assert [damage.what for damage in verify(version)] == ["columns are missing: body_part"]


def test_a_newer_column_is_damage_where_it_was_known(built: Built, tmp_path: Path) -> None:
    version = older(built, tmp_path / "ds", ["review"])
    card = json.loads((version.folder / "card.json").read_text()) | {"schema_version": 2}
    (version.folder / "card.json").write_text(json.dumps(card))

    assert [damage.what for damage in verify(version)] == ["columns are missing: review"]


@pytest.mark.parametrize(
    "asked", [{"where": "review"}, {"where": "manifest.Review AND rows > 1"}, {"columns": ["image_id", "review"]}]
)
def test_asking_for_a_column_that_came_later_says_so(built: Built, tmp_path: Path, asked: dict[str, object]) -> None:
    version = older(built, tmp_path / "ds", NEWER)

    with pytest.raises(RadforgeError, match="this version has no column `review`; it was written by an older radforge"):
        inspect(str(version.folder), **asked)  # type: ignore[arg-type]
