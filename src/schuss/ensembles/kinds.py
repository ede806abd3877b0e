"""Three ways to turn the columns of a table into the inputs of a network; all learned without a look at the target.

Numbers differ by kind; categories are one-hot in each, and a column that had gaps gets an input that says where.
Missing numbers are the median first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from schuss.data.encoding import FARTHEST
from schuss.ensembles.columns import Columns, Table

Numbers = NDArray[np.float64]
Inputs = NDArray[np.float32]
Kind: TypeAlias = Literal["standard", "piecewise", "periodic"]
KINDS: tuple[Kind, ...] = get_args(Kind)

EDGES = 9  # quantiles of the values, and of the different values, between which the piecewise code rises
NARROWEST = 1e-5  # piece, as a share of the column's reach: a narrower one would be a step, and coarse in 32 bits
WAVES = 8  # of the periodic code, for each column
WAVE_DEVIATION = 0.3  # of their frequencies, in periods per interquartile range
SOFT = 3.0  # so many interquartile ranges from the median the periodic code begins to see no further


@dataclass(frozen=True, eq=False)
class Standard:
    """z = (x − mean) / std, 0 for a constant column; [n, p] → [n, p]."""

    mean: Numbers
    std: Numbers

    @staticmethod
    def learn(x: Numbers, weights: Numbers) -> Standard:
        """Mean and deviation of weighted rows without gaps."""
        mean = weights @ x / weights.sum()
        std = np.sqrt(weights @ (x - mean) ** 2 / weights.sum())
        return Standard(mean, np.where(std <= 1e-12 * np.abs(mean), np.inf, std))

    def __call__(self, x: Numbers) -> Inputs:
        """From numbers without gaps."""
        return np.clip((x - self.mean) / self.std, -FARTHEST, FARTHEST).astype(np.float32)

    def names(self, columns: Sequence[str]) -> list[str]:
        """The columns' own."""
        return list(columns)


@dataclass(frozen=True, eq=False)
class Piecewise:
    """2·clip((x − e₍t₋₁₎)/(e₍t₎ − e₍t₋₁₎), 0, 1) − 1 for each pair of edges (Gorishniy et al., 2022, scaled to −1 … 1).

    `edges` has the edges of all columns, one column after the other; those of column j begin at `starts[j]`.
    """

    edges: Numbers
    starts: NDArray[np.int64]

    @staticmethod
    def learn(x: Numbers, weights: Numbers) -> Piecewise | Standard:
        """Edges at the quantiles of the values, and of the different values: crowds and plains both get some."""
        found = [_edges(column, weights) for column in x.T]
        if all(len(edges) < 2 for edges in found):
            return Standard.learn(x, weights)  # columns that are all constant have no pieces
        return Piecewise(np.concatenate([*found, np.zeros(0)]), np.cumsum([0, *map(len, found)]))

    def __call__(self, x: Numbers) -> Inputs:
        """From numbers without gaps."""
        first, span = self.reach()
        u = np.clip((x - first) / span, 0, 1).astype(np.float32)  # from here on 32 bits do, wherever the column lies
        _, scale, shift = self.pieces()
        out = np.repeat(u, np.diff(self.starts) - 1, axis=1)
        out *= scale
        out -= shift
        return np.clip(out, -1, 1, out=out)

    def reach(self) -> tuple[Numbers, Numbers]:
        """The first edge of each column, and how far the last one is from it; 1 for a constant column."""
        first, last = self.edges[self.starts[:-1]], self.edges[self.starts[1:] - 1]
        return first, np.where(last > first, last - first, 1.0)

    def pieces(self) -> tuple[NDArray[np.int64], Inputs, Inputs]:
        """Of each piece its column, and the factor and the offset of clip(factor·u − offset, −1, 1), u in 0 … 1."""
        first, span = self.reach()
        lower = np.setdiff1d(np.arange(len(self.edges)), self.starts[1:] - 1)
        column = np.searchsorted(self.starts, lower, side="right") - 1
        low, high = ((self.edges[i] - first[column]) / span[column] for i in (lower, lower + 1))
        scale, shift = 2 / (high - low), (high + low) / (high - low)
        return column, scale.astype(np.float32), shift.astype(np.float32)

    def names(self, columns: Sequence[str]) -> list[str]:
        """The columns' own, with the number of the piece."""
        counts = np.diff(self.starts) - 1
        return [f"{c} piece {i + 1}" for c, count in zip(columns, counts, strict=True) for i in range(count)]


