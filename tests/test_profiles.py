"""Time to target, performance profiles, best of k, sensitivity: tables worked out by hand, and all subsets counted."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from schuss.comparison.statistics.profiles import (
    best_of_k,
    performance_profile,
    sensitivity,
    share_diverged,
    time_to_target,
)
from schuss.errors import InvalidInput

NAN, INF = float("nan"), float("inf")


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_share_that_diverged() -> None:
    np.testing.assert_array_equal(share_diverged([[NAN, 1.0, NAN, 0.0], [1.0, 2.0, 3.0, 4.0]]), [0.5, 0])


# ---------------------------------------------------------------------------------------------- time to target


def test_the_time_is_the_first_one_at_the_target() -> None:
    curves = [[0.1, 0.5, 0.4, 0.9], [0.6, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.1, NAN, NAN, NAN]]
    np.testing.assert_array_equal(time_to_target(curves, 0.5, times=[1, 2, 3, 4]), [2, 1, INF, INF])


def test_every_curve_may_have_its_own_times() -> None:
    assert time_to_target([[0, 1], [1, 1]], 1, times=[[0.5, 1.0], [0.1, 0.7]]).tolist() == [1.0, 0.1]


# ---------------------------------------------------------------------------------------------- profiles


def test_a_profile_worked_out_by_hand() -> None:
    """Four workloads: on the third only one, on the fourth nobody reaches the target."""
    profile = performance_profile([[10, 30, INF, INF], [20, 20, INF, INF], [50, 10, 7, INF]])
    # ratios to the fastest:       1   3   –    –        2   2   –    –        5   1   1  –
    np.testing.assert_allclose(profile.taus, [1, 2, 3, 4])
    np.testing.assert_allclose(profile.share, [[0.25, 0.25, 0.5, 0.5], [0, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5]])
    # 2·0.25 + 1·0.5; 1·0 + 2·0.5; 3·0.5: each over 3
    np.testing.assert_allclose(profile.score, [1 / 3, 1 / 3, 1 / 2])


def test_the_score_is_the_integral_of_the_profile() -> None:
    times = random().exponential(size=(6, 40))
    times[times > 2.5] = INF
    profile = performance_profile(times)
    grid = np.linspace(1, 4, 300_001)
    steps = profile.share[:, np.searchsorted(profile.taus, grid, side="right") - 1]
    np.testing.assert_allclose(profile.score, np.trapezoid(steps, grid) / 3, atol=1e-4)
    assert ((profile.score >= 0) & (profile.score <= 1)).all()


def test_always_the_fastest_scores_1_and_never_there_0() -> None:
    assert performance_profile([[1, 2, 3], [4, 8, 12], [INF, INF, INF]]).score.tolist() == [1, 0, 0]
    assert performance_profile([[1.0, 2.0]]).score.tolist() == [1]
    assert performance_profile([[INF]]).score.tolist() == [0]


def test_the_profile_may_reach_further() -> None:
    profile = performance_profile([[1.0], [6.0]], up_to=11)
    assert profile.taus.tolist() == [1, 6, 11]
    assert profile.score.tolist() == [1, 0.5]


def test_a_target_that_is_reached_at_once_counts() -> None:
    assert performance_profile([[0, 0], [0, 5], [2, 3]]).score.tolist() == [1, 0.5, 0]


@pytest.mark.parametrize("times", [[1, 2], [[]], [[1, -1]], [[1, NAN]]])
def test_times_that_are_none_are_an_error(times: Any) -> None:
    with pytest.raises(InvalidInput, match=r"times must be numbers of at least 0.*\[competitor, workload\]"):
        performance_profile(times)


# ---------------------------------------------------------------------------------------------- best of k


def by_counting(valid: list[float], test: list[float], k: int) -> float:
    """The mean over all subsets of k trials; of equal ones, each is chosen alike."""
    results = []
    for subset in combinations(range(len(valid)), k):
        merit = [-INF if np.isnan(valid[i]) else valid[i] for i in subset]
        results.append(np.mean([test[i] for i, m in zip(subset, merit, strict=True) if m == max(merit)]))
    return float(np.mean(results))


@pytest.mark.parametrize(
    "valid",
    [
        [0.1, 0.7, 0.3, 0.9, 0.5, 0.2, 0.8],
        [0.1, 0.7, 0.7, 0.9, 0.9, 0.1, 0.7],
        [0.5] * 7,
        [NAN, 0.7, NAN, 0.9, 0.9, 0.1, 0.7],
        [NAN] * 7,
    ],
)
def test_best_of_k_is_the_mean_over_all_choices(valid: list[float]) -> None:
    test = [NAN if np.isnan(v) else float(x) for v, x in zip(valid, random(1).uniform(size=7), strict=True)]
    np.testing.assert_allclose(best_of_k(valid, test), [by_counting(valid, test, k) for k in range(1, 8)], rtol=1e-12)


def test_its_ends_are_the_mean_and_what_was_chosen() -> None:
    valid, test = random(2).uniform(size=(2, 5, 12))
    curves = best_of_k(valid, test)
    np.testing.assert_allclose(curves[:, 0], test.mean(1))
    np.testing.assert_allclose(curves[:, -1], test[np.arange(5), valid.argmax(1)])
    np.testing.assert_array_equal(best_of_k(valid[2], test[2]), curves[2])


def test_of_many_uniform_trials_the_best_of_k_is_k_of_k_plus_1() -> None:
    scores = (np.arange(2000) + 0.5) / 2000
    k = np.arange(1, 11)
    np.testing.assert_allclose(best_of_k(scores, scores)[:10], k / (k + 1), atol=1e-3)


def test_it_never_falls_where_test_is_validation() -> None:
    scores = random(3).normal(size=(20, 30))
    assert (np.diff(best_of_k(scores, scores), axis=-1) >= -1e-12).all()


def test_diverged_trials_leave_no_value_until_one_must_be_sound() -> None:
    """Three of five; counted as chance level there is one from the start."""
    valid, test = [NAN, 0.8, NAN, 0.9, NAN], np.array([NAN, 0.7, NAN, 0.8, NAN])
    assert np.isnan(best_of_k(valid, test)).tolist() == [True, True, True, False, False]
    assert best_of_k(valid, np.nan_to_num(test, nan=0.1))[0] == pytest.approx((0.7 + 0.8 + 3 * 0.1) / 5)


@pytest.mark.parametrize(("valid", "test"), [([0.1], [0.1, 0.2]), ([], [])])
def test_trials_without_a_score_are_an_error(valid: list[float], test: list[float]) -> None:
    with pytest.raises(InvalidInput, match="every trial must have a validation and a test score"):
        best_of_k(valid, test)


# ---------------------------------------------------------------------------------------------- sensitivity


RATES = [1e-4, 1e-3, 1e-2, 1e-1]


@pytest.mark.parametrize(
    ("scores", "width"),
    [
        ([1.0, 1.0, 1.0, 1.0], 3.0),  # all are as good
        ([0.0, 0.0, 1.0, 0.0], 0.1),  # 0.05 decades down to 0.95 on either side
        ([0.95, 1.0, 0.0, 0.0], 1.05),
        ([0.0, 1.0, 0.9, 1.0], 0.05 + 0.5 + 0.5),  # a dip in between does not count
        ([NAN, 1.0, NAN, NAN], 0.0),
        ([NAN, 1.0, 1.0, NAN], 1.0),
        ([NAN, NAN, NAN, NAN], NAN),
        ([-0.5, -0.1, -0.2, -0.3], NAN),  # R² of nothing learned
    ],
)
def test_the_width_of_the_good_rates(scores: list[float], width: float) -> None:
    assert sensitivity(RATES, scores) == pytest.approx(width, nan_ok=True)
    assert sensitivity(RATES[::-1], scores[::-1]) == pytest.approx(width, nan_ok=True)  # in any order


def test_many_competitors_and_another_share() -> None:
    found = sensitivity(RATES, [[0.0, 0.0, 1.0, 0.0], [0.0, 0.5, 1.0, 0.5]], share=0.5)
    np.testing.assert_allclose(found, [1.0, 2.0])


def test_one_rate_has_no_width_and_equal_rates_add_none() -> None:
    assert sensitivity([0.1], [0.9]) == 0
    assert sensitivity([0.01, 0.1, 0.1, 1.0], [0.9, 0.9, 0.9, 0.9]) == pytest.approx(2)


@pytest.mark.parametrize(("rates", "scores"), [([0.1], [0.1, 0.2]), ([], []), ([0.0, 0.1], [1, 1]), ([[0.1]], [[1]])])
def test_scores_without_a_rate_are_an_error(rates: Any, scores: Any) -> None:
    with pytest.raises(InvalidInput, match="every score must have a learning rate greater than 0"):
        sensitivity(rates, scores)
