"""Data brought to the scale that initial weights are made for, after it was encoded.

It keeps its one split: another one, cut from the raw table, would have the old scale.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from schuss.data import Dataset, Part
from schuss.data.encoding import Column, moments


def numeric_inputs(data: Dataset) -> list[int]:
    """Positions in X of the numeric columns: those of categories and flags are 0 or 1 and stay so."""
    positions, at = [], 0
    for column in data.encoding.columns:
        if column.kind == "numeric":
            positions.append(at)
        at += len(column.features)
    return positions


def standardize_inputs(data: Dataset) -> Dataset:
    """Every numeric input with mean 0 and standard deviation 1 on the training part; predictions undo nothing.

    >>> from schuss.data import load
    >>> raw = load("wine", standardize=False)
    >>> bool(raw.train.X.max() > 1000), bool(abs(standardize_inputs(raw).train.X).max() < 10)
    (True, True)
    """
    scales = {k: _moments(data.train.X[:, k]) for k in numeric_inputs(data)}

    def scaled(part: Part) -> Part:
        X = part.X.astype(np.float64)
        for k, (mean, std) in scales.items():
            X[:, k] = (X[:, k] - mean) / std
        return replace(part, X=np.ascontiguousarray(X, dtype=np.float32))

    inputs, columns = iter(scales.values()), data.encoding.columns
    changed = tuple(_rescaled(each, *next(inputs)) if each.kind == "numeric" else each for each in columns)
    return replace(
        data.without_table(),
        train=scaled(data.train),
        valid=scaled(data.valid),
        test=scaled(data.test),
        encoding=replace(data.encoding, columns=changed, standardize=True),
    )


def standardize_target(data: Dataset) -> Dataset:
    """Every number to predict with mean 0 and standard deviation 1 on the training part; predictions keep their unit.

    >>> from schuss.data import load
    >>> raw = load("diabetes", standardize=False)
    >>> float(raw.train.y.mean().round()), float(abs(standardize_target(raw).train.y.mean()).round(3))
    (155.0, 0.0)
    """
    target = data.encoding.target
    mean, std = np.array([_moments(column) for column in data.train.y.T]).T

    def scaled(part: Part) -> Part:
        return replace(part, y=((part.y.astype(np.float64) - mean) / std).astype(np.float32))

    old_mean, old_std = np.array(target.mean), np.array(target.std)
    changed = replace(target, mean=tuple((old_mean + old_std * mean).tolist()), std=tuple((old_std * std).tolist()))
    return replace(
        data.without_table(),
        train=scaled(data.train),
        valid=scaled(data.valid),
        test=scaled(data.test),
        encoding=replace(data.encoding, target=changed),
    )


def _moments(values: NDArray[np.float32] | NDArray[np.int64]) -> tuple[float, float]:
    """Mean and standard deviation; a constant column is left as far apart as it is."""
    mean, std = moments(values.astype(np.float64))
    return mean, std or 1.0


def _rescaled(column: Column, mean: float, std: float) -> Column:
    """The column whose encoded values are standardized once more; one that is always 0 stays so."""
    return replace(column, mean=column.mean + column.std * mean, std=column.std * std)
