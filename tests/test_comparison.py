"""Comparisons: who takes part, the fair choice of learning rates, fresh seeds, and what is never hidden."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import trim_mean
from studies import row, same, study, trial

import schuss as sc
from schuss.comparison.budget import find_budget
from schuss.comparison.competitors import AXES, Competitor, entrants, varying
from schuss.comparison.protocol import ACTIVATIONS, OPTIMIZERS, Interrupted, compare
from schuss.comparison.session import Standing
from schuss.comparison.study.ranking import final_scores, times_to_target
from schuss.comparison.trials import points
from schuss.data import Dataset, load
from schuss.engines import Outcome, Plan
from schuss.engines.reference import ReferenceEngine
from schuss.errors import InvalidInput, UnknownName
from schuss.language.expressions import Expression, sign
from schuss.optimizers import OPTIMIZERS as RULES
from schuss.optimizers import Update, optimizer

TINY = {"depth": 1, "width": 4, "budget": 2, "trials": 3, "seeds": 2}


@pytest.fixture(scope="module")
def iris() -> Dataset:
    return load("iris")


WILD = replace(sc.momentum, name="wild", search=(0.01, 1e30))


@pytest.fixture(scope="module")
def found(iris: Dataset) -> sc.Study:
    """Some networks with relu diverge at the highest rates (tanh is bounded, and only useless)."""
    return compare(
        iris, activations=["tanh", "relu"], optimizers=["gd", "sgd", WILD], trials=6, seeds=3, budget=8, depth=2,
        width=12, seed=5,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- who takes part


def grid(**axes: Any) -> dict[str, Any]:
    usual = Competitor()._asdict() | {"norm": None, "residual": False}
    return {axis: usual[axis] for axis in AXES} | axes


def test_every_combination_takes_part() -> None:
    field = entrants(grid(activation=["relu", "tanh"], depth=[1, 3], norm=["none", "layer"], residual=[False, True]))
    assert len({entrant.competitor for entrant in field}) == 16
    for entrant in field:
        who = entrant.competitor
        norm = None if who.norm == "none" else who.norm
        expected = sc.mlp([64] * who.depth, who.activation, norm=norm, residual=who.residual == "yes")
        assert entrant.network == expected
    assert varying(entrant.competitor for entrant in field) == ("activation", "optimizer", "depth", "norm", "residual")


def test_axes_of_the_recipe_reach_the_recipe() -> None:
    (entrant,) = entrants(grid(optimizer="momentum", batch_size=8, schedule="cosine(warmup=0.1)"))
    expected = sc.Recipe("momentum(lr=0.5, momentum=0.8)", batch_size=8, epochs=3, schedule="cosine(warmup=0.1)")
    assert entrant.recipe({"lr": 0.5, "momentum": 0.8}, 3) == expected
    assert entrant.competitor.schedule == "cosine(warmup=0.1)"


def test_the_full_batch_has_no_size_to_vary() -> None:
    field = [entrant.competitor for entrant in entrants(grid(optimizer=["gd", "sgd"], batch_size=[8, 16, None]))]
    assert [(who.optimizer, who.batch_size) for who in field] == [("gd", None), ("sgd", 8), ("sgd", 16), ("sgd", None)]
    assert "batch_size" not in varying([Competitor("relu", "gd", batch_size=None), Competitor("relu", "sgd")])


def test_competitors_are_named_by_what_varies() -> None:
    who = Competitor("relu", "adam", depth=8, batch_size=None, dropout=0.25)
    assert who.label(["activation", "optimizer"]) == "relu + adam"
    assert who.label(["optimizer", "batch_size", "dropout"]) == "adam, batch size all, dropout 0.25"
    assert who.label(["depth"]) == "8"


# ---------------------------------------------------------------------------------------------- a whole comparison


def test_the_networks_are_trials_then_final_runs(found: sc.Study) -> None:
    who = list(product(["tanh", "relu"], ["gd", "sgd", "wild"]))
    trials = [r for r in found.rows if r.stage == "trial"]
    assert found.rows[: len(trials)] == tuple(trials)
    assert [(r.activation, r.optimizer, r.trial) for r in trials[:36]] == [(*each, k) for k in range(6) for each in who]
    assert {r.seed for r in trials} == {5}
    finals = [(r.seed, r.activation, r.optimizer) for r in found.rows if r.stage == "final"]
    assert finals == [(seed, *each) for seed in (6, 7, 8) for each in who]
    assert found.expected == found.trained == len(found.rows) == len(found.curves)
    assert {r.epochs for r in found.rows if r.status == "finished"} == {8}


def test_trials_are_sobol_points_on_the_range_of_the_optimizer(found: sc.Study) -> None:
    for name in ("gd", "sgd"):
        rates = [r.learning_rate for r in found.rows if (r.activation, r.optimizer) == ("tanh", name)][:6]
        low, high = np.log10(RULES[name].search)
        np.testing.assert_allclose(np.log10(rates), low + (high - low) * points(6, 5)[:, 0])


def test_the_best_trial_by_validation_runs_on_fresh_seeds(found: sc.Study) -> None:
    """Recomputed here from the JSON, without the package's choice."""
    by_who: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for entry in found.to_json()["rows"]:
        by_who[entry["activation"], entry["optimizer"]].append(entry)
    for entries in by_who.values():
        trials = [e for e in entries if e["stage"] == "trial" and e["status"] == "finished"]
        best = max(trials, key=lambda e: (e["valid_score"], -e["valid_loss"], -e["learning_rate"]))
        finals = [e for e in entries if e["stage"] == "final"]
        assert {e["learning_rate"] for e in finals} == {best["learning_rate"]}
        assert {e["trial"] for e in finals} == {best["trial"]}


