"""Which rows count, and how much: a table in a canonical order, without repeats, and divided into folds.

A training has its own order of the rows, drawn from the seed. So that the same rows give the same networks, whatever
order they came in, and so that a row of weight 3 is the same as three equal rows, everything random begins after
`canonical`: rows that weigh nothing are left out, equal ones are one with their weights added, and the order is that of
their hashes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from schuss.engines.counters import mixed
from schuss.tabular.columns import Table

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

HEAVIEST = 4.0
"""A row that weighs as much as several, typically, is divided into copies: one row of a large weight would make one
gradient of an epoch as large. Copies never make a table more than 1 + HEAVIEST times as long."""

_ODD = 0x9E3779B97F4A7C15


class Rows(NamedTuple):
    """Row numbers of the table given, in canonical order; the weight of each (mean 1), and its group.

    Copies and rows with equal inputs are of one group, which stays in one fold: a row is never judged by a network that
    was trained on its twin.
    """

    places: Places
    weights: Numbers
    groups: Places


def canonical(table: Table, y: Numbers, weights: Numbers | None) -> Rows:
    """The rows that count.

    Parameters
    ----------
    table, y : the inputs; the target [n, k], classes as numbers.
    weights : [n], not negative, or None if all rows count the same.

    >>> table = Table(np.array([[5.0], [7.0], [8.0], [8.0], [9.0]]), np.zeros((5, 0), int))
    >>> rows = canonical(table, np.zeros((5, 1)), np.array([1.0, 1.0, 1.0, 2.0, 0.0]))
    >>> sorted(table.numbers[rows.places, 0].tolist()), rows.weights.tolist()
    ([5.0, 7.0, 8.0, 8.0, 8.0], [1.0, 1.0, 1.0, 1.0, 1.0])
    """
    w = np.ones(len(y)) if weights is None else weights
    kept = np.flatnonzero(w > 0)
    inputs = _hashes(table.codes[kept], _hashes(table.numbers[kept]))
    whole = _hashes(y[kept], inputs)
    order = np.lexsort((w[kept], whole, inputs))  # by weights, too: a sum of fractions depends on their order
    inputs, whole, kept = inputs[order], whole[order], kept[order]
    first = np.flatnonzero(np.r_[True, whole[1:] != whole[:-1]])
    w = np.add.reduceat(w[kept], first)
    usual = max(float(np.median(w)), float(w.mean()) / HEAVIEST)
    copies = np.maximum(np.rint(w / usual), 1).astype(np.int64)
    groups = np.unique(inputs[first], return_inverse=True)[1]
    each = np.repeat(w / copies, copies)
    return Rows(np.repeat(kept[first], copies), each / each.mean(), np.repeat(groups, copies))


def _hashes(values: Numbers | Places, start: NDArray[np.uint64] | None = None) -> NDArray[np.uint64]:
    """64 bits a row, the same for equal rows: the SplitMix64 finalizer over the columns."""
    hashes = np.zeros(len(values), np.uint64) if start is None else start
    for number, column in enumerate(values.T):
        bits = np.where(np.isnan(column), np.nan, column + 0.0).view(np.uint64)  # one NaN, and no −0
        hashes = mixed(hashes ^ (bits + np.uint64(_ODD * (number + 1) % 2**64)))
    return hashes


def folds(groups: Places, strata: Places, n_folds: int, random: Generator) -> Places:
    """The fold of every row, [n] from 0 to n_folds − 1: of each stratum, such as a class, about as many in every fold.

    The rows of a group stay together, with the first one's stratum.

    >>> folds(np.arange(6), np.array([0, 1, 0, 1, 0, 1]), 3, np.random.default_rng(0))
    array([2, 2, 0, 0, 1, 1])
    """
    first = np.unique(groups, return_index=True)[1]
    shuffled = random.permutation(len(first))
    by_stratum = shuffled[np.argsort(strata[first][shuffled], kind="stable")]
    fold = np.empty(len(first), np.int64)
    fold[by_stratum] = np.arange(len(first)) % n_folds  # dealt like cards, stratum after stratum
    return fold[groups]
