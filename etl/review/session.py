"""One sitting: what is still to be looked at, and each decision put to disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from threading import Lock
from typing import Any, Literal

from etl.corrected import as_seen
from etl.correction_file import CorrectionFile
from etl.decisions import decisions
from etl.picture_store import shrink
from etl.pixels import png
from etl.review.next_run import next_run
from etl.review.pictures import UNKNOWN, Row, Wanted, in_order, outline, place_of, read_rows
from schemas.corrections import Correction, Mended
from schemas.dataset import DatasetVersion, read_picture
from schemas.errors import RadforgeError

AT_ONCE = 2_000  # pictures that a page is told of; when they are done it asks again
SIDE = 1_000  # pixels of the longer side of a picture on the page


class Session:
    """The pictures of a version and the file of what was decided of them. Answers come from several threads."""

    def __init__(self, version: DatasetVersion, file: CorrectionFile) -> None:
        """Raises RadforgeError when the manifest cannot be read."""
        self.version, self.file = version, file
        self._rows = read_rows(version)
        self._by_id = {row["image_id"]: row for row in self._rows}
        self._places = {place_of(row): row["image_id"] for row in self._rows}
        self._films: dict[tuple[str, int], list[Row]] = {}
        for row in self._rows:
            self._films.setdefault((row["source_id"], row["frame_index"]), []).append(row)
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def decided(self) -> int:
        """Pictures that need no further look."""
        return sum(self._is_decided(row) for row in self._rows)

    def counts(self) -> dict[str, int]:
        """Decisions about this version's pictures, by kind."""
        lines = [line for line in self.file.lines() if line.place in self._places]
        found = Counter[str](line.verdict for line in lines)
        found.update(name for line in lines for name in line.mended)
        return dict(found)

    def pictures(self, query: Mapping[str, str]) -> dict[str, Any]:
        """What is to be looked at, for the page. Raises RadforgeError for a filter that makes no sense."""
        with self._lock:
            chosen = in_order(self._rows, Wanted.parse(query))
            todo = [row for row in chosen if not self._is_decided(row)]
            return {
                "dataset": self.version.dataset.resolve().name,
                "version": self.version.version,
                "next": next_run(self.version.card, self.file.path.name),
                "total": len(chosen),
                "left": len(todo),
                "all": len(self._rows),
                "counts": self.counts(),
                "body_parts": sorted({row["body_part"] or UNKNOWN for row in self._rows}),
                "splits": sorted({row["split"] for row in self._rows if row["split"]}),
                "pictures": [self._picture(row) for row in todo[:AT_ONCE]],
            }

    def decide(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Put a decision to disk: `image_id`, `verdict` (right or wrong), and the changes `inverted`, `quarters` (clockwise),
        `split`; changes without a verdict are kept but not final, and with neither what was said is taken back. Raises
        RadforgeError.
        """
        with self._lock:
            row = self._row(str(wish.get("image_id")))
            self.file.decide(place_of(row), line_of(row, wish, self.version.version))
            return {"counts": self.counts()}

    def undo(self) -> dict[str, Any]:
        """Take back the last decision about a picture of this version; None when there is none. Raises RadforgeError."""
        with self._lock:
            place = self.file.last(lambda place: place in self._places)
            if place is None:
                return {"picture": None, "counts": self.counts()}
            self.file.decide(place, None)
            return {"picture": self._picture(self._by_id[self._places[place]]), "counts": self.counts()}

    def after(self, image_id: str) -> bytes:
        """The picture, as large as a page needs it: PNG. Raises RadforgeError."""
        return bytes(png.encode(shrink(read_picture(self.version.folder / self._row(image_id)["image_path"]), SIDE)))

    def before(self, image_id: str) -> bytes:
        """The preview of its film: PNG. Raises RadforgeError."""
        path = self._row(image_id)["preview_path"]
        try:
            return (self.version.folder / str(path)).read_bytes()
        except OSError:
            raise RadforgeError("a preview is missing", str(path)) from None

    def _row(self, image_id: str) -> Row:
        try:
            return self._by_id[image_id]
        except KeyError:
            raise RadforgeError("no such picture in this version") from None

    def _is_decided(self, row: Row) -> bool:
        """Also a picture whose film is to be cut otherwise: there is nothing more to say of it.

        What was said of an earlier version holds as long as the picture is what was spoken of. A mark alone decides nothing.
        """
        line = self.file.get(place_of(row))
        if line is not None and line.pending:
            return False
        if line is not None and line.seen_in != self.version.version and line.verdict != "wrong":
            return line.pictures is None and as_seen(row, line.inverted, line.rotation_deg)
        if line is not None:
            return True
        film = [self.file.get(place_of(other)) for other in self._films[row["source_id"], row["frame_index"]]]
        return any(line.pictures and line.seen_in == self.version.version for line in film if line and not line.pending)

    def _picture(self, row: Row) -> dict[str, Any]:
        return {
            "id": row["image_id"],
            "film": f"{row['source_id']}:{row['frame_index']}",
            "review": bool(row["review"]),
            "whole": row["region_count"] == 1,
            "told": [decision._asdict() for decision in decisions(row)],
            "corrected": row["corrected"] or [],
            "outline": outline(row),
            "marks": self._marks(row),
        }

    def _marks(self, row: Row) -> dict[str, Any] | None:
        """The changes that were marked and not decided, as the page sent them; None where there are none."""
        line = self.file.get(place_of(row))
        if line is None or not line.pending:
            return None
        off = 0.0 if line.rotation_deg is None else float(row["rotation_deg"] or 0.0) - line.rotation_deg
        return {
            "inverted": line.inverted is not None and line.inverted != bool(row["inverted"]),
            "quarters": round(off / 90) % 4,
            "split": line.pictures is not None,
        }


def line_of(row: Row, wish: Mapping[str, Any], version: str) -> Correction | None:
    """What a wish says of a picture, as a line of the file; None when it says nothing.

    What is written is how the picture should be, so that it holds for a run whose steps decide otherwise.
    """
    place: dict[str, Any] = {**place_of(row)._asdict(), "image_id": row["image_id"], "seen_in": version}
    if wish.get("verdict") == "wrong":
        return Correction(**place, verdict="wrong")
    pending = wish.get("verdict") != "right"
    turned, split, quarters = bool(wish.get("inverted")), bool(wish.get("split")), wish.get("quarters") or 0
    if not isinstance(quarters, int) or abs(quarters) > 4:
        raise RadforgeError("not understood", "quarters", expected="a whole number of at most 4")
    inverted = bool(row["inverted"]) != turned
    greys: tuple[Mended, ...] = ("inversion",) if turned else ()
    if split:
        pictures: Literal["one", "several"] = "several" if row["region_count"] == 1 else "one"
        known = inverted if turned else None
        return Correction(
            **place, verdict="mended", mended=(*greys, "split"), pictures=pictures, inverted=known, pending=pending
        )
    mended: tuple[Mended, ...] = (*greys, "rotation") if quarters % 4 else greys
    if not mended and pending:
        return None
    degrees = round(180.0 - (180.0 - float(row["rotation_deg"] or 0.0) + 90.0 * quarters) % 360.0, 3)
    verdict: Literal["mended", "right"] = "mended" if mended else "right"
    return Correction(**place, verdict=verdict, mended=mended, inverted=inverted, rotation_deg=degrees, pending=pending)
