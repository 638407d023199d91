"""How `etl plan` prints the texts of an archive's headers."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.show import line, many, table
from etl.header_texts import SHARED, TextRow
from etl.steps.anatomy import FIELDS

_BAR = 16  # letters, of the most frequent text


def texts(rows: Sequence[TextRow], top: int, let_go: int) -> None:
    """Three tables: Body Part Examined, the texts that helped out, those of films in which no part is recognised."""
    examined = [row for row in rows if row.field == FIELDS[0]]
    helped = [row for row in rows if row.field != FIELDS[0] and row.decides]
    silent = [row for row in rows if row.field != FIELDS[0] and not row.decides]
    _table("Body Part Examined, where no earlier rule leaves the film out", examined, top)
    _table("Other fields, where they decided the part", helped, top)
    _table("Other fields of films in which no part is recognised", silent, top)
    if rows:
        line("decides: films whose part was read from this text; or: other parts that it names with equal right.")
    unknown = sum(row.files - row.decides for row in examined if row.part is None) - sum(row.decides for row in helped)
    if silent or unknown > 0:
        line('Words that should be understood go into the recipe: [anatomy.words], e.g. wrist = ["MONYECA", "RX2041"].')
    if any(row.masked for row in rows):
        line(
            f"A text of fewer than {SHARED} patients may hold a name, so it is told in the vocabulary's words only (*** is any "
            "other word or number, ~ one that was read as this word); --unmask prints it."
        )
    if let_go:
        line(f"{many(let_go, 'rare text')} were not kept, so the counts of rare texts may be too low.")


def _table(title: str, rows: Sequence[TextRow], top: int) -> None:
    if not rows:
        return
    line()
    line(f"{title}: {many(sum(row.texts for row in rows), 'text')} of {many(sum(row.files for row in rows), 'film')}")
    ordered = sorted(rows, key=lambda row: (-row.files, row.field, row.text))
    shown = ordered[: top or None]
    most = max(row.files for row in rows)
    fields = len({row.field for row in rows}) > 1 or rows[0].field != FIELDS[0]
    columns = (*(("field",) if fields else ()), "text", "films", "", "patients", "decides", "left out", "part", "code",
               "score", "or", "side", "view")  # fmt: skip
    table(columns, [[*((row.field,) if fields else ()), *_cells(row, most)] for row in shown])
    rest = ordered[len(shown) :]
    if rest:
        texts_, films = sum(row.texts for row in rest), sum(row.files for row in rest)
        line(f"and {many(texts_, 'text')} of {many(films, 'film')} (--top 0 prints all)")


def _cells(row: TextRow, most: int) -> list[object]:
    text = repr(row.text)[1:-1] if row.text else "(empty)"
    text += f" ({row.texts} texts)" if row.texts > 1 else ""
    return [text, row.files, "█" * max(1, round(_BAR * row.files / most)), row.patients, row.decides, row.left_out, row.part,
            row.code, row.score, ", ".join(row.also) or None, row.laterality, row.view]  # fmt: skip
