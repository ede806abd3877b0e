"""The native engine: it equals the reference, on every instruction set, and gives the same bits in any company.

How near is equal? The reference computes in float64, the native engine in float32. The distance between their
parameters is measured relative to the way that training has gone, ‖native − reference‖ / ‖reference − start‖, which no
large unchanged weight can hide. Measured over every combination below it is at most 1e-5, the same as that of NumPy in
float32, of which 6e-8 · ‖w‖ / ‖way‖ is the rounding of the weights themselves. The bounds leave a factor of 20 for
other processors. Two things have to be kept away from, as there one rounding can change a whole gradient: stacks of
many layers at the edge of chaos (tanh and selu; NumPy's float32 leaves the reference there as well); and signs that
cancel exactly (absolute error on an even number of outputs under a rule that divides by the gradient's size), so
batches are odd.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_checks import assert_equal, check_evaluation, check_flow, error
from trainings import (
    assert_same_bits,
    continued,
    data_for,
    distance,
    initial,
    plan_for,
    stack,
    train,
)

from schuss import _native
from schuss.activations import ACTIVATIONS, activation
from schuss.engines import QUANTITIES, EngineData, EnginePart, Outcome, Plan
from schuss.engines.native import NativeEngine, instruction_set
from schuss.engines.reference import ReferenceEngine, measure
from schuss.engines.stack import weights
from schuss.errors import InvalidInput
from schuss.language.expressions import Expression, exp, sign, sqrt
from schuss.layers import Layer
from schuss.losses import LOSSES, loss
from schuss.optimizers import OPTIMIZERS, Update, optimizer
from schuss.schedules import cosine

SETS = _native.instruction_sets()
AFTER_5_STEPS, AFTER_100_STEPS = 1e-4, 2e-4
RATES = {
    "gd": 0.05, "sgd": 0.05, "momentum": 0.01, "nesterov": 0.01, "adagrad": 0.02, "rmsprop": 0.002, "adam": 0.003,
    "adamw": 0.003,
}  # fmt: skip


def outputs_of(loss_name: str) -> int:
    return 1 if loss_name == "binary_cross_entropy" else 3


# ---------------------------------------------------------------------------------------------- native = reference

# Every activation with every optimizer; the losses take turns, so that each meets every activation and every optimizer.
PAIRS = [(phi, rule) for phi in ACTIVATIONS for rule in OPTIMIZERS]
COMBINATIONS = [(phi, rule, list(LOSSES)[k % len(LOSSES)]) for k, (phi, rule) in enumerate(PAIRS)]


# Up to a width of 16 a network is trained in a lane of the vectors, beside others or alone; beyond in the other layout.
WIDTHS = (11, 19)


def hundred_steps(phi: str, rule: str, loss_name: str, width: int) -> tuple[Plan, EngineData]:
    """20 epochs of 5 odd batches."""
    data = data_for(loss_name, 6, outputs_of(loss_name), (155, 60, 60))
    layers = stack([6, width, 9, outputs_of(loss_name)], phi)
    return plan_for(layers, loss_name, f"{rule}(lr={RATES[rule]})", data=data, epochs=20, batch_size=31), data


def test_the_combinations_meet_all() -> None:
    assert {(phi, loss_name) for phi, _, loss_name in COMBINATIONS} == {
        (p, name) for p in ACTIVATIONS for name in LOSSES
    }
    assert {(rule, loss_name) for _, rule, loss_name in COMBINATIONS} == {
        (r, name) for r in OPTIMIZERS for name in LOSSES
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("phi", "rule", "loss_name"), COMBINATIONS)
def test_100_steps_are_the_references(phi: str, rule: str, loss_name: str, width: int) -> None:
    plan, data = hundred_steps(phi, rule, loss_name, width)
    reference = ReferenceEngine()
    early = replace(plan, epochs=1)
    expected = train(reference, early, data)
    assert error(train(NativeEngine(1), early, data), expected, plan) < AFTER_5_STEPS
    later = train(reference, continued(plan, expected.state), data)
    got = train(NativeEngine(1), plan, data)
    assert (got.status, got.state.step) == ("finished", 100)
    assert error(got, later, plan) < AFTER_100_STEPS
    assert error(later, expected, plan) > 0.1  # it was a way
    np.testing.assert_allclose(got.losses, later.losses, rtol=1e-4, atol=1e-6)
    moments = later.state.moments
    if moments.size:
        assert distance(got.state.moments, moments) < 1e-3


SHAPES: dict[str, tuple[Sequence[int], str, str, Sequence[int], int]] = {  # sizes, activation, loss, rows, batch size
    "odd sizes": ([37, 70, 33, 5, 130, 7], "tanh", "softmax_cross_entropy", (333, 101, 77), 50),
    "round sizes": ([16, 32, 64, 16], "gelu", "squared_error", (256, 128, 64), 32),
    "one input": ([1, 9, 5, 1], "silu", "squared_error", (90, 30, 30), 16),
    "one unit": ([5, 1, 1, 3], "softplus", "softmax_cross_entropy", (90, 30, 30), 16),
    "one of all": ([1, 1], "identity", "squared_error", (40, 9, 9), 7),
    "no hidden layer": ([7, 4], "identity", "softmax_cross_entropy", (90, 30, 30), 17),
    "32 layers": ([8, *[12] * 32, 3], "elu", "huber", (90, 30, 30), 16),
    "batches of one row": ([5, 9, 7, 2], "elu", "squared_error", (23, 8, 8), 1),
    "a batch larger than the data": ([5, 9, 7, 2], "mish", "squared_error", (45, 8, 8), 1000),
    "one row in all": ([3, 4, 2], "tanh", "squared_error", (1, 1, 1), 4),
    "a full batch over many chunks": ([6, 20, 11, 3], "sigmoid", "softmax_cross_entropy", (2101, 700, 300), 2101),
    "large batches and a small last one": ([6, 20, 11, 1], "tanh", "binary_cross_entropy", (1301, 130, 129), 700),
    "a last batch of one row": ([6, 12, 1], "relu", "huber", (65, 17, 16), 16),
    "a full batch over many chunks of lanes": (
        [6, 10, 11, 3],
        "sigmoid",
        "softmax_cross_entropy",
        (2101, 70, 30),
        2101,
    ),
    "no hidden layer, beyond lanes": ([27, 4], "identity", "softmax_cross_entropy", (90, 30, 30), 17),
    "one unit, beyond lanes": ([5, 1, 17, 1], "softplus", "squared_error", (90, 30, 30), 16),
    "batches of one row, beyond lanes": ([5, 29, 7, 2], "elu", "squared_error", (23, 8, 8), 1),
    "a batch larger than the data, beyond lanes": ([5, 19, 7, 2], "mish", "squared_error", (45, 8, 8), 1000),
    "one row in all, beyond lanes": ([3, 40, 2], "tanh", "squared_error", (1, 1, 1), 4),
    "a last batch of one row, beyond lanes": ([6, 22, 1], "relu", "huber", (65, 17, 16), 16),
    "17 outputs": ([5, 21, 17], "squareplus", "squared_error", (90, 30, 30), 16),
    "wide": ([70, 301, 257, 10], "gelu", "softmax_cross_entropy", (100, 33, 31), 64),
}


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("shape", SHAPES)
def test_any_shape_is_trained_as_by_the_reference(shape: str, instructions: str) -> None:
    sizes, phi, loss_name, rows, batch_size = SHAPES[shape]
    data = data_for(loss_name, sizes[0], sizes[-1], rows)
    plan = plan_for(
        stack(sizes, phi), loss_name, "momentum(lr=0.01)", data=data, epochs=4, batch_size=batch_size, watch=(0, 1, 4)
    )
    got = assert_equal(plan, data, AFTER_100_STEPS, NativeEngine(1, instructions))
    check_flow(got, plan, data)
    check_evaluation(got, plan, data)


SMOOTH = ("sigmoid", "tanh", "softplus", "gelu", "elu", "softsign")  # without the jumps that magnify a rounding


@settings(max_examples=80)
@given(st.data())
def test_any_shape_at_all(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 40), min_size=2, max_size=6), label="sizes")
    n_train, n_valid, n_test = data.draw(st.lists(st.integers(1, 90), min_size=3, max_size=3), label="rows")
    batch_size = data.draw(st.integers(1, 100), label="batch size")
    rule = data.draw(st.sampled_from(["sgd(lr=0.02)", "momentum(lr=0.005)", "adam(lr=0.002)"]), label="rule")
    clip_norm = data.draw(st.sampled_from([None, 0.1]), label="clip norm")
    parts = data_for("squared_error", sizes[0], sizes[-1], (n_train, n_valid, n_test))
    layers = stack(sizes, data.draw(st.sampled_from(SMOOTH), label="activation"))
    plan = plan_for(
        layers, "squared_error", rule, data=parts, epochs=2, batch_size=batch_size, clip_norm=clip_norm, watch=(0, 1, 2)
    )
    got = assert_equal(plan, parts, 2e-3, NativeEngine(1, data.draw(st.sampled_from(SETS), label="instructions")))
    check_flow(got, plan, parts)
    check_evaluation(got, plan, parts)


@pytest.mark.parametrize("output", ["sigmoid", "tanh", "softplus"])
@pytest.mark.parametrize("loss_name", ["squared_error", "huber", "softmax_cross_entropy"])
def test_an_activation_of_the_output_layer(loss_name: str, output: str) -> None:
    data = data_for(loss_name, 5, 3)
    plan = plan_for(stack([5, 9, 3], "tanh", output), loss_name, "adam(lr=0.01)", data=data, epochs=10, watch=(0, 10))
    check_flow(assert_equal(plan, data, AFTER_100_STEPS), plan, data)


@pytest.mark.parametrize("rows", [1, 17, 128, 300])
@pytest.mark.parametrize("instructions", SETS)
def test_dead_and_saturated_units_are_counted(instructions: str, rows: int) -> None:
    """A relu unit that is never on, one that is always on, and a sigmoid unit far on its flat side."""
    data = data_for("squared_error", 5, 1, (rows, 9, 9))
    layers = (
        Layer("dense", 5, 6, ACTIVATIONS["relu"]),
        Layer("dense", 6, 4, ACTIVATIONS["sigmoid"]),
        Layer("dense", 4, 1, ACTIVATIONS["identity"]),
    )
    parameters = initial(layers)
    (_, b1), (_, b2), _ = weights(layers, parameters)
    b1[:2], b2[3] = (-1000, 1000), 30
    plan = plan_for(layers, "squared_error", data=data, watch=(0,), parameters=parameters)
    (flow,) = train(NativeEngine(1, instructions), plan, data).flow
    expected = measure(layers, plan.loss, parameters, data.train)
    for quantity in ("saturated", "dead"):
        column = QUANTITIES.index(quantity)
        np.testing.assert_allclose(flow[:, column], expected[:, column], atol=1e-12)
    assert expected[0, QUANTITIES.index("dead")] >= 1 / 6
    assert expected[1, QUANTITIES.index("saturated")] >= 1 / 4


def test_two_classes_under_squared_error_as_the_first_networks_had() -> None:
    """One sigmoid output, targets 0 and 1, decided at 1/2."""
    data = data_for("binary_cross_entropy", 5, 1)
    plan = plan_for(stack([5, 9, 1], "sigmoid", "sigmoid"), "squared_error", "sgd(lr=2.0)", data=data, epochs=30)
    got = assert_equal(plan, data, AFTER_100_STEPS)
    check_evaluation(got, plan, data)
    assert got.scores[0] > 0.7


@pytest.mark.parametrize("clip_norm", [0.01, 0.3, 100.0])
def test_clipping(clip_norm: float) -> None:
    data = data_for("squared_error", 5, 3)
    plan = plan_for(stack([5, 9, 3], "tanh"), "squared_error", "momentum(lr=0.1)", data=data, epochs=10)
    clipped = assert_equal(replace(plan, clip_norm=clip_norm), data, AFTER_100_STEPS)
    free = train(NativeEngine(1), plan, data)
    assert np.array_equal(clipped.state.parameters, free.state.parameters) == (clip_norm == 100.0)


def test_the_learning_rate_of_every_step() -> None:
    data = data_for("squared_error", 5, 3)
    plan = plan_for(stack([5, 9, 3], "tanh"), "squared_error", data=data, epochs=10)
    rates = 0.1 * cosine(warmup=0.2).factors(30)
    varied = assert_equal(replace(plan, learning_rates=rates), data, AFTER_100_STEPS)
    assert distance(varied.state.parameters, train(NativeEngine(1), plan, data).state.parameters) > 1e-3


@pytest.mark.parametrize("patience", [1, 4])
def test_patience(patience: int) -> None:
    """The validation part asks for what the network says after 3 epochs: it gets worse from there."""
    data = data_for("squared_error", 5, 2)
    layers = stack([5, 9, 2], "tanh")
    plan = plan_for(layers, "squared_error", "gd(lr=0.05)", data=data, epochs=30, batch_size=90)
    there = train(ReferenceEngine(), replace(plan, epochs=3), data).state.parameters
    asked = ReferenceEngine().predict(layers, there, data.train.X)
    data = EngineData(data.train, EnginePart(data.train.X, asked, data.train.labels), data.test)
    plan = replace(plan, patience=patience)
    got, expected = train(NativeEngine(1), plan, data), train(ReferenceEngine(), plan, data)
    for outcome in (got, expected):
        assert (outcome.status, outcome.state.best_epoch, outcome.state.epoch) == ("stopped", 3, 3 + patience)
    assert got.state.best is not None
    assert distance(got.state.best, there) < 1e-5
    assert got.state.best_loss == got.history[2, 4] == got.losses[1]
    np.testing.assert_allclose(got.losses[::2], expected.losses[::2], rtol=1e-5)


def test_a_loss_that_stays_the_same_is_not_lower() -> None:
    data = data_for("squared_error", 5, 2)
    layers = stack([5, 9, 2], "tanh")
    plan = plan_for(layers, "squared_error", data=data, epochs=9, patience=2, learning_rates=np.zeros(27))
    got = train(NativeEngine(1), plan, data)
    assert (got.status, got.state.epoch, got.state.best_epoch) == ("stopped", 3, 1)


# ---------------------------------------------------------------------------------------------- a user's own


@activation
def wavelet(z: Expression, *, width: float = 1.25) -> Expression:
    """A bump."""
    return (1 - z * z) * exp(-z * z / width)


@optimizer
def drifting(
    w: Expression, g: Expression, m: Expression, s: Expression, fast: Expression, t: Expression,
    *, lr: float = 0.01, beta: float = 0.9, power: float = 0.25,
) -> Update:  # fmt: skip
    """Three states, the step's number, and a power."""
    m = beta * m + (1 - beta) * g
    s = s + g * g
    fast = 0.5 * fast + m / (sqrt(s) + 1e-3)
    return w - lr * t**-power * (fast + 0.1 * g + 0.001 * sign(w)), m, s, fast


