"""How much each kind of network counts: greedy selection with replacement on predictions for rows not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

STEPS = 20
LEAST = 0.1  # of the steps; what was taken less often would slow every prediction and hardly change it


def greedy_weights(predictions: Sequence[Numbers], price: Callable[[Numbers], float], steps: int = STEPS) -> Numbers:
    """Weights of several predictions, summing to 1, whose mean has a low price (Caruana et al., 2004).

    From nothing, each step adds the prediction that makes the mean cheapest; one may be added again. The weights are
    how often each was taken: they cannot fit noise as free weights would. What was taken in less than a tenth of the
    steps is left out.

    Parameters
    ----------
    predictions : arrays of one shape.
    price : of a prediction; the smaller the better.

    >>> low, high = np.array([0.0]), np.array([4.0])
    >>> greedy_weights([low, high], lambda p: abs(p[0] - 1.0), steps=8).tolist()
    [0.75, 0.25]
    """
    counts = np.zeros(len(predictions))
    total = np.zeros_like(predictions[0])
    for step in range(1, steps + 1):
        best = int(np.argmin([price((total + each) / step) for each in predictions]))
        counts[best] += 1
        total = total + predictions[best]
    counts[counts < min(LEAST * steps, counts.max())] = 0
    return np.asarray(counts / counts.sum())
