"""Who is better than whom, and who is statistically tied: tests of all pairs at once, and mean ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from schuss.comparison.statistics.intervals import Floats, as_scores, middle, tie_for_nan
from schuss.errors import InvalidInput, unknown_name

# The chance that any two equals are found to differ. At 0.05, more than 5 of 100 studies of equals would find a
# difference in 4 cases of 10; at 0.02, in 1 of 65.
LEVEL = 0.02
FEWEST = math.ceil(1 - math.log2(LEVEL))  # of n seeds, no test of signs has a level below 2^(1 − n)
FLIPS = 2048
CLIPPED_AT = 3.0  # times the typical difference of the pair


@dataclass(frozen=True, eq=False)
class Groups:
    """Competitors, best first, and which of them are statistically tied.

    names : by mean rank of the interquartile mean over the data sets.
    ranks : the mean ranks, from 1.
    p : [competitor, competitor], for each pair the smallest level at which it would differ significantly; 1 for itself.
    level : pairs with p up to here differ significantly.
    """

    names: tuple[str, ...]
    ranks: Floats
    p: Floats
    level: float

    def alike(self, name: str) -> tuple[str, ...]:
        """Those statistically tied with this one, itself among them; best first."""
        close = self.p[self._number(name)] > self.level
        return tuple(other for other, each in zip(self.names, close, strict=True) if each)

    @property
    def best(self) -> tuple[str, ...]:
        """Those statistically tied with the first."""
        return self.alike(self.names[0])

    def distinguished(self, a: str, b: str) -> bool:
        """Whether two of them differ significantly."""
        return bool(self.p[self._number(a), self._number(b)] <= self.level)

    def _number(self, name: str) -> int:
        if name not in self.names:
            raise unknown_name("competitor", name, self.names)
        return self.names.index(name)


def groups(scores: Mapping[str, ArrayLike], *, level: float = LEVEL) -> Groups:
    """Test all pairs of competitors, with scores [data set, seed] on the same seeds, for a difference.

    A pair's differences d on the seeds of a data set are summed up as R = Σd/√(nΣd²), which grows with the paired
    t statistic, lies between −1 and 1 and exists also where all d are equal; R is averaged over the data sets. If only
    chance makes one better on one seed and the other on another, the sign of each d is a coin's. So the signs of all
    pairs are flipped together, seed by seed, in all ways up to 12 seeds, in 2048 random ways for more, and the largest
    |R| of all pairs is noted: p is the share of flips in which it reaches the pair's own |R|. Pairs with a larger |R|
    are left out of it: the step-down maxT procedure of Westfall and Young (1993). The chance that *any* two equals are
    found to differ is at most `level`, however many competitors there are, and scores need not be normal.

    Differences beyond 3 times the pair's median one are cut to that, which is what a diverged network counts as, too:
    it neither decides alone nor hides what the others say.

    It is careful. With fewer than 7 seeds in all, p being at least 2^(1 − seeds), nothing differs significantly. In 80
    % of studies, of normal scores and independent competitors, it finds a difference of so many standard deviations
    (of the scores of different seeds); where seeds have much in common, of fewer:

    =======  ==============  ==============  ==============
    seeds    2 competitors   7 competitors   28 competitors
    =======  ==============  ==============  ==============
    10       1.8             2.5             3.7
    20       1.2             1.5             1.9
    =======  ==============  ==============  ==============

    A tie is therefore not equality, and two competitors that are tied with a third may differ from each other.

    >>> noise = np.random.default_rng(0).normal(scale=0.01, size=(3, 10))
    >>> found = groups({"adam": 0.95 + noise[0], "its twin": 0.95 + noise[1], "sgd": 0.9 + noise[2]})
    >>> found.best, found.alike("sgd")
    (('adam', 'its twin'), ('sgd',))
    """
    array = _stacked(scores)
    ranks = mean_ranks(array)
    order = np.argsort(ranks, kind="stable")
    first, second = np.triu_indices(len(order), 1)
    p = np.ones((len(order), len(order)))
    ordered = np.where(np.isnan(array), -np.inf, array)[order]
    p[first, second] = p[second, first] = _adjusted(_directions(ordered[first], ordered[second]))
    names = tuple(scores)
    return Groups(tuple(names[i] for i in order), ranks[order], p, level)


def mean_ranks(scores: ArrayLike) -> Floats:
    """The mean over data sets of each competitor's rank by its interquartile mean on them.

    [competitor, data set, seed] → [competitor]. 1 is the best; equal ones share the mean of their ranks, those of which
    too many networks diverged the last ones.

    >>> mean_ranks([[[0.9, 0.8], [0.5, 0.5]], [[0.7, 0.6], [0.6, 0.6]], [[0.7, 0.6], [0.1, 0.2]]]).tolist()
    [1.5, 1.75, 2.75]
    """
    from scipy.stats import rankdata

    return np.asarray(rankdata(-middle(np.asarray(scores, dtype=np.float64)), axis=0).mean(-1))


def _stacked(scores: Mapping[str, ArrayLike]) -> Floats:
    if not scores:
        raise InvalidInput("give the scores of at least one competitor.")
    arrays = {name: as_scores(each) for name, each in scores.items()}
    shapes = {array.shape: name for name, array in arrays.items()}
    if len(shapes) > 1 or len(next(iter(shapes))) != 2:
        shown = " and ".join(f"{shape} ({name})" for shape, name in list(shapes.items())[:2])
        raise InvalidInput(
            f"all must have scores [data set, seed] on the same data sets and seeds, but the shapes are {shown}."
        )
    return np.stack(list(arrays.values()))


def _directions(one: Floats, other: Floats) -> Floats:
    """For each pair u [pair, data set · seed], of which the sum is R, and with signs flipped what R would have been."""
    with np.errstate(invalid="ignore"):
        differences = tie_for_nan(one - other)
    limit = CLIPPED_AT * _typical(np.abs(differences))
    clipped = np.clip(differences, -limit, limit)
    size = np.sqrt((clipped**2).sum(-1, keepdims=True))
    scaled = np.divide(clipped, size, out=np.zeros_like(clipped), where=size > 0)
    pairs, data_sets, seeds = scaled.shape
    return np.asarray(scaled.reshape(pairs, data_sets * seeds) / (data_sets * np.sqrt(seeds)))


def _typical(sizes: Floats) -> Floats:
    """The (lower) median over the last axis of those that are neither 0 nor infinite; 1 if there is none."""
    usable = (sizes > 0) & np.isfinite(sizes)
    ordered = np.sort(np.where(usable, sizes, np.inf), axis=-1)
    half = np.maximum(usable.sum(-1, keepdims=True) - 1, 0) // 2
    median = np.take_along_axis(ordered, half, axis=-1)
    return np.where(np.isfinite(median), median, 1.0)


def _adjusted(directions: Floats) -> Floats:
    """The p of each pair, all pairs tested at once."""
    observed = np.abs(directions.sum(-1))
    order = np.argsort(-observed)
    signs = _signs(directions.shape[-1])
    reached = np.zeros(len(order))
    for some in np.array_split(signs, max(1, len(signs) * len(order) >> 21)):
        flipped = np.abs(directions[order] @ some.T)
        # The largest of a pair and of all that follow it.
        largest = np.maximum.accumulate(flipped[::-1], axis=0)[::-1]
        reached += (largest >= observed[order, None] - 1e-9).sum(-1)
    p = np.empty(len(order))
    p[order] = np.maximum.accumulate(reached / len(signs))
    return p


def _signs(n: int) -> Floats:
    """Flips [flip, n] of n signs, the first without any: all of them, or FLIPS at random.

    The first sign stays, as flipping all changes no |R|.
    """
    if 2 ** (n - 1) <= FLIPS:
        return np.array([(1.0, *others) for others in product((1.0, -1.0), repeat=n - 1)])
    signs = np.random.default_rng(0).choice((1.0, -1.0), size=(FLIPS, n))
    signs[0] = 1.0
    return signs