@loss
def log_cosh(p: Expression, y: Expression, *, sharpness: float = 2.0) -> Expression:
    """A smooth absolute error."""
    return (exp(sharpness * (p - y)) + exp(-sharpness * (p - y))) ** 0.5


@pytest.mark.parametrize("instructions", SETS)
def test_a_users_own_definitions_run_natively(instructions: str) -> None:
    data = data_for("squared_error", 6, 3, (155, 60, 60))
    layers = stack([6, 11, 9, 3], wavelet(width=0.9))
    plan = plan_for(
        layers, log_cosh(sharpness=0.7), drifting(power=0.3), data=data, epochs=20, batch_size=31, watch=(0, 20)
    )
    got = assert_equal(plan, data, AFTER_100_STEPS, NativeEngine(1, instructions))
    check_flow(got, plan, data)


def test_what_was_not_measured_has_a_shape() -> None:
    data = data_for("squared_error", 5, 3)
    plan = plan_for(stack([5, 9, 3], "tanh"), "squared_error", data=data, epochs=2)
    assert train(NativeEngine(1), plan, data).flow.shape == (0, 2, 9)
    done = replace(plan, start=train(NativeEngine(1), plan, data).state)
    rest = train(NativeEngine(1), done, data)
    assert (rest.status, rest.history.shape, rest.flow.shape) == ("finished", (0, 6), (0, 2, 9))


