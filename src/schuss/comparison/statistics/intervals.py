"""How good, and how sure: interquartile means, differences and chances to be better, each with a bootstrap interval.

Scores are arrays [..., data set, seed]: the last two axes are judged, those before them are competitors and are kept.
One data set may leave its axis out: [seed]. Higher is better. NaN is a network that diverged: worse than every number,
equal to another that diverged.

Seeds are resampled inside each data set (stratified, as in Agarwal et al., 2021): the data sets are those that were
chosen, the seeds are what chance decides. All competitors are resampled alike.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schuss.errors import InvalidInput

Floats: TypeAlias = NDArray[np.float64]

BLOCK = 1 << 21  # numbers that are resampled at once: 16 MB


class Estimate(NamedTuple):
    """A value and its interval; NaN where there is none: the interval of one seed, the value of diverged networks.

    An interval may be open below: `low` is −inf where a resample may have too many diverged networks for a value.
    """

    value: Floats
    low: Floats
    high: Floats


def as_scores(scores: ArrayLike) -> Floats:
    """The scores as [..., data set, seed]; InvalidInput if there are none."""
    array = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if not array.size:
        raise InvalidInput(f"scores must be of at least one data set and seed, but have the shape {array.shape}.")
    return array


def iqm(scores: ArrayLike) -> Floats:
    """The interquartile mean: the mean without the lowest and the highest quarter, [..., data set, seed] → [...].

    Of n scores the ⌊n/4⌋ lowest and as many of the highest are left out, as in `scipy.stats.trim_mean(…, 0.25)`: an
    outlier does not move it, and yet it rests on half of the scores (Agarwal et al., 2021). It pools the data sets;
    scores of different scales are to be normalized before. NaN if more than ⌊n/4⌋ networks diverged.

    >>> print(iqm([0.1, 0.9, 0.8, 1.0, 0.7, 0.6, 0.9, 0.8]))
    0.8
    >>> print(iqm([0.9, 0.8, 0.7, float("nan")]), iqm([0.9, 0.8, float("nan"), float("nan")]))
    0.75 nan
    """
    array = as_scores(scores)
    return _nan_for_none(middle(array.reshape(*array.shape[:-2], -1)))


def middle(scores: Floats) -> Floats:
    """The interquartile mean over the last axis; −inf if too many networks diverged."""
    ordered = np.sort(np.where(np.isnan(scores), -np.inf, scores), axis=-1)
    n = ordered.shape[-1]
    return np.asarray(ordered[..., n // 4 : n - n // 4].mean(-1))


def bootstrap_interval(
    scores: ArrayLike,
    statistic: Callable[[Floats], Floats] = iqm,
    *,
    n: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """A statistic of [..., data set, seed] → [...], with its interval from `n` resamples of the seeds.

    The interval reaches as far from the value as the percentiles of the resampled values, times (t/z)·√(1 − 1/seeds),
    with the quantiles t of Student's t with (seeds − 1) degrees of freedom and z of the normal distribution: 1.09 times
    at 10 seeds, 1.27 at 5. Without a factor intervals of few seeds are too narrow (Hesterberg, 2015); his √(n/(n − 1))
    is turned round, as resamples of an interquartile mean spread too much already, what is left out being resampled,
    too. How often the true interquartile mean is covered, of normal, uniform, skewed, bimodal and rounded scores and
    scores with outliers:

    =====  ============  ==============
    seeds  percentiles   with factor
    =====  ============  ==============
    5      87 to 92 %    92 to 94 %
    10     93 to 94 %    94.3 to 95.5 %
    15     93 to 94 %    94.2 to 95.4 %
    =====  ============  ==============

    BCa covers 89 to 94 % at 10 seeds; the bootstrap-t divides by spreads that are 0 where scores are equal. At 3 seeds
    no more than 76 to 90 % are covered. Of other statistics the factor knows nothing: the mean is covered in 92 % of
    normal scores at 10 seeds.

    Equal scores give an interval without width: the seeds agree, and say nothing about other data.

    >>> value, low, high = bootstrap_interval([0.91, 0.94, 0.93, 0.95, 0.92, 0.93, 0.94, 0.96, 0.9, 0.93])
    >>> print(f"{value:.3f}, {low:.3f} to {high:.3f}")
    0.932, 0.917 to 0.944
    """
    array = as_scores(scores)
    return _stretched(np.asarray(statistic(array)), statistic, (array,), n, seed, confidence)


def paired_difference(
    a: ArrayLike, b: ArrayLike, *, n: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Estimate:
    """The interquartile mean of `a` less that of `b` on each data set, averaged over the data sets.

    Both have run on the same seeds, and of both the same are drawn: what a seed does to both alike (the split, the
    initial weights) does not widen the interval, which is made as in `bootstrap_interval`. It covers the truth in
    94 to 96 % at 10 seeds, on several data sets up to 98 %.

    >>> a = np.array([0.91, 0.94, 0.93, 0.95, 0.92, 0.93, 0.94, 0.96, 0.9, 0.93])
    >>> value, low, high = paired_difference(a + 0.01, a)
    >>> print(f"{value:.2f}, {low:.2f} to {high:.2f}")
    0.01, 0.01 to 0.01
    """
    pair = _paired(a, b)
    value = np.subtract(*map(_nan_for_none, map(middle, pair))).mean(-1)

    def difference(one: Floats, other: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return np.asarray(tie_for_nan(middle(one) - middle(other)).mean(-1))

    return _stretched(value, difference, pair, n, seed, confidence)


def probability_of_improvement(
    a: ArrayLike, b: ArrayLike, *, n: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Estimate:
    """P(a > b) + P(a = b)/2: how likely a network of `a` is better than one of `b`, averaged over the data sets.

    Every network of one is held against every of the other, as in Agarwal et al. (2021): the Mann–Whitney statistic
    over n². Its interval is that of percentiles, where seeds are drawn for both alike, as they were run, and beside the
    seeds of all data sets one imaginary seed, on which neither wins against anyone. It keeps the interval from
    collapsing to [1, 1] where all 10 of 10 were better, which was seen to cover a true 0.97 in 68 % of cases only.
    Coverage at 10 seeds: 94 to 98 % where the truth is 0.5 to 0.7, 97 to 99 % near 1; at 3 seeds 75 % where it is 0.5.

    >>> value, low, high = probability_of_improvement([0.9, 0.8, 0.7, 0.9, 0.8], [0.5, 0.6, 0.7, 0.6, 0.5])
    >>> print(f"{value:.2f}, {low:.2f} to {high:.2f}")
    0.98, 0.58 to 1.00
    """
    one, other = (np.where(np.isnan(scores), -np.inf, scores) for scores in _paired(a, b))
    wins = (one[..., :, None] > other[..., None, :]) + 0.5 * (one[..., :, None] == other[..., None, :])
    drawn = _draws(n, *one.shape[-2:], seed)
    seeds = one.shape[-1]
    ties = 0.5 * (seeds**2 - drawn.sum(-1) ** 2)  # of the imaginary seed

    def resampled(block: Floats) -> Floats:
        return np.asarray((((drawn @ block) * drawn).sum(-1) + ties).mean(-2) / seeds**2)

    low, high = _percentiles(_in_blocks(resampled, (wins,), 3, drawn.size), confidence)
    return _with_interval(wins.mean((-3, -2, -1)), low, high, seeds)


def tie_for_nan(differences: Floats) -> Floats:
    """0 in place of −inf − (−inf): of two that diverged neither is better."""
    return np.where(np.isnan(differences), 0.0, differences)


def _stretched(
    value: Floats,
    statistic: Callable[..., Floats],
    samples: tuple[Floats, ...],
    n: int,
    seed: int,
    confidence: float,
) -> Estimate:
    """The value with its interval: percentiles of resamples, drawn alike from all samples, times a factor."""
    from scipy.special import ndtri, stdtrit

    data_sets, seeds = samples[0].shape[-2:]
    picks = _resamples(n, data_sets, seeds, seed)

    def resampled(*blocks: Floats) -> Floats:
        return statistic(*(block[:, np.arange(data_sets)[:, None], picks] for block in blocks))

    low, high = _percentiles(_in_blocks(resampled, samples, 2, picks.size), confidence)
    if seeds > 1:
        upper = 0.5 + confidence / 2
        factor = stdtrit(seeds - 1, upper) / ndtri(upper) * np.sqrt(1 - 1 / seeds)
        low, high = value + factor * (low - value), value + factor * (high - value)
    return _with_interval(value, low, high, seeds)


def _with_interval(value: Floats, low: Floats, high: Floats, seeds: int) -> Estimate:
    """The estimate; without an interval where there is one seed, or no value."""
    none = np.isnan(value) | (seeds == 1)
    return Estimate(value, np.where(none, np.nan, low)[()], np.where(none, np.nan, high)[()])


def _paired(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """Both as [..., data set, seed], the axes before broadcast against each other."""
    one, other = as_scores(a), as_scores(b)
    if one.shape[-2:] != other.shape[-2:]:
        raise InvalidInput(
            "both must have scores on the same data sets and seeds, but have the shapes "
            f"{one.shape} and {other.shape}; leave out the seeds that only one of them has."
        )
    one, other = np.broadcast_arrays(one, other)
    return one, other


def _nan_for_none(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)[()]


def _in_blocks(resampled: Callable[..., Floats], samples: tuple[Floats, ...], axes: int, size: int) -> Floats:
    """The resampled values [..., n] of samples with that many axes of their own; `size` numbers are drawn for one."""
    shape = samples[0].shape[:-axes]
    flat = [sample.reshape(-1, *sample.shape[-axes:]) for sample in samples]
    step = max(1, BLOCK // size)
    blocks = [resampled(*(each[i : i + step] for each in flat)) for i in range(0, len(flat[0]), step)]
    return np.concatenate(blocks).reshape(*shape, -1)


def _percentiles(resampled: Floats, confidence: float) -> tuple[Floats, Floats]:
    """The values that leave out (1 − confidence)/2 on either side, over the last axis; NaN is below every number.

    They are values that occur: between −inf and a number nothing could be interpolated.
    """
    n = resampled.shape[-1]
    outside = min(int(n * (1 - confidence) / 2), (n - 1) // 2)
    ends = [outside, n - 1 - outside]
    ordered = np.partition(np.where(np.isnan(resampled), -np.inf, resampled), ends, axis=-1)
    return ordered[..., ends[0]], ordered[..., ends[1]]


@lru_cache(maxsize=4)
def _resamples(n: int, data_sets: int, seeds: int, seed: int) -> NDArray[np.int64]:
    """For each resample and data set the seeds that are drawn: [n, data set, seed]."""
    return np.random.default_rng(seed).integers(seeds, size=(n, data_sets, seeds))


@lru_cache(maxsize=4)
def _draws(n: int, data_sets: int, seeds: int, seed: int) -> Floats:
    """How often each seed is drawn [data set, n, seed], besides an imaginary one that the data sets share."""
    weights = np.append(np.ones(seeds), 1 / data_sets)
    counts = np.random.default_rng(seed).multinomial(seeds, weights / weights.sum(), size=(data_sets, n))
    return counts[..., :-1].astype(np.float64)
