"""What a report draws, as numbers: who is drawn where, the course of trainings, the strips of the map."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from schuss.comparison.competitors import Competitor
    from schuss.comparison.statistics.intervals import Floats
    from schuss.comparison.study.records import Curves, Row


PANELS, LINES = 12, 10  # at most, in one chart: of more nobody makes sense
POINTS = 40  # of a curve at most
CELLS = 60  # of a strip at most: of more trials, the one in the middle of those that lie side by side
EDGE = 0.5  # of the way from guessing to the best: from there on a network counts as learning
_BAND = (25, 75)  # percentiles: the middle half of the seeds


class Place(NamedTuple):
    """Where a competitor is drawn."""

    panel: str
    line: str


class Scale(NamedTuple):
    """Scores as shares of the way from guessing (0) to the best trial of the comparison on validation (1)."""

    guess: float
    best: float

    def share(self, score: float) -> float:
        """The share of the way; NaN for a network that diverged."""
        return (score - self.guess) / max(self.best - self.guess, 1e-9)


class Band(NamedTuple):
    """The median over the seeds at some epochs, and the middle half of them."""

    epochs: Floats
    middle: Floats
    low: Floats
    high: Floats


class Strip(NamedTuple):
    """The trials of a competitor by learning rate, each with the stretch of the map that stands for it."""

    rows: Sequence[Row]
    bounds: Floats  # one more than rows
    learns: Sequence[bool]

    @property
    def edges(self) -> list[float]:
        """The learning rates between a network that learns and one that does not."""
        inner = self.bounds[1:-1].tolist()
        return [bound for bound, (a, b) in zip(inner, itertools.pairwise(self.learns), strict=True) if a != b]

    @property
    def decades(self) -> float:
        """The width of the learning rates with which it learns."""
        return float(np.diff(np.log10(self.bounds))[np.array(self.learns)].sum())


def places(competitors: Iterable[Competitor], axes: Sequence[str]) -> dict[Competitor, Place]:
    """A panel an activation and a line for all else, of one optimizer the other way round; the first ones only.

    >>> from schuss.comparison.competitors import Competitor
    >>> found = places([Competitor("relu", "sgd"), Competitor("tanh", "sgd")], ["activation", "optimizer"])
    >>> [tuple(place) for place in found.values()]
    [('sgd', 'relu'), ('sgd', 'tanh')]
    """
    rest = [axis for axis in axes if axis != "activation"]
    named = {each: Place(each.activation, each.label(rest)) for each in competitors}
    if len({place.line for place in named.values()}) == 1:
        named = {each: Place(place.line, place.panel) for each, place in named.items()}
    panels, lines = (list(dict.fromkeys(names)) for names in zip(*named.values(), strict=True))
    kept = set(panels[:PANELS]), set(lines[:LINES])
    return {each: place for each, place in named.items() if place.panel in kept[0] and place.line in kept[1]}


def band(curves: Sequence[Curves], quantity: str) -> Band | None:
    """The course of a quantity over the seeds, thinned evenly; None if there is none.

    A network that diverged is absent after that; where more than half are, so is the median.
    """
    longest = max(curves, key=lambda curve: len(curve.get(quantity, ())), default={})
    n = len(longest.get(quantity, ()))
    if not n:
        return None
    chosen = np.unique(np.rint(np.linspace(0, n - 1, min(n, POINTS))).astype(int))
    values = np.full((len(curves), n), math.nan)
    for line, curve in zip(values, curves, strict=True):
        line[: len(curve[quantity])] = curve[quantity]
    values = np.where(np.isfinite(values), values, math.nan)[:, chosen]
    present = 2 * np.isfinite(values).sum(0) >= len(curves)
    found = np.full((3, len(chosen)), math.nan)
    if present.any():
        found[:, present] = np.nanpercentile(values[:, present], [_BAND[0], 50, _BAND[1]], axis=0)
    low, middle, high = found
    return Band(np.asarray(longest.get("epoch", np.arange(1, n + 1)), dtype=np.float64)[chosen], middle, low, high)


def strip(trials: Iterable[Row], scale: Scale) -> Strip:
    """The trials of one competitor side by side: each reaches half of the way, on a log scale, to its neighbors."""
    rows = _thinned(sorted(trials, key=lambda row: row.learning_rate))
    rates = np.log10([row.learning_rate for row in rows])
    between = (rates[:-1] + rates[1:]) / 2
    first, last = (between[0], between[-1]) if len(between) else (rates[0] + 0.1, rates[0] - 0.1)
    bounds = np.concatenate([[2 * rates[0] - first], between, [2 * rates[-1] - last]])
    return Strip(rows, 10**bounds, [scale.share(row.valid_score) >= EDGE for row in rows])


def _thinned(rows: list[Row]) -> list[Row]:
    """Of many neighbors, the one whose validation score is in the middle."""
    groups = np.array_split(np.arange(len(rows)), min(len(rows), CELLS))
    merit = [-math.inf if math.isnan(row.valid_score) else row.valid_score for row in rows]
    return [rows[sorted(group.tolist(), key=merit.__getitem__)[len(group) // 2]] for group in groups]
