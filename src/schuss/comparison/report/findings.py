"""What a report shows, as numbers: who is drawn where, the course of trainings, the map of what learns, the profiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from schuss.comparison.competitors import Competitor
from schuss.comparison.intervals import Floats, iqm
from schuss.comparison.profiles import Profile, best_of_k, performance_profile, sensitivity, time_to_target
from schuss.comparison.records import Curves, Row

PANELS, LINES = 12, 10  # at most, in one chart: of more nobody makes sense
POINTS = 40  # of a curve
EDGE = 0.5  # of the way from guessing to the best: from there on a network counts as learning
TARGET = 0.95  # of the way: what the profiles ask for
_BAND = (25, 75)  # percentiles: the middle half of the seeds


class Place(NamedTuple):
    """Where a competitor is drawn."""

    panel: str
    line: str


class Scale(NamedTuple):
    """Scores as shares of the way from guessing (0) to the best network of the comparison on validation (1)."""

    guess: float
    best: float

    def share(self, score: float) -> float:
        """The share of the way; NaN for a network that diverged."""
        return (score - self.guess) / max(self.best - self.guess, 1e-9)

    def score(self, share: float) -> float:
        """The score at a share of the way."""
        return self.guess + share * (self.best - self.guess)


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
        pairs = zip(self.learns, self.learns[1:], strict=False)
        return [float(bound) for bound, (a, b) in zip(self.bounds[1:], pairs, strict=False) if a != b]

    @property
    def decades(self) -> float:
        """The width of the learning rates with which it learns."""
        return float(np.diff(np.log10(self.bounds))[np.array(self.learns)].sum())


def places(competitors: Iterable[Competitor], axes: Sequence[str]) -> dict[Competitor, Place]:
    """A panel an activation and a line for all else, of one optimizer the other way round; the first ones only."""
    rest = [axis for axis in axes if axis != "activation"]
    named = {each: Place(each.activation, each.label(rest)) for each in competitors}
    if len({place.line for place in named.values()}) == 1:
        named = {each: Place(place.line, place.panel) for each, place in named.items()}
    panels, lines = (list(dict.fromkeys(names)) for names in zip(*named.values(), strict=True))
    kept = set(panels[:PANELS]), set(lines[:LINES])
    return {each: place for each, place in named.items() if place.panel in kept[0] and place.line in kept[1]}


# ---------------------------------------------------------------------------------------------- trainings


def band(curves: Sequence[Curves], quantity: str) -> Band | None:
    """The course of a quantity over the seeds, thinned evenly; None if there is none.

    A network that diverged is absent after that; where more than half are, so is the median.
    """
    longest = max(curves, key=lambda curve: len(curve[quantity]), default=None)
    if longest is None or not len(longest[quantity]):
        return None
    n = len(longest[quantity])
    chosen = np.unique(np.rint(np.linspace(0, n - 1, min(n, POINTS))).astype(int))
    values = np.full((len(curves), n), math.nan)
    for line, curve in zip(values, curves, strict=True):
        line[: len(curve[quantity])] = curve[quantity]
    values = values[:, chosen]
    values[:, 2 * np.isfinite(values).sum(0) < len(curves)] = math.nan
    present = np.isfinite(values).any(0)
    middle, low, high = (np.full(len(chosen), math.nan) for _ in range(3))
    if present.any():
        found = np.where(np.isfinite(values), values, math.nan)[:, present]
        low[present], middle[present], high[present] = np.nanpercentile(found, [_BAND[0], 50, _BAND[1]], axis=0)
    return Band(np.asarray(longest.get("epoch", np.arange(1, n + 1)), dtype=np.float64)[chosen], middle, low, high)


# ---------------------------------------------------------------------------------------------- trials


def strip(trials: Iterable[Row], scale: Scale) -> Strip:
    """The trials of one competitor side by side: each reaches half of the way, on a log scale, to its neighbors."""
    rows = sorted(trials, key=lambda row: row.learning_rate)
    rates = np.log10([row.learning_rate for row in rows])
    between = (rates[:-1] + rates[1:]) / 2
    first, last = (between[0], between[-1]) if len(between) else (rates[0] - 0.1, rates[0] + 0.1)
    bounds = np.concatenate([[2 * rates[0] - first], between, [2 * rates[-1] - last]])
    learns = [scale.share(row.valid_score) >= EDGE for row in rows]
    return Strip(rows, 10**bounds, learns)


def forgiving(trials: Sequence[Row]) -> float:
    """How many decades of learning rates give at least 95 % of the best validation score; NaN for one trial."""
    if len(trials) < 2:
        return math.nan
    return float(sensitivity([row.learning_rate for row in trials], [row.valid_score for row in trials]))


def best_of(trials: Mapping[Competitor, Sequence[Row]]) -> dict[Competitor, Floats]:
    """For each competitor the test score that is expected of the best of k trials by validation, k = 1, 2, …"""
    return {
        who: best_of_k([row.valid_score for row in mine], [row.test_score for row in mine])
        for who, mine in trials.items()
        if mine
    }


# ---------------------------------------------------------------------------------------------- speed


def profile(
    finals: Mapping[Competitor, Mapping[object, Curves]], targets: Mapping[object, float], clock: str
) -> Profile | None:
    """Performance profiles over the workloads that all have run, with a target for each; None without any."""
    shared = set.intersection(*(set(mine) for mine in finals.values())) if finals else set()
    workloads = [workload for workload in targets if workload in shared]
    if not workloads:
        return None
    times = [[_time(mine[workload], targets[workload], clock) for workload in workloads] for mine in finals.values()]
    return performance_profile(times)


def _time(curves: Curves, target: float, clock: str) -> float:
    scores = curves.get("score", np.zeros(0))
    return float(time_to_target(scores, target, curves[clock])) if len(scores) else math.inf


def reached(finals: Iterable[Sequence[Curves]]) -> float:
    """The best of all competitors by the interquartile mean of their last validation scores."""
    last = [[curve["score"][-1] if len(curve.get("score", ())) else math.nan for curve in mine] for mine in finals]
    return max((score for mine in last if mine and math.isfinite(score := float(iqm(mine)))), default=math.nan)