def test_no_best_rate_lies_at_an_edge_that_could_be_widened(found: sc.Study) -> None:
    extra = Counter((r.activation, r.optimizer) for r in found.rows if r.stage == "trial" and r.trial >= 6)
    assert sum(extra.values()) == found.expected - 6 * (6 + 3)
    for ranked in found.ranking:
        rates = [r.learning_rate for r in found.rows if r.competitor == ranked.competitor and r.stage == "trial"]
        inside = min(rates) < ranked.learning_rate < max(rates)
        assert inside or extra[ranked.activation, ranked.optimizer] >= 2


def test_the_ranking_is_by_interquartile_mean_on_the_fresh_seeds(found: sc.Study) -> None:
    expected = {}
    for competitor in dict.fromkeys(r.competitor for r in found.rows):
        scores = [r.test_score for r in found.rows if r.competitor == competitor and r.stage == "final"]
        expected[competitor] = trim_mean(scores, 0.25)
    for ranked in found.ranking:
        assert ranked.test_score == pytest.approx(expected[ranked.competitor], nan_ok=True)
        assert not ranked.low > ranked.test_score
        assert not ranked.high < ranked.test_score
    order = [ranked.test_score for ranked in found.ranking]
    assert order == sorted(order, reverse=True)
    assert found.ranking[0].is_best


def test_diverged_networks_are_counted_and_have_no_scores(found: sc.Study) -> None:
    bad = [r for r in found.rows if r.status == "diverged"]
    assert {(r.activation, r.optimizer) for r in bad} >= {("relu", "wild")}
    assert len(bad) == sum(ranked.diverged for ranked in found.ranking)
    for each in bad:
        assert np.isnan([each.train_loss, each.valid_loss, each.test_score, each.valid_score]).all()
        assert each.diverged_step is not None
        assert each.epochs < 8
    assert f"{len(bad)} of {len(found.rows)} networks diverged" in found.summary()


