"""One label column of a manifest as 0 and 1."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import RadforgeError

_TRUE = {"true", "1"}
_FALSE = {"false", "0"}
_NAMED = 5


def named_label(columns: Sequence[str], wanted: str, where: str) -> str:
    """The label that is meant, without `label_`; empty means the only one. Raises RadforgeError."""
    known = sorted(column.removeprefix("label_") for column in columns if column.startswith("label_"))
    if not known:
        raise RadforgeError("the version has no label", where, expected="a version built with `etl run --labels FILE`")
    if wanted in known:
        return wanted
    if not wanted and len(known) == 1:
        return known[0]
    if not wanted:
        raise RadforgeError(
            "which label is meant?", where, f"{len(known)} labels", f"`data.label` = one of: {', '.join(known)}"
        )
    raise RadforgeError("no such label", where, f"`{wanted}`", f"one of: {', '.join(known)}{_meant(wanted, known)}")


def targets(studies: Sequence[str], values: Sequence[Any], label: str, positive: str, where: str) -> NDArray[np.float32]:
    """float32 (n,): 1 for the positive value, 0 for the other, NaN where the study has no label.

    A study has one label: the value that any of its pictures carries. Raises RadforgeError when the column holds more than
    two values, when its pictures disagree, or when it does not say which value is positive.
    """
    where = f"label_{label} in {where}"
    texts = [_text(value) for value in values]
    found = Counter(text for text in texts if text is not None)
    if not found:
        raise RadforgeError("no study has this label", where, f"{len(values)} pictures without it")
    shown = ", ".join(f"`{text}` ({count:,} pictures)" for text, count in found.most_common(_NAMED))
    if len(found) > 2:
        more = ", ..." if len(found) > _NAMED else ""
        raise RadforgeError("more than two values", where, f"{len(found)}: {shown}{more}", "two values, one of them positive")
    if positive:
        chosen = {text for text in found if _alike(text, positive)}
        # A column of nothing but "false" does speak of "true"; one of "whole" and "broken" does not.
        if not chosen and not all(text.lower() in _TRUE | _FALSE for text in (*found, positive)):
            meant = _meant(positive, list(found))
            raise RadforgeError(f"`data.positive` = `{positive}` does not occur", where, shown, f"one of these values{meant}")
    else:
        chosen = {text for text in found if text.lower() in _TRUE}
        if any(text.lower() not in _TRUE | _FALSE for text in found):
            raise RadforgeError("which value is positive?", where, shown, "`data.positive` = one of these values")
    of_study: dict[str, float] = {}
    torn = set()
    for study, text in zip(studies, texts, strict=True):
        if text is not None and of_study.setdefault(study, float(text in chosen)) != float(text in chosen):
            torn.add(study)
    if torn:
        raise RadforgeError("pictures of one study disagree", where, f"{len(torn):,} studies", "one value a study")
    return np.array([of_study.get(study, math.nan) for study in studies], dtype=np.float32)


def _alike(one: str, other: str) -> bool:
    """Equal whatever the case, or two ways to write true (true, 1) or false (false, 0)."""
    both = {one.lower(), other.lower()}
    return len(both) == 1 or both <= _TRUE or both <= _FALSE


def _text(value: Any) -> str | None:
    """A value as people write it: true, 1 (of 1 and 1.0), broken; None for null, NaN and empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value).strip() or None


def _meant(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean `{close[0]}`?)" if close else ""
