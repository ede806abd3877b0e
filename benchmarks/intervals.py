"""Bootstrap intervals of means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def interval(values: Sequence[float] | NDArray[np.float64], resamples: int = 2000) -> tuple[float, float, float]:
    """The mean, and a 95 % bootstrap interval of it: over what is listed, tables or differences on tables."""
    listed = np.asarray(values)
    draws = np.random.default_rng(0).choice(listed, (resamples, len(listed))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(listed.mean()), float(low), float(high)
