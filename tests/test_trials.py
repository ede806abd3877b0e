"""What is tried: Sobol points, ranges, the choice on validation, and the edge of the range."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import pytest
from scipy.stats.qmc import Sobol

from schuss.comparison.trials import COORDINATES, Search, Trial, Tried, best_of, points, tuned_names
from schuss.definitions import Fraction, Positive, Range
from schuss.errors import InvalidInput, UnknownName
from schuss.language.expressions import Expression
from schuss.optimizers import OPTIMIZERS, Update, adam, gd, momentum, optimizer, sgd


@pytest.mark.parametrize("n", [1, 2, 12, 16, 17])
def test_points_are_scipys(n: int) -> None:
    m = max(math.ceil(math.log2(max(n, 2))), 1)
    np.testing.assert_array_equal(points(n, 7), Sobol(COORDINATES, scramble=True, rng=7).random_base2(m)[:n])


def test_more_points_add_to_those_that_were_there() -> None:
    np.testing.assert_array_equal(points(100, 0)[:12], points(12, 0))
    assert not np.array_equal(points(12, 0), points(12, 1))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_learning_rates_fill_the_documented_range_on_a_log_scale(name: str) -> None:
    rule = OPTIMIZERS[name]
    low, high = map(math.log10, rule.search)
    rates = np.log10([trial.settings["lr"] for trial in Search.of(rule, (), 16, 3).first()])
    np.testing.assert_allclose(rates, low + (high - low) * points(16, 3)[:, 0], atol=1e-12)
    counts, _ = np.histogram(rates, np.linspace(low, high, 17))
    assert counts.tolist() == [1] * 16  # one in each sixteenth


def test_competitors_with_the_same_range_try_the_same_rates() -> None:
    assert momentum.search == OPTIMIZERS["nesterov"].search
    first, second = (Search.of(rule, ("momentum",), 12, 0).first() for rule in (momentum, OPTIMIZERS["nesterov"]))
    assert first == second
    without = Search.of(momentum, (), 12, 0).first()
    assert [t.settings["lr"] for t in without] == [t.settings["lr"] for t in first]


@pytest.mark.parametrize(
    ("name", "low", "high"), [("beta1", 0.0, 0.99), ("beta2", 0.99, 0.9999), ("epsilon", 1e-9, 1e-7)]
)
def test_other_hyper_parameters_vary_by_a_decade_to_either_side(name: str, low: float, high: float) -> None:
    trials = Search.of(adam, (name,), 64, 0).first()
    values = np.array([trial.settings[name] for trial in trials])
    assert values.min() >= low - 1e-12
    assert values.max() <= high + 1e-12
    spread = np.log10(1 - values) if low != 1e-9 else np.log10(values)
    counts, _ = np.histogram(spread, 8, range=(spread.min() - 1e-9, spread.max() + 1e-9))
    assert counts.min() >= 6  # even on a log scale, of the distance to 1 for a share near 1


def test_what_an_optimizer_does_not_have_is_not_tuned() -> None:
    assert set(Search.of(sgd, ("momentum",), 4, 0).first()[0].settings) == {"lr"}


def test_a_hyper_parameter_without_a_range_is_an_error() -> None:
    @optimizer
    def damped(w: Expression, g: Expression, *, lr: float = 0.1, damping: float = 0.0) -> Update:
        """With a default of 0."""
        return w - lr * g * (1 - damping)

    with pytest.raises(InvalidInput, match="damping cannot be tuned.*which is 0"):
        Search.of(damped, ("damping",), 4, 0)


def test_names_to_tune_are_checked() -> None:
    assert tuned_names(["lr", "momentum", "beta1", "momentum"], [momentum, adam]) == ("momentum", "beta1")
    with pytest.raises(UnknownName, match="no optimizer here has a hyper-parameter 'momentun'.*they have lr, momentum"):
        tuned_names(["momentun"], [momentum])
    with pytest.raises(InvalidInput, match="must be a list"):
        tuned_names("momentum", [momentum])


# ---------------------------------------------------------------------------------------------- the choice


def tried(number: int, rate: float, score: float = 0.5, loss: float = 1.0) -> Tried:
    return Tried(number, rate, score, loss)


def test_the_highest_score_is_chosen_of_equal_ones_the_lowest_loss_then_the_lowest_rate() -> None:
    assert best_of([tried(0, 0.1, 0.7), tried(1, 0.2, 0.8), tried(2, 0.3, 0.6)]).number == 1
    assert best_of([tried(0, 0.1, 0.7, 0.5), tried(1, 0.2, 0.7, 0.3), tried(2, 0.3, 0.7, 0.4)]).number == 1
    assert best_of([tried(0, 0.3), tried(1, 0.1), tried(2, 0.2)]).number == 1


def test_what_diverged_is_chosen_only_where_all_did() -> None:
    assert best_of([tried(0, 0.1, math.nan, math.nan), tried(1, 0.2, -5.0)]).number == 1
    assert best_of([tried(0, 0.3, math.nan, math.nan), tried(1, 0.1, math.nan, math.nan)]).number == 1


# ---------------------------------------------------------------------------------------------- the edge


def results(trials: list[Trial], best: float) -> list[Tried]:
    """The nearer a rate is to `best`, the higher its score."""
    return [tried(t.number, t.settings["lr"], -abs(math.log10(t.settings["lr"]) - math.log10(best))) for t in trials]


def test_a_best_trial_between_others_widens_nothing() -> None:
    search = Search.of(sgd, (), 12, 0)
    assert search.further(results(search.first(), best=0.03)) == (search, [])


@pytest.mark.parametrize(("best", "bounds"), [(1e-9, [(1e-4, 1e-3), (1e-5, 1e-4)]), (1e9, [(1, 10), (10, 100)])])
def test_at_the_edge_the_range_is_widened_by_a_decade_at_most_twice(
    best: float, bounds: list[tuple[float, float]]
) -> None:
    search = Search.of(sgd, (), 12, 0)  # 3 decades: 4 trials in each
    done = search.first()
    for low, high in bounds:
        search, more = search.further(results(done, best))
        assert [t.number for t in more] == list(range(len(done), len(done) + 4))
        assert all(low <= t.settings["lr"] <= high for t in more)
        done += more
    assert search.further(results(done, best)) == (search, [])
    assert (search.low, search.high) == pytest.approx((min(bounds[1][0], 1e-3), max(bounds[1][1], 1)))


def test_a_range_may_be_widened_on_one_side_and_then_on_the_other() -> None:
    search = Search.of(gd, (), 12, 0)
    search, more = search.further(results(search.first(), 1e-9))
    assert max(t.settings["lr"] for t in more) <= 1e-2
    everything = search.first() + more
    search, more = search.further(results(everything, 1e9))
    assert min(t.settings["lr"] for t in more) >= 10


def test_where_all_diverge_lower_rates_are_tried() -> None:
    search = Search.of(sgd, (), 4, 0)
    lost = [tried(t.number, t.settings["lr"], math.nan, math.nan) for t in search.first()]
    _, more = search.further(lost)
    assert more
    assert all(t.settings["lr"] <= 1e-3 for t in more)


def test_a_single_trial_is_no_search() -> None:
    search = Search.of(sgd, (), 1, 0)
    assert search.further(results(search.first(), 1.0)) == (search, [])


def test_a_tuned_hyper_parameter_stays_within_the_range_that_its_definition_states() -> None:
    @optimizer
    def damped(
        w: Expression, g: Expression, *, lr: Positive = 0.1, damping: Annotated[float, Range(0.5, 2)] = 1.0,
        decay: Fraction = 0.4,
    ) -> Expression:  # fmt: skip
        return w - lr * g / damping * (1 - decay)

    values = [trial.settings for trial in Search.of(damped, ("damping", "decay"), n=64, seed=0).first()]
    for name, low, high in (("damping", 0.5, 2), ("decay", 0.04, 1)):
        tuned = [value[name] for value in values]
        assert low <= min(tuned) < max(tuned) < high
        assert max(tuned) / min(tuned) > 3