# ---------------------------------------------------------------------------------------------- instruction sets


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("other", SETS[1:])
def test_the_instruction_sets_agree(other: str, width: int) -> None:
    """Over all the combinations above, 100 steps each."""
    assert instruction_set() == SETS[0]
    assert SETS[-1] == "baseline"
    for combination in COMBINATIONS:
        plan, data = hundred_steps(*combination, width)
        got, expected = (train(NativeEngine(1, name), plan, data) for name in (other, SETS[0]))
        assert error(got, expected, plan) < AFTER_100_STEPS, combination


@pytest.mark.parametrize("instructions", SETS)
def test_predictions_are_the_references(instructions: str) -> None:
    layers = stack([37, 70, 5, 130, 7], "gelu", "tanh")
    parameters, X = initial(layers), data_for("squared_error", 37, 7, (301, 1, 1)).train.X
    got = NativeEngine(1, instructions).predict(layers, parameters, X)
    assert (got.dtype, got.shape) == (np.float32, (301, 7))
    np.testing.assert_allclose(got, ReferenceEngine().predict(layers, parameters, X), atol=2e-6)
    assert NativeEngine(1, instructions).predict(layers, parameters, X[:0]).shape == (0, 7)


def test_a_prediction_does_not_depend_on_the_other_rows() -> None:
    layers = stack([5, 9, 3], "tanh")
    parameters, X = initial(layers), data_for("squared_error", 5, 3, (200, 1, 1)).train.X
    engine = NativeEngine(1)
    whole = engine.predict(layers, parameters, X)
    for rows in (slice(0, 1), slice(17, 18), slice(3, 150), slice(199, 200)):
        np.testing.assert_array_equal(engine.predict(layers, parameters, X[rows]), whole[rows])


