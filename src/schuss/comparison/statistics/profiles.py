"""How fast, and at what cost of tuning: time to a target, performance profiles, best of k trials, sensitivity.

Scores are such that higher is better; NaN is a network that diverged.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from schuss.comparison.statistics.intervals import Floats
from schuss.errors import InvalidInput


def share_diverged(scores: ArrayLike) -> Floats:
    """The share of networks that diverged, over the last axis.

    >>> print(share_diverged([0.9, float("nan"), 0.8, 0.7]))
    0.25
    """
    return np.asarray(np.isnan(np.asarray(scores, dtype=np.float64)).mean(-1))


def time_to_target(curves: ArrayLike, target: float, times: ArrayLike) -> Floats:
    """The first of `times` at which a curve [..., point] is at the target or above it; inf where it never is.

    `times` [point], or one for each curve, are epochs, steps or seconds. The curve is of validation scores, and what
    comes after the target is first reached does not count (Dahl et al., 2023).

    >>> print(time_to_target([[0.2, 0.8, 0.7], [0.1, 0.3, 0.5]], 0.75, times=[1, 2, 3]))
    [ 2. inf]
    """
    reached = np.asarray(curves, dtype=np.float64) >= target  # False for NaN
    return np.asarray(np.where(reached, np.asarray(times, dtype=np.float64), np.inf).min(-1))


class Profile(NamedTuple):
    """Performance profiles: at `taus` [tau], from 1 on, the `share` [competitor, tau] steps up, to stay until the next.

    score : [competitor], the mean height of the profile from 1 to the largest tau: 1 for always the fastest, 0 for
        never within that factor of the fastest.
    """

    taus: Floats
    share: Floats
    score: Floats


def performance_profile(times: ArrayLike, up_to: float = 4.0) -> Profile:
    r"""For each competitor the share of workloads on which it takes at most tau times as long as the fastest one.

    times : [competitor, workload] to the target, inf where it was not reached. A workload is a data set; of one alone
        the seeds may take its place.

    The profile of Dolan and Moré (2002), ρ(τ) = share of workloads with time/(fastest time) ≤ τ, and its integral
    ∫₁⁴ ρ(τ) dτ/3, the score of AlgoPerf (Dahl et al., 2023), here exactly and not from a grid. A workload
    on which nobody reaches the target counts, for nobody. Another competitor that is faster can change the order of
    those that were there: all is relative to the fastest.

    >>> profile = performance_profile([[1, 2, 6], [2, 2, 3], [8, np.inf, 9]])
    >>> print(profile.taus, profile.share, profile.score.round(3), sep="\n")
    [1. 2. 3. 4.]
    [[0.667 1.    1.    1.   ]
     [0.667 1.    1.    1.   ]
     [0.    0.    0.333 0.333]]
    [0.889 0.889 0.111]
    """
    array = np.asarray(times, dtype=np.float64)
    if array.ndim != 2 or not array.size or not (array >= 0).all():
        raise InvalidInput(
            "times must be numbers of at least 0, inf for a target not reached, of shape [competitor, workload], but "
            f"are {array.ravel()[:4]} … of shape {array.shape}."
        )
    fastest = array.min(axis=0)
    # The fastest has the ratio 1 also where its time is 0, unless nobody reached the target.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where((array == fastest) & np.isfinite(array), 1.0, array / fastest)
    ratios = np.where(np.isnan(ratios), np.inf, ratios)
    taus = np.unique(np.append(ratios[ratios <= up_to], [1.0, up_to]))
    share = (ratios[..., None] <= taus).mean(1)
    return Profile(taus, share, np.clip(up_to - ratios, 0, None).mean(1) / (up_to - 1))


def best_of_k(valid: ArrayLike, test: ArrayLike) -> Floats:
    """What tuning with k trials would have given, k = 1 … n: the expected test score of the best of k by validation.

    valid, test : [..., trial], scores of the n trials. Returns [..., k].

    Σᵢ P(trial i is the best of k) · testᵢ over all k of the n trials, in closed form: all k are among the h worst with
    the chance C(h, k)/C(n, k). Trials are drawn *without* replacement, so that k = n is what was really chosen, and
    k = 1 the mean; the estimate is unbiased (Tang et al., 2020). Dodge et al. (2019), who brought the curve, draw with
    replacement, (h/n)^k, which is biased downward and never uses all trials, but varies less (Dodge et al., 2021).
    Equal validation scores share their chance. A diverged trial is never chosen before another; NaN where all k may
    have diverged. To count those as chance level, put it in their place in `test`.

    >>> print(best_of_k([0.5, 0.9, 0.7], [0.6, 0.8, 0.7]))
    [0.7   0.767 0.8  ]
    """
    merit, outcome = np.asarray(valid, dtype=np.float64), np.asarray(test, dtype=np.float64)
    if merit.shape != outcome.shape or not merit.size:
        raise InvalidInput(
            "every trial must have a validation and a test score, but the shapes are "
            f"{merit.shape} and {outcome.shape}."
        )
    n = merit.shape[-1]
    merit = np.where(np.isnan(merit), -np.inf, merit)
    below = (merit[..., :, None] > merit[..., None, :]).sum(-1)
    up_to = (merit[..., :, None] >= merit[..., None, :]).sum(-1)
    drawn = np.arange(n)
    all_among = np.cumprod(np.clip(np.arange(n + 1)[:, None] - drawn, 0, None) / (n - drawn), axis=1)  # [h, k]
    chosen = (all_among[up_to] - all_among[below]) / (up_to - below)[..., None]  # [..., trial, k]
    lost = np.isnan(outcome)
    expected = (chosen * np.where(lost, 0.0, outcome)[..., None]).sum(-2)
    return np.where((chosen * lost[..., None]).sum(-2) > 0, np.nan, expected)


def sensitivity(rates: ArrayLike, scores: ArrayLike, share: float = 0.95) -> Floats:
    """How little the learning rate matters: the width, in decades, of the rates that give at least `share` of the best.

    rates : [rate]; scores : [..., rate], on validation. Returns [...].

    Between the rates that were tried the score is taken to be linear in log(rate), next to a diverged one to fall at
    once. Rates beyond those tried do not count: of two optimizers, compare the widths only if their ranges were wide
    enough. NaN where no score is above 0, the accuracy or R² of nothing learned.

    >>> print(sensitivity([1e-4, 1e-3, 1e-2, 1e-1, 1.0], [0.1, 0.9, 1.0, 0.9, float("nan")]))
    1.0
    """
    given, results = np.asarray(rates, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if given.ndim != 1 or not given.size or results.shape[-1:] != given.shape or not (given > 0).all():
        raise InvalidInput(
            "every score must have a learning rate greater than 0, but the shapes are "
            f"{given.shape} and {results.shape}, the rates {given.ravel()[:4]} …."
        )
    order = np.argsort(given, kind="stable")
    values = np.where(np.isnan(results), -np.inf, results)[..., order]
    best = values.max(-1)
    needed = share * best[..., None]
    lower, upper = np.minimum(values[..., :-1], values[..., 1:]), np.maximum(values[..., :-1], values[..., 1:])
    with np.errstate(invalid="ignore", divide="ignore"):
        above = np.where(lower >= needed, 1.0, np.clip((upper - needed) / (upper - lower), 0, 1))
    width = (np.diff(np.log10(given[order])) * np.nan_to_num(above)).sum(-1)
    return np.where(best > 0, width, np.nan)[()]
