"""The page of `etl report`, on versions that are made up for it."""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from cluster.progress import Reporter
from etl.pixels import png
from etl.report import sheet
from etl.report.facets import facets
from etl.report.report import write_report
from schemas import manifest
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from tests import browser

QUIET = Reporter(Console(quiet=True), quiet=True)
UPRIGHT = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
Row = Mapping[str, Any]


def picture(number: int, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "source_id": f"s{number:03}", "frame_index": 0, "region_index": 0, "region_count": 1, "image_id": f"i{number:03}",
        "image_path": f"images/{number}.png", "preview_path": f"previews/{number}.png", "sha256": "0",
        "study_id": f"study{number // 2}", "patient_id": f"patient{number // 2}", "instance_id": f"instance{number}",
        "rows": 60, "columns": 40, "bits": 8, "source_rows": 60, "source_columns": 40, "body_part": "wrist", "modality": "DX",
        "inverted": False, "inversion_score": -0.9, "split_score": 0.9, "rotation_deg": 0.0, "rotation_confidence": 0.9,
        "transform": UPRIGHT, "mean": 0.3, "std": 0.2, "split": "train", "review": False, "review_reasons": [],
        "header_problems": [], "body_part_ambiguous": [], "manufacturer": "Agfa",
    }  # fmt: skip
    return row | changes


def drop(number: int, reason: str = "anatomy", **changes: Any) -> dict[str, Any]:
    return {"source_id": f"d{number:03}", "frame_index": 0, "reason": reason, "detail": "hand"} | changes


def version(
    folder: Path,
    pictures: Sequence[Row],
    drops: Sequence[Row] = (),
    failures: Sequence[Row] = (),
    labels: Mapping[str, pa.DataType] | None = None,
    without: Sequence[str] = (),
) -> DatasetVersion:
    folder = folder / "ds" / "0123456789ab"
    rng = np.random.default_rng(0)
    for kind in ("images", "previews"):
        (folder / kind).mkdir(parents=True)
    for row in pictures:
        for name in (row["image_path"], row["preview_path"]):
            (folder / name).write_bytes(png.encode(rng.integers(0, 255, (60, 40)).astype(np.uint8)))
    for name, rows in (("manifest", pictures), ("drops", drops), ("failures", failures)):
        schema = manifest.schema(name, manifest.label_columns(labels or {}))  # type: ignore[arg-type]
        (folder / name).mkdir()
        table = pa.Table.from_pylist([dict(row) for row in rows], schema)
        pq.write_table(table.drop_columns([c for c in without if c in table.column_names]), folder / name / "part-0.parquet")
    card = {
        "version": folder.name,
        "recipe": {"name": "made up", "steps": ["inversion"], "review": {"below": 0.7}},
        "counts": {"files": len(pictures) + len(drops) + len(failures), "studies": 1, "patients": 1},
        "statistics": {"mean_std_all": [0.3, 0.2], "mean_std": {"train": [0.3, 0.2]}},
        "software": {"radforge": "0.1.0"},
        "deidentification": None,
    }
    (folder / "card.json").write_text(json.dumps(card))
    return DatasetVersion(folder, folder.name)


def page(made: DatasetVersion) -> str:
    out = made.folder.parent.parent / "page.html"
    write_report(made, out, QUIET)
    return out.read_text("utf-8")


def shown(html: str) -> list[str]:
    """image_id of the cards that can be seen, in their order."""
    return re.findall(r'<article class="card[^"]*" data-f="[^"]*" data-sure="[^"]*" id="picture-(\w+)">', html)


def test_every_link_leads_to_an_example(tmp_path: Path) -> None:
    pictures = [picture(n, label_fracture=n % 2, split=("train", "val")[n % 2]) for n in range(4)]
    pictures += [
        picture(7, inverted=True, rotation_deg=120.0, body_part="a & b", manufacturer=None, review=True,
                review_reasons=["rotation"], label_fracture=None),
        picture(8, region_count=2, header_problems=["spacing:imager"], label_fracture=0),
    ]  # fmt: skip
    drops = [
        drop(1),
        drop(2, "duplicate", instance_id="instance1"),
        drop(8, "region_too_small", source_id="s008", region_index=1),
    ]
    failures = [{"source_id": "f1", "frame_index": 0, "stage": "decode", "error": "cut short"}]

    html = page(version(tmp_path, pictures, drops, failures, {"fracture": pa.int64()}))

    ids = set(re.findall(r' id="([^"]+)"', html))
    options = re.findall(r'<select name="([^"]+)">(.*?)</select>', html, re.DOTALL)
    token = {
        (unescape(name), unescape(value)): number
        for name, inside in options
        for value, number in re.findall(r'<option value="([^"]*)" data-token="(\d+)"', inside)
    }
    carried = [set(tokens.split()) for tokens in re.findall(r' data-f="([^"]*)"', html)]
    links = [unescape(link) for link in re.findall(r'href="#([^"]+)"', html)]
    assert len(links) > 30
    for link in links:
        wanted = {token[pair] for pair in parse_qsl(link)} if "=" in link else None
        assert link in ids if wanted is None else any(wanted <= tokens for tokens in carried), link


