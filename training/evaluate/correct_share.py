"""The share of right pictures per study: why one positive picture may be enough (the thesis' reason for "at least one")."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.evaluate.cases import Cases

SHARES = ("none", "less than half", "half", "more than half", "all")


def correct_shares(instances: Cases) -> dict[str, dict[str, Any]]:
    """For `positive` and `negative` studies: `n` studies, `mean` share of their pictures that a threshold of 0.5 gets
    right (None without studies), and `studies`, how many have none, less than half, half, more than half or all right.
    """
    _, first, member = np.unique(instances.study, return_index=True, return_inverse=True)
    right = (instances.score > 0.5) == (instances.target > 0.5)
    share = np.bincount(member, weights=right) / np.bincount(member)
    target = instances.target[first]
    told = {}
    for name, value in (("positive", 1), ("negative", 0)):
        shares = share[target == value]
        counts = (
            shares == 0,
            (shares > 0) & (shares < 0.5),
            shares == 0.5,
            (shares > 0.5) & (shares < 1),
            shares == 1,
        )
        told[name] = {
            "n": len(shares),
            "mean": float(shares.mean()) if len(shares) else None,
            "studies": {label: int(count.sum()) for label, count in zip(SHARES, counts, strict=True)},
        }
    return told
