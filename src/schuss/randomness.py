"""Randomness without a generator's state: numbers that depend on what they are for, (seed, epoch) or (seed, step).

A training that is interrupted and resumed, or shared among threads, draws the same numbers as one in one go.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer (Steele et al., 2014): every bit of x decides about every bit of the result."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def epoch_order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """The order of n rows in one epoch: Fisher and Yates' shuffle with numbers that depend on (seed, epoch) only."""
    key = splitmix64(splitmix64(np.array([seed], np.uint64) + _GOLDEN) + np.uint64(epoch))
    random = splitmix64(key + (np.arange(n, dtype=np.uint64) + np.uint64(1)) * _GOLDEN)
    bound = np.arange(1, n + 1, dtype=np.uint64)
    chosen = (((random >> np.uint64(32)) * bound) >> np.uint64(32)).tolist()
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = chosen[i]
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.int64)


def _hashed(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Wellons' 32-bit hash lowbias32 (2018): half the width of `splitmix64`, for one number a unit and row."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def kept_units(seed: int, step: int, layer: int, rate: float, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which outputs [rows, units] dropout keeps in one step: a share of 1 − rate, chosen by (seed, step, layer) only.

    `step` counts the updates done before, `layer` the layers of the engine from 0, the first dimension the rows of the
    whole batch.
    """
    key = splitmix64(np.array([seed], np.uint64) + _GOLDEN + _GOLDEN)  # + golden, once, is where the orders start
    for number in (step, layer):
        key = splitmix64(key + np.uint64(number))
    low, high = key.astype(np.uint32), (key >> np.uint64(32)).astype(np.uint32)
    element = np.arange(shape[0] * shape[1], dtype=np.uint32)
    return (_hashed(_hashed(element ^ low) + high) >= np.uint32(int(rate * 2**32))).reshape(shape)