def test_each_frame_is_counted_once(tmp_path: Path) -> None:
    pictures = [picture(1), picture(2, region_count=3), picture(3, source_id="s002", region_index=1, region_count=3)]
    drops = [drop(1), drop(2, source_id="s002", reason="region_too_small", region_index=2)]
    failures = [{"source_id": "f1", "frame_index": 0, "stage": "read", "error": "cut short"}]

    html = page(version(tmp_path, pictures, drops, failures))

    assert "4 = 2 kept + 1 left out + 1 that could not be read" in html
    assert "2 frames became 3 pictures" in html
    assert "1 frame and 1 region of frames, on purpose" in html


def test_what_a_file_says_is_shown_and_never_obeyed(tmp_path: Path) -> None:
    nasty = "<script>alert('x')</script>\"'"
    pictures = [
        picture(n, body_part=nasty, view_position=nasty, manufacturer=nasty, label_side=nasty + str(n)) for n in range(2)
    ]
    drops = [drop(1, reason=nasty, detail=nasty, study_id=nasty)]

    html = page(version(tmp_path, pictures, drops, labels={"side": pa.string()}))

    assert "alert(" in html
    assert "<script>alert" not in html
    assert html.count("<script") == 1


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    html = page(version(tmp_path, [picture(1)]))

    assert not re.findall(r"https?://|url\(|@import|<link|<iframe", html)
    assert set(re.findall(r'src="([^:"]*):', html)) == {"data"}


def test_the_least_sure_come_first(tmp_path: Path) -> None:
    sure = {1: 0.9, 2: 0.5, 3: 0.7}
    pictures = [picture(n, rotation_confidence=value) for n, value in sure.items()]
    pictures.append(picture(4, rotation_confidence=None, split_score=None, inversion_score=None))

    assert shown(page(version(tmp_path, pictures))) == ["i002", "i003", "i001", "i004"]


def test_of_many_pictures_some_of_every_kind_are_shown_and_the_rest_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet.choose, "__defaults__", (20,))
    pictures = [picture(n, rotation_confidence=n / 100) for n in range(60)]
    pictures[59] |= {"body_part": "knee"}  # the surest of all, and the only one of its kind

    html = page(version(tmp_path, pictures))

    assert len(shown(html)) == 20
    assert shown(html)[:3] == ["i000", "i001", "i002"]
    assert shown(html)[-1] == "i059"
    assert "This page holds 20 of 60 pictures" in html
    assert "40 are not shown" in html


def test_a_kind_is_shown_by_its_least_sure_and_by_chance(tmp_path: Path) -> None:
    table = version(tmp_path, [picture(n, rotation_confidence=1 - n / 100) for n in range(40)]).table("manifest")

    orders = sheet.least_sure_first(table, sheet.sureness(table))

    assert orders[0][:3].tolist() == [39, 38, 37]
    assert set(sheet.choose(orders, table, facets(table), shown=1)) == {39, 38, 37, 0, 1, 2}  # 0, 1, 2: smallest image_id


def test_the_least_sure_of_each_step_are_shown(tmp_path: Path) -> None:
    pictures = [picture(n, rotation_confidence=0.1 + n / 1000, split_score=0.99 - n / 1000) for n in range(60)]
    table = version(tmp_path, pictures).table("manifest")

    rows = sheet.choose(sheet.least_sure_first(table, sheet.sureness(table)), table, [], shown=12)

    assert {0, 1, 2, 57, 58, 59} <= set(rows.tolist())
    assert len(rows) == 12


@pytest.mark.parametrize("labels", [None, {"age": pa.float64()}])
def test_one_picture_without_labels_or_drops_makes_a_page(tmp_path: Path, labels: Mapping[str, pa.DataType] | None) -> None:
    html = page(version(tmp_path, [picture(1, split=None, mean=None, std=None)], labels=labels))

    assert "1 frame became 1 picture" in html
    assert "Nothing was left out." in html
    assert "Every file could be read." in html
    assert "NaN" not in html.split("<script>")[0].replace("isNaN", "")


def test_a_label_that_measures_is_told_as_its_range(tmp_path: Path) -> None:
    pictures = [picture(n, label_age=n + 0.5) for n in range(20)]

    html = page(version(tmp_path, pictures, labels={"age": pa.float64()}))

    assert "Label “age”: 20 pictures with 20 different values, 0.5 to 19.5, mean 10." in html


def test_a_lost_picture_is_said(tmp_path: Path) -> None:
    made = version(tmp_path, [picture(1)])
    (made.folder / "images/1.png").unlink()

    assert "missing or damaged" in page(made)


