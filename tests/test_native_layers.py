"""Norms, dropout and residual sums in the native engine: the reference's and PyTorch's numbers, whoever computes them.

Batch norm takes the mean away from what it reads, so that the gradient of a bias right before it is rounding, nothing
else. Rules that divide by the gradient's size make steps of it; comparisons over many steps take momentum there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from golden_files import golden
from hypothesis import given, settings
from hypothesis import strategies as st
from native_checks import assert_equal, check_evaluation, check_flow, error
from trainings import Array, assert_same_bits, continued, data_for, distance, initial, plan_for, train

from schuss import _native
from schuss.engines import EngineData, Plan
from schuss.engines.native import NativeEngine
from schuss.engines.reference import ReferenceEngine
from schuss.engines.stack import is_trained, weights
from schuss.language.expressions import Expression
from schuss.layers import BatchNorm, Dense, Description, Dropout, Layer, LayerNorm, Residual, RMSNorm
from schuss.network import Network
from schuss.optimizers import OPTIMIZERS, Update, optimizer

SETS = _native.instruction_sets()
AFTER_100_STEPS = 2e-4
Hidden = Callable[[int], list[Description]]

# By the width of the inner layers; the outer ones are of other widths.
STACKS: dict[str, Hidden] = {
    "batch norm": lambda n: [Dense(n), BatchNorm("tanh"), Dense(5), BatchNorm("softplus"), BatchNorm()],
    "layer norm": lambda n: [Dense(n), LayerNorm("tanh"), Dense(5), LayerNorm("softplus"), LayerNorm()],
    "RMS norm": lambda n: [Dense(n), RMSNorm("tanh"), Dense(5), RMSNorm("softplus"), RMSNorm()],
    "norms of the input": lambda n: [BatchNorm(), LayerNorm(), RMSNorm("tanh"), Dense(n, "tanh")],
    "dropout": lambda n: [Dense(n, "tanh"), Dropout(0.4), Dense(n), Dropout(0.1), LayerNorm("tanh"), Dropout(0.3)],
    "residual": lambda n: [Dense(n, "tanh"), Residual(Dense(n, "tanh")), Residual(Dense(3, "tanh"), Dense(n))],
    "residual around the input": lambda n: [Residual(Dense(n, "tanh"), Dense(4)), Residual(Dense(4, "tanh"))],
    "nested": lambda n: [
        Residual(Residual(Dense(n, "tanh"), Dense(4)), LayerNorm(), Residual(RMSNorm("tanh")), Dense(4, "tanh")),
        Residual(Dense(4, "tanh"), Residual(Dense(n), Residual(Dense(n, "tanh")), Dense(4)), RMSNorm(), Dropout(0.2)),
    ],
    "all": lambda n: [
        Dense(n), BatchNorm("tanh"), Dropout(0.2),
        Residual(Dense(n), LayerNorm("softplus"), Dropout(0.3), Residual(Dense(n), BatchNorm("tanh")), RMSNorm()),
    ],
}  # fmt: skip


def case(
    stack: str, width: int, loss: str = "softmax_cross_entropy", rows: Sequence[int] = (65, 33, 17), **more: object
) -> tuple[Plan, EngineData]:
    """4 inputs; 3 outputs, or 1 for two classes; batches of 16 by default."""
    n_out = 1 if loss == "binary_cross_entropy" else 3
    data = data_for(loss, 4, n_out, rows)
    settings = {"optimizer": "momentum(lr=0.01)", "epochs": 4, "batch_size": 16} | more
    return plan_for(Network(*STACKS[stack](width)).layers(4, n_out), loss, data=data, **settings), data  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- native = reference


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("width", [1, 3, 17, 33, 64])
@pytest.mark.parametrize("stack", STACKS)
def test_training_is_the_references(stack: str, width: int, instructions: str) -> None:
    """The last batch of each epoch has a single row. Through a norm of a single unit no gradient goes but rounding."""
    plan, data = case(stack, width, watch=(0, 1, 4))
    got = assert_equal(plan, data, AFTER_100_STEPS, NativeEngine(1, instructions))
    check_flow(got, plan, data, noise=1e-5 if width > 1 else 1e-4)
    check_evaluation(got, plan, data)


BATCHES: dict[str, tuple[Sequence[int], int]] = {
    "one row": ((23, 9, 9), 1),
    "one row in all": ((1, 1, 1), 8),
    "half a vector": ((60, 9, 9), 5),
    "a vector and a half": ((96, 130, 129), 24),
    "a full batch": ((250, 40, 40), 1000),
    "two chunks": ((1301, 130, 129), 700),
    "a full batch of many chunks": ((2101, 700, 600), 2101),
}


@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy"])
@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("stack", STACKS)
def test_batches_of_any_size(stack: str, batches: str, loss: str) -> None:
    rows, batch_size = BATCHES[batches]
    plan, data = case(
        stack, 19, loss, rows, batch_size=batch_size, watch=(0, 2), epochs=2, optimizer="momentum(lr=0.003)"
    )
    got = assert_equal(plan, data, AFTER_100_STEPS)
    check_flow(got, plan, data)
    check_evaluation(got, plan, data)


@pytest.mark.parametrize("stack", STACKS)
def test_100_steps(stack: str) -> None:
    plan, data = case(stack, 17, rows=(155, 60, 60), batch_size=31, epochs=20)
    got = assert_equal(plan, data, AFTER_100_STEPS)
    assert distance(got.state.parameters, plan.start.parameters) > 0.05  # it was a way


@pytest.mark.parametrize("clip_norm", [0.01, 0.3])
@pytest.mark.parametrize("stack", STACKS)
def test_clipping(stack: str, clip_norm: float) -> None:
    plan, data = case(stack, 17, clip_norm=clip_norm)
    assert_equal(plan, data, AFTER_100_STEPS)


def moves_by_rounding(layers: Sequence[Layer]) -> Array:
    """Of every layer whether it is right before a batch norm, which takes its bias away again."""
    return np.array([layer.kind == "batch_norm" for layer in [*layers[1:], layers[0]]])


@pytest.mark.parametrize("rule", ["adam(lr=0.003)", "adamw(lr=0.003, weight_decay=0.3)", "rmsprop(lr=0.001)"])
@pytest.mark.parametrize("stack", STACKS)
def test_other_rules(stack: str, rule: str) -> None:
    plan, data = case(stack, 17, "squared_error", (155, 60, 60), optimizer=rule, batch_size=31, epochs=3)
    got, expected = train(NativeEngine(1), plan, data), train(ReferenceEngine(), plan, data)
    np.testing.assert_allclose(got.history[:, 3], expected.history[:, 3], rtol=2e-4)
    if not moves_by_rounding(plan.layers).any():  # the running means follow the biases, some steps behind
        np.testing.assert_allclose(got.history[:, 4:], expected.history[:, 4:], rtol=2e-4, atol=1e-5)
        assert error(got, expected, plan) < 1e-3


def lists(width: int, blocks: st.SearchStrategy[Description]) -> st.SearchStrategy[list[Description]]:
    """Layers that return as many numbers as they take, with a wider or narrower one among them or not."""
    return st.tuples(
        st.lists(blocks, max_size=2),
        st.one_of(
            st.just([LayerNorm("tanh")]), st.just([BatchNorm("sigmoid"), Dropout(0.3)]), st.just([RMSNorm()]),
            st.integers(1, 40).map(lambda n: [Dense(n, "tanh"), Dropout(0.2), Dense(width)]),
        ),
    ).map(lambda found: [*found[0], *found[1]])  # fmt: skip


def nested(width: int) -> st.SearchStrategy[list[Description]]:
    """Layers, and residual blocks in residual blocks."""
    plain: st.SearchStrategy[Description] = st.sampled_from([LayerNorm(), Dense(width, "tanh"), Dense(width)])
    blocks = st.recursive(plain, lambda inner: lists(width, inner).map(lambda found: Residual(*found)), max_leaves=6)
    return lists(width, blocks)


@settings(max_examples=60)
@given(st.data())
def test_any_stack_at_all(draw: st.DataObject) -> None:
    width = draw.draw(st.integers(1, 35), label="width")
    hidden = draw.draw(nested(width), label="layers")
    rows, batch_size = draw.draw(st.integers(2, 90), label="rows"), draw.draw(st.integers(2, 100), label="batch size")
    data = data_for("squared_error", width, 2, (rows, 20, 20))
    layers = Network(*hidden).layers(width, 2)
    plan = plan_for(
        layers, "squared_error", "momentum(lr=0.005)", data=data, epochs=2, batch_size=batch_size, watch=(0, 2)
    )
    got = assert_equal(plan, data, 2e-3, NativeEngine(1, draw.draw(st.sampled_from(SETS), label="instructions")))
    check_flow(got, plan, data)
    check_evaluation(got, plan, data)


# ---------------------------------------------------------------------------------------------- native = PyTorch

GOLDEN = golden("layers")
CASES = json.loads(str(GOLDEN["cases"]))
MAKERS: dict[str, Callable[..., Description]] = {
    "dense": Dense, "batch": BatchNorm, "layer": LayerNorm, "rms": RMSNorm, "dropout": Dropout,
}  # fmt: skip


def made(spec: Sequence[object]) -> Description:
    kind, *rest = spec
    return Residual(*map(made, rest[0])) if kind == "residual" else MAKERS[str(kind)](*rest)  # type: ignore[call-overload, arg-type]


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("name", CASES)
def test_a_training_is_pytorchs(name: str, instructions: str) -> None:
    """Losses, flow and predictions, but what adamw makes of the biases before a batch norm."""
    case = CASES[name]
    X, Y, labels = (GOLDEN[f"{name}:{array}"] for array in ("X", "Y", "labels"))
    data = EngineData(*[data_for("squared_error", 1, 1).train._replace(X=X, Y=Y, labels=labels)] * 3)
    layers = Network(*map(made, case["hidden"])).layers(*case["sizes"])
    plan = plan_for(
        layers, case["loss"], case["optimizer"], data=data, epochs=4, batch_size=case["batch_size"],
        seed=case["seed"], clip_norm=case["clip_norm"], watch=(4,), parameters=GOLDEN[f"{name}:start"],
    )  # fmt: skip
    engine = NativeEngine(1, instructions)
    got = train(engine, plan, data)
    np.testing.assert_allclose(got.history[:, 3], GOLDEN[f"{name}:losses"], rtol=2e-4)
    known = ~moves_by_rounding(layers)
    np.testing.assert_allclose(got.flow[0][known], GOLDEN[f"{name}:flow"][known], rtol=5e-3, atol=1e-6)
    predicted = engine.predict(layers, GOLDEN[f"{name}:parameters"][-1], X)
    np.testing.assert_allclose(predicted, GOLDEN[f"{name}:predictions"], rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------------------- running statistics


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_running_statistics_are_not_trained(rule: str) -> None:
    """No rule moves them, none of their state is other than 0, and the first batch moves them by its own statistics."""
    plan, data = case("batch norm", 17, rows=(30, 9, 9), batch_size=30, epochs=1, optimizer=f"{rule}(lr=0.01)")
    still = ~is_trained(plan.layers)
    state, expected = (train(engine, plan, data).state for engine in (NativeEngine(1), ReferenceEngine()))
    np.testing.assert_allclose(state.parameters[still], expected.parameters[still], rtol=1e-5, atol=1e-6)
    assert not state.moments[:, still].any()


@optimizer(search=(1e-3, 1e-2))
def decaying(w: Expression, g: Expression, v: Expression, *, lr: float = 0.01) -> Update:
    """Weight decay that reaches the state: a rule that would move what has no gradient."""
    v = 0.5 * v + g + 0.3 * w
    return w - lr * v, v


def test_a_rule_that_moves_what_has_no_gradient() -> None:
    plan, data = case("batch norm", 17, optimizer=decaying)
    got = assert_equal(plan, data, AFTER_100_STEPS)
    still = ~is_trained(plan.layers)
    assert not got.state.moments[:, still].any()
    assert got.state.moments[:, ~still].all()


def test_prediction_takes_the_running_statistics() -> None:
    """It does not depend on the other rows, whatever their scale."""
    layers = Network(*STACKS["batch norm"](17)).layers(4, 3)
    parameters, X = initial(layers), data_for("squared_error", 4, 3, (200, 1, 1)).train.X
    engine = NativeEngine(1)
    whole = engine.predict(layers, parameters, X)
    np.testing.assert_allclose(whole, ReferenceEngine().predict(layers, parameters, X), atol=2e-6)
    for rows in (slice(0, 1), slice(17, 18), slice(3, 150), slice(199, 200)):
        np.testing.assert_array_equal(engine.predict(layers, parameters, X[rows]), whole[rows])


def test_measuring_changes_nothing() -> None:
    plan, data = case("all", 17, epochs=6)
    watched, unwatched = (train(NativeEngine(1), replace(plan, watch=watch), data) for watch in ((0, 1, 3), ()))
    assert_same_bits(replace(watched, flow=unwatched.flow, watched=unwatched.watched), unwatched)


# ---------------------------------------------------------------------------------------------- the same bits


@pytest.mark.parametrize("rule", ["adam(lr=0.003)", "momentum(lr=0.01)", "sgd(lr=0.05)"])
@pytest.mark.parametrize("patience", [None, 50])
@pytest.mark.parametrize("stack", STACKS)
def test_3_epochs_and_4_more_are_7(stack: str, patience: int | None, rule: str) -> None:
    plan, data = case(stack, 17, optimizer=rule, epochs=7, patience=patience, clip_norm=0.5, watch=(7,))
    engine = NativeEngine(1)
    whole = train(engine, plan, data)
    state = train(engine, replace(plan, epochs=3), data).state
    rest = train(engine, continued(plan, state), data)
    assert_same_bits(replace(rest, history=whole.history), whole)
    np.testing.assert_array_equal(rest.history[:, 3:], whole.history[3:, 3:])


def test_patience_keeps_the_running_statistics_of_the_best_epoch() -> None:
    plan, data = case("batch norm", 17, epochs=30, patience=2, optimizer="momentum(lr=0.3)")
    got, expected = train(NativeEngine(1), plan, data), train(ReferenceEngine(), plan, data)
    assert got.status == expected.status == "stopped"
    assert got.state.best is not None
    assert got.state.best_epoch == expected.state.best_epoch < got.state.epoch
    there = train(NativeEngine(1), replace(plan, epochs=got.state.best_epoch), data)
    np.testing.assert_array_equal(got.state.best, there.state.parameters)
    assert got.losses == there.losses


@pytest.mark.parametrize("instructions", SETS)
def test_company_and_order_change_no_bit(instructions: str) -> None:
    """Stacks of tiny layers among plain ones of the same sizes, which are trained in lanes; they are not."""
    data = data_for("softmax_cross_entropy", 4, 3, (65, 33, 17))
    plain = Network(Dense(5, "tanh"), Dense(5, "tanh")).layers(4, 3)
    kinds = [
        plain,
        Network(Dense(5, "tanh"), Residual(Dense(5, "tanh"))).layers(4, 3),
        Network(Dense(5, "tanh"), Dense(5, "tanh"), Dropout(0.5)).layers(4, 3),
        Network(Dense(5, "tanh"), LayerNorm("tanh")).layers(4, 3),
        Network(Dense(5, "tanh"), BatchNorm("tanh")).layers(4, 3),
    ]
    plans = [
        plan_for(kinds[k % 5], "softmax_cross_entropy", "adam(lr=0.01)", data=data, epochs=3, batch_size=16, seed=k)
        for k in range(40)
    ]
    alone = [train(NativeEngine(1, instructions), plan, data) for plan in plans]
    assert len({outcome.losses for outcome in alone}) == 40
    for number, outcome in NativeEngine(2, instructions).train(plans):
        assert_same_bits(outcome, alone[number])


# ---------------------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("rate", [1e20, 1e30])
@pytest.mark.parametrize("stack", STACKS)
def test_a_divergence_is_where_the_reference_finds_it(stack: str, rate: float) -> None:
    plan, data = case(stack, 17, "squared_error", optimizer=f"sgd(lr={rate})")
    got, expected = (train(engine, plan, data) for engine in (NativeEngine(1), ReferenceEngine(np.float32)))
    assert got.status == expected.status == "diverged"
    assert (got.diverged_step, got.state.step) == (expected.diverged_step, expected.state.step)


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
@pytest.mark.parametrize("stack", ["all", "nested", "layer norm"])
def test_a_parameter_that_is_no_number_is_found_in_its_layer(stack: str, layer: int) -> None:
    plan, data = case(stack, 17)
    parameters = plan.start.parameters.copy()
    weights(plan.layers, parameters)[layer - 1][0][..., -1] = np.nan
    got = train(NativeEngine(1), replace(plan, start=replace(plan.start, parameters=parameters)), data)
    assert (got.status, got.diverged_step, got.diverged_layer) == ("diverged", 1, layer)