def test_curves_are_those_of_the_final_runs(found: sc.Study) -> None:
    best = found.ranking[0]
    numbers = [n for n, r in enumerate(found.rows) if r.competitor == best.competitor and r.stage == "final"]
    assert found.curves_of(best).shape == (3, 8)
    np.testing.assert_array_equal(found.curves_of(best, "score")[1], found.curves[numbers[1]]["score"])
    np.testing.assert_array_equal(found.curves[numbers[0]]["epoch"], np.arange(1, 9))
    last = found.curves[numbers[0]]["valid_loss"][-1]
    assert float(last) == pytest.approx(found.rows[numbers[0]].valid_loss, rel=1e-6)


def test_a_network_of_a_comparison_is_what_fit_gives(found: sc.Study, iris: Dataset) -> None:
    for each in (found.rows[7], next(r for r in found.rows if r.stage == "final" and r.optimizer == "sgd")):
        rule = RULES[each.optimizer](lr=each.learning_rate)
        recipe = sc.Recipe(rule, epochs=8)
        run = sc.fit(sc.mlp([12, 12], each.activation), iris.resplit(each.seed), recipe, seed=each.seed)
        assert run.outcome.scores == (each.train_score, each.valid_score, each.test_score)
        assert run.outcome.losses == (each.train_loss, each.valid_loss, each.test_loss)


def test_flows_are_measured_at_initialization_and_through_training(found: sc.Study, iris: Dataset) -> None:
    assert list(found.flows) == ["tanh", "relu"]
    for name, flow in found.flows.items():
        expected = sc.flow(sc.mlp([12, 12], name), iris.resplit(5), seed=5)
        np.testing.assert_allclose(flow["delta"], expected["delta"], rtol=1e-4)
        assert flow.layers == expected.layers
    last = [r.stage == "final" and r.seed == 6 for r in found.rows]
    assert {n for n, is_last in enumerate(last) if is_last} <= set(found.measured)
    for n, history in found.measured.items():
        assert history.epochs.tolist() == [0, 1, 2, 4, 8][: len(history)]
        assert len(history) == 5 or found.rows[n].status == "diverged"


def test_json_is_whole_and_has_no_number_that_json_lacks(found: sc.Study) -> None:
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["networks"] == len(document["rows"]) == len(found.rows)
    assert document["asked"]["seeds"] == 3
    assert document["asked"]["data"][0]["rows"] == [96, 24, 30]
    assert document["origin"]["versions"]["schuss"] == sc.__version__
    assert set(document["ranking"][0]) >= {"activation", "optimizer", "test_score", "low", "high", "is_best"}
    assert set(document["flows"]) == {"tanh", "relu"}


def test_tables_and_pictures_are_made(found: sc.Study) -> None:
    assert all(name in found.table() for name in ("tanh", "relu", "gd", "sgd", "wild"))
    for figure in (found.loss_figure(), found.learning_rate_figure(), found.plot_flows().figure, found.plot().figure):
        assert figure.axes
    assert repr(found).startswith(f"Study(iris: {len(found.rows)} of {found.expected} networks, best ")


def test_pictures_tell_apart_whatever_varies(iris: Dataset) -> None:
    deep = compare(iris, activations=["relu"], optimizers=["sgd"], **{**TINY, "depth": [1, 2], "batch_size": [16, 32]})
    legend = deep.loss_figure().axes[0].get_legend()
    assert {text.get_text() for text in legend.get_texts()} == {
        f"sgd, depth {depth}, batch size {size}" for depth in (1, 2) for size in (16, 32)
    }
    assert list(deep.flows) == ["relu, depth 1", "relu, depth 2"]


def test_threads_and_engine_do_not_decide(iris: Dataset) -> None:
    def run(**how: Any) -> sc.Study:
        return compare(iris, activations=["tanh"], optimizers=["sgd", "adam"], **TINY, **how)

    assert same(run(threads=1), run(threads=3))
    native, reference = (run(engine=engine) for engine in ("native", "reference"))
    for one, other in zip(native.rows, reference.rows, strict=True):
        assert one[:8] == other[:8]
        np.testing.assert_allclose(one[8:14], other[8:14], rtol=2e-3)