def test_a_version_made_before_there_were_reviews_has_a_page(tmp_path: Path) -> None:
    made = version(tmp_path, [picture(1)], without=("review", "review_reasons", "split_score", "corrected"))

    html = page(made)

    assert shown(html) == ["i001"]
    assert "#review=" not in html


def test_only_columns_that_are_known_reach_the_page(tmp_path: Path) -> None:
    made = version(tmp_path, [picture(1)])
    part = made.folder / "manifest/part-0.parquet"
    table = pq.read_table(part)
    pq.write_table(table.append_column("dicom_patient_name", pa.array(["Müller"])), part)

    assert "Müller" not in page(made)


def test_the_same_version_gives_the_same_page(tmp_path: Path) -> None:
    made = version(tmp_path, [picture(n, label_fracture=n % 2) for n in range(8)], [drop(1)], labels={"fracture": pa.int64()})

    assert page(made) == page(made)


def test_a_cut_part_is_outlined_where_it_was_in_the_film(tmp_path: Path) -> None:
    part = picture(1, region_count=2, columns=20, transform=[1.0, 0.0, -20.0, 0.0, 1.0, 0.0])
    table = version(tmp_path, [part]).table("manifest")

    (card,) = sheet.cards(table, np.array([0]), [], {("fate", "record"): 0})

    assert card.outline == "20,-0 40,-0 40,60 20,60"
    assert card.up == ""


def test_the_arrow_points_to_what_became_the_top(tmp_path: Path) -> None:
    upside_down = picture(1, rotation_deg=180.0, transform=[-1.0, 0.0, 39.0, 0.0, -1.0, 59.0])
    table = version(tmp_path, [upside_down]).table("manifest")

    (card,) = sheet.cards(table, np.array([0]), [], {("fate", "record"): 0})

    (x0, y0), (x1, y1) = ([int(v) for v in at.split()] for at in re.findall(r"[ML](\S+ \S+?)(?=[ML])", card.up)[:2])
    assert abs(x0 - x1) <= 1
    assert y1 - y0 >= 12
    assert card.outline == ""


@pytest.mark.parametrize(
    "name",
    ["page.pdf", "nowhere/page.html", "ds/0123456789ab/page.html", "ds/0123456789ab/images/page.html", "ds/.runs/page.html",
     "ds/.building-01/page.html", "ds.private/page.html", "other/ab0123456789/page.html", "copy/page.html"],
)  # fmt: skip
def test_a_page_is_not_written_just_anywhere(tmp_path: Path, name: str) -> None:
    made = version(tmp_path, [picture(1)])
    for folder in ("ds/.runs", "ds/.building-01", "ds.private", "other/ab0123456789"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "other/ab0123456789/card.json").write_text("{}")
    shutil.copytree(made.folder, tmp_path / "copy")

    with pytest.raises(RadforgeError, match="--out"):
        write_report(made, tmp_path / name, QUIET)

    assert not (tmp_path / name).exists()


def test_a_full_disk_leaves_the_earlier_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = version(tmp_path, [picture(1)])
    out = tmp_path / "page.html"
    out.write_text("an earlier page")
    before = sorted(tmp_path.iterdir())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RadforgeError, match="is full") as error:
        write_report(made, out, QUIET)

    assert "goes on where it stopped" not in str(error.value)
    assert out.read_text() == "an earlier page"
    assert sorted(tmp_path.iterdir()) == before


def balance_of(html: str) -> list[list[str]]:
    """The table "Balance": its head and rows, without the shares."""
    table = html.split("<b>Balance of")[1].split("</table>", maxsplit=1)[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in table.split("<tr")[1:]]
    return [[re.sub(r"<small.*?</small>|<[^>]+>", "", unescape(cell)).strip() for cell in row[:-1]] for row in rows]


def test_values_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    values = [1234567.25, 1234568.25, 3.0, None]
    pictures = [picture(n, study_id=f"t{n}", label_dose=values[n % 4], split=("train", "val")[n % 2]) for n in range(8)]

    head, *rows = balance_of(page(version(tmp_path, pictures, labels={"dose": pa.float64()})))

    assert head == ["split", "1234567.25", "1234568.25", "3", "no label"]
    assert rows == [["train", "2", "0", "2", "0"], ["val", "0", "2", "0", "2"], ["all", "2", "2", "2", "2"]]


def test_what_is_no_number_is_no_label(tmp_path: Path) -> None:
    values = [1.0, float("nan"), 0.0, -0.0]
    pictures = [picture(n, study_id=f"t{n}", label_dose=value) for n, value in enumerate(values)]

    head, *rows = balance_of(page(version(tmp_path, pictures, labels={"dose": pa.float64()})))

    assert head == ["split", "0", "1", "no label"]
    assert rows[-1] == ["all", "2", "1", "1"]


