"""Interquartile means, differences and chances to be better, with intervals: closed forms, scipy, known truths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import bootstrap, mannwhitneyu, norm, t, trim_mean

from schuss.comparison.statistics import intervals
from schuss.comparison.statistics.intervals import (
    Estimate,
    bootstrap_interval,
    iqm,
    paired_difference,
    probability_of_improvement,
)
from schuss.errors import InvalidInput

Floats = NDArray[np.float64]

NAN = float("nan")
STUDIES = 1000


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def covered(estimate: Estimate, truth: float) -> float:
    """The share of intervals that hold the truth, where that many decimals are noise."""
    return float(((estimate.low <= truth + 1e-12) & (truth <= estimate.high + 1e-12)).mean())


def mean(scores: Floats) -> Floats:
    return np.asarray(scores.mean((-2, -1)))


# ---------------------------------------------------------------------------------------------- interquartile mean


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 10, 11, 12, 100])
def test_the_interquartile_mean_is_scipys_trimmed_mean(n: int) -> None:
    scores = random(n).normal(size=(3, 2, n))
    expected = [trim_mean(each, 0.25, axis=None) for each in scores]
    np.testing.assert_allclose(iqm(scores), expected, rtol=1e-12)
    assert iqm(scores[0]) == pytest.approx(expected[0], rel=1e-12)
    assert iqm(scores[0, 0]) == pytest.approx(trim_mean(scores[0, 0], 0.25), rel=1e-12)


def test_an_outlier_does_not_move_it() -> None:
    scores = np.arange(8.0)
    assert iqm(scores) == iqm(np.where(scores == 0, -1e9, scores)) == 3.5


def test_diverged_networks_are_the_worst_and_too_many_leave_no_value() -> None:
    scores = random().normal(size=10)
    scores[[3, 7]] = NAN  # two of ten are left out at the lower end
    assert iqm(scores) == iqm(np.nan_to_num(scores, nan=-1e6))
    scores[5] = NAN
    assert np.isnan(iqm(scores))


# ---------------------------------------------------------------------------------------------- intervals


def test_the_interval_is_scipys_times_the_factor() -> None:
    scores = random(1).normal(size=12)
    value, low, high = bootstrap_interval(scores, n=20_000)
    expected = bootstrap(
        (scores,), lambda x, axis: trim_mean(x, 0.25, axis=axis), method="percentile", n_resamples=20_000, rng=2
    ).confidence_interval
    factor = t.ppf(0.975, 11) / norm.ppf(0.975) * np.sqrt(11 / 12)
    assert low - value == pytest.approx(factor * (expected.low - value), rel=0.03)
    assert high - value == pytest.approx(factor * (expected.high - value), rel=0.03)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_the_interval_of_a_mean_is_that_of_the_normal_distribution(confidence: float) -> None:
    """Of many seeds: z standard errors, over the data sets' own spreads."""
    scores = random(2).normal(size=(2, 200)) * [[1.0], [3.0]]
    value, low, high = bootstrap_interval(scores, mean, n=20_000, confidence=confidence)
    error = np.sqrt((scores.var(axis=1) / 200).sum()) / 2
    reach = norm.ppf(0.5 + confidence / 2) * error
    assert value == pytest.approx(scores.mean())
    assert (high - value, value - low) == (pytest.approx(reach, rel=0.04), pytest.approx(reach, rel=0.04))


def test_seeds_are_drawn_inside_each_data_set() -> None:
    """Data sets far apart, on each of which all seeds agree, leave no doubt."""
    assert bootstrap_interval([[0.1] * 5, [0.9] * 5], mean) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("block", [1, 50_000, 1 << 30])
