"""Comparisons: the grid, the fair choice of learning rates, the ranking, and what is never hidden."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from schuss.activations import activation
from schuss.comparison.protocol import ACTIVATIONS, OPTIMIZERS, Interrupted, compare
from schuss.comparison.statistics import Row, chosen_rate, grouped, ranking
from schuss.comparison.study import Study
from schuss.data import Dataset, load
from schuss.engines import EngineData, Outcome, Plan
from schuss.engines.reference import ReferenceEngine
from schuss.errors import InvalidInput, UnknownName
from schuss.expressions import Expression, sign
from schuss.network import mlp
from schuss.optimizers import OPTIMIZERS as RULES
from schuss.optimizers import Update, optimizer
from schuss.recipe import Recipe
from schuss.training import Progress, fit


@pytest.fixture(scope="module")
def iris() -> Dataset:
    return load("iris")


@pytest.fixture(scope="module")
def study(iris: Dataset) -> Study:
    """2 × 3 × 3 × 2 networks, of which those with relu diverge at the rate 1e30 (tanh is bounded, and only useless)."""
    return compare(
        iris, activations=["tanh", "relu"], optimizers=["gd", "sgd", "momentum"], learning_rates=[0.01, 0.1, 1e30],
        seeds=2, epochs=8, depth=2, width=12, seed=5,
    )  # fmt: skip


def row(rate: float = 0.1, seed: int = 0, *, valid: float = 0.9, test: float = 0.9, **other: Any) -> Row:
    """A row by hand: relu with adam unless told otherwise."""
    values: dict[str, Any] = {
        "activation": "relu", "optimizer": "adam", "depth": 4, "width": 64, "status": "finished", "valid_loss": 1.0,
        "epochs": 20, "seconds": 0.1, "diverged_step": None,
    }  # fmt: skip
    return Row(learning_rate=rate, seed=seed, valid_score=valid, test_score=test, **(values | other))


def diverged(rate: float = 0.1, seed: int = 0, **other: Any) -> Row:
    return row(
        rate, seed, valid=math.nan, test=math.nan, valid_loss=math.nan, status="diverged", diverged_step=7, **other
    )


def by_rate(rows: Iterable[Row]) -> dict[float, list[Row]]:
    (group,) = grouped(rows).values()
    return group


# ---------------------------------------------------------------------------------------------- choosing the rate


def test_the_rate_is_chosen_on_validation_and_reported_on_test() -> None:
    rows = [row(0.01, valid=0.7, test=0.99), row(0.1, valid=0.8, test=0.6), row(1.0, valid=0.75, test=0.95)]
    assert chosen_rate(by_rate(rows)) == 0.1
    (ranked,) = ranking(rows)
    assert (ranked.learning_rate, ranked.test_score, ranked.valid_score) == (0.1, 0.6, 0.8)


def test_means_over_seeds_decide_not_the_luckiest_seed() -> None:
    rows = [row(0.1, 0, valid=1.0), row(0.1, 1, valid=0.2), row(0.2, 0, valid=0.7), row(0.2, 1, valid=0.7)]
    assert chosen_rate(by_rate(rows)) == 0.2


def test_of_equal_scores_the_lower_loss_is_chosen() -> None:
    rows = [row(0.1, valid_loss=0.5), row(0.2, valid_loss=0.3), row(0.3, valid_loss=0.4)]
    assert chosen_rate(by_rate(rows)) == 0.2


def test_a_rate_at_which_a_network_diverges_is_not_chosen() -> None:
    """However good its other seeds are."""
    rows = [row(1.0, 0, valid=0.99), diverged(1.0, 1), row(0.1, 0, valid=0.5), row(0.1, 1, valid=0.5)]
    (ranked,) = ranking(rows)
    assert (ranked.learning_rate, ranked.test_score, ranked.diverged) == (0.1, 0.9, 1)


def test_where_every_rate_diverges_the_result_is_no_number_and_comes_last() -> None:
    rows = [diverged(0.1, 0), diverged(0.1, 1), row(1.0, 0), diverged(1.0, 1), row(0.1, optimizer="sgd", test=0.1)]
    first, last = ranking(rows)
    assert (first.optimizer, first.diverged) == ("sgd", 0)
    assert (last.optimizer, last.learning_rate, last.diverged) == ("adam", 1.0, 3)  # the rate that diverges least
    assert math.isnan(last.test_score)


def test_a_score_that_does_not_exist_is_not_chosen() -> None:
    assert chosen_rate(by_rate([row(0.1, valid=math.nan), row(0.2, valid=-5.0)])) == 0.2


def test_the_spread_is_that_of_a_sample() -> None:
    (ranked,) = ranking([row(0.1, seed, test=score) for seed, score in enumerate([0.8, 0.9, 1.0])])
    assert ranked.test_score == pytest.approx(0.9)
    assert ranked.test_score_std == pytest.approx(0.1)
    assert math.isnan(ranking([row()])[0].test_score_std)  # of one there is none


def test_no_rows_no_ranking() -> None:
    assert ranking([]) == []


# ---------------------------------------------------------------------------------------------- a whole comparison


def test_every_network_of_the_grid_has_a_row(study: Study) -> None:
    found = [(r.seed, r.activation, r.optimizer, r.learning_rate) for r in study.rows]
    expected = list(product([5, 6], ["tanh", "relu"], ["gd", "sgd", "momentum"], [0.01, 0.1, 1e30]))
    assert found == expected  # the seeds outermost: the first one is complete when an interrupt comes
    assert study.expected == len(study.rows) == len(study.curves) == 36
    assert {(r.depth, r.width) for r in study.rows} == {(2, 12)}
    assert {r.epochs for r in study.rows if r.status == "finished"} == {8}


def test_the_ranking_follows_from_the_rows(study: Study) -> None:
    """Recomputed here from the JSON, without the package's statistics."""
    document = study.to_json()
    groups: dict[tuple[str, str], dict[float, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for entry in document["rows"]:
        groups[entry["activation"], entry["optimizer"]][entry["learning_rate"]].append(entry)
    expected = []
    for (phi, rule), rates in groups.items():
        sound = {rate: rows for rate, rows in rates.items() if all(r["status"] == "finished" for r in rows)}
        best = max(
            sound,
            key=lambda rate: (
                np.mean([r["valid_score"] for r in sound[rate]]),
                -np.mean([r["valid_loss"] for r in sound[rate]]),
            ),
        )
        scores = [r["test_score"] for r in sound[best]]
        count = sum(r["status"] == "diverged" for rows in rates.values() for r in rows)
        expected.append((phi, rule, best, np.mean(scores), np.std(scores, ddof=1), count))
    expected.sort(key=lambda each: -each[3])
    got = document["ranking"]
    assert [(r["activation"], r["optimizer"], r["learning_rate"], r["diverged"]) for r in got] == [
        (phi, rule, rate, count) for phi, rule, rate, _, _, count in expected
    ]
    np.testing.assert_allclose([r["test_score"] for r in got], [each[3] for each in expected])
    np.testing.assert_allclose([r["test_score_std"] for r in got], [each[4] for each in expected], atol=1e-12)
    assert len(got) == 6


def test_diverged_networks_are_counted_and_have_no_scores(study: Study) -> None:
    bad = [r for r in study.rows if r.status == "diverged"]
    assert {(r.activation, r.learning_rate) for r in bad} == {("relu", 1e30)}
    assert len(bad) == sum(ranked.diverged for ranked in study.ranking) == 6
    assert {ranked.activation: ranked.diverged for ranked in study.ranking} == {"tanh": 0, "relu": 2}
    assert all(r.diverged_step is not None and r.diverged_step >= 1 for r in bad)
    for entry in study.to_json()["rows"]:
        scores = [entry[name] for name in ("valid_loss", "valid_score", "test_score")]
        assert all(s is None for s in scores) if entry["status"] == "diverged" else None not in scores
    assert all(ranked.learning_rate < 1 for ranked in study.ranking)


def test_rows_are_what_fit_says(study: Study, iris: Dataset) -> None:
    for r in study.rows[::7]:
        recipe = Recipe(RULES[r.optimizer](lr=r.learning_rate), batch_size=32, epochs=8)
        run = fit(mlp([12, 12], r.activation), iris, recipe, seed=r.seed)
        assert r.status == run.status
        if run.status == "finished":
            assert (r.valid_loss, r.valid_score, r.test_score) == (run.outcome.losses[1], *run.outcome.scores[1:])


ROW_KEYS = (
    "activation", "optimizer", "learning_rate", "seed", "depth", "width", "status", "valid_loss", "valid_score",
    "test_score", "epochs", "seconds",
)  # fmt: skip
RANKING_KEYS = (
    "activation", "optimizer", "learning_rate", "test_score", "test_score_std", "valid_score", "diverged",
)  # fmt: skip


def test_the_json_has_the_promised_keys(study: Study) -> None:
    document = json.loads(json.dumps(study.to_json(), allow_nan=False))
    assert {"networks", "seconds", "rows", "ranking"} <= set(document)
    assert document["networks"] == len(document["rows"]) == 36
    assert document["seconds"] > 0
    for entry in document["rows"]:
        assert tuple(entry)[: len(ROW_KEYS)] == ROW_KEYS
        assert set(entry) - set(ROW_KEYS) == {"diverged_step"}
    for entry in document["ranking"]:
        assert tuple(entry) == RANKING_KEYS
    assert set(document["flows"]) == {"tanh", "relu"}
    assert len(document["flows"]["relu"]["layers"]) == 2


def test_curves_are_those_of_the_competitor_at_its_rate(study: Study) -> None:
    for ranked in study.ranking:
        curves = study.curves_of(ranked)
        assert curves.shape == (2, 8)
        assert np.isfinite(curves).all()
    best = study.ranking[0]
    numbers = [
        number
        for number, r in enumerate(study.rows)
        if (r.activation, r.optimizer, r.learning_rate) == (best.activation, best.optimizer, best.learning_rate)
    ]
    np.testing.assert_array_equal(study.curves_of(best, "score")[1], study.curves[numbers[1]]["score"])
    hopeless = next(ranked for ranked in study.ranking if ranked.activation == "relu")._replace(learning_rate=1e30)
    assert not np.isfinite(study.curves_of(hopeless)).any()


def test_tables_and_pictures_are_made(study: Study) -> None:
    table = study.table()
    assert all(name in table for name in ("tanh", "relu", "gd", "sgd", "momentum"))
    for figure in (study.loss_figure(), study.learning_rate_figure(), study.plot_flows().figure, study.plot().figure):
        assert figure.axes
    assert repr(study).startswith("Study(iris: 36 of 36 networks, best ")


def test_threads_and_engine_do_not_decide(iris: Dataset) -> None:
    def rows(**how: Any) -> list[tuple[object, ...]]:
        study = compare(
            iris, activations=["tanh"], optimizers=["sgd", "adam"], learning_rates=2, seeds=2, epochs=2, depth=1,
            width=5, **how,
        )  # fmt: skip
        return [r._replace(seconds=0.0) for r in study.rows]

    assert rows(threads=1) == rows(threads=2) == rows(threads=3)
    for native, reference in zip(rows(), rows(engine="reference"), strict=True):
        assert native[:7] == reference[:7]
        np.testing.assert_allclose(native[7:10], reference[7:10], rtol=1e-4)


class Listening(ReferenceEngine):
    """A reference engine that keeps the plans it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: list[Plan] = []

    def train(
        self, plans: Iterable[Plan], data: EngineData, tick: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[int, Outcome]]:
        self.plans = list(plans)
        return super().train(self.plans, data, tick)


def test_a_seed_gives_every_competitor_the_same_draws_and_the_same_order(iris: Dataset) -> None:
    engine = Listening()
    compare(
        iris, activations=["tanh", "relu"], optimizers=["sgd", "adam"], learning_rates=[0.1, 0.2], seeds=2, epochs=1,
        depth=2, width=4, init="glorot_normal", engine=engine, seed=3,
    )  # fmt: skip
    assert [plan.seed for plan in engine.plans] == [3] * 8 + [4] * 8
    first, second = engine.plans[0].start.parameters, engine.plans[8].start.parameters
    for plan in engine.plans[:8]:
        np.testing.assert_array_equal(plan.start.parameters, first)
    for plan in engine.plans[8:]:
        np.testing.assert_array_equal(plan.start.parameters, second)
    assert not np.any((first == second) & (first != 0))


def test_also_scales_of_its_own_leave_the_draws_the_same(iris: Dataset) -> None:
    """auto multiplies the same draws by a number for each activation."""
    engine = Listening()
    compare(
        iris, activations=["tanh", "relu"], optimizers=["sgd"], learning_rates=1, seeds=1, epochs=1, depth=2, width=4,
        engine=engine,
    )  # fmt: skip
    first, second = (plan.start.parameters for plan in engine.plans)
    weights = first[20:36] != 0
    assert weights.all()
    ratios = first[20:36] / second[20:36]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)
    assert ratios[0] > 1.1  # tanh's gain is 1.59, relu's 1.41


@pytest.mark.parametrize("norm", [None, "batch", "layer", "rms"])
def test_norm_residual_and_dropout_are_everyones(norm: str | None, iris: Dataset) -> None:
    engine = Listening()
    study = compare(
        iris, activations=["tanh", "relu"], optimizers=["sgd"], learning_rates=1, seeds=1, epochs=1, depth=3, width=4,
        norm=norm, residual=True, dropout=0.1, engine=engine,
    )  # fmt: skip
    networks = [mlp([4] * 3, a, norm=norm, residual=True, dropout=0.1) for a in ("tanh", "relu")]
    assert [plan.layers for plan in engine.plans] == [network.layers(4, 3) for network in networks]
    assert [(row.depth, row.width, row.status) for row in study.rows] == [(3, 4, "finished")] * 2
    assert list(study.flows) == ["tanh", "relu"]


# ---------------------------------------------------------------------------------------------- interruption


def test_an_interrupt_keeps_what_is_finished(iris: Dataset) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.networks == 5:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="of 18 networks") as caught:
        compare(
            iris, activations=["tanh"], optimizers=["sgd", "adam"], learning_rates=3, seeds=3, epochs=2, depth=1,
            width=4, engine="reference", progress=interrupt,
        )  # fmt: skip
    study = caught.value.study
    assert isinstance(caught.value, KeyboardInterrupt)
    assert study.expected == 18
    assert 4 <= len(study.rows) <= 5
    assert {r.seed for r in study.rows} == {0}
    assert {r.status for r in study.rows} == {"finished"}
    assert 1 <= len(study.ranking) <= 2
    assert len(study.to_json()["rows"]) == len(study.curves) == len(study.rows)
    assert study.table()


def test_an_interrupt_before_anything_is_finished() -> None:
    """And the default grid: 4 activations, 7 optimizers, 8 learning rates, 3 seeds."""

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="0 of 672 networks") as caught:
        compare("iris", engine="reference", progress=interrupt)
    study = caught.value.study
    assert (study.rows, study.ranking, study.expected) == ((), [], 672)
    assert set(study.flows) == {"sigmoid", "tanh", "relu", "softplus"}
    assert repr(study) == "Study(iris: 0 of 672 networks)"


def test_a_native_comparison_is_interrupted_as_well(iris: Dataset) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.networks == 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        compare(iris, learning_rates=2, seeds=2, epochs=3, depth=1, width=8, progress=interrupt)
    assert 2 <= len(caught.value.study.rows) <= 3


# ---------------------------------------------------------------------------------------------- what is compared


def test_the_defaults_are_those_of_the_chapter() -> None:
    assert ACTIVATIONS == ("sigmoid", "tanh", "relu", "softplus")
    assert OPTIMIZERS == ("gd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")


@pytest.mark.parametrize(("wanted", "count"), [(8, 8), (2, 2), (1, 1), ([0.5, 0.25], 2)])
def test_learning_rates_are_a_number_of_them_or_themselves(iris: Dataset, wanted: Any, count: int) -> None:
    study = compare(
        iris,
        activations=["relu"],
        optimizers=["sgd", "adam"],
        learning_rates=wanted,
        seeds=1,
        epochs=1,
        depth=1,
        width=2,
    )
    for name in ("sgd", "adam"):
        rates = np.array([r.learning_rate for r in study.rows if r.optimizer == name])
        assert len(rates) == count
        low, high = RULES[name].search
        if not isinstance(wanted, int):
            assert rates.tolist() == wanted
        elif count == 1:
            assert rates[0] == pytest.approx(math.sqrt(low * high))
        else:
            np.testing.assert_allclose(rates, np.geomspace(low, high, count), rtol=1e-12)


def test_formulas_and_a_users_own_are_competitors_like_others(iris: Dataset) -> None:
    @activation
    def wavelet(z: Expression) -> Expression:
        """A bump."""
        return (1 - z * z) * 2.0 ** (-z * z)

    @optimizer(search=(1e-3, 1e-1))
    def signed(w: Expression, g: Expression, *, lr: float = 0.01) -> Update:
        """Steps of one size."""
        return w - lr * sign(g)

    study = compare(
        iris, activations=["mine = z * sigmoid(1.702 * z)", "leaky_relu(slope=0.2)", wavelet],
        optimizers=[signed, "adam(beta1=0.8)"], learning_rates=2, seeds=1, epochs=5, depth=1, width=8,
    )  # fmt: skip
    assert {r.activation for r in study.rows} == {"mine", "leaky_relu(slope=0.2)", "wavelet"}
    assert {r.optimizer for r in study.rows} == {"signed", "adam(beta1=0.8)"}
    assert {r.learning_rate for r in study.rows if r.optimizer == "signed"} == {1e-3, 1e-1}
    assert study.ranking[0].test_score > 0.8


def test_numbers_to_predict_are_scored_by_r2() -> None:
    study = compare(
        "diabetes", activations=["tanh"], optimizers=["adam"], learning_rates=2, seeds=1, epochs=10, depth=1
    )
    assert (study.task, study.score_name) == ("regression", "R²")
    assert 0.2 < study.ranking[0].test_score < 0.7


def test_gradient_descent_is_behind_after_equal_passes_over_the_data(iris: Dataset) -> None:
    """Its passes are one update each."""
    study = compare(
        iris, activations=["tanh"], optimizers=["gd", "sgd"], seeds=2, epochs=6, depth=2, width=16, batch_size=4
    )
    losses = {name: min(r.valid_loss for r in study.rows if r.optimizer == name) for name in ("gd", "sgd")}
    assert losses["sgd"] < losses["gd"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activations": []}, "at least one activation"),
        ({"optimizers": ()}, "at least one optimizer"),
        ({"activations": "relu"}, "must be a list"),
        ({"optimizers": 3}, "must be a list"),
        ({"activations": ["relu", "tanh", "relu"]}, "relu is given twice"),
        ({"optimizers": ["adam", "adam(lr=0.001)"]}, "adam is given twice"),
        ({"activations": ["rellu"]}, "did you mean.*relu"),
        ({"optimizers": ["adm"]}, "did you mean.*adam"),
        ({"optimizers": ["sgd(lr=0.2)", "adam"]}, r"sgd\(lr=0.2\) sets one; leave out lr .*learning_rates=\[0.2\]"),
        ({"learning_rates": 0}, "learning_rates"),
        ({"learning_rates": [0.1, -0.1]}, "learning rate must be greater than 0"),
        ({"learning_rates": [math.nan]}, "learning rate must be a finite number"),
        ({"learning_rates": []}, "at least one learning rate"),
        ({"learning_rates": 0.1}, "learning_rates must be a whole number"),
        ({"seeds": 0}, "seeds"),
        ({"epochs": 0}, "epochs"),
        ({"depth": 0}, "depth"),
        ({"width": 0}, "width"),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": -1}, "seed"),
        ({"threads": 0}, "threads"),
        ({"init": "he_norm"}, "did you mean.*he_normal"),
        ({"norm": "bacth"}, "did you mean batch"),
        ({"dropout": 1.0}, "rate of dropout"),
    ],
)
def test_bad_arguments_are_named(iris: Dataset, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        compare(iris, **arguments)


def test_an_unknown_problem_suggests_near_ones() -> None:
    with pytest.raises(UnknownName, match=r"did you mean.*digits"):
        compare("digts")
