"""What the driver of `etl run` needs in seconds and memory, on an archive that exists as an index only.

`python -m tests.benchmark.scale STUDIES [plan|run]` draws the index in a process of its own and then goes through the stages:
`plan` ends when the work of each study is known; `run` goes on to a committed version, with real workers whose answers are
rows as ever, and leave out the pixels. Without arguments both, for the numbers of docs/scale.md.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from cluster.shell import call

STUDIES, INSTANCES = 100_000, 1_000_000
FILMS_PER_STUDY = (1, 2, 2, 2, 3, 2, 3)  # mean 2.14, that of hospital archives of limbs
SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90")
PARTS = ("MUÑECA", "WRIST", "HAND", "MANO", "HAND WRIST", "CHEST", "", "KNEE", "RODILLA", "poignet gauche", "TOBILLO IZQ")
TEXTS = tuple(f"{part} {view} {side}".strip() for part in PARTS for view in ("PA", "AP", "LAT") for side in ("", "IZQ", "DCHA"))
ROOT = "1.3.6.1.4.1.99999.2.1107.5.2.43.166203.30000020"


def instances(studies: int, archive: Path) -> Iterator[Any]:
    """The headers of an archive of so many studies, in no order that helps: files are named by a hash."""
    from etl.study import Drop, Instance, Source

    for study in range(studies):
        for film in range(FILMS_PER_STUDY[study % len(FILMS_PER_STUDY)]):
            number = 10 * study + film
            text = TEXTS[study * 7 % len(TEXTS)]
            name = f"{hashlib.sha256(str(number).encode()).hexdigest()[:32]}"
            name = f"{name[:2]}/{name[2:4]}/{name}.dcm"
            if number % 5000 == 0:
                yield Instance(source=Source(name, f"{archive}/{name}", "", 900, 10**18), fate=Drop("not_dicom"))
                continue
            yield Instance(
                source=Source(name, f"{archive}/{name}", "", 7_000_000 + number % 9999, 10**18 + number),
                study_instance_uid=f"{ROOT}.{study:010d}.0",
                series_instance_uid=f"{ROOT}.{study:010d}.1",
                # One film in 2,000 has a twin in the next study: the same SOPInstanceUID.
                sop_instance_uid=f"{ROOT}.{study - (number % 2000 == 10):010d}.2.{0 if number % 2000 in (0, 10) else film}",
                sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
                modality="CR" if study % 3 else "DX",
                transfer_syntax=SYNTAXES[study % 3],
                patient_id=f"NHC{study // 2 * 7919 % 10**9:09d}" if study % 50 else "",
                accession_number=f"ACC{study:09d}",
                study_date=f"{2005 + study % 15}{1 + study % 12:02d}{1 + study % 28:02d}",
                study_time=f"{study % 24:02d}{study % 60:02d}12.{study % 1000:03d}",
                patient_sex="FM"[study % 2],
                patient_age=f"{study % 95:03d}Y",
                patient_birth_date=f"{1930 + study % 70}0{1 + study % 9}15",
                body_part_examined=PARTS[study % len(PARTS)],
                study_description=text,
                series_description=TEXTS[(study + film) % len(TEXTS)],
                laterality="LR"[study % 2],
                view_position=("PA", "LL")[film % 2],
                manufacturer=("FUJIFILM Corporation", "Agfa", "Philips Medical Systems")[study % 3],
                model=("CR 85-X", "DigitalDiagnost", "5501ES")[study % 3],
                photometric_interpretation="MONOCHROME2",
                samples_per_pixel=1,
                rows=2140 + study % 5,
                columns=1760,
                bits_allocated=16,
                bits_stored=12,
            )


def found_of(instance: Any) -> Any:
    """The file of an instance as the walk lists it."""
    from etl.archive.walk import Found

    source = instance.source
    return Found(source.name, source.path, source.size, source.mtime_ns)


def draw(folder: Path, studies: int) -> None:
    """Write the index of the archive: `ds.private` in the folder."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from etl.archive.index import rows_of, save

    drawn, tables = instances(studies, folder / "archive"), []
    while chunk := list(islice(drawn, 10_000)):
        tables.append(rows_of((found_of(instance), [instance]) for instance in chunk))
    rows = pa.concat_tables(tables)
    (folder / "archive").mkdir()
    (folder / "ds.private").mkdir(mode=0o700)
    save(folder / "ds.private" / "index.parquet", [rows.take(pc.sort_indices(rows["found_name"]))])
    size = (folder / "ds.private" / "index.parquet").stat().st_size
    line(f"{studies:,} studies, {len(rows):,} instances; the index has {size / len(rows):.0f} bytes a row")