def test_a_competitors_interval_does_not_depend_on_the_others(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    a, b = random(3).normal(size=(2, 7, 2, 6))
    each = [
        (bootstrap_interval(x), paired_difference(x, y), probability_of_improvement(x, y))
        for x, y in zip(a, b, strict=True)
    ]
    monkeypatch.setattr(intervals, "BLOCK", block)
    together = bootstrap_interval(a), paired_difference(a, b), probability_of_improvement(a, b)
    for i, alone in enumerate(each):
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_allclose(np.array(one), np.array(all_of_them)[:, i], rtol=1e-12)


def test_the_interval_moves_with_the_scores() -> None:
    scores = random(4).normal(size=(2, 10))
    plain, moved = bootstrap_interval(scores), bootstrap_interval(3 * scores - 2)
    np.testing.assert_allclose(np.array(moved), 3 * np.array(plain) - 2, rtol=1e-12)


def test_it_is_the_same_each_time_and_another_with_another_seed() -> None:
    scores = random(5).normal(size=10)
    assert bootstrap_interval(scores) == bootstrap_interval(scores) != bootstrap_interval(scores, seed=1)


def test_one_seed_has_a_value_and_no_interval() -> None:
    for found in (
        bootstrap_interval([[0.7], [0.9]]),
        paired_difference([0.9], [0.1]),
        probability_of_improvement([0.9], [0.1]),
    ):
        assert np.isfinite(found.value)
        assert np.isnan([found.low, found.high]).all()


def test_equal_scores_have_an_interval_without_width() -> None:
    assert bootstrap_interval([0.8] * 10) == (pytest.approx(0.8),) * 3


def test_with_diverged_networks_an_interval_may_be_open_below() -> None:
    scores = random(6).normal(size=10)
    scores[:2] = NAN
    value, low, high = bootstrap_interval(scores)
    assert low == -np.inf
    assert value < high < np.inf
    scores[2] = NAN
    assert np.isnan(np.array(bootstrap_interval(scores))).all()


SITUATIONS: dict[str, Any] = {
    "normal": lambda draw, shape: draw.normal(size=shape),
    "uniform": lambda draw, shape: draw.uniform(-1, 1, size=shape),
    "outliers": lambda draw, shape: draw.standard_t(2, size=shape),
    "rounded": lambda draw, shape: np.rint(draw.normal(size=shape) * 2) / 2,
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_95_percent_of_the_intervals_hold_the_true_interquartile_mean(name: str) -> None:
    """Which is 0, as all are symmetric."""
    scores = SITUATIONS[name](random(7), (STUDIES, 1, 10))
    assert 0.93 <= covered(bootstrap_interval(scores), 0.0) <= 0.97


def test_95_percent_hold_it_where_scores_are_skewed() -> None:
    """−x, x exponential, whose i-th smallest of n is 1/n + … + 1/(n − i + 1) on average: here of the 3rd to the 8th."""
    truth = -np.cumsum(1 / np.arange(10, 0, -1))[2:8].mean()
    scores = -random(8).exponential(size=(STUDIES, 1, 10))
    assert 0.93 <= covered(bootstrap_interval(scores), truth) <= 0.97


@pytest.mark.parametrize("name", ["normal", "rounded"])
def test_95_percent_hold_it_where_data_sets_are_pooled(name: str) -> None:
    scores = SITUATIONS[name](random(9), (STUDIES, 3, 10))
    assert 0.93 <= covered(bootstrap_interval(scores), 0.0) <= 0.97


# ---------------------------------------------------------------------------------------------- differences


def test_the_difference_is_that_of_the_interquartile_means() -> None:
    a, b = random(10).normal(size=(2, 3, 9))
    expected = np.mean([trim_mean(x, 0.25) - trim_mean(y, 0.25) for x, y in zip(a, b, strict=True)])
    assert paired_difference(a, b).value == pytest.approx(expected)


def test_the_differences_the_other_way_round_are_the_negative_ones() -> None:
    a, b = random(11).normal(size=(2, 10))
    value, low, high = paired_difference(a, b)
    assert paired_difference(b, a) == tuple(map(pytest.approx, (-value, -high, -low)))


def test_what_seeds_have_in_common_does_not_widen_the_interval() -> None:
    draw = random(12)
    luck, (a, b) = 10 * draw.normal(size=10), draw.normal(size=(2, 10))
    _, low, high = paired_difference(a + luck, b + luck)
    _, unpaired_low, unpaired_high = bootstrap_interval(a + luck)
    assert high - low < 0.3 * (unpaired_high - unpaired_low)


def test_95_percent_of_the_intervals_hold_the_true_difference() -> None:
    draw = random(13)
    luck, (a, b) = 2 * draw.normal(size=(STUDIES, 1, 10)), draw.normal(size=(2, STUDIES, 1, 10))
    assert 0.93 <= covered(paired_difference(a + luck + 0.5, b + luck), 0.5) <= 0.97


def test_one_is_compared_with_many_at_once() -> None:
    best, others = random(14).normal(size=10), random(15).normal(size=(5, 1, 10))
    for judge in (paired_difference, probability_of_improvement):
        found = judge(best, others)
        np.testing.assert_array_equal(found.value, [judge(best, other).value for other in others])


def test_a_difference_to_too_many_diverged_networks_has_no_value() -> None:
    sound, lost = random(16).normal(size=10), np.full(10, NAN)
    for a, b in ((sound, lost), (lost, sound), (lost, lost)):
        assert np.isnan(np.array(paired_difference(a, b))).all()
    lost[2:] = sound[2:]
    assert np.isfinite(paired_difference(sound, lost).value)


# ---------------------------------------------------------------------------------------------- probabilities


def test_the_probability_of_improvement_is_mann_and_whitneys_u() -> None:
    a, b = np.rint(random(17).normal(size=(2, 2, 12)) * 2)  # with ties
    expected = np.mean([mannwhitneyu(x, y).statistic / 144 for x, y in zip(a, b, strict=True)])
    assert probability_of_improvement(a, b).value == pytest.approx(expected)


def test_the_other_way_round_it_is_the_rest() -> None:
    a, b = random(18).normal(size=(2, 10))
    value, low, high = probability_of_improvement(a, b)
    assert probability_of_improvement(b, a) == tuple(map(pytest.approx, (1 - value, 1 - high, 1 - low)))


def test_a_diverged_network_is_worse_than_any_and_as_good_as_another() -> None:
    lost = [NAN] * 4
    assert probability_of_improvement([-5.0, -6.0, -7.0, -8.0], lost).value == 1
    assert probability_of_improvement(lost, lost).value == 0.5
    assert probability_of_improvement([1.0, 1.0, NAN, NAN], lost).value == 0.75


def test_ten_of_ten_are_not_taken_for_certainty() -> None:
    value, low, high = probability_of_improvement(np.arange(10.0, 20), np.arange(10.0))
    assert (value, high) == (1, 1)
    assert 0.6 < low < 0.85


@pytest.mark.parametrize("truth", [0.5, 0.6, 0.7])
@pytest.mark.parametrize("data_sets", [1, 3])
def test_95_percent_of_the_intervals_hold_the_true_probability(truth: float, data_sets: int) -> None:
    """For normal scores d standard deviations apart it is Φ(d/√2)."""
    a, b = random(19).normal(size=(2, STUDIES, data_sets, 10))
    found = probability_of_improvement(a + np.sqrt(2) * norm.ppf(truth), b)
    assert found.value.mean() == pytest.approx(truth, abs=0.01)
    assert 0.93 <= covered(found, truth) <= 0.975


def test_near_certainty_the_intervals_are_rather_too_wide() -> None:
    a, b = random(20).normal(size=(2, STUDIES, 1, 10))
    assert covered(probability_of_improvement(a + np.sqrt(2) * norm.ppf(0.97), b), 0.97) >= 0.97


# ---------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("judge", [iqm, bootstrap_interval])
@pytest.mark.parametrize("scores", [[], [[], []]])
def test_no_scores_are_an_error(judge: Any, scores: Any) -> None:
    with pytest.raises(InvalidInput, match="at least one data set and seed"):
        judge(scores)


@pytest.mark.parametrize("judge", [paired_difference, probability_of_improvement])
def test_different_seeds_are_an_error(judge: Any) -> None:
    with pytest.raises(InvalidInput, match=r"same data sets and seeds.*\(1, 3\) and \(1, 2\); leave out"):
        judge([0.1, 0.2, 0.3], [0.1, 0.2])