def test_what_the_processor_lacks_is_a_clear_error() -> None:
    with pytest.raises(InvalidInput, match="baseline"):
        NativeEngine(1, "avx10")
    with pytest.raises(InvalidInput, match="threads"):
        NativeEngine(0)


# ---------------------------------------------------------------------------------------------- the same bits


def population(data: EngineData) -> list[Plan]:
    """40 different networks: shapes, rules, batches, patience, clipping, watching, some of them diverging."""
    plans = []
    for number in range(40):
        sizes = [6, *[5 + 7 * (number % 5)] * (1 + number % 4), 3]
        phi, rule = list(ACTIVATIONS)[number % len(ACTIVATIONS)], list(OPTIMIZERS)[number % len(OPTIMIZERS)]
        rate = 1e30 if number % 13 == 5 else RATES[rule]
        plans.append(
            plan_for(
                stack(sizes, phi), "softmax_cross_entropy", f"{rule}(lr={rate})", data=data, epochs=2 + number % 6,
                batch_size=(8, 17, 32, 90)[number % 4], seed=number, patience=(None, 2)[number % 2],
                clip_norm=(None, 0.5)[number // 2 % 2], watch=((), (0, 1, 2))[number // 3 % 2],
            )
        )  # fmt: skip
    return plans


@pytest.fixture(scope="module")
def crowd() -> tuple[EngineData, list[Plan], list[Outcome]]:
    """A population, and what becomes of each of it alone."""
    data = data_for("softmax_cross_entropy", 6, 3)
    plans = population(data)
    alone = [train(NativeEngine(1), plan, data) for plan in plans]
    assert {outcome.status for outcome in alone} >= {"finished", "diverged"}
    return data, plans, alone


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_company_and_threads_change_no_bit(crowd: tuple[EngineData, list[Plan], list[Outcome]], threads: int) -> None:
    _, plans, alone = crowd
    together = dict(NativeEngine(threads).train(plans))
    assert sorted(together) == list(range(len(plans)))
    for number, outcome in together.items():
        assert_same_bits(outcome, alone[number])


def test_the_order_of_a_population_changes_no_bit(crowd: tuple[EngineData, list[Plan], list[Outcome]]) -> None:
    _, plans, alone = crowd
    order = np.random.default_rng(0).permutation(len(plans))
    for position, outcome in NativeEngine(2).train([plans[i] for i in order]):
        assert_same_bits(outcome, alone[order[position]])


def test_a_divergence_disturbs_no_other(crowd: tuple[EngineData, list[Plan], list[Outcome]]) -> None:
    """All the sound ones give the same bits without the diverging ones."""
    _, plans, alone = crowd
    sound = [number for number, outcome in enumerate(alone) if outcome.status != "diverged"]
    assert 0 < len(sound) < len(plans)
    for position, outcome in NativeEngine(2).train([plans[i] for i in sound]):
        assert_same_bits(outcome, alone[sound[position]])


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("patience", [None, 50])
def test_3_epochs_and_4_more_are_7(rule: str, patience: int | None) -> None:
    data = data_for("softmax_cross_entropy", 6, 3)
    plan = plan_for(
        stack([6, 11, 9, 3], "tanh"), "softmax_cross_entropy", f"{rule}(lr={RATES[rule]})", data=data, epochs=7,
        batch_size=20, patience=patience, clip_norm=0.5, watch=(7,),
    )  # fmt: skip
    engine = NativeEngine(1)
    whole = train(engine, plan, data)
    state = train(engine, replace(plan, epochs=3), data).state
    rest = train(engine, continued(plan, state), data)
    assert_same_bits(replace(rest, history=whole.history), whole)
    np.testing.assert_array_equal(np.delete(rest.history, 2, axis=1), np.delete(whole.history[3:], 2, axis=1))


def test_a_state_is_not_changed_by_training_on_from_it() -> None:
    data = data_for("squared_error", 5, 2)
    plan = plan_for(stack([5, 9, 2], "tanh"), "squared_error", "adam", data=data, epochs=2, patience=1)
    state = train(NativeEngine(1), plan, data).state
    assert state.best is not None
    before = [array.copy() for array in (state.parameters, state.moments, state.best)]
    train(NativeEngine(1), replace(continued(plan, state), epochs=4, learning_rates=np.full(99, 0.1)), data)
    for array, old in zip((state.parameters, state.moments, state.best), before, strict=True):
        np.testing.assert_array_equal(array, old)


# ---------------------------------------------------------------------------------------------- divergence


def diverging(sizes: Sequence[int], rate: float) -> tuple[Plan, EngineData]:
    data = data_for("squared_error", sizes[0], sizes[-1])
    plan = plan_for(stack(sizes, "relu"), "squared_error", f"sgd(lr={rate})", data=data, epochs=20)
    return plan, data


@pytest.mark.parametrize("rate", [1e4, 1e10, 1e30])
@pytest.mark.parametrize("sizes", [[3, 4, 1], [5, 9, 8, 7, 2]])
def test_a_divergence_is_where_the_reference_finds_it(sizes: Sequence[int], rate: float) -> None:
    """In float32, where both overflow at the same size."""
    plan, data = diverging(sizes, rate)
    got, expected = (train(engine, plan, data) for engine in (NativeEngine(1), ReferenceEngine(np.float32)))
    assert got.status == expected.status == "diverged"
    assert (got.diverged_step, got.diverged_layer) == (expected.diverged_step, expected.diverged_layer)
    assert (got.state.step, got.state.epoch, len(got.history)) == (
        expected.state.step, expected.state.epoch, len(expected.history),
    )  # fmt: skip


def test_weights_that_are_no_numbers_diverge_at_once() -> None:
    plan, data = diverging([3, 4, 1], 0.01)
    parameters = plan.start.parameters.copy()
    parameters[-3] = math.nan  # a weight of the output layer
    got = train(NativeEngine(1), replace(plan, start=replace(plan.start, parameters=parameters)), data)
    assert (got.status, got.diverged_step, got.diverged_layer, got.state.step) == ("diverged", 1, 2, 0)


def test_infinite_parameters_behind_a_bounded_activation_diverge_too() -> None:
    """tanh hides an infinite bias from the loss; the end of the epoch finds it."""
    data = data_for("squared_error", 3, 1)
    layers = stack([3, 4, 1], "tanh")
    parameters = initial(layers)
    parameters[14] = math.inf  # the third bias of the first layer
    plan = plan_for(layers, "squared_error", data=data, epochs=5, parameters=parameters)
    got, expected = (train(engine, plan, data) for engine in (NativeEngine(1), ReferenceEngine()))
    for outcome in (got, expected):
        assert (outcome.status, outcome.diverged_step, outcome.diverged_layer) == ("diverged", 3, 1)
    np.testing.assert_allclose(got.losses, expected.losses, rtol=1e-4)


# ---------------------------------------------------------------------------------------------- many, and stopping


def test_1500_small_networks_in_one_call() -> None:
    data = data_for("softmax_cross_entropy", 4, 3)
    layers = stack([4, 6, 3], "tanh")
    taken = []

    def plans() -> list[Plan]:
        for seed in range(1500):
            taken.append(seed)
            yield plan_for(layers, "softmax_cross_entropy", "adam(lr=0.01)", data=data, epochs=5, seed=seed)

    engine = NativeEngine(2)
    outcomes: dict[int, Outcome] = {}
    for number, outcome in engine.train(plans()):
        if not outcomes:
            assert len(taken) <= 1100  # plans are made as they are needed
        outcomes[number] = outcome
    assert sorted(outcomes) == list(range(1500))
    assert {outcome.status for outcome in outcomes.values()} == {"finished"}
    assert engine.steps() == 1500 * 15
    assert len({outcome.losses[0] for outcome in outcomes.values()}) == 1500
    for seed in (0, 750, 1499):
        plan = plan_for(layers, "softmax_cross_entropy", "adam(lr=0.01)", data=data, epochs=5, seed=seed)
        assert error(outcomes[seed], train(ReferenceEngine(), plan, data), plan) < AFTER_100_STEPS


def endless() -> tuple[list[Plan], EngineData]:
    """Three networks that would train for minutes."""
    data = data_for("squared_error", 20, 1, (4000, 10, 10))
    layers = stack([20, 200, 200, 1], "tanh")
    plan = plan_for(layers, "squared_error", data=data, epochs=10_000, batch_size=4000)
    return [plan, replace(plan, seed=1), replace(plan, seed=2)], data


def test_an_interrupt_stops_quickly_and_the_engine_goes_on() -> None:
    plans, _ = endless()
    engine = NativeEngine(2)
    seen: list[int] = []
    stopped: list[float] = []

    def tick() -> None:
        seen.append(engine.steps())
        if len(seen) >= 4 and seen[-1] > 0:
            stopped.append(time.perf_counter())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(engine.train(plans, tick))
    assert time.perf_counter() - stopped[0] < 5
    assert seen == sorted(seen)
    done = engine.steps()
    assert 0 < done < 3 * 10_000
    plan, data = diverging([3, 4, 1], 0.01)
    assert train(engine, plan, data).status == "finished"
    assert engine.steps() == done + plan.epochs * 3


def test_closing_the_iterator_cancels_the_rest() -> None:
    plans, _ = endless()
    quick = replace(plans[0], epochs=1)
    engine = NativeEngine(2)
    outcomes = engine.train([quick, *plans])
    number, outcome = next(iter(outcomes))
    assert (number, outcome.status) == (0, "finished")
    began = time.perf_counter()
    outcomes.close()  # type: ignore[attr-defined]
    assert time.perf_counter() - began < 5
    done = engine.steps()
    time.sleep(0.1)
    assert engine.steps() == done  # nothing runs on in the background


def test_python_goes_on_while_networks_train() -> None:
    """The engine holds no lock: another thread counts meanwhile."""
    plans, data = endless()
    counted, running = [0], True

    def count() -> None:
        while running:
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    train(NativeEngine(1), replace(plans[0], epochs=3), data)
    running = False
    thread.join()
    assert counted[0] > 1000


def test_networks_on_no_plans_is_nothing() -> None:
    assert list(NativeEngine(2).train([])) == []


def test_data_of_any_layout_are_taken() -> None:
    """Columns first, double precision: the same bits as the same numbers laid out as the engine wants them."""
    data = data_for("squared_error", 5, 2)
    plan = plan_for(stack([5, 9, 2], "tanh"), "squared_error", data=data, epochs=2)
    odd = EngineData(*(EnginePart(np.asfortranarray(p.X, np.float64), p.Y[::-1][::-1], p.labels) for p in data))
    assert_same_bits(train(NativeEngine(1), plan, odd), train(NativeEngine(1), plan, data))
