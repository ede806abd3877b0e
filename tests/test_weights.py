"""Rows that count more or less: PyTorch's numbers are in test_reference; here is what must follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from native_checks import assert_equal, check_evaluation, check_flow
from numpy.typing import NDArray
from trainings import assert_same_bits, data_for, distance, initial, plan_for, stack, train

from schuss import _native
from schuss.activations import identity, tanh
from schuss.data import Part, load
from schuss.engines import Engine, EngineData, EnginePart, Plan
from schuss.engines.native import NativeEngine
from schuss.engines.reference import ReferenceEngine, batch_loss, targets_of
from schuss.engines.stack import backward, forward
from schuss.engines.targets import engine_data
from schuss.errors import DataError
from schuss.gradient.flow import flow
from schuss.layers import Layer
from schuss.losses import find_loss
from schuss.network import mlp
from schuss.recipe import Recipe
from schuss.training.fit import fit, fit_groups, fit_many
from schuss.training.jobs import Job

SETS = _native.instruction_sets()
ENGINES = [ReferenceEngine(), *(NativeEngine(1, name) for name in SETS)]
LOSSES = ["softmax_cross_entropy", "softmax_cross_entropy(smoothing=0.1)", "squared_error", "huber(delta=0.3)"]
BINARY = ["binary_cross_entropy", "binary_cross_entropy(smoothing=0.2)"]


def weighted(data: EngineData, seed: int = 0) -> EngineData:
    """Random weights with mean 1, some of them 0."""
    random = np.random.default_rng(seed)
    parts = []
    for part in data:
        weights = random.gamma(1.0, size=len(part.X)) * (random.random(len(part.X)) > 0.1)
        parts.append(part._replace(weights=(weights / weights.mean()).astype(np.float32)))
    return EngineData(*parts)


def data_of(loss: str, inputs: int = 6, rows: Sequence[int] = (155, 60, 60)) -> EngineData:
    return data_for(find_loss(loss), inputs, 1 if loss in BINARY else 3, rows)


def plan_of(loss: str, data: EngineData, width: int, optimizer: str = "sgd(lr=0.05)", **more: object) -> Plan:
    n_out = 1 if loss in BINARY else 3
    return plan_for(stack([data.train.X.shape[1], width, n_out], "tanh"), loss, optimizer, data=data, **more)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- what weights mean


@pytest.mark.parametrize("loss", [*LOSSES, *BINARY])
def test_the_gradient_is_that_of_the_weighted_mean(loss: str) -> None:
    """Finite differences in double precision."""
    part = weighted(data_of(loss, rows=(20, 8, 8))).train
    part = part._replace(X=part.X.astype(np.float64), Y=part.Y.astype(np.float64))
    chosen, layers = find_loss(loss), stack([6, 5, 1 if loss in BINARY else 3], "tanh")
    start = initial(layers).astype(np.float64)

    def price(parameters: NDArray[np.float64]) -> float:
        return batch_loss(chosen, forward(layers, parameters, part.X).outputs, part)

    passed = forward(layers, start, part.X)
    gradient, _ = backward(layers, start, passed, chosen, targets_of(chosen, part), part.weights)
    step = 1e-6 * np.eye(len(start))
    expected = [(price(start + shift) - price(start - shift)) / 2e-6 for shift in step]
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


def repeated(part: EnginePart, times: NDArray[np.int64]) -> EnginePart:
    return part.rows(np.repeat(np.arange(len(times)), times))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("width", [9, 20])
@pytest.mark.parametrize("loss", [*LOSSES, *BINARY])
def test_a_weight_is_how_often_a_row_is_there(engine: Engine, width: int, loss: str) -> None:
    """In full batches, at a learning rate that makes up for the mean over fewer rows; also in evaluation."""
    data = data_of(loss, rows=(70, 30, 30))
    random = np.random.default_rng(3)
    times = [random.integers(0, 4, len(part.X)) for part in data]
    counted = EngineData(*(p._replace(weights=t.astype(np.float32)) for p, t in zip(data, times, strict=True)))
    copies = EngineData(*map(repeated, data, times))
    rows, n = len(data.train.X), len(copies.train.X)
    plan = plan_of(loss, counted, width, f"gd(lr={0.2 * rows / n!r})", epochs=30, batch_size=rows)
    twin = plan_of(loss, copies, width, "gd(lr=0.2)", epochs=30, batch_size=n)
    got, expected = train(engine, plan, counted), train(engine, twin, copies)
    assert distance(got.state.parameters, expected.state.parameters) < 1e-5
    np.testing.assert_allclose(got.losses, expected.losses, rtol=1e-5)
    np.testing.assert_allclose(got.scores, expected.scores, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got.history[:, 3] * rows / n, expected.history[:, 3], rtol=1e-5)
    np.testing.assert_allclose(got.history[:, 4:], expected.history[:, 4:], rtol=1e-5, atol=1e-5)


def test_weights_of_a_part_are_judged_by_their_ratios() -> None:
    data = weighted(data_of("squared_error"))
    plan = plan_of("squared_error", data, 9, epochs=2)
    tripled = replace(data, valid=data.valid._replace(weights=3 * data.valid.weights))
    for engine in ENGINES:
        one, three = train(engine, plan, data), train(engine, plan, tripled)
        np.testing.assert_allclose(three.losses, one.losses, rtol=1e-6)
        np.testing.assert_allclose(three.scores, one.scores, rtol=1e-6)


# ---------------------------------------------------------------------------------------------- native = reference

# Tiny, in lanes; wider; many chunks; and a batch that is shared by threads.
SHAPES: dict[str, tuple[list[int], Sequence[int], int]] = {
    "tiny": ([6, 11], (155, 60, 60), 31),
    "tiny, chunks": ([6, 16], (155, 60, 60), 70),
    "wider": ([6, 19, 37], (155, 60, 60), 31),
    "chunks": ([6, 20, 11], (2101, 700, 300), 2101),
}


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", [*LOSSES, *BINARY])
def test_native_equals_the_reference(loss: str, shape: str, instructions: str) -> None:
    sizes, rows, batch_size = SHAPES[shape]
    data = weighted(data_of(loss, sizes[0], rows))
    plan = plan_for(
        stack([*sizes, 1 if loss in BINARY else 3], "tanh"), loss, "adam(lr=0.003)", data=data, epochs=6,
        batch_size=batch_size, clip_norm=0.5, watch=(0, 6),
    )  # fmt: skip
    got = assert_equal(plan, data, 2e-4, NativeEngine(1, instructions))
    check_flow(got, plan, data)
    check_evaluation(got, plan, data)


@pytest.mark.parametrize("kind", ["batch_norm", "layer_norm"])
def test_norms_dropout_and_residual_sums_know_weights(kind: str) -> None:
    data = weighted(data_of("softmax_cross_entropy"))
    layers = (
        Layer("dense", 6, 18, identity), Layer(kind, 18, 18, tanh, dropout=0.2),  # type: ignore[arg-type]
        Layer("dense", 18, 18, tanh, adds=2), Layer("dense", 18, 3, identity),
    )  # fmt: skip
    # Not Adam: under it the rounding of a gradient that is 0, of a bias before a norm, moves the bias.
    plan = plan_for(layers, "softmax_cross_entropy", "momentum(lr=0.01)", data=data, epochs=4, batch_size=31)
    assert_equal(plan, data, 5e-4)


@pytest.mark.parametrize("loss", ["softmax_cross_entropy(smoothing=0.1)", "squared_error"])
def test_threads_that_share_a_network_know_weights(loss: str) -> None:
    data = weighted(data_of(loss, 37, (333, 101, 77)))
    plan = plan_of(loss, data, 301, "adam(lr=0.002)", epochs=3, batch_size=333, watch=(0, 3))
    outcomes = [train(NativeEngine(threads), plan, data) for threads in (1, 2, 3)]
    for outcome in outcomes[1:]:
        assert_same_bits(outcome, outcomes[0])
    assert_equal(plan, data, 2e-4, NativeEngine(2))


@pytest.mark.parametrize("width", [9, 20])
@pytest.mark.parametrize("loss", [*LOSSES, *BINARY])
def test_weights_of_1_are_the_bits_of_none(loss: str, width: int) -> None:
    data = data_of(loss)
    ones = EngineData(*(part._replace(weights=np.ones(len(part.X), np.float32)) for part in data))
    plan = plan_of(loss, data, width, "adam", epochs=3, clip_norm=0.1, watch=(0, 3))
    for name in SETS:
        assert_same_bits(train(NativeEngine(1, name), plan, ones), train(NativeEngine(1, name), plan, data))


def test_only_the_training_part_may_have_weights() -> None:
    data = weighted(data_of("huber"))
    mixed = EngineData(data.train, *(part._replace(weights=part.weights[:0]) for part in (data.valid, data.test)))
    assert_equal(plan_of("huber", mixed, 9, epochs=3), mixed, 2e-4)


def test_patience_waits_for_the_weighted_loss() -> None:
    """Of data whose heavy rows to validate on have no pattern: the best epoch is another one than without weights."""
    data = data_of("squared_error", rows=(155, 60, 60))
    data = replace(
        data, valid=data.valid._replace(Y=np.where(np.arange(60)[:, None] < 30, data.valid.Y, -data.valid.Y))
    )
    heavy = EngineData(*(p._replace(weights=np.linspace(0, 2, len(p.X), dtype=np.float32)) for p in data))
    got = assert_equal(plan_of("squared_error", heavy, 9, epochs=30, patience=3), heavy, 2e-4)
    free = train(NativeEngine(1), plan_of("squared_error", data, 9, epochs=30, patience=3), data)
    assert got.status == "stopped"
    assert got.state.best_epoch != free.state.best_epoch


def test_tiny_networks_differ_by_smoothing_and_weights() -> None:
    """Trained at the same time, each is as if alone."""
    data = data_of("softmax_cross_entropy")
    plans = [
        plan_of(loss, some, 9, "adam", epochs=3, seed=seed)
        for seed in range(4) for loss in LOSSES[:2] for some in (data, weighted(data))
    ]  # fmt: skip
    together = dict(NativeEngine(2).train(plans))
    for number, plan in enumerate(plans):
        assert_same_bits(together[number], train(NativeEngine(1), plan, plan.data))
    assert len({outcome.losses for outcome in together.values()}) == len(plans)


# ---------------------------------------------------------------------------------------------- data sets


def test_loaded_weights_have_mean_1_over_the_training_part() -> None:
    w = np.random.default_rng(0).gamma(1.0, size=150)
    data, plain = load("iris", weights=50 * w), load("iris")
    assert [part.weights.dtype for part in (data.train, data.valid, data.test)] == [np.float32] * 3  # type: ignore[union-attr]
    assert np.mean(data.train.weights) == pytest.approx(1)  # type: ignore[arg-type]
    np.testing.assert_array_equal(data.train.X, plain.train.X)
    assert plain.train.weights is None
    assert data.fingerprint == load("iris", weights=w).fingerprint != plain.fingerprint
    encoded = engine_data(data, find_loss("softmax_cross_entropy"))
    for part, of in zip(encoded, (data.train, data.valid, data.test), strict=True):
        np.testing.assert_array_equal(part.weights, of.weights)


def test_weights_stay_with_their_rows() -> None:
    """Also where rows without a target are left out."""
    x = np.arange(60.0)
    target = np.where(x % 7 == 0, np.nan, x / 3 + 0.1)
    data = load({"x": x, "y": target}, target="y", weights=x + 1, standardize=False)
    parts = [data.train, data.valid, data.test]
    ratios = np.concatenate([part.weights / (part.X[:, 0] + 1) for part in parts if part.weights is not None])
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)
    assert len(ratios) == 60 - 9


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), r"150 numbers, one a row, but are float64 of shape \(3,\)"),
        (np.ones((150, 1)), r"shape \(150, 1\)"),
        (["heavy"] * 150, "150 numbers"),
        (np.full(150, -1), "none negative"),
        (np.zeros(150), "not all 0"),
        (np.full(150, np.nan), "finite"),
    ],
)
def test_other_weights_are_refused(weights: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load("iris", weights=weights)
    with pytest.raises(DataError, match=message):
        Part(np.zeros((150, 2), np.float32), np.zeros(150, np.int64), weights)  # type: ignore[arg-type]


def test_a_ready_data_set_takes_no_weights() -> None:
    with pytest.raises(DataError, match="where it is loaded"):
        load(load("iris"), weights=np.ones(150))


def test_fit_trains_and_judges_with_weights() -> None:
    """Of two rows that contradict each other the heavier one is believed; the score says how much was right."""
    x, y = np.repeat([0.0, 1.0], 60), np.tile(["a", "b"], 60)
    w = np.where(y == "a", 3.0, 1.0) * np.where(x == 1, 1, 2)
    data = load({"x": x, "y": y}, target="y", weights=w)
    run = fit(mlp([8], "tanh"), data, Recipe("adam(lr=0.05)", epochs=40))
    np.testing.assert_allclose(run.predict_proba({"x": [0.0, 1.0]})[:, 0], 0.75, atol=0.05)
    a = data.test.weights[data.test.y == 0].sum() / data.test.weights.sum()  # type: ignore[index, union-attr]
    assert run.score(data.test) == pytest.approx(a) == run.outcome.scores[2]


def test_the_flow_at_initialization_knows_weights() -> None:
    """Twice the weight of all rows is twice the δ, measured and predicted."""
    data = load("iris", weights=np.random.default_rng(0).gamma(1.0, size=150))
    doubled = replace(data, train=replace(data.train, weights=2 * data.train.weights))  # type: ignore[operator]
    one, two = (flow(mlp([20] * 3, "tanh"), each) for each in (data, doubled))
    np.testing.assert_allclose(two.delta, 2 * one.delta, rtol=1e-6)
    assert one.theory is not None
    assert two.theory is not None
    np.testing.assert_allclose(two.theory.delta, 2 * one.theory.delta, rtol=1e-6)
    assert not np.allclose(one.delta, flow(mlp([20] * 3, "tanh"), load("iris")).delta, rtol=0.01)


def test_groups_may_differ_by_their_weights() -> None:
    jobs = [Job(mlp([5]), Recipe(epochs=3), seed) for seed in range(3)]
    sets = [load("iris", weights=np.arange(150.0) % k + 1) for k in (1, 2, 3)]
    for runs, data in zip(fit_groups([(data, jobs) for data in sets]), sets, strict=True):
        for run, expected in zip(runs, fit_many(jobs, data), strict=True):
            assert_same_bits(run.outcome, expected.outcome)


def test_a_smoothed_run_gives_probabilities() -> None:
    smooth, sharp = (
        fit(mlp([16]), load("iris"), Recipe("adam(lr=0.02)", loss, epochs=60))
        for loss in ("softmax_cross_entropy(smoothing=0.3)", "softmax_cross_entropy")
    )
    X = [[5.1, 3.5, 1.4, 0.2]]
    assert 0.7 < smooth.predict_proba(X).max() < 0.9 < sharp.predict_proba(X).max()