def test_words_of_the_data_are_not_our_own(tmp_path: Path) -> None:
    values = ["not said", "others", "none", "~not said", "no label", None]
    pictures = [picture(n, study_id=f"t{n}", label_seen=value) for n, value in enumerate(values)]

    html = page(version(tmp_path, pictures, labels={"seen": pa.string()}))

    head, *rows = balance_of(html)
    assert sorted(head[1:]) == sorted(["“not said”", "“others”", "“none”", "~not said", "“no label”", "no label"])
    assert rows == [[name, "1", "1", "1", "1", "1", "1"] for name in ("train", "all")]
    options = re.search(r'<select name="label_seen">(.*?)</select>', html, re.DOTALL)
    assert options is not None
    assert len(set(re.findall(r'<option value="([^"]+)"', options[1]))) == 6


def test_a_version_without_pictures_has_a_page(tmp_path: Path) -> None:
    html = page(version(tmp_path, [], [drop(1)], labels={"fracture": pa.int64()}))

    assert "1 = 0 kept + 1 left out + 0 that could not be read" in html
    assert shown(html) == []


def test_a_label_that_nobody_gave_has_a_page(tmp_path: Path) -> None:
    html = page(version(tmp_path, [picture(1)], labels={"fracture": pa.null()}))

    assert "Label “fracture”: 0 pictures with 0 different values." in html


def test_what_an_older_version_does_not_tell_is_left_out_and_said(tmp_path: Path) -> None:
    gone = ("body_part", "body_part_score", "body_part_source", "body_part_ambiguous", "source_rows", "source_columns", "mean")
    html = page(version(tmp_path, [picture(1)], without=gone))

    assert shown(html) == ["i001"]
    assert "Sizes before" not in html
    assert all(f"<code>{name}</code>" in html for name in gone)


def test_a_version_that_does_not_say_which_film_a_row_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match="expected image_id"):
        page(version(tmp_path, [picture(1)], without=("image_id",)))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of six pictures and three rows, to be opened in a browser."""
    browser.required()
    folder = tmp_path_factory.mktemp("report")
    pictures = [
        picture(1),
        picture(2, rotation_deg=12.0, rotation_confidence=0.8, split_score=0.6),
        picture(3, rotation_deg=12.0, rotation_confidence=0.7, body_part="hand", review=True, review_reasons=["rotation"]),
        picture(4, body_part="hand & wrist"),
        picture(5, inverted=True, manufacturer="other", metal_fraction=0.02, body_part_suspect=True),
        picture(6, region_count=2),
    ]
    page(version(folder, pictures, [drop(1), drop(2, "duplicate")], [drop(3) | {"stage": "read", "error": "cut short"}]))
    return (folder / "page.html").as_uri()


ALL = {"i001", "i002", "i003", "i004", "i005", "i006"}
FILTERS: dict[str, tuple[set[str], int, str]] = {
    "#drop-anatomy": (ALL, 3, "6 pictures shown."),
    "#step=rotation": ({"i002", "i003"}, 0, "2 pictures shown."),
    "#step=rotation&part=hand": ({"i003"}, 0, "1 picture shown."),
    "#part=hand%20%26%20wrist": ({"i004"}, 0, "1 picture shown."),
    "#metal=yes": ({"i005"}, 0, "1 picture shown."),
    "#fate=drop": (set(), 2, "0 pictures shown; 2 rows listed further below."),
}


@pytest.mark.parametrize("fragment", FILTERS)
def test_the_address_filters_the_page_in_a_browser(
    address: str, fragment: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dom = browser.dump(address + fragment, tmp_path_factory.getbasetemp() / "chromium")

    pictures, rows, told = FILTERS[fragment]
    assert set(shown(dom)) == pictures
    assert fragment != "#step=rotation" or shown(dom) == ["i003", "i002"]  # by how sure the turn is, not the splitting
    assert len(re.findall(r'<tr data-f="[^"]*">', dom)) == rows
    assert f'<output id="told">{told}</output>' in dom


def test_a_choice_in_the_browser_becomes_the_address(address: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    chosen = "f = document.getElementById('filter'); f.elements.part.value = 'hand'; f.elements.review.value = 'yes';"
    script = f"<script>{chosen} f.dispatchEvent(new Event('change')); document.title = location.hash</script>"
    folder = tmp_path_factory.mktemp("chosen")
    original = Path(unquote(urlsplit(address).path)).read_text("utf-8")
    (folder / "page.html").write_text(original.replace("</body>", f"{script}</body>"), "utf-8")

    dom = browser.dump((folder / "page.html").as_uri(), tmp_path_factory.getbasetemp() / "chromium")

    assert "<title>#part=hand&amp;review=yes</title>" in dom
    assert shown(dom) == ["i003"]
