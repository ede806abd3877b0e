"""Norms, dropout and residual blocks in the reference engine: against PyTorch, finite differences and closed forms."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden_files import golden
from trainings import Array, assert_same_bits, continued, data_for, distance, initial, plan_for, train

from schuss.engines import NORM_EPSILON, EngineData, EnginePart, Plan
from schuss.engines.reference import ReferenceEngine, measure, targets_of
from schuss.engines.stack import backward, forward, is_trained, weights
from schuss.language.expressions import Expression
from schuss.layers import BatchNorm, Dense, Description, Dropout, LayerNorm, Residual, RMSNorm
from schuss.losses import LOSSES
from schuss.network import Network
from schuss.optimizers import Update, optimizer
from schuss.randomness import epoch_order, kept_units

GOLDEN = golden("layers")
CASES = json.loads(str(GOLDEN["cases"]))
MAKERS: dict[str, Any] = {
    "dense": Dense, "batch": BatchNorm, "layer": LayerNorm, "rms": RMSNorm, "dropout": Dropout,
    "residual": lambda layers: Residual(*map(described, layers)),
}  # fmt: skip


def described(spec: list[Any]) -> Description:
    """The description of one entry of a golden case."""
    layer: Description = MAKERS[spec[0]](*spec[1:])
    return layer


def golden_case(name: str) -> tuple[Plan, EngineData]:
    """The training of a golden case, with its own rows as validation and test."""
    case = CASES[name]
    layers = Network(*map(described, case["hidden"])).layers(*case["sizes"])
    part = EnginePart(GOLDEN[f"{name}:X"], GOLDEN[f"{name}:Y"], GOLDEN[f"{name}:labels"])
    data = EngineData(part, part, part)
    plan = plan_for(
        layers, case["loss"], case["optimizer"], data=data, epochs=4, batch_size=case["batch_size"],
        seed=case["seed"], clip_norm=case["clip_norm"], watch=(4,), parameters=GOLDEN[f"{name}:start"],
    )  # fmt: skip
    return plan, data


# ---------------------------------------------------------------------------------------------- against PyTorch


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradient_are_pytorchs(name: str) -> None:
    plan, data = golden_case(name)
    start, X = plan.start.parameters, data.train.X.astype(np.float64)
    passed = forward(plan.layers, start, X, batch_statistics=True)
    np.testing.assert_allclose(passed.outputs, GOLDEN[f"{name}:outputs"], rtol=1e-11, atol=1e-13)
    gradient, _ = backward(plan.layers, start, passed, plan.loss, targets_of(plan.loss, data.train))
    np.testing.assert_allclose(gradient, GOLDEN[f"{name}:gradient"], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_a_training_is_pytorchs(name: str) -> None:
    """Losses, flow, and the parameters after every epoch: running statistics, weight decay, clipping, dropout.

    A bias before a batch norm has the gradient 0. What rounding leaves of it, 1e-17, adam divides by itself + 1e-8, so
    that such biases, and the running means with them, agree to about 1e-9 only.
    """
    plan, data = golden_case(name)
    outcome = train(ReferenceEngine(), plan, data)
    np.testing.assert_allclose(outcome.history[:, 3], GOLDEN[f"{name}:losses"], rtol=1e-9)
    np.testing.assert_allclose(outcome.flow[0], GOLDEN[f"{name}:flow"], rtol=1e-6, atol=1e-12)
    for epoch, expected in enumerate(GOLDEN[f"{name}:parameters"], start=1):
        after = train(ReferenceEngine(), replace(plan, epochs=epoch, watch=()), data).state.parameters
        assert distance(after, expected) < 1e-9
        still = ~is_trained(plan.layers)
        np.testing.assert_allclose(after[still], expected[still], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_prediction_is_pytorchs_evaluation(name: str) -> None:
    plan, data = golden_case(name)
    predicted = ReferenceEngine().predict(plan.layers, GOLDEN[f"{name}:parameters"][-1], data.train.X)
    np.testing.assert_allclose(predicted, GOLDEN[f"{name}:predictions"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in GOLDEN if name.startswith("kept:")])
def test_dropout_keeps_what_the_counters_say(name: str) -> None:
    seed, step, layer, rate, rows, units = name.split(":")[1:]
    kept = kept_units(int(seed), int(step), int(layer), float(rate), (int(rows), int(units)))
    np.testing.assert_array_equal(kept, GOLDEN[name])


# ---------------------------------------------------------------------------------------------- finite differences

STACKS: dict[str, list[Description]] = {
    "batch": [Dense(5), BatchNorm("tanh"), Dense(4), BatchNorm("softplus")],
    "layer": [Dense(5), LayerNorm("tanh"), Dense(4), LayerNorm("softplus")],
    "rms": [Dense(5), RMSNorm("tanh"), Dense(4), RMSNorm("softplus")],
    "norms of the input": [BatchNorm(), LayerNorm(), RMSNorm("tanh"), Dense(3, "tanh")],
    "dropout": [Dense(6, "tanh"), Dropout(0.4), LayerNorm("tanh"), Dropout(0.3)],
    "residual": [Dense(5, "tanh"), Residual(Dense(5, "tanh")), Residual(Dense(3, "tanh"), Dense(5))],
    "residual around the input": [Residual(Dense(7, "tanh"), Dense(4, "tanh"))],
    "nested": [Residual(LayerNorm(), Residual(Dense(6, "tanh"), Dense(4)), Residual(RMSNorm("tanh")), Dense(4))],
    "all": [
        Dense(5), BatchNorm("tanh"), Dropout(0.2),
        Residual(Dense(5), LayerNorm("softplus"), Dropout(0.3), Residual(Dense(5), BatchNorm("tanh")), RMSNorm()),
    ],
}  # fmt: skip


@pytest.mark.parametrize("loss", ["squared_error", "softmax_cross_entropy"])
@pytest.mark.parametrize("stack", STACKS)
def test_back_propagation_is_finite_differences(stack: str, loss: str) -> None:
    """Central differences in every single parameter: errors of about 1e-10 in double precision."""
    layers, chosen = Network(*STACKS[stack]).layers(4, 3), LOSSES[loss]
    part = data_for(loss, 4, 3, (7, 1, 1)).train
    X, target = part.X.astype(np.float64), targets_of(chosen, part)
    parameters = initial(layers).astype(np.float64)

    def price(parameters: Array) -> float:
        passed = forward(layers, parameters, X, batch_statistics=True, dropout=(3, 2))
        return chosen(passed.outputs, target)

    passed = forward(layers, parameters, X, batch_statistics=True, dropout=(3, 2))
    gradient, deltas = backward(layers, parameters, passed, chosen, target)
    assert [delta.shape for delta in deltas] == [(7, layer.n_out) for layer in layers]
    assert all(np.linalg.norm(arrays[0]) > 1e-4 for arrays in weights(layers, gradient))  # or nothing is compared
    steps = 1e-6 * np.eye(len(parameters))
    expected = np.array([(price(parameters + step) - price(parameters - step)) / 2e-6 for step in steps])
    np.testing.assert_allclose(gradient, expected, atol=1e-8)


def test_with_running_statistics_a_batch_norm_is_linear() -> None:
    """Its gradient then does not go through the statistics."""
    layers = Network(Dense(5, "tanh"), BatchNorm()).layers(4, 1)
    part = data_for("squared_error", 4, 1, (7, 1, 1)).train
    loss, X, target = LOSSES["squared_error"], part.X.astype(np.float64), part.Y.astype(np.float64)
    parameters = initial(layers).astype(np.float64)
    gradient, _ = backward(layers, parameters, forward(layers, parameters, X), loss, target)
    step = np.where(is_trained(layers), np.random.default_rng(0).standard_normal(len(parameters)), 0) * 1e-6
    ends = [loss(forward(layers, parameters + sign * step, X).outputs, target) for sign in (1, -1)]
    assert gradient @ step == pytest.approx((ends[0] - ends[1]) / 2, rel=1e-6)


# ---------------------------------------------------------------------------------------------- what norms compute


def normed(description: Description, X: Array, *, batch_statistics: bool = True) -> Array:
    """φ(x̂) with the gain, shift and running statistics that a norm starts with."""
    layers = Network(description).layers(X.shape[1], 1)[:1]
    start = Network(description).initial(X.shape[1], 1, seed=0)[: layers[0].n_parameters].astype(X.dtype)
    return forward(layers, start, X, batch_statistics=batch_statistics).outputs


def test_norms_do_what_they_say() -> None:
    X = 3 + 2 * np.random.default_rng(0).standard_normal((50, 8))
    batch, layer, rms = (normed(norm, X) for norm in (BatchNorm(), LayerNorm(), RMSNorm()))
    np.testing.assert_allclose(batch.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(batch.std(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(layer.mean(axis=1), 0, atol=1e-14)
    np.testing.assert_allclose(layer.std(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(np.sqrt(np.mean(rms**2, axis=1)), 1, rtol=1e-5)
    assert abs(rms.mean()) > 0.5  # it does not move the mean
    np.testing.assert_allclose(normed(LayerNorm(), 1000 * X), layer, rtol=1e-3)  # the scale of a row is lost
    np.testing.assert_allclose(normed(LayerNorm("relu"), X), np.maximum(layer, 0))


@pytest.mark.parametrize("norm", [BatchNorm(), LayerNorm(), RMSNorm()])
def test_what_does_not_vary_becomes_nothing_and_no_division_by_zero(norm: Description) -> None:
    assert normed(norm, np.zeros((4, 3))).tolist() == np.zeros((4, 3)).tolist()
    one_row = normed(norm, np.full((1, 1), 2.0))
    expected = 2 / math.sqrt(4 + NORM_EPSILON) if norm == RMSNorm() else 0.0
    assert one_row[0, 0] == pytest.approx(expected, rel=1e-12)


def test_before_any_training_the_running_statistics_change_next_to_nothing() -> None:
    X = np.random.default_rng(0).standard_normal((5, 3))
    np.testing.assert_allclose(normed(BatchNorm(), X, batch_statistics=False), X, rtol=1e-5)


# ---------------------------------------------------------------------------------------------- running statistics


def batch_norm_plan(rule: str | Any = "sgd", **more: Any) -> tuple[Plan, EngineData]:
    data = data_for("squared_error", 3, 2, rows=(10, 6, 6))
    layers = Network(Dense(4, "tanh"), BatchNorm("tanh"), Dropout(0.25)).layers(3, 2)
    return plan_for(layers, "squared_error", rule, data=data, parameters=initial(layers), **more), data


def test_running_statistics_by_their_formula() -> None:
    """Two batches of 9 rows and 1: unbiased variance, that of a single row is 0; the start fades by 0.9 each."""
    plan, data = batch_norm_plan(batch_size=9)
    plan = replace(plan, learning_rates=np.zeros(2))  # what the norm reads stays
    order = epoch_order(plan.seed, 0, 10)
    (W, b), (_, _, mean, variance), _ = weights(plan.layers, plan.start.parameters.astype(np.float64))
    read = np.tanh(data.train.X[order] @ W + b)
    first_mean = 0.9 * mean + 0.1 * read[:9].mean(axis=0)
    first_variance = 0.9 * variance + 0.1 * read[:9].var(axis=0, ddof=1)
    state = train(ReferenceEngine(), plan, data).state
    after = weights(plan.layers, state.parameters)
    np.testing.assert_allclose(after[1][2], 0.9 * first_mean + 0.1 * read[9], rtol=1e-12)
    np.testing.assert_allclose(after[1][3], 0.9 * first_variance, rtol=1e-12)
    np.testing.assert_array_equal(after[0][0], W)  # the learning rate is 0


@optimizer(search=(1e-3, 1e-2))
def decaying(w: Expression, g: Expression, v: Expression, *, lr: float = 0.01) -> Update:
    """Weight decay that reaches the state: a rule that would move what has no gradient."""
    v = 0.5 * v + g + 0.3 * w
    return w - lr * v, v


def test_no_rule_moves_running_statistics() -> None:
    """They are those of a training without weight decay, as long as the weights before them are the same."""
    plan, data = batch_norm_plan(decaying, batch_size=10)
    still = ~is_trained(plan.layers)
    free, _ = batch_norm_plan("sgd(lr=0.01)", batch_size=10)
    state, other = train(ReferenceEngine(), plan, data).state, train(ReferenceEngine(), free, data).state
    np.testing.assert_array_equal(state.parameters[still], other.parameters[still])
    assert not state.moments[:, still].any()
    assert state.moments[:, ~still].all()


def test_measuring_takes_the_batch_drops_nothing_and_changes_nothing() -> None:
    plan, data = batch_norm_plan()
    start = plan.start.parameters.astype(np.float64)
    before = start.copy()
    flow = measure(plan.layers, plan.loss, start, data.train, previous=0.8 * start)
    np.testing.assert_array_equal(start, before)
    passed = forward(plan.layers, start, data.train.X.astype(np.float64), batch_statistics=True)
    gradient, deltas = backward(plan.layers, start, passed, plan.loss, data.train.Y)
    gain = weights(plan.layers, gradient)[1][0]
    expected = [
        math.sqrt(np.mean((10 * deltas[1]) ** 2)), math.sqrt(np.mean(gain**2)),
        passed.z[1].mean(), math.sqrt(np.mean(passed.z[1] ** 2)),
        np.tanh(passed.z[1]).mean(), math.sqrt(np.mean(np.tanh(passed.z[1]) ** 2)), 0, 0, 0.25,
    ]  # fmt: skip
    np.testing.assert_allclose(flow[1], expected, rtol=1e-12)


# ---------------------------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share(rate: float) -> None:
    """Of 10^5 units at most 4 standard deviations, 4 √(rate (1 − rate) / 10^5), off."""
    kept = kept_units(seed=1, step=0, layer=0, rate=rate, shape=(1000, 100))
    assert 1 - kept.mean() == pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / 1e5))
    for axis, n in ((0, 1000), (1, 100)):  # no unit and no row is favored
        assert np.abs(kept.mean(axis) - (1 - rate)).max() < 5 * math.sqrt(rate * (1 - rate) / n)


def test_dropout_depends_on_seed_step_and_layer_and_on_nothing_else() -> None:
    first = kept_units(1, 2, 3, 0.5, (20, 50))
    np.testing.assert_array_equal(first, kept_units(1, 2, 3, 0.5, (20, 50)))
    np.testing.assert_array_equal(first[:7], kept_units(1, 2, 3, 0.5, (7, 50)))  # a row's units are its own
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        agreement = np.mean(first == kept_units(*other, 0.5, (20, 50)))
        assert agreement == pytest.approx(0.5, abs=0.07)


def test_kept_units_are_scaled_up_and_prediction_keeps_all() -> None:
    layers = Network(Dense(50, "tanh"), Dropout(0.2)).layers(4, 1)
    parameters, X = initial(layers), data_for("squared_error", 4, 1).train.X
    whole, dropped = forward(layers, parameters, X), forward(layers, parameters, X, dropout=(5, 9))
    kept = kept_units(5, 9, 0, 0.2, (90, 50))
    np.testing.assert_array_equal(dropped.values[1], whole.a[0] * kept * np.float32(1.25))
    np.testing.assert_array_equal(whole.values[1], whole.a[0])


# ---------------------------------------------------------------------------------------------- residual sums


def test_an_identity_block_doubles() -> None:
    """x + x, and its gradient comes back twice."""
    layers = Network(Residual(Dense(3, "identity", "orthogonal"))).layers(3, 3)
    parameters = np.concatenate([np.eye(3).ravel(), np.zeros(3), np.eye(3).ravel(), np.zeros(3)])
    X = np.random.default_rng(0).standard_normal((4, 3))
    passed = forward(layers, parameters, X)
    np.testing.assert_array_equal(passed.outputs, 2 * X)
    np.testing.assert_array_equal(passed.values[1], 2 * X)
    np.testing.assert_array_equal(passed.a[0], X)  # before adding


# ---------------------------------------------------------------------------------------------- whole trainings


@pytest.mark.parametrize("rule", ["adam(lr=0.01)", "momentum(lr=0.05)"])
@pytest.mark.parametrize("stack", STACKS)
def test_training_on_gives_the_same_bits(stack: str, rule: str) -> None:
    data = data_for("softmax_cross_entropy", 4, 3, rows=(50, 20, 20))
    layers = Network(*STACKS[stack]).layers(4, 3)
    plan = plan_for(layers, "softmax_cross_entropy", rule, data=data, epochs=4, batch_size=16, patience=4)
    whole = train(ReferenceEngine(np.float32), plan, data)
    half = train(ReferenceEngine(np.float32), replace(plan, epochs=2), data)
    rest = train(ReferenceEngine(np.float32), continued(plan, half.state), data)
    assert_same_bits(replace(rest, history=whole.history, flow=whole.flow, watched=whole.watched), whole)
    np.testing.assert_array_equal(rest.history[:, 3:], whole.history[2:, 3:])


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_learns(stack: str) -> None:
    data = data_for("softmax_cross_entropy", 4, 3)
    layers = Network(*STACKS[stack]).layers(4, 3)
    outcome = train(
        ReferenceEngine(), plan_for(layers, "softmax_cross_entropy", "adam(lr=0.02)", data=data, epochs=15), data
    )
    assert outcome.status == "finished"
    assert outcome.history[-1, 3] < 0.7 * outcome.history[0, 3]
    assert outcome.scores[0] > 0.7


def test_a_divergence_before_a_norm_is_not_the_norms() -> None:
    data = data_for("squared_error", 3, 1)
    layers = Network(Dense(4, "relu"), Dense(4), LayerNorm("tanh")).layers(3, 1)
    plan = plan_for(layers, "squared_error", "sgd(lr=1e200)", data=data, epochs=3)
    outcome = train(ReferenceEngine(), plan, data)
    assert (outcome.status, outcome.diverged_layer) == ("diverged", 2)
