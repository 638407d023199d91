"""What people said of a picture stands above what the steps decided, and changes nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etl.correct_split import cut
from etl.corrected import said_of
from etl.correction_file import CorrectionFile
from etl.corrections import read_corrections
from etl.process import apply_steps
from etl.study import Drop, Frame
from schemas.corrections import Correction, Place
from schemas.errors import RadforgeError
from schemas.recipe import EtlRecipe
from schemas.steps import OtsuSplit, Resize
from tests.etl.steps.films import negative, point, two_wrists, wrist

RECIPE = EtlRecipe()
KEY = "0123456789ab"


def line(image: str = "0" * 20, region: int = 0, count: int = 1, **said: Any) -> Correction:
    source = (image * 16)[:16]
    place = {"image_id": image, "source_id": source, "frame_index": 0, "region_index": region, "region_count": count}
    return Correction(**{**place, "seen_in": "a" * 12, "verdict": "right", **said})


def done(pixels: Any, *lines: Correction, recipe: EtlRecipe = RECIPE) -> list[Frame | Drop]:
    said = said_of([own.model_dump() for own in lines], 0)
    return list(apply_steps([Frame(pixels=pixels)], recipe, None, said))


def one(leaves: list[Frame | Drop]) -> Frame:
    (leaf,) = leaves
    assert isinstance(leaf, Frame)
    return leaf


def test_a_wrong_picture_is_left_out() -> None:
    assert done(wrist(), line(verdict="wrong")) == [Drop("rejected", "somebody looked at the picture and left it out")]


def test_an_added_quarter_turn_moves_pixels_and_changes_none() -> None:
    film = wrist(1, tilt_deg=12)
    before = one(done(film))
    wanted = before.done["rotation_deg"] - 90

    after = one(done(film, line(verdict="mended", mended=("rotation",), inverted=False, rotation_deg=wanted)))

    assert np.array_equal(after.pixels, np.rot90(before.pixels, -1))
    assert after.done["rotation_deg"] == pytest.approx(wanted)
    assert after.done["corrected"] == ["rotation"]
    x, y = point(before.transform, 100, 200)
    assert point(after.transform, 100, 200) == pytest.approx((before.pixels.shape[0] - 1 - y, x))


def test_a_turn_is_made_before_the_picture_is_resized() -> None:
    recipe = RECIPE.model_copy(update={"steps": (*RECIPE.steps, "resize"), "resize": Resize(rows=256, columns=128)})

    after = one(done(wrist(), line(verdict="mended", mended=("rotation",), inverted=False, rotation_deg=-90), recipe=recipe))

    assert after.pixels.shape == (256, 128)


def test_a_grey_sense_is_turned_against_the_step_and_padding_stays_air() -> None:
    film = wrist(2, tilt_deg=25)
    recipe = RECIPE.model_copy(update={"steps": ("pca_rotation",)})  # the turn pads the corners

    before = one(done(film, recipe=recipe))
    after = one(done(film, line(verdict="mended", mended=("inversion",), inverted=True, rotation_deg=0.0), recipe=recipe))

    assert before.padding is not None
    assert np.array_equal(after.pixels[~before.padding], 255 - before.pixels[~before.padding])
    assert not after.pixels[before.padding].any()
    assert after.done["inverted"] is True
    assert "inversion" in after.done["corrected"]


def test_the_steps_after_it_see_the_grey_sense_that_was_said() -> None:
    film = negative(wrist(3, tilt_deg=20))
    settings = RECIPE.inversion.model_copy(update={"min_score": 0.999})  # a step that keeps a negative
    stubborn = RECIPE.model_copy(update={"inversion": settings})

    mended = one(done(film, line(verdict="mended", mended=("inversion",), inverted=True, rotation_deg=0.0), recipe=stubborn))

    right = one(done(film))
    assert np.array_equal(mended.pixels, right.pixels)
    assert mended.done["rotation_deg"] == right.done["rotation_deg"]


def test_what_the_steps_come_to_by_themselves_is_not_done_twice() -> None:
    film = wrist(4, tilt_deg=180)
    by_itself = one(done(film))
    said = line(verdict="mended", mended=("rotation",), inverted=False, rotation_deg=by_itself.done["rotation_deg"] + 3)

    after = one(done(film, said))

    assert np.array_equal(after.pixels, by_itself.pixels)
    assert "corrected" not in after.done or "rotation" not in (after.done["corrected"] or [])


def test_a_confirmed_picture_is_the_same_and_needs_no_second_look() -> None:
    film = wrist(5)
    before = one(done(film))

    after = one(done(film, line(inverted=False, rotation_deg=before.done["rotation_deg"])))

    assert np.array_equal(after.pixels, before.pixels)
    assert after.done["corrected"] == ["confirmed"]
    assert after.done["review"] is False


def test_a_film_that_is_one_picture_stays_whole() -> None:
    film, _ = two_wrists(6)
    recipe = RECIPE.model_copy(update={"steps": ("inversion", "otsu_split")})
    assert len(done(film, recipe=recipe)) == 2

    whole = one(done(film, line(count=2, verdict="mended", mended=("split",), pictures="one"), recipe=recipe))

    assert np.array_equal(whole.pixels, film)
    assert whole.done["corrected"] == ["split"]
    assert "review" not in whole.done, "nobody has seen it yet"


def test_what_is_said_of_the_regions_of_another_number_is_not_done_to_the_whole() -> None:
    film, _ = two_wrists(6)
    split = line(count=2, verdict="mended", mended=("split",), pictures="one")

    leaves = done(film, split, line("1" * 20, region=1, count=2, verdict="wrong"))

    assert isinstance(one(leaves), Frame)


def test_two_limbs_that_touch_are_cut_where_the_least_flesh_is() -> None:
    film, boxes = two_wrists(7)
    film = film.copy()
    film[200:290, boxes[0][2] - 40 : boxes[1][0] + 40] = int(film.max() * 0.5)  # a bridge of flesh
    assert len(done(film)) == 1, "the step would cut it by itself: nothing to force"

    pieces = done(film, line(verdict="mended", mended=("split",), pictures="several"))

    assert len(pieces) == 2
    assert all(isinstance(piece, Frame) and piece.done["corrected"][0] == "split" for piece in pieces)
    middle = sum(piece.pixels.shape[1] for piece in pieces if isinstance(piece, Frame)) / 2
    assert middle > 0.3 * film.shape[1]


def test_a_film_without_a_place_to_cut_stays_whole() -> None:
    film = np.full((300, 200), 90, np.uint8)

    assert cut(Frame(pixels=film), OtsuSplit()) == []


@pytest.mark.parametrize(
    "said",
    [
        {"verdict": "mended"},
        {"mended": ("rotation",)},
        {"verdict": "mended", "mended": ("split",)},
        {"verdict": "mended", "mended": ("split",), "pictures": "one"},
        {"region_index": 1},
        {"verdict": "mended", "mended": ("rotation",), "inverted": False},
        {"verdict": "mended", "mended": ("inversion",), "rotation_deg": 0.0},
    ],
)
def test_a_line_that_makes_no_sense_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="0000"):
        line(**said)


def written(path: Path, *lines: Correction, key: str = KEY) -> Path:
    with CorrectionFile(path, key) as file:
        for own in lines:
            file.decide(own.place, own)
    return path


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    said = line(verdict="mended", mended=("inversion", "rotation"), inverted=True, rotation_deg=-87.25)

    read = read_corrections([written(tmp_path / "c.toml", said)])

    assert read.lines == {said.place: said}
    assert read.key_fingerprint == KEY
    assert read.identity()["pictures"] == 1
    assert "/" not in (tmp_path / "c.toml").read_text().replace("etl", "").split("pictures = ")[1]


def test_files_that_agree_are_one_and_a_contradiction_is_one_clear_error(tmp_path: Path) -> None:
    right, wrong = line(inverted=False, rotation_deg=0.0), line(verdict="wrong")
    other = line("1" * 20, inverted=False, rotation_deg=0.0)
    a, b = written(tmp_path / "a.toml", right), written(tmp_path / "b.toml", right, other)
    c = written(tmp_path / "c.toml", wrong)
    better_steps = line(inverted=False, rotation_deg=-12.0, seen_in="b" * 12)

    assert len(read_corrections([a, written(tmp_path / "later.toml", better_steps)]).lines) == 1
    assert len(read_corrections([a, b]).lines) == 2
    with pytest.raises(RadforgeError, match=r"two lines contradict each other about picture 0000.*") as refused:
        read_corrections([a, c])
    assert str(a) in str(refused.value)
    assert str(c) in str(refused.value)
    with pytest.raises(RadforgeError, match="files of different keys"):
        read_corrections([a, written(tmp_path / "d.toml", other, key="f" * 12)])


def test_files_that_say_something_else_have_another_identity(tmp_path: Path) -> None:
    turned = {"inverted": False, "rotation_deg": 90.0}
    mended = {"verdict": "mended", "mended": ("rotation",), **turned}
    one = written(tmp_path / "one.toml", line("0" * 20, **mended), line("1" * 20, **turned))
    other = written(tmp_path / "other.toml", line("0" * 20, **turned), line("1" * 20, **mended))

    assert read_corrections([one]).identity() != read_corrections([other]).identity()
    with pytest.raises(RadforgeError, match="two lines contradict each other"):
        read_corrections([one, other])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"rotation_deg": 0.0}, {"rotation_deg": -0.0}),
        ({"rotation_deg": 0.0}, {"rotation_deg": 360}),
        ({"rotation_deg": 0.0}, {"rotation_deg": -360.0}),
        ({"rotation_deg": 180.0}, {"rotation_deg": -180.0}),
        ({"rotation_deg": -169.9}, {"rotation_deg": 190.1}),
        ({"verdict": "wrong"}, {"verdict": "wrong", "inverted": True, "rotation_deg": 90.0}),
        ({"seen_in": "a" * 12}, {"seen_in": "b" * 12, "pending": True}),
    ],
)
def test_what_is_said_in_other_words_is_the_same(tmp_path: Path, one: dict[str, Any], other: dict[str, Any]) -> None:
    files = [written(tmp_path / f"{number}.toml", line(**said)) for number, said in enumerate((one, other))]

    first, second = (read_corrections([file]) for file in files)

    assert first.identity() == second.identity()
    assert len(read_corrections(files).lines) == 1


def test_of_a_picture_that_is_left_out_nothing_else_is_obeyed() -> None:
    said = said_of([line(count=1, verdict="wrong", inverted=True).model_dump()], 0)

    assert said is not None
    assert said.inverted() is None


@pytest.mark.parametrize("value", ['"90"', "true", "nan"])
def test_a_turn_is_a_number(tmp_path: Path, value: str) -> None:
    path = written(tmp_path / "c.toml", line(inverted=False, rotation_deg=90.0))
    path.write_text(path.read_text().replace("90.0", value))

    with pytest.raises(RadforgeError, match="rotation_deg"):
        read_corrections([path])


def test_a_file_that_an_editor_saved_otherwise_is_read_or_named(tmp_path: Path) -> None:
    path = written(tmp_path / "c.toml", line())
    text = path.read_text()

    path.write_text(text, "utf-8-sig")
    assert len(read_corrections([path]).lines) == 1
    path.write_text(text, "utf-16")
    with pytest.raises(RadforgeError, match=r"not a text file in UTF-8; expected a file of corrections"):
        read_corrections([path])
    path.write_text(text.replace("key_fingerprint", "# "))
    for read in (lambda: read_corrections([path]), lambda: CorrectionFile(path, KEY)):
        with pytest.raises(RadforgeError, match="the line key_fingerprint is missing"):
            read()


def test_the_last_word_on_the_number_of_pictures_replaces_the_first(tmp_path: Path) -> None:
    to_cut = line(verdict="mended", mended=("split",), pictures="several")
    to_keep = line(count=2, verdict="mended", mended=("split",), pictures="one")

    read = read_corrections([written(tmp_path / "c.toml", to_cut, to_keep)])

    assert list(read.lines.values()) == [to_keep]


def test_a_file_has_one_writer_one_key_and_no_silent_change(tmp_path: Path) -> None:
    path = written(tmp_path / "c.toml", line(inverted=False, rotation_deg=0.0))
    with CorrectionFile(path, KEY) as file:
        with pytest.raises(RadforgeError, match="another `etl review` writes this file"):
            CorrectionFile(path, KEY)
        path.write_text(path.read_text() + "\n")
        with pytest.raises(RadforgeError, match="changed by something else"):
            file.decide(Place("0" * 16, 0, 0, 1), None)
    with pytest.raises(RadforgeError, match=r"corrections of another key.*found key 0123456789ab"):
        CorrectionFile(path, "f" * 12)


def test_what_a_step_did_right_does_not_bind_a_recipe_without_that_step() -> None:
    film = negative(wrist(8))
    bare = RECIPE.model_copy(update={"steps": ("otsu_split",)})

    after = one(done(film, line(inverted=True, rotation_deg=170.0), recipe=bare))

    assert np.array_equal(after.pixels, film)
    assert after.done["corrected"] == ["confirmed"]
