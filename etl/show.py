"""How the results of `etl` look on a terminal, and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.progress import Reporter
from cluster.show import as_json, line, many, rows, table

__all__ = ["as_json", "line", "rows", "table"]

_CHANGED = 20  # films that `diff` names on a terminal
_ROWS = (("record", "picture"), ("drop", "drop"), ("failure", "failure"))


def built(result: Any, json: bool, say: Reporter) -> None:
    """The end of a run."""
    for warning in result.warnings:
        say.warn(warning)
    if json:
        as_json(
            {
                "version": result.version,
                "folder": str(result.folder),
                "already_built": result.already_built,
                "counts": dict(result.counts),
                "reasons": dict(result.reasons),
                "elapsed_s": round(result.elapsed_s, 3),
                "films_per_s": round(result.films_per_s, 3),
                "warnings": list(result.warnings),
            }
        )
        return
    if result.already_built:
        line(f"already built: {result.folder}")
        return
    counts = result.counts
    line(f"{result.folder}")
    line(
        f"{', '.join(many(counts[f'{word}s'], name) for word, name in _ROWS)} "
        f"in {result.elapsed_s:.1f} s"
        + (f" (decoding, steps and writing: {result.films_per_s:.1f} films/s)" if result.films_per_s else "")
    )
    if result.reasons:
        line("left out: " + ", ".join(f"{reason} {count:,}" for reason, count in result.reasons.items()))
    say.say(f"look into it: etl inspect {result.folder.parent}")


def plan(value: Mapping[str, Any], json: bool) -> None:
    """What a run would do."""
    if json:
        as_json(value)
        return
    for name, content in value.items():
        if isinstance(content, Mapping):
            line(f"{name}:")
            width = max((len(str(key)) for key in content), default=0)
            for key, number in content.items():
                line(f"  {key:<{width}}  {number:,}")
        else:
            line(f"{name}: {content:,}" if isinstance(content, int) else f"{name}: {content}")


def answer(result: Any, json: bool, totals: bool) -> None:
    """Rows of a table and, where wanted, the totals by fate and reason."""
    if json:
        as_json(
            {
                "dataset": result.name,
                "rows": result.rows,
                "matching": result.matching,
                "totals": result.totals,
            }
        )
        return
    if result.rows:
        table(result.columns, [list(row.values()) for row in result.rows])
    line(f"{len(result.rows):,} of {result.matching:,} rows of {result.name}")
    if result.totals and totals:
        line()
        table(("total", "rows"), list(result.totals.items()))


def report(made: Any) -> None:
    """Where the page lies, and how much of the version it shows."""
    line(f"{made.path}: {made.shown:,} of {many(made.pictures, 'picture')} shown, {made.bytes / 1e6:.1f} MB; opens from disk")


def damages(version: Any, found: Sequence[Any], json: bool, without: Sequence[str] = ()) -> None:
    """What `verify` found; `without`: columns that an older radforge did not write yet."""
    if json:
        as_json({"version": version.version, "whole": not found, "damages": [vars(d) for d in found], "without": without})
    elif found:
        for damage in found:
            line(f"{damage.path}: {damage.what}")
    else:
        counts = version.card["counts"]
        counted = ", ".join(many(counts[f"{word}s"], name) for word, name in _ROWS)
        line(f"{version.dataset}@{version.version} is whole: {counted}")
        if without:
            line(f"written by an older radforge: without columns {', '.join(without)}")


def history(items: Sequence[Mapping[str, Any]], json: bool) -> None:
    """Versions and what they cost."""
    if json:
        as_json(list(items))
        return
    columns = (
        "version",
        "newest",
        "committed_at",
        "recipe",
        "records",
        "drops",
        "failures",
        "elapsed_s",
        "films_per_s",
        "workers",
        "cpu",
        "parent",
        "made_from",
    )
    table(columns, [[item.get(column) for column in columns] for item in items])


def difference(value: Any, json: bool) -> None:
    """Two versions compared."""
    if json:
        as_json(
            {
                "a": value.a,
                "b": value.b,
                "films": value.films,
                "fates": value.fates,
                "changed": value.changed,
                "identity": {key: list(pair) for key, pair in value.identity.items()},
            }
        )
        return
    if "key_fingerprint" in value.identity:
        line("the two were made with different keys: no id of one can be found in the other (`etl run --key FILE` shares one)")
        line()
    table(("films", "number"), list({**value.films, **value.fates}.items()))
    if value.changed:
        line()
        shown = [[", ".join(v) if isinstance(v, list) else v for v in film.values()] for film in value.changed[:_CHANGED]]
        table(("source_id", "frame_index", value.a, value.b, "corrected by people"), shown)
        if len(value.changed) > _CHANGED:
            line(f"and {len(value.changed) - _CHANGED:,} more: --json has all")
    if value.identity:
        line()
        table(("setting", value.a, value.b), [(key, str(a), str(b)) for key, (a, b) in value.identity.items()])


def review_page(url: str) -> None:
    """Where the page is: written out at once, also into a pipe."""
    line(url)
    sys.stdout.flush()


def reviewed(counts: Mapping[str, int], again: str, is_there: bool) -> None:
    """What a sitting leaves, and the command that makes the next version of it; `is_there`: the file still is."""
    line(", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "nothing decided")
    if counts:
        line(f"the next version: {again}" if is_there else "the file of corrections is gone: something else removed it")


def explanation(value: Mapping[str, Any], out: Path | None, json: bool) -> None:
    """One film through every step."""
    if json:
        as_json(value)
        return
    for stage, facts in value.items():
        line(f"{stage}")
        for key, fact in facts.items():
            line(f"  {key:<28} {fact}")
    if out is not None:
        line(f"pictures: {out}" if "decode" in value else "no pictures: the film was left out before its steps")


def steps(value: Mapping[str, Any], json: bool) -> None:
    """Steps, their settings, and the shipped recipes."""
    if json:
        as_json(value)
        return
    for name, step in value["steps"].items():
        line(f"[{name}]  {step['about']}")
        table(
            ("  setting", "default", "meaning"),
            [(f"  {setting['name']}", setting["default"], setting["meaning"]) for setting in step["settings"]],
            wrap=True,
        )
        line()
    for name, text in value["recipes"].items():
        line(f"shipped recipe `{name}`:")
        line("    " + text.strip().replace("\n", "\n    "))
        line()


def phantom(out: Path, summary: Any) -> None:
    """What was drawn."""
    line(f"{out}/archive      the raw archive: {summary}")
    line(f"{out}/labels.csv   one row a study")
    line(f"{out}/truth.csv    one row a file and frame")
    line(f"try: etl run {out}/archive --out dataset --recipe wrist --labels {out}/labels.csv")
