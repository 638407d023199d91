"""`etl explain --overlay`: heat of a model over the film as it was stored."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from etl.explain import explain
from etl.overlay import over, read_heat
from schemas.errors import RadforgeError
from schemas.recipe import EtlRecipe
from tests.etl.drawn import film

RECIPE = EtlRecipe(steps=())
GREY = np.full((40, 40), 2048, "<u2")


def drawn(tmp_path: Path, heat: np.ndarray) -> tuple[Path, Path]:
    """A film of 40 x 40 with an even grey, and its heat."""
    path = tmp_path / "film.dcm"
    path.write_bytes(film(side=40, PixelData=GREY.tobytes(), WindowCenter="2048", WindowWidth="4096"))
    cv2.imwrite(str(tmp_path / "heat.png"), heat)
    return path, tmp_path / "heat.png"


def test_red_lies_on_the_film_where_the_heat_is_above_128_and_blue_where_it_is_below(tmp_path: Path) -> None:
    heat = np.full((40, 40), 128, np.uint8)
    heat[5:10, 20:30], heat[30:35, 2:8] = 255, 1
    path, overlay = drawn(tmp_path, heat)

    explain(path, RECIPE, tmp_path / "strip.png", overlay)

    # The second column of the strip, 8 pixels of page before each picture; a film so small is shown nine times as large.
    shown = cv2.imread(str(tmp_path / "strip.png"))[8:368:9, 384 + 16 : 384 + 376 : 9].astype(int)
    assert (shown[5:10, 20:30, 2] - shown[5:10, 20:30, 0] > 100).all()
    assert (shown[30:35, 2:8, 0] - shown[30:35, 2:8, 2] > 100).all()
    quiet = heat == 128
    assert (shown[quiet] == shown[0, 0]).all()
    assert len(set(shown[0, 0].tolist())) == 1


def test_without_an_overlay_the_strip_stays_grey(tmp_path: Path) -> None:
    path, _ = drawn(tmp_path, np.full((40, 40), 128, np.uint8))

    explain(path, RECIPE, tmp_path / "strip.png")

    assert cv2.imread(str(tmp_path / "strip.png"), cv2.IMREAD_UNCHANGED).ndim == 2


def test_heat_of_another_film_is_refused_with_both_sizes(tmp_path: Path) -> None:
    path, overlay = drawn(tmp_path, np.full((40, 30), 128, np.uint8))

    with pytest.raises(RadforgeError, match=r"40 rows x 30 columns.*40 x 40"):
        explain(path, RECIPE, tmp_path / "strip.png", overlay)

    assert not (tmp_path / "strip.png").exists()


@pytest.mark.parametrize("content", [None, b"", b"no picture", "colour"])
def test_what_is_no_heat_is_refused(tmp_path: Path, content: bytes | str | None) -> None:
    overlay = tmp_path / "heat.png"
    if content == "colour":
        cv2.imwrite(str(overlay), np.zeros((40, 40, 3), np.uint8))
    elif isinstance(content, bytes):
        overlay.write_bytes(content)

    with pytest.raises(RadforgeError, match="--overlay"):
        read_heat(overlay, (40, 40))


def test_an_overlay_needs_a_strip_to_be_drawn_into(tmp_path: Path) -> None:
    path, overlay = drawn(tmp_path, np.full((40, 40), 128, np.uint8))

    with pytest.raises(RadforgeError, match="--out"):
        explain(path, RECIPE, None, overlay)


def test_sixteen_bits_are_shown_in_eight() -> None:
    shown = over(np.full((2, 2), 0x8000, np.uint16), np.zeros((2, 2), np.float32))

    assert shown.tolist() == [[[128] * 3] * 2] * 2
