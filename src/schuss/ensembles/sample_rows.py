"""Which rows count, and how much: a table in a canonical order, and divided into folds.

A training has its own order of the rows, drawn from the seed. So that the same rows give the same networks, whatever
order they came in, and so that a row of weight 3 is the same as three equal rows, everything random begins after
`canonical`: rows that weigh nothing are left out, and the order is that of the rows' hashes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from schuss.ensembles.columns import Table
from schuss.randomness import splitmix64

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

HEAVIEST = 4.0
"""A row that counts as much as several, typically, is divided into copies: one row of a large weight would make one
gradient of an epoch as large. Copies never make a table more than 1 + HEAVIEST times as long."""

FEW_INPUTS, MANY_TARGETS = 20, 1.1
"""Where so few different inputs are, or so many different targets for each of them, equal rows are cases of their own:
a network must see every cell of such a table. Elsewhere they are one row repeated, of which no network may see a part
and be judged on another."""

MOST_REPEATS = 10
"""There, weights that are whole numbers up to this one are numbers of cases; others say how much a case counts."""

_ODD = 0x9E3779B97F4A7C15


class Rows(NamedTuple):
    """Row numbers of the table given, in canonical order; the weight of each (mean 1), and its group.

    The rows of a group stay in one fold: none is judged by a network that was trained on its copy.
    """

    places: Places
    weights: Numbers
    groups: Places


def canonical(table: Table, y: Numbers, weights: Numbers | None, factors: Numbers | None = None) -> Rows:
    """The rows that count.

    Parameters
    ----------
    table, y : the inputs; the target [n, k], classes as numbers.
    weights : [n], not negative, or None if all rows count the same.
    factors : [n], by which the weights are multiplied, but which are no numbers of rows, such as weights of classes.

    >>> table = Table(np.array([[5.0], [7.0], [8.0], [8.0], [9.0]]), np.zeros((5, 0), int))
    >>> rows = canonical(table, np.zeros((5, 1)), np.array([1.0, 1.0, 1.0, 2.0, 0.0]))
    >>> sorted(table.numbers[rows.places, 0].tolist()), rows.weights.tolist()
    ([5.0, 7.0, 8.0, 8.0, 8.0], [1.0, 1.0, 1.0, 1.0, 1.0])
    """
    w = np.ones(len(y)) if weights is None else weights
    f = np.ones(len(y)) if factors is None else factors
    inputs = _hashes(table.codes, _hashes(table.numbers))
    whole = _hashes(y, inputs)
    rows = np.flatnonzero(w * f > 0)
    n_inputs, n_whole = (len(np.unique(hashes[rows])) for hashes in (inputs, whole))
    if n_inputs > FEW_INPUTS and n_whole <= MANY_TARGETS * n_inputs:
        return _copied(*_merged(rows, whole, w * f))
    if np.array_equal(w, np.rint(w)) and w.max() <= MOST_REPEATS:
        rows, w = np.repeat(rows, w[rows].astype(np.int64)), np.ones(len(w))
    rows = rows[np.lexsort(((w * f)[rows], whole[rows]))]
    return _copied(rows, (w * f)[rows])


def _merged(rows: Places, whole: NDArray[np.uint64], w: Numbers) -> tuple[Places, Numbers]:
    """One of each of the equal rows, with their weights added."""
    rows = rows[np.lexsort((w[rows], whole[rows]))]  # by weights, too: a sum of fractions depends on their order
    first = np.flatnonzero(np.r_[True, whole[rows][1:] != whole[rows][:-1]])
    return rows[first], np.add.reduceat(w[rows], first)


def _copied(rows: Places, w: Numbers) -> Rows:
    """Heavy rows in copies, which are a group."""
    usual = max(float(np.median(w)), float(w.mean()) / HEAVIEST)
    copies = np.maximum(np.rint(w / usual), 1).astype(np.int64)
    each = np.repeat(w / copies, copies)
    return Rows(np.repeat(rows, copies), each / each.mean(), np.repeat(np.arange(len(rows)), copies))


def _hashes(values: Numbers | Places, start: NDArray[np.uint64] | None = None) -> NDArray[np.uint64]:
    """64 bits a row, the same for equal rows: the SplitMix64 finalizer over the columns."""
    hashes = np.zeros(len(values), np.uint64) if start is None else start
    for number, column in enumerate(values.T):
        bits = np.where(np.isnan(column), np.nan, column + 0.0).view(np.uint64)  # one NaN, and no −0
        hashes = splitmix64(hashes ^ (bits + np.uint64(_ODD * (number + 1) % 2**64)))
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