def processed(task: Any, recipe: Any, store: Any) -> Any:
    """A worker's answer about a study: rows as `etl.process` makes them, without pixels."""
    from etl.picture_store import image_id_of
    from etl.study import StudyOutcome

    outcome = StudyOutcome(task.study_id)
    for film in task.films:
        image, preview = image_id_of(film.source_id, 0, 0), image_id_of(film.source_id, 0, 1)
        outcome.records.append(
            {
                **film.columns,
                "frame_index": 0, "region_index": 0, "region_count": 1, "image_id": image,
                "image_path": f"images/{image[:2]}/{image}.png", "preview_path": f"previews/{preview[:2]}/{preview}.png",
                "sha256": hashlib.sha256(image.encode()).hexdigest(),
                "preview_sha256": hashlib.sha256(preview.encode()).hexdigest(),
                "rows": 2140, "columns": 1760, "bits": 8, "pixel_spacing_row_mm": 0.1, "pixel_spacing_column_mm": 0.1,
                "source_rows": 2140, "source_columns": 1760, "photometric_interpretation": "MONOCHROME2",
                "transfer_syntax": SYNTAXES[0], "decoder": "native", "voi_source": "window", "window_center": 2048.0,
                "window_width": 4096.0, "inverted": False, "inversion_score": 0.12345678, "rotation_deg": 1.5,
                "rotation_confidence": 0.87654321, "transform": [0.99, 0.01, 12.0, -0.01, 0.99, 3.0],
                "mean": 0.31415926, "std": 0.27182818,
            }
        )  # fmt: skip
    outcome.seconds["decode"] += 0.01
    return outcome


def watch(module: Any, name: str, stage: str) -> None:
    """Print seconds (of the clock, of this process) and peak memory of a function each time it ends."""
    wrapped: Callable[..., Any] = getattr(module, name)

    def watched(*given: Any, **named: Any) -> Any:
        forget_peak()
        began, cpu = time.perf_counter(), time.process_time()
        try:
            return wrapped(*given, **named)
        finally:
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu
            line(f"  {stage:<38}{wall:>9.1f} s{cpu:>9.1f} s{peak_mb():>9.0f} MB")

    setattr(module, name, watched)


def forget_peak() -> None:
    """Count the peak from now on (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """The largest memory of this process since `forget_peak`, in MB."""
    status = Path("/proc/self/status").read_text()
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def line(text: str) -> None:
    """A line of the report."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def go(folder: Path, studies: int, until: str) -> None:
    """All stages, in this process."""
    from rich.console import Console

    from cluster.progress import Reporter
    from etl import batches, build, run, store
    from etl.archive import listing
    from etl.order import Order
    from schemas.recipe import EtlRecipe

    line(f"  {'stage':<38}{'wall':>11}{'CPU':>11}{'peak':>12}")
    line(f"  {'imports':<60}{peak_mb():>9.0f} MB")
    listing.walk = lambda archive, folders: ((found_of(one), one.source.path) for one in instances(studies, archive))
    for module, name, stage in (
        (run, "list_files", "list (drawn, no disk is asked)"),
        (run, "request_of", "request"),
        (run, "scan", "scan (all known)"),
        (run, "make_plan", "plan"),
        (build, "_process", "process (the driver's part)"),
        (store, "write_tables", "commit: tables"),
        (store, "_sweep", "commit: sweep"),
        (store, "share", "commit: share"),
        (store.cards, "version_name", "commit: name"),
        (store.cards, "build_card", "commit: card"),
        (run, "save_private", "crosswalk"),
    ):
        watch(module, name, stage)
    run.process = processed
    # Ten times as many films in a batch: two workers that decode nothing would else be asked 15,000 times.
    batches.SECONDS_PER_BYTE, batches.SECONDS_PER_FILM = batches.SECONDS_PER_BYTE / 10, batches.SECONDS_PER_FILM / 10
    order = Order((folder / "archive",), folder / "ds", EtlRecipe())
    say = Reporter(Console(quiet=True), quiet=True)
    began = time.perf_counter()
    if until == "plan":
        run.build = lambda session, job, publish: None
    run.run(order, say)
    line(f"  {'all':<38}{time.perf_counter() - began:>9.1f} s")
    if until == "plan":
        return
    made = next(path for path in (folder / "ds").iterdir() if (path / "card.json").exists())
    rows = sum(1 for _ in instances(studies, folder))
    size = sum(part.stat().st_size for part in (made / "manifest").iterdir())
    line(f"  {size / rows:.0f} bytes a row of the manifest, {len(list((made / 'manifest').iterdir()))} parts")


def main() -> None:
    """Draw, then measure."""
    if len(sys.argv) == 1:
        both()
        return
    studies, until = int(sys.argv[1]), sys.argv[2]
    if len(sys.argv) > 3:
        {"draw": draw, "go": lambda folder, number: go(folder, number, until)}[sys.argv[3]](Path(sys.argv[4]), studies)
        return
    measure(studies, until)


def both() -> None:
    """100,000 studies to a version, 1,000,000 instances to a plan."""
    measure(STUDIES, "run")
    measure(INSTANCES * len(FILMS_PER_STUDY) // sum(FILMS_PER_STUDY) + 1, "plan")


def measure(studies: int, until: str) -> None:
    """One archive, drawn and gone through in a process each: a child's largest memory begins with that of its parent."""
    with tempfile.TemporaryDirectory(prefix="radforge-scale-") as folder:
        for step in ("draw", "go"):
            done = call([sys.executable, "-m", "tests.benchmark.scale", str(studies), until, step, folder], timeout_s=3600)
            if done.code:
                raise SystemExit(done.stderr)
            sys.stdout.write(done.stdout)


if __name__ == "__main__":
    main()