@dataclass(frozen=True, eq=False)
class Periodic:
    """z, and cos(2π(w·r + b)) of fixed random w and b: r = s/√(1 + (s/3)²), s = (x − median)/IQR; [n, p] → [n, 9·p].

    Random Fourier features (Rahimi and Recht, 2007), a column at a time.
    """

    standard: Standard
    median: Numbers
    range: Numbers
    frequency: Numbers
    phase: Numbers

    @staticmethod
    def learn(x: Numbers, weights: Numbers, random: Generator) -> Periodic:
        """From numbers without gaps; w and b are drawn from `random`."""
        standard = Standard.learn(x, weights)
        quarters = np.array([_quantiles(column, weights, np.array([0.25, 0.5, 0.75])) for column in x.T]).reshape(-1, 3)
        spread = quarters[:, 2] - quarters[:, 0]
        spread = np.where(spread > 0, spread, standard.std)  # where most values are the same
        frequency = WAVE_DEVIATION * random.standard_normal((x.shape[1], WAVES))
        return Periodic(standard, quarters[:, 1], spread, frequency, random.random((x.shape[1], WAVES)))

    def __call__(self, x: Numbers) -> Inputs:
        """From numbers without gaps."""
        s = np.clip((x - self.median) / self.range, -FARTHEST, FARTHEST)
        r = (s / np.sqrt(1 + (s / SOFT) ** 2)).astype(np.float32)
        out = np.empty((len(x), (1 + WAVES) * x.shape[1]), np.float32)
        out[:, : x.shape[1]] = self.standard(x)
        waves = out[:, x.shape[1] :]
        np.multiply(np.repeat(r, WAVES, axis=1), self.frequency.astype(np.float32).ravel(), out=waves)
        waves += self.phase.astype(np.float32).ravel()
        waves *= np.float32(2 * math.pi)
        np.cos(waves, out=waves)
        return out

    def names(self, columns: Sequence[str]) -> list[str]:
        """The columns' own, then those of their waves."""
        return [*columns, *(f"{column} wave {i + 1}" for column in columns for i in range(WAVES))]


Coder: TypeAlias = Standard | Piecewise | Periodic


def _edges(column: Numbers, weights: Numbers) -> Numbers:
    shares = np.linspace(0, 1, EDGES)
    different = np.unique(column)
    edges = np.union1d(_quantiles(column, weights, shares), _quantiles(different, np.ones(len(different)), shares))
    narrow = NARROWEST * (edges[-1] - edges[0])
    return edges[np.r_[True, np.diff(edges) > narrow]] if edges[-1] - edges[0] > 1e-12 * abs(edges[0]) else edges[:1]


def _quantiles(column: Numbers, weights: Numbers, shares: Numbers) -> Numbers:
    """Quantiles of weighted values: straight between the middles of their weights."""
    order = np.argsort(column)
    middles = np.cumsum(weights[order]) - weights[order] / 2
    return np.interp(shares, middles / weights.sum(), column[order])


# ---------------------------------------------------------------------------------------------- whole tables


@dataclass(frozen=True, eq=False)
class Encoder:
    """A table with all its columns → the inputs of one kind.

    Attributes
    ----------
    coder
        Of the numbers.
    fill
        What stands for a missing number, one a numeric column.
    gaps
        Which numeric columns had gaps in training, and get an input that says where.
    sizes
        How many categories each categorical column has.
    """

    coder: Coder
    fill: Numbers
    gaps: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __call__(self, table: Table) -> Inputs:
        """The inputs, float32 [n, inputs]."""
        missing = np.isnan(table.numbers)
        marks = [missing[:, self.gaps]]
        marks += [codes[:, None] == np.arange(size) for codes, size in zip(table.codes.T, self.sizes, strict=True)]
        coded = self.coder(np.where(missing, self.fill, table.numbers))
        parts = [coded, *(mark.astype(np.float32) for mark in marks if mark.size)]
        return np.hstack(parts) if len(parts) > 1 else coded

    def names(self, columns: Columns) -> list[str]:
        """A name for each input."""
        numeric = [columns.names[i] for i in columns.numeric]
        shown = [(columns.names[i], columns.categories[i] or ()) for i in columns.categorical]
        return [
            *self.coder.names(numeric),
            *(f"{numeric[i]} is missing" for i in self.gaps),
            *(f"{name}={category}" for name, categories in shown for category in categories),
        ]


def medians(table: Table, weights: Numbers) -> Numbers:
    """Of every column of numbers the median of what is there; 0 where nothing is."""
    return np.array([_median(column, weights) for column in table.numbers.T])


def learn_encoders(
    table: Table, fill: Numbers, columns: Columns, weights: Numbers, kinds: Collection[Kind], random: Generator
) -> dict[Kind, Encoder]:
    """One encoder of each of the kinds, from the training rows and their `medians`, which stand for missing numbers."""
    missing = np.isnan(table.numbers)
    x = np.where(missing, fill, table.numbers)
    learn: dict[Kind, Callable[[], Coder]] = {
        "standard": lambda: Standard.learn(x, weights),
        "piecewise": lambda: Piecewise.learn(x, weights),
        "periodic": lambda: Periodic.learn(x, weights, random),
    }
    gaps = np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0))
    sizes = np.array([len(columns.categories[i] or ()) for i in columns.categorical], dtype=np.int64)
    return {kind: Encoder(learned(), fill, gaps, sizes) for kind, learned in learn.items() if kind in kinds}


def _median(column: Numbers, weights: Numbers) -> float:
    there = ~np.isnan(column)
    return float(_quantiles(column[there], weights[there], np.array([0.5]))[0]) if there.any() else 0.0
