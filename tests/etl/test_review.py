"""`etl review`: in which order, from whom, and what a key leaves on the disk."""

from __future__ import annotations

import asyncio
import http.client
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.correction_file import CorrectionFile
from etl.decisions import decisions
from etl.review.next_run import next_run
from etl.review.pictures import Wanted, in_order, outline, read_rows
from etl.review.review import file_beside, sitting
from etl.review.server import ReviewServer
from etl.review.session import Session, line_of
from schemas import manifest
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from tests import browser

VERSION, KEY = "0123456789ab", "fedcba987654"


def row(number: int, *, region: int = 0, count: int = 1, **changes: Any) -> dict[str, Any]:
    image_id = f"{number:018x}{region:02x}"
    return {
        "source_id": f"{number:016x}", "frame_index": 0, "region_index": region, "region_count": count, "image_id": image_id,
        "image_path": f"images/{image_id}.png", "preview_path": f"previews/{number}.png", "sha256": "0" * 64,
        "rows": 40, "columns": 30, "bits": 8, "source_rows": 40, "source_columns": 60 if count > 1 else 30,
        "transform": [1.0, 0.0, -30.0 * region, 0.0, 1.0, 0.0], "body_part": "wrist", "split": "train",
        "inverted": False, "inversion_score": -0.98, "split_score": 0.99, "rotation_deg": 10.0, "rotation_confidence": 0.9,
        "review": False, "review_reasons": [],
    } | changes  # fmt: skip


ROWS = [
    row(1, rotation_confidence=0.95),
    row(2, rotation_confidence=0.1, review=True, review_reasons=["rotation"], split="test"),
    row(3, region=1, count=2),
    row(3, region=0, count=2, split_score=0.4, review=True, review_reasons=["split"]),
    row(4, body_part=None, rotation_confidence=None, split_score=None, inversion_score=-0.3),
    row(5, body_part="hand", rotation_confidence=0.93),
]
IN_ORDER = [2, 3, 3, 4, 5, 1]


@pytest.fixture
def version(tmp_path: Path) -> DatasetVersion:
    folder = tmp_path / "set" / VERSION
    for name in ("manifest", "images", "previews"):
        (folder / name).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(ROWS, schema=manifest.schema("manifest")), folder / "manifest" / "part-00000.parquet")
    (folder / "card.json").write_text(json.dumps({"version": VERSION, "key_fingerprint": KEY}))
    for each in ROWS:
        for path in (each["image_path"], each["preview_path"]):
            cv2.imwrite(str(folder / path), np.full((each["rows"], each["columns"]), 7, np.uint8))
    return DatasetVersion.open(folder)