class Listening(ReferenceEngine):
    """A reference engine that keeps the plans it was given, and the first row of the data they came with."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: list[tuple[Plan, bytes]] = []

    def train(self, plans: Iterable[Plan], tick: Callable[[], None] = lambda: None) -> Iterator[tuple[int, Outcome]]:
        plans = list(plans)
        self.plans += [(plan, plan.data.train.X.tobytes()) for plan in plans]
        return super().train(plans, tick)


def test_a_seed_gives_every_competitor_the_same_draws_order_and_split(iris: Dataset) -> None:
    engine = Listening()
    compare(
        iris, activations=["tanh", "relu"], optimizers=["sgd", "adam"], trials=2, seeds=2, budget=1, depth=2, width=4,
        init="glorot_normal", engine=engine, seed=3,
    )  # fmt: skip
    by_seed: dict[int, list[tuple[Plan, bytes]]] = defaultdict(list)
    for plan, rows in engine.plans:
        by_seed[plan.seed].append((plan, rows))
    assert set(by_seed) == {3, 4, 5}
    assert [len(by_seed[seed]) for seed in (4, 5)] == [4, 4]
    for plans in by_seed.values():
        assert len({plan.start.parameters.tobytes() for plan, _ in plans}) == 1
        assert len({rows for _, rows in plans}) == 1
    assert len({plans[0][0].start.parameters.tobytes() for plans in by_seed.values()}) == 3
    splits = {seed: plans[0][1] for seed, plans in by_seed.items()}
    assert splits == {seed: iris.resplit(seed).train.X.tobytes() for seed in (3, 4, 5)}
    assert len(set(splits.values())) == 3


def test_also_scales_of_its_own_leave_the_draws_the_same(iris: Dataset) -> None:
    """auto multiplies the same draws by a number for each activation."""
    engine = Listening()
    compare(iris, activations=["tanh", "relu"], optimizers=["sgd"], engine=engine, **{**TINY, "depth": 2, "trials": 1})
    first, second = (plan.start.parameters for plan, _ in engine.plans[:2])
    weights = first[20:36] != 0
    assert weights.all()
    ratios = first[20:36] / second[20:36]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)
    assert ratios[0] > 1.1  # tanh's gain is 1.59, relu's 1.41


def test_parts_put_together_by_hand_are_judged_as_they_are(iris: Dataset) -> None:
    engine = Listening()
    fixed = iris.without_table()
    compare(fixed, activations=["relu"], optimizers=["sgd"], engine=engine, **TINY)
    assert {rows for _, rows in engine.plans} == {iris.train.X.tobytes()}


# ---------------------------------------------------------------------------------------------- several data sets


def test_several_data_sets_have_trials_and_choices_of_their_own() -> None:
    both = compare(["iris", "wine"], activations=["relu", "tanh"], optimizers=["sgd"], **TINY)
    assert (both.data, both.tasks) == ("iris, wine", {"iris": "classification", "wine": "classification"})
    alone = {name: compare(name, activations=["relu", "tanh"], optimizers=["sgd"], **TINY) for name in both.tasks}
    for name, expected in alone.items():
        assert same(both.of(name), replace(expected, expected=both.expected))
    with pytest.raises(InvalidInput, match=r"several data sets; choose one, as in study.of\('iris'\)"):
        both.plot()
    with pytest.raises(UnknownName, match="did you mean wine"):
        both.of("win")


def test_over_several_data_sets_ranks_are_averaged() -> None:
    scores = {"a": {"relu": (0.9, 0.92), "tanh": (0.8, 0.8)}, "b": {"relu": (0.5, 0.5), "tanh": (0.4, 0.44)}}
    rows = [trial(phi, "sgd", data=name, learning_rate=0.1) for name in scores for phi in scores[name]]
    rows += [
        row(phi, "sgd", data=name, score=score, seed=seed)
        for name in scores for phi in scores[name] for seed, score in enumerate(scores[name][phi], 1)
    ]  # fmt: skip
    first, second = study(rows).ranking
    assert (first.activation, first.rank, second.rank) == ("relu", 1.0, 2.0)
    assert first.test_score == pytest.approx((0.91 + 0.5) / 2)
    assert math.isnan(first.learning_rate)
    assert "Best on average over 2 data sets: relu + sgd, with a mean test accuracy of 0.705." in study(rows).summary()


def test_two_data_sets_of_one_name_are_refused(iris: Dataset) -> None:
    with pytest.raises(InvalidInput, match="two data sets are called 'iris'"):
        compare([iris, "iris"], **TINY)
    with pytest.raises(InvalidInput, match="at least one data set"):
        compare([], **TINY)


# ---------------------------------------------------------------------------------------------- verdicts


def test_an_optimizer_under_two_names_makes_no_difference() -> None:
    """`adam` against itself: bit-identical by common seeds."""
    twin = replace(sc.adam, name="adam_again")
    found = compare("wine", activations=["relu"], optimizers=["adam", twin], trials=4, seeds=8, budget=5)
    first, second = found.ranking
    assert first[3:6] == second[3:6]
    assert (first.is_best, second.is_best) == (True, True)
    assert "No significant difference: relu + adam_again is statistically tied with it." in found.summary()


def test_momentum_beats_sgd_in_a_narrow_valley() -> None:
    """A linear regression of inputs whose scales differ by 300: the learning rate must suit the steepest direction."""
    random = np.random.default_rng(0)
    X = random.normal(size=(600, 8))
    y = X @ np.ones(8) + random.normal(scale=0.3, size=600)
    X = X * np.geomspace(1, 0.1, 8)
    valley = load((X.astype(np.float32), y), standardize=False, name="valley")
    rules = ["sgd", "momentum"]
    found = compare(valley, activations=["identity"], optimizers=rules, depth=1, width=16, seeds=10, budget=8)
    first, second = found.ranking
    assert (first.optimizer, second.optimizer) == ("momentum", "sgd")
    assert not second.is_best
    assert "It is significantly better than identity + sgd." in found.summary()


def test_gradient_descent_is_behind_after_equal_passes_over_the_data(iris: Dataset) -> None:
    """Its passes are one update each."""
    found = compare(iris, activations=["tanh"], optimizers=["gd", "sgd"], trials=6, seeds=2, budget=6, batch_size=4)
    losses = {name: min(r.valid_loss for r in found.rows if r.optimizer == name) for name in ("gd", "sgd")}
    assert losses["sgd"] < losses["gd"]
    assert "After the same number of passes over the data, gd reaches" in found.summary()


def test_final_scores_are_on_the_seeds_that_all_have() -> None:
    rows = [trial("relu"), trial("tanh"), row("relu", seed=1, score=0.1), row("relu", seed=2, score=0.2)]
    assert final_scores(rows) == {}
    rows.append(row("tanh", seed=2, score=0.3))
    scores = final_scores(rows)
    assert {who.activation: values.tolist() for who, values in scores.items()} == {"relu": [[0.2]], "tanh": [[0.3]]}
    assert final_scores([]) == {}


def test_before_there_are_final_runs_the_order_is_that_of_validation() -> None:
    rows = [trial("relu", score=0.5), trial("tanh", score=0.7), trial("elu", status="diverged")]
    assert [ranked.activation for ranked in study(rows).ranking] == ["tanh", "relu", "elu"]
    assert "No competitor has a result" in study(rows).summary()


def test_numbers_to_predict_are_scored_by_r2() -> None:
    found = compare("diabetes", activations=["tanh"], optimizers=["adam"], trials=4, seeds=2, budget=10, depth=1)
    assert (found.tasks, found.score_name) == ({"diabetes": "regression"}, "R²")
    assert 0.2 < found.ranking[0].test_score < 0.7


# ---------------------------------------------------------------------------------------------- the budget


def test_in_equal_seconds_fewer_updates_an_epoch_are_more_epochs(iris: Dataset) -> None:
    how = {**TINY, "budget": "0.02s", "batch_size": 4}
    found = compare(iris, activations=["relu"], optimizers=["gd", "sgd"], **how)
    epochs = {(r.optimizer, r.epochs) for r in found.rows if r.status == "finished"}
    assert len(epochs) == 2
    assert dict(epochs)["gd"] > dict(epochs)["sgd"] >= 1
    assert found.verdict.passes is None


@pytest.mark.parametrize("wrong", ["", "20min", "0epochs", "0s", "-1s", "nans", "infs", "1e9 s s", "1.5", 0, 1.5, True])
def test_budgets_that_are_none(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="budget"):
        find_budget(wrong)


@pytest.mark.parametrize(("given", "text"), [(20, "20epochs"), ("7", "7epochs"), ("1 epoch", "1epochs"), ("3 s", "3s")])
def test_budgets(given: Any, text: str) -> None:
    assert str(find_budget(given)) == text
    assert find_budget(text) == find_budget(given)


def test_long_courses_are_thinned(iris: Dataset) -> None:
    found = compare(iris, activations=["relu"], optimizers=["sgd"], **{**TINY, "budget": 1000, "trials": 1, "seeds": 1})
    epochs = found.curves[0]["epoch"]
    assert len(epochs) == 256
    assert (epochs[0], epochs[-1], np.diff(epochs).min() >= 3) == (1, 1000, True)


# ---------------------------------------------------------------------------------------------- interruption


def test_an_interrupt_keeps_what_is_finished(iris: Dataset) -> None:
    def interrupt(at: Standing) -> None:
        if at.networks == 5:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="of 14 networks") as caught:
        compare(
            iris, activations=["tanh"], optimizers=["sgd", "adam"], engine="reference", progress=interrupt,
            **{**TINY, "trials": 4, "seeds": 3},
        )  # fmt: skip
    found = caught.value.study
    assert isinstance(caught.value, KeyboardInterrupt)
    assert found.expected == 14
    assert 4 <= len(found.rows) <= 5
    assert {r.trial for r in found.rows} <= {0, 1, 2}
    assert {r.status for r in found.rows} == {"finished"}
    assert len(found.ranking) == 2
    assert len(found.to_json()["rows"]) == len(found.curves) == len(found.rows)
    assert found.table()


def test_an_interrupt_before_anything_is_finished() -> None:
    """And the default comparison: 4 activations, 7 optimizers, 12 trials, 10 fresh seeds."""

    def interrupt(at: Standing) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="0 of 616 networks") as caught:
        compare("iris", engine="reference", progress=interrupt)
    found = caught.value.study
    assert (found.rows, found.ranking, found.expected, found.flows) == ((), [], 616, {})
    assert repr(found) == "Study(iris: 0 of 616 networks)"


def test_progress_says_how_far_it_is_and_what_is_there(iris: Dataset) -> None:
    seen: list[tuple[Standing, int]] = []

    def look(at: Standing) -> None:
        seen.append((at, len(at.study().rows)))

    found = compare(iris, activations=["relu"], optimizers=["sgd", "adam"], progress=look, engine="reference", **TINY)
    shares = [at.share for at, _ in seen]
    assert all(0 <= share <= 1 for share in shares)
    assert seen[-1][0].total == found.expected
    assert [rows for _, rows in seen] == sorted(rows for _, rows in seen)
    assert all(rows == at.networks for at, rows in seen)


# ---------------------------------------------------------------------------------------------- what is compared


def test_the_defaults_are_those_of_the_chapter() -> None:
    assert ACTIVATIONS == ("sigmoid", "tanh", "relu", "softplus")
    assert OPTIMIZERS == ("gd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")


def test_formulas_and_a_users_own_are_competitors_like_others(iris: Dataset) -> None:
    @sc.activation
    def wavelet(z: Expression) -> Expression:
        """A bump."""
        return (1 - z * z) * 2.0 ** (-z * z)

    @optimizer(search=(1e-3, 1e-1))
    def signed(w: Expression, g: Expression, *, lr: float = 0.01) -> Update:
        """Steps of one size."""
        return w - lr * sign(g)

    found = compare(
        iris, activations=["mine = z * sigmoid(1.702 * z)", "leaky_relu(slope=0.2)", wavelet],
        optimizers=[signed, "adam(beta1=0.8)"], trials=3, seeds=1, budget=5, depth=1, width=8,
    )  # fmt: skip
    assert {r.activation for r in found.rows} == {"mine", "leaky_relu(slope=0.2)", "wavelet"}
    assert {r.optimizer for r in found.rows} == {"signed", "adam(beta1=0.8)"}
    assert all(1e-3 <= r.learning_rate <= 1e-1 for r in found.rows if r.optimizer == "signed" and r.trial < 3)
    assert found.ranking[0].test_score > 0.8


def test_other_hyper_parameters_are_tuned_on_demand(iris: Dataset) -> None:
    found = compare(iris, activations=["relu"], optimizers=["sgd", "momentum"], tune=["momentum"], **TINY)
    settings = {r.optimizer: {s.settings for s in found.rows if s.optimizer == r.optimizer} for r in found.rows}
    assert settings["sgd"] == {""}
    assert len(settings["momentum"]) >= 3
    assert all(each.startswith("momentum=0.") for each in settings["momentum"])
    best = next(ranked for ranked in found.ranking if ranked.optimizer == "momentum")
    assert best.settings in settings["momentum"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activations": []}, "at least one activation"),
        ({"optimizers": ()}, "at least one optimizer"),
        ({"depth": []}, "at least one depth"),
        ({"activations": "relu"}, "must be a list"),
        ({"optimizers": 3}, "must be a list"),
        ({"activations": ["relu", "tanh", "relu"]}, "relu is given twice"),
        ({"optimizers": ["adam", "adam(lr=0.001)"]}, "adam is given twice"),
        ({"width": [8, 8]}, "width 8 is given twice"),
        ({"activations": ["rellu"]}, "did you mean.*relu"),
        ({"optimizers": ["adm"]}, "did you mean.*adam"),
        ({"optimizers": ["sgd(lr=0.2)", "adam"]}, r"sgd\(lr=0.2\) sets one; leave out lr"),
        ({"trials": 0}, "trials"),
        ({"tune": ["beta3"]}, "no optimizer here has a hyper-parameter 'beta3'"),
        ({"seeds": 0}, "seeds"),
        ({"depth": [2, 0]}, "depth"),
        ({"width": 0}, "width"),
        ({"batch_size": 0}, "batch_size"),
        ({"schedule": "cosin"}, "did you mean.*cosine"),
        ({"seed": -1}, "seed"),
        ({"threads": 0}, "threads"),
        ({"init": "he_norm"}, "did you mean.*he_normal"),
        ({"norm": "bacth"}, "did you mean batch"),
        ({"residual": "maybe"}, "residual is True or False"),
        ({"dropout": 1.0}, "rate of dropout"),
        ({"dropout": [0.1, "much"]}, "rate of dropout"),
    ],
)
def test_bad_arguments_are_named(iris: Dataset, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        compare(iris, **arguments)


def test_an_unknown_problem_suggests_near_ones() -> None:
    with pytest.raises(UnknownName, match=r"did you mean.*digits"):
        compare("digts")


# ---------------------------------------------------------------------------------------------- speed and tuning


def course(*scores: float) -> dict[str, np.ndarray]:
    return {"epoch": np.arange(1.0, len(scores) + 1), "seconds": np.arange(len(scores)) / 10, "score": np.array(scores)}


def test_the_time_to_the_target_is_the_first_epoch_that_half_of_the_runs_reach_in_the_end() -> None:
    """The target is 0.7, the median of 0.9, 0.7, 0.7 and 0.5."""
    finals = [
        row(phi, score=x, seed=k)
        for phi, each in {"relu": (0.9, 0.7), "tanh": (0.7, 0.5)}.items()
        for k, x in enumerate(each)
    ]
    curves = [course(0.8, 0.9), course(0.1, 0.7), course(0.2, 0.4, 0.5, 0.7), course(0.1, 0.5)]
    times = times_to_target(finals, curves, "epoch")
    assert {who.activation: each for who, each in times.items()} == {"relu": [1.0, 2.0], "tanh": [4.0, math.inf]}
    tries = [trial(phi, score=x) for phi, x in (("relu", 0.9), ("tanh", 0.5))]
    found = study([*tries, *finals], curves=(course(0.1), course(0.1), *curves))
    np.testing.assert_allclose(found.profile().score, [1.0, 0.0])
    assert found.profile().taus.tolist() == [1.0, 4.0]
    assert found.final_runs == 2


def test_of_several_data_sets_the_workloads_are_the_data_sets() -> None:
    finals = [row(data=name, score=0.7, seed=k) for name in ("a", "b") for k in (1, 2, 3)]
    curves = [course(0.8), course(0.1, 0.7), course(0.1, 0.1, 0.7), course(), course(0.1), course(0.9)]
    (times,) = times_to_target(finals, curves, "epoch").values()
    assert times == [2.0, math.inf]


def test_best_of_k_and_sensitivity_are_of_the_first_trials(found: sc.Study) -> None:
    best, decades = found.best_of_k(), found.sensitivity()
    assert best.shape == (6, 6)
    for ranked, curve, width in zip(found.ranking, best, decades, strict=True):
        trials = [r for r in found.rows if r.competitor == ranked.competitor and r.stage == "trial" and r.trial < 6]
        chosen = max(trials, key=lambda r: -math.inf if math.isnan(r.valid_score) else r.valid_score)
        equal = [r.test_score for r in trials if r.valid_score == chosen.valid_score]
        assert curve[-1] == pytest.approx(np.mean(equal))
        rates = np.log10([r.learning_rate for r in trials])
        assert 0 <= width <= rates.max() - rates.min()


def test_before_the_final_runs_there_is_no_profile() -> None:
    with pytest.raises(InvalidInput, match="no seed has been run by all competitors yet"):
        study([trial("relu")]).profile()


def test_too_few_seeds_are_said_to_be_too_few() -> None:
    rows = [make(phi, score=x) for make in (trial, row) for phi, x in (("relu", 0.9), ("tanh", 0.1))]
    assert "With 1 new seed no difference can be significant; it takes at least 7." in study(rows).summary()


def test_a_rival_that_diverges_on_fresh_seeds_was_still_a_rival() -> None:
    rows = [trial("relu", score=0.8), trial("tanh", score=0.9)]
    rows += [row("relu", seed=seed, score=0.8 + seed / 1000) for seed in range(1, 11)]
    rows += [row("tanh", seed=seed, status="diverged") for seed in range(1, 11)]
    assert "It is significantly better than tanh + adam." in study(rows).summary()
    rows = [row(phi, seed=seed, status="diverged") for seed in range(1, 11) for phi in ("relu", "tanh")]
    said = study([trial("relu"), trial("tanh"), *rows], expected=22).summary()
    assert said.startswith("No competitor has a result: too many networks of each diverged on new seeds.")
