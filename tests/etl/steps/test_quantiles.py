from __future__ import annotations

import numpy as np
import pytest

from etl.steps.quantiles import median, quantile, span

RNG = np.random.default_rng(0)
GREYS = {
    "many greys": RNG.normal(100, 20, 5001).astype(np.float32),
    "a black border": np.concatenate((np.zeros(3000), RNG.uniform(0, 255, 2000))).astype(np.float32),
    "mostly white": np.concatenate((np.full(4000, 255), RNG.uniform(0, 255, 100))).astype(np.float32),
    "one grey": np.full(70, 7, np.float32),
    "two rows": np.arange(10, dtype=np.float64).reshape(2, 5),
    "one pixel": np.array([3.5], np.float32),
}


@pytest.mark.parametrize("values", GREYS.values(), ids=GREYS.keys())
@pytest.mark.parametrize("share", [0, 0.002, 0.3, 0.5, 0.6, 0.995, 1])
def test_quantiles_are_those_of_numpy(values: np.ndarray, share: float) -> None:
    expected = np.quantile(values.astype(np.float64), share)

    assert quantile(values, share) == pytest.approx(expected, rel=1e-9)
    assert span(values, share, 1 - share)[0] == pytest.approx(expected, rel=1e-9)
    assert median(values) == pytest.approx(np.median(values.astype(np.float64)), rel=1e-9)