@pytest.fixture
def server(version: DatasetVersion) -> Iterator[ReviewServer]:
    with sitting(version, None, 0) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(
    server: ReviewServer, path: str, wish: object = None, *, token: str | None = None, **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    """An answer: its status, body and headers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given |= {} if wish is None else {"Content-Type": given.get("Content-Type", "application/json")}
    body = None if wish is None else wish if isinstance(wish, bytes) else json.dumps(wish)
    path = f"/{server.token if token is None else token}/{path}"
    connection.request("GET" if wish is None else "POST", path, body, given)
    answer = connection.getresponse()
    found = answer.status, answer.read(), answer.headers
    connection.close()
    return found


def left(server: ReviewServer, query: str = "") -> list[int]:
    return [int(one["id"][:18], 16) for one in json.loads(ask(server, f"pictures{query}")[1])["pictures"]]


def decide(server: ReviewServer, number: int, region: int = 0, **wish: Any) -> None:
    status, body, _ = ask(server, "decide", {"image_id": f"{number:018x}{region:02x}", **wish})
    assert status == 200, body


def test_doubtful_films_come_first_then_the_least_sure_and_a_films_pictures_stand_together(version: DatasetVersion) -> None:
    found = in_order(read_rows(version), Wanted())

    assert [int(one["source_id"], 16) for one in found] == IN_ORDER
    assert [one["region_index"] for one in found if one["region_count"] == 2] == [0, 1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?review=1", [2, 3]),
        ("?body_part=hand", [5]),
        ("?body_part=unknown", [4]),
        ("?split=test", [2]),
        ("?step=rotation", [2, 3, 3, 5, 1]),
        ("?step=split&body_part=wrist", [3, 3, 2, 1]),
        ("?body_part=chest", []),
    ],
)
def test_filters_leave_what_was_asked_for(server: ReviewServer, query: str, expected: list[int]) -> None:
    assert left(server, query) == expected


def test_a_sample_is_of_films_and_always_the_same(server: ReviewServer) -> None:
    once = left(server, "?sample=3")

    assert len(set(once)) == 3
    assert left(server, "?sample=3") == once
    assert ask(server, "pictures?sample=x")[0] == 409


def test_what_was_decided_is_not_shown_again_and_can_be_taken_back(server: ReviewServer) -> None:
    decide(server, 2, verdict="right")
    decide(server, 4, quarters=3, verdict="right")
    assert left(server) == [3, 3, 5, 1]

    taken_back = json.loads(ask(server, "undo", {})[1])

    assert int(taken_back["picture"]["id"][:18], 16) == 4
    assert left(server) == [3, 3, 4, 5, 1]
    ask(server, "undo", {})
    assert json.loads(ask(server, "undo", {})[1])["picture"] is None
    assert left(server) == IN_ORDER


def test_a_film_to_be_cut_otherwise_leaves_with_all_its_pictures(server: ReviewServer) -> None:
    decide(server, 3, split=True, verdict="right")

    assert left(server) == [2, 4, 5, 1]


@pytest.mark.parametrize("mark", [{"inverted": True, "quarters": 3, "split": False}, {"inverted": True, "split": True}])
def test_a_mark_that_was_left_at_that_is_kept_and_shown_again(version: DatasetVersion, mark: dict[str, Any]) -> None:
    wish = {"image_id": ROWS[2]["image_id"], **mark}
    with CorrectionFile(file_beside(version), KEY) as file:
        Session(version, file).decide(wish)

    with CorrectionFile(file_beside(version), KEY) as file:  # the next sitting
        session = Session(version, file)
        assert session.decided() == 0
        shown = {one["id"]: one["marks"] for one in session.pictures({})["pictures"]}
        assert len(shown) == len(ROWS)
        assert shown.pop(ROWS[2]["image_id"]) == {"quarters": 0, **mark}
        assert set(shown.values()) == {None}
        assert [line.mended[0] for line in file.lines()] == ["inversion"]

        session.decide({**wish, "verdict": "right"})
        assert session.decided() == (2 if mark["split"] else 1)
        assert "pending" not in file_beside(version).read_text()


def test_marks_that_are_taken_away_leave_no_decision(server: ReviewServer) -> None:
    decide(server, 1, inverted=True)
    decide(server, 1, inverted=False, quarters=0)

    assert left(server) == IN_ORDER


def test_every_decision_is_on_the_disk_when_it_is_answered(server: ReviewServer, version: DatasetVersion) -> None:
    decide(server, 1, inverted=True, quarters=1)
    decide(server, 2, verdict="wrong")

    with pytest.raises(RadforgeError, match="another `etl review` writes this file"):
        CorrectionFile(file_beside(version), KEY)
    text = file_beside(version).read_text()
    assert text.index('mended = ["inversion", "rotation"], inverted = true, rotation_deg = -80.0') < text.index('"wrong"')
    assert file_beside(version).parent == version.dataset.parent


@pytest.mark.parametrize(("turn", "expected"), [(1, -80.0), (2, -170.0), (3, 100.0), (4, 10.0)])
def test_a_clockwise_quarter_is_taken_from_the_counter_clockwise_turn(turn: int, expected: float) -> None:
    line = line_of(ROWS[0], {"quarters": turn, "verdict": "right"}, VERSION)

    assert line is not None
    assert line.rotation_deg == expected
    assert line.verdict == ("right" if turn == 4 else "mended")


def test_words_say_what_each_step_did() -> None:
    said = {one.step: one for one in decisions(ROWS[1] | {"laterality": "L", "view_position": "PA"})}

    assert said["body_part"].words == "wrist L PA"
    assert said["rotation"].words == "10° counter-clockwise"
    assert said["rotation"].doubtful
    assert not said["inversion"].doubtful


def test_a_body_part_that_the_pixels_contradict_has_no_number() -> None:
    said = decisions(ROWS[1] | {"body_part_suspect": True, "review_reasons": ["body_part"]})[0]

    assert (said.words, said.sure, said.doubtful) == ("wrist, but it looks like a chest", None, True)


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ({"recipe": {"name": "wrist"}, "labels": "0a"}, "ARCHIVE --out DATASET --recipe wrist --labels LABELS.csv"),
        ({"recipe": {"name": "my own"}, "labels": None}, "ARCHIVE --out DATASET --recipe 'my own.toml'"),
        ({"recipe": {"name": "wrist"}, "labels": "0a", "parent": "a" * 12}, f"DATASET@{'a' * 12} --out DATASET --recipe wrist"),
        ({}, "ARCHIVE --out DATASET"),
    ],
)
def test_the_next_run_is_told_with_recipe_and_labels_of_the_version(card: dict[str, Any], expected: str) -> None:
    assert next_run(card, "c.toml") == f"etl run {expected} --corrections c.toml"


def test_a_cut_picture_shows_where_on_its_film_it_lies() -> None:
    assert outline(ROWS[2]) == [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
    assert outline(ROWS[0]) is None


def test_others_on_the_machine_get_nothing(server: ReviewServer) -> None:
    port = server.server_address[1]

    assert server.server_address[0] == "127.0.0.1"
    for refused in (
        ask(server, "", token="guess"),
        ask(server, "pictures", token=""),
        ask(server, f"after/{ROWS[0]['image_id']}", token=server.token[:-1]),
        ask(server, "pictures", Host=f"evil.example:{port}"),
        ask(server, "decide", {"image_id": ROWS[0]["image_id"], "verdict": "wrong"}, Origin="http://evil.example"),
        ask(server, "undo", {}, token="guess"),
    ):
        assert (refused[0], refused[1]) == (403, b"open the address that `etl review` printed")
    assert ask(server, "pictures", Host="localhost:9999")[0] == 200, "through an ssh tunnel"


@pytest.mark.parametrize(
    "path", ["../card.json", "after/../../card.json", "after/%2e%2e%2fcard.json", "before/" + "f" * 20, "page.py", "session.py"]
)
def test_only_pictures_of_the_version_are_served(server: ReviewServer, path: str) -> None:
    assert ask(server, path)[0] in {404, 409}


def test_a_broken_request_is_refused_without_a_traceback(server: ReviewServer, capfd: pytest.CaptureFixture[str]) -> None:
    statuses = [
        ask(server, "pictures", Origin="http://[")[0],
        ask(server, "//[")[0],
        ask(server, "pictures?sample=%C2%B2")[0],
        ask(server, "decide", {}, Content_Length="\xb2")[0],
        ask(server, "decide", {}, Content_Length="9" * 5000)[0],
        ask(server, "decide", b"[" * 4000)[0],
        ask(server, "decide", {"image_id": ROWS[0]["image_id"], "quarters": 10**308})[0],
    ]

    assert (statuses[0], {*statuses} <= {400, 403, 404, 409}) == (403, True)
    assert capfd.readouterr().err == ""
    assert left(server) == IN_ORDER


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"x" * 5000, b'{"image_id": 1}', b'{"quarters": "a"}', b"\xff"])
def test_what_is_no_decision_is_refused_and_the_server_lives(server: ReviewServer, body: bytes) -> None:
    assert ask(server, "decide", body)[0] in {400, 409}

    assert left(server) == IN_ORDER


def test_the_page_asks_nobody_else_for_anything(server: ReviewServer) -> None:
    for path in ("", "page.css", "page.js"):
        status, body, headers = ask(server, path)
        assert status == 200
        assert b"//" not in body.replace(b"http://www.w3.org/2000/svg", b"").replace(b"\n//", b"").replace(b" // ", b"")
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"


def test_pictures_are_shrunk_to_what_a_page_needs(server: ReviewServer, version: DatasetVersion) -> None:
    cv2.imwrite(str(version.folder / ROWS[0]["image_path"]), np.zeros((3000, 2000), np.uint16))

    status, body, headers = ask(server, f"after/{ROWS[0]['image_id']}")

    picture = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (status, headers["Content-Type"]) == (200, "image/png")
    assert (picture.shape, picture.dtype) == ((1000, 667), np.uint8)


def test_a_file_may_not_lie_in_the_version_nor_be_of_another_key(version: DatasetVersion, tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match="must not lie inside the version"), sitting(version, version.folder / "c.toml", 0):
        pass
    with CorrectionFile(tmp_path / "c.toml", "a" * 12) as file:
        session = Session(version, file)
        session.decide({"image_id": ROWS[0]["image_id"], "verdict": "right"})
    with pytest.raises(RadforgeError, match="corrections of another key"), sitting(version, tmp_path / "c.toml", 0):
        pass


@pytest.mark.parametrize("place", [f"set/{'b' * 12}", "set/.runs", "set.private/crosswalks", f"elsewhere/{'c' * 12}/images"])
def test_a_file_may_not_lie_in_any_version_nor_in_what_is_private(version: DatasetVersion, tmp_path: Path, place: str) -> None:
    for other in (f"set/{'b' * 12}", f"elsewhere/{'c' * 12}"):
        (tmp_path / other).mkdir(parents=True)
        (tmp_path / other / "card.json").write_text("{}")
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(RadforgeError, match="must not lie inside"), sitting(version, tmp_path / place / "c.toml", 0):
        pass
    assert sorted(tmp_path.rglob("*")) == before


def test_a_sitting_leaves_the_file_and_nothing_hidden(version: DatasetVersion, tmp_path: Path) -> None:
    with CorrectionFile(tmp_path / "c.toml", KEY) as file:
        Session(version, file).decide({"image_id": ROWS[0]["image_id"], "verdict": "right"})

    assert [path.name for path in tmp_path.glob("*c.toml*")] == ["c.toml"]


def test_a_damaged_picture_or_preview_is_told_and_the_sitting_goes_on(
    server: ReviewServer, version: DatasetVersion, tmp_path: Path
) -> None:
    browser.required()
    (version.folder / ROWS[1]["image_path"]).write_bytes(b"no picture")  # the first to be shown
    (version.folder / ROWS[3]["preview_path"]).write_bytes(b"no picture")
    seen, text = "document.querySelector('#name').dataset.id", "document.querySelector('#{} .lost').textContent"

    async def look() -> list[str]:
        async with browser.browser(tmp_path / "profile") as page:
            await page.open(server.url)
            first = await page.until(seen)
            assert "a picture is damaged" in await page.until(text.format("after"))
            await page.press("ArrowRight")
            assert await page.value(seen) == first, "nobody says of a picture that cannot be seen that it is right"
            await page.press("ArrowLeft")
            await page.until(f"{seen}.startsWith('{3:018x}')")
            assert "damaged" in await page.until(text.format("before"))
            await page.press("ArrowRight")
            await page.until(f"{seen} === '{3:018x}01'")
            await page.until("unsaved === 0")
            assert not await page.value("state.trouble")
            return [error for error in page.errors if "409" not in error]  # the browser's own word of the refused picture

    assert asyncio.run(look()) == []
    verdicts = {line["image_id"]: line["verdict"] for line in tomllib.loads(file_beside(version).read_text())["pictures"]}
    assert verdicts == {ROWS[1]["image_id"]: "wrong", ROWS[3]["image_id"]: "right"}


def test_a_picture_that_became_what_was_said_is_done_and_one_that_did_not_comes_again(version: DatasetVersion) -> None:
    with CorrectionFile(file_beside(version), KEY) as file:
        for number, degrees in ((0, 10.3), (5, 100.0)):
            place = dict(ROWS[number], verdict="right", inverted=False, rotation_deg=degrees)
            line = line_of(place, {"verdict": "right"}, "a" * 12)
            assert line is not None
            file.decide(line.place, line)
        session = Session(version, file)

        assert session.decided() == 1
        assert {one["id"] for one in session.pictures({})["pictures"]} == {one["image_id"] for one in ROWS[1:]}


def test_keys_and_buttons_in_a_real_browser(server: ReviewServer, version: DatasetVersion, tmp_path: Path) -> None:
    browser.required()
    seen = "document.querySelector('#name').dataset.id"

    def lines() -> list[dict[str, Any]]:
        path = file_beside(version)
        return list(tomllib.loads(path.read_text())["pictures"]) if path.exists() else []

    async def look() -> None:
        async with browser.browser(tmp_path / "profile") as page:
            await page.open(server.url)
            assert int((await page.until(seen))[:18], 16) == 2

            await page.press("i")
            assert await page.value("getComputedStyle(document.querySelector('#after > *')).filter") == "invert(1)"
            for _ in range(3):
                await page.press("r")
            assert "rotate(270deg)" in await page.value("document.querySelector('#after > *').style.transform")
            await page.until("unsaved === 0")
            assert lines()[0]["mended"] == ["inversion", "rotation"], "written before the picture is left"
            await page.press("ArrowRight")

            await page.until(f"{seen}.startsWith('{3:018x}')")
            assert await page.value("document.querySelectorAll('#before polygon').length") == 1
            await page.press("s")
            await page.press("ArrowRight")
            await page.until(f"{seen}.startsWith('{4:018x}')")  # its other picture went with it
            assert await page.value("[state.total - state.left, state.total]") == [3, 6]

            await page.click("[data-key=ArrowLeft]")
            await page.until(f"{seen}.startsWith('{5:018x}')")
            await page.until("unsaved === 0")
            assert [line.get("pictures", line["verdict"]) for line in lines()] == ["mended", "one", "wrong"]

            await page.press("u")
            await page.until(f"{seen}.startsWith('{4:018x}')")
            await page.press("u")
            await page.until(f"{seen}.startsWith('{3:018x}')")
            await page.until("unsaved === 0")
            assert [line["verdict"] for line in lines()] == ["mended"]

            await page.click("[name=review]")
            await page.until("location.search === '?review=1' && state.total === 2")
            await page.until(f"{seen}.startsWith('{3:018x}')")
            await page.press("x")
            await page.press("ArrowRight")
            await page.until("document.querySelector('#end').textContent.includes('1 right')")
            assert page.errors == []

    asyncio.run(look())


def test_a_mark_of_the_last_sitting_is_on_the_picture_and_final_with_the_arrow(
    server: ReviewServer, version: DatasetVersion, tmp_path: Path
) -> None:
    browser.required()
    seen = f"document.querySelector('#name').dataset.id === '{ROWS[1]['image_id']}'"

    async def look() -> None:
        async with browser.browser(tmp_path / "profile") as page:
            await page.open(server.url)
            await page.until(seen)
            await page.press("r")
            await page.until("unsaved === 0")
            await page.open(server.url)
            await page.until(seen)
            assert await page.value("Number(document.querySelector('#done').textContent)") == 0
            assert "rotate(90deg)" in await page.value("document.querySelector('#after > *').style.transform")
            await page.press("ArrowRight")
            await page.until("unsaved === 0")

    asyncio.run(look())

    (line,) = tomllib.loads(file_beside(version).read_text())["pictures"]
    assert (line["mended"], line["rotation_deg"], "pending" in line) == (["rotation"], -80.0, False)


def test_a_version_of_an_older_radforge_can_be_looked_at_too(version: DatasetVersion) -> None:
    part = version.folder / "manifest" / "part-00000.parquet"
    newer = ["split_score", "review", "review_reasons", "corrected", "body_part_suspect"]
    pq.write_table(pq.read_table(part).drop_columns(newer), part)

    with sitting(version, None, 0) as server:
        assert len(server.session.pictures({})["pictures"]) == len(ROWS)
