"""The reference engine against numbers done by hand, finite differences, and whole trainings by PyTorch."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from golden_files import golden
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, r2_score
from trainings import Array, assert_same_bits, continued, data_for, distance, initial, plan_for, stack, train

from schuss.activations import ACTIVATIONS, relu, sigmoid
from schuss.engines import QUANTITIES, SAMPLE_ROWS, EngineData, EnginePart, Plan
from schuss.engines.reference import ReferenceEngine, measure, score, targets_of
from schuss.engines.stack import backward, forward, weights
from schuss.layers import Layer
from schuss.losses import LOSSES, Loss, find_loss, squared_error
from schuss.randomness import epoch_order

GOLDEN = golden("training")
CASES = json.loads(str(GOLDEN["cases"]))

# ---------------------------------------------------------------------------------------------- forward and backward

# Two inputs, two relu units of which one is off for the row below, one output.
TINY = (Layer("dense", 2, 2, relu), Layer("dense", 2, 1, ACTIVATIONS["identity"]))
TINY_PARAMETERS = np.array([1.0, -2.0, 3.0, 0.5, 0.5, -1.0, 2.0, 7.0, -1.0])  # W, b, W, b


def test_forward_by_hand() -> None:
    passed = forward(TINY, TINY_PARAMETERS, np.array([[1.0, 2.0]]))
    assert passed.z[0].tolist() == [[1 * 1 + 3 * 2 + 0.5, -2 * 1 + 0.5 * 2 - 1]]  # 7.5 and −2
    assert passed.a[0].tolist() == [[7.5, 0.0]]
    assert passed.outputs.tolist() == [[2 * 7.5 + 7 * 0 - 1]]  # 14


def test_backward_by_hand() -> None:
    passed = forward(TINY, TINY_PARAMETERS, np.array([[1.0, 2.0]]))
    gradient, deltas = backward(TINY, TINY_PARAMETERS, passed, squared_error, np.array([[13.0]]))
    assert deltas[1].tolist() == [[2.0]]  # 2 (14 − 13)
    assert deltas[0].tolist() == [[4.0, 0.0]]  # through W = (2, 7); the second unit is off
    assert gradient.tolist() == [4, 0, 8, 0, 4, 0, 15, 0, 2]


def test_the_parameters_are_views_in_their_order() -> None:
    views = weights(TINY, TINY_PARAMETERS)
    assert [(W.tolist(), b.tolist()) for W, b in views] == [
        ([[1, -2], [3, 0.5]], [0.5, -1]),
        ([[2], [7]], [-1]),
    ]
    assert all(np.shares_memory(view, TINY_PARAMETERS) for pair in views for view in pair)


def balanced(layers: tuple[Layer, ...], X: Array, seed: int) -> Array:
    """Parameters with which δ keeps its size through every layer: no gradient vanishes in the rounding of a loss."""
    random = np.random.default_rng(seed)
    parameters = 0.1 * random.standard_normal(sum(layer.n_parameters for layer in layers))
    a, gain = X, 1.0
    for layer, (W, b) in zip(layers, weights(layers, parameters), strict=True):
        W[:] = random.standard_normal(W.shape) * gain
        b[:] -= (a @ W).mean(axis=0)  # around 0, where no layer is dead
        z = a @ W + b
        a = layer.activation(z)
        gain = 1 / math.sqrt(layer.n_out * np.mean(layer.activation.slope(z) ** 2))
    W /= np.sqrt(np.mean(z**2))  # outputs of about 1, where every loss has a slope
    return parameters


def check_gradient(layers: tuple[Layer, ...], loss: Loss, rows: int = 6) -> None:
    """∂loss/∂(direction) by central differences, for directions in the parameters of one layer after the other.

    The step 1e-6 leaves errors of about 1e-10 (loss ≈ 1, in double precision). Of three directions the best counts, as
    a step may cross a corner of an activation; a wrong gradient is wrong in all of them.
    """
    part = data_for(loss, layers[0].n_in, layers[-1].n_out, (rows, 1, 1)).train
    part = EnginePart(part.X.astype(np.float64), part.Y.astype(np.float64), part.labels)
    target = targets_of(loss, part)
    parameters = balanced(layers, part.X, seed=1)
    gradient, _ = backward(layers, parameters, forward(layers, parameters, part.X), loss, target)
    random = np.random.default_rng(2)
    of_layer = np.repeat(np.arange(len(layers)), [layer.n_parameters for layer in layers])
    for number in range(len(layers)):
        size = np.linalg.norm(gradient[of_layer == number])
        assert size > 1e-4  # or the comparison would say nothing
        errors = []
        for _ in range(3):
            direction = random.standard_normal(len(parameters)) * (of_layer == number)
            direction *= 1e-6 / np.linalg.norm(direction)
            ends = (parameters + direction, parameters - direction)
            up, down = (loss(forward(layers, end, part.X).outputs, target) for end in ends)
            errors.append(abs((up - down) / 2 - gradient @ direction) / (1e-6 * size))
        assert min(errors) < 1e-6, f"layer {number + 1}: {errors}"


@pytest.mark.parametrize("depth", [1, 3, 10])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_back_propagation_is_finite_differences(activation: str, loss: str, depth: int) -> None:
    outputs = 1 if loss == "binary_cross_entropy" else 3
    check_gradient(stack([4, *[5] * depth, outputs], activation), LOSSES[loss])


@pytest.mark.parametrize("output", ["sigmoid", "tanh", "softplus"])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber(delta=0.3)", "softmax_cross_entropy"])
def test_also_through_an_activation_of_the_output_layer(loss: str, output: str) -> None:
    check_gradient(stack([3, 5, 3], "tanh", output), find_loss(loss))


def test_a_network_without_hidden_layers_is_linear_regression() -> None:
    data = data_for("squared_error", 4, 2)
    layers = stack([4, 2], "identity")
    X = np.hstack([data.train.X, np.ones((90, 1))]).astype(np.float64)
    solution = np.linalg.lstsq(X, data.train.Y, rcond=None)[0].ravel()
    plan = plan_for(layers, "squared_error", "gd(lr=0.3)", data=data, epochs=200, batch_size=90)
    assert distance(train(ReferenceEngine(), plan, data).state.parameters, solution) < 1e-7


# ---------------------------------------------------------------------------------------------- whole trainings


def golden_case(name: str) -> tuple[Plan, EngineData]:
    """The training of a golden case, with its own rows as validation and test."""
    case = CASES[name]
    part = EnginePart(*(GOLDEN[f"{name}:{what}"] for what in ("X", "Y", "labels", "weights")))
    data = EngineData(part, part, part)
    plan = plan_for(
        stack(case["sizes"], case["activation"]), case["loss"], case["optimizer"], data=data, epochs=5,
        batch_size=case["batch_size"], seed=case["seed"], clip_norm=case["clip_norm"], watch=(0, 5),
        parameters=GOLDEN[f"{name}:start"],
    )  # fmt: skip
    return plan, data


@pytest.mark.parametrize("name", CASES)
def test_20_steps_are_pytorchs(name: str) -> None:
    """Batches of 8 with one of 2 rows at the end of every epoch; one case with clipping."""
    plan, data = golden_case(name)
    expected = GOLDEN[f"{name}:parameters"]
    for epoch, parameters in enumerate(expected, start=1):
        shorter = replace(plan, epochs=epoch)
        outcome = train(ReferenceEngine(), shorter, data)
        np.testing.assert_allclose(outcome.state.parameters, parameters, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(outcome.history[:, 3], GOLDEN[f"{name}:losses"], rtol=1e-12)
    assert (outcome.status, outcome.state.step, outcome.state.epoch) == ("finished", 20, 5)


@pytest.mark.parametrize("name", CASES)
def test_the_flow_is_that_of_automatic_differentiation(name: str) -> None:
    plan, data = golden_case(name)
    outcome = train(ReferenceEngine(), plan, data)
    assert outcome.watched.tolist() == [0, 5]
    np.testing.assert_allclose(outcome.flow[-1], GOLDEN[f"{name}:flow"], rtol=1e-10, atol=1e-13)
    assert np.isnan(outcome.flow[0][:, QUANTITIES.index("update_ratio")]).all()  # nothing was updated yet


def test_clipping_happened_in_the_golden_case() -> None:
    plan, data = golden_case("sigmoid-clipped")
    free = train(ReferenceEngine(), replace(plan, clip_norm=None), data)
    assert distance(free.state.parameters, GOLDEN["sigmoid-clipped:parameters"][-1]) > 0.1


@pytest.mark.parametrize("clip_norm", [1e-3, 0.1, 1e3])
def test_a_clipped_gradient_has_at_most_that_norm(clip_norm: float) -> None:
    data = data_for("squared_error", 4, 2)
    layers = stack([4, 6, 2], "tanh")
    start = initial(layers).astype(np.float64)
    part = EnginePart(data.train.X.astype(np.float64), data.train.Y.astype(np.float64), data.train.labels)
    gradient, _ = backward(layers, start, forward(layers, start, part.X), squared_error, part.Y)
    plan = plan_for(layers, "squared_error", "gd(lr=1.0)", data=data, batch_size=90, clip_norm=clip_norm)
    step = start - train(ReferenceEngine(), plan, data).state.parameters
    norm = np.linalg.norm(gradient)
    np.testing.assert_allclose(step, gradient * min(1, clip_norm / (norm + 1e-6)), rtol=1e-9, atol=1e-12)


def test_float32_follows_float64() -> None:
    plan, data = golden_case("tanh-adam")
    outcome = train(ReferenceEngine(np.float32), plan, data)
    assert outcome.state.parameters.dtype == outcome.state.moments.dtype == np.float32
    assert distance(outcome.state.parameters, GOLDEN["tanh-adam:parameters"][-1]) < 1e-4


def test_the_learning_rate_is_the_one_of_the_step() -> None:
    """A rate of 0 from the 10th step on: the last steps change nothing."""
    plan, data = golden_case("relu-momentum")
    rates = np.where(np.arange(20) < 8, 0.05, 0.0)
    outcome = train(ReferenceEngine(), replace(plan, learning_rates=rates), data)
    np.testing.assert_allclose(outcome.state.parameters, GOLDEN["relu-momentum:parameters"][1], rtol=1e-11, atol=1e-13)


# ---------------------------------------------------------------------------------------------- the order of the rows


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**40), st.integers(1, 300))
def test_an_order_is_a_permutation(seed: int, epoch: int, n: int) -> None:
    assert sorted(epoch_order(seed, epoch, n).tolist()) == list(range(n))


@pytest.mark.parametrize("key", [key for key in GOLDEN if key.startswith("order:")])
def test_the_order_is_that_of_whole_numbers(key: str) -> None:
    """An independent implementation, without NumPy's wrapping arithmetic; pinned, as saved runs go on with it."""
    seed, epoch, n = map(int, key.split(":")[1:])
    assert epoch_order(seed, epoch, n).tolist() == GOLDEN[key].tolist()


def test_every_epoch_and_every_seed_has_its_own_order() -> None:
    orders = {tuple(epoch_order(seed, epoch, 50)) for seed in range(20) for epoch in range(20)}
    assert len(orders) == 400


def test_all_orders_are_equally_likely() -> None:
    """χ² over the 24 permutations of 4 rows in 4800 epochs: 23 degrees of freedom, 49.7 is passed once in 1000."""
    found = [tuple(epoch_order(3, epoch, 4).tolist()) for epoch in range(4800)]
    counts = np.array([found.count(p) for p in permutations(range(4))])
    assert counts.sum() == 4800
    assert np.sum((counts - 200) ** 2 / 200) < 49.7


def test_a_full_batch_keeps_the_rows_in_place() -> None:
    """So the seed does not matter, nor by how much the batch is too large."""
    data = data_for("squared_error", 4, 2)
    layers = stack([4, 6, 2], "tanh")
    plans = [
        plan_for(layers, "squared_error", data=data, epochs=3, batch_size=size, seed=seed, parameters=initial(layers))
        for size, seed in ((90, 0), (90, 7), (1000, 0))
    ]
    first, *others = (train(ReferenceEngine(), plan, data) for plan in plans)
    assert first.state.step == 3
    for other in others:
        assert_same_bits(first, other)


# ---------------------------------------------------------------------------------------------- stopping


LAYERS = stack([3, 5, 1], "tanh")


def contradicting() -> EngineData:
    """The validation part asks for what the network says before training: every epoch makes it worse."""
    data = data_for("squared_error", 3, 1)
    before = forward(LAYERS, initial(LAYERS), data.train.X).outputs
    return EngineData(data.train, EnginePart(data.train.X, before, data.train.labels), data.test)


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_stops_and_keeps_the_best(patience: int) -> None:
    data = contradicting()
    plan = plan_for(LAYERS, "squared_error", data=data, epochs=20, patience=patience)
    outcome = train(ReferenceEngine(), plan, data)
    assert (outcome.status, outcome.state.epoch, outcome.state.best_epoch) == ("stopped", 1 + patience, 1)
    first = train(ReferenceEngine(), replace(plan, epochs=1, patience=None), data)
    assert outcome.state.best is not None
    np.testing.assert_array_equal(outcome.state.best, first.state.parameters)
    assert outcome.losses == first.losses  # the final evaluation is with the best ones
    assert outcome.state.best_loss == outcome.history[0, 4] == outcome.losses[1]
    assert not np.array_equal(outcome.state.parameters, outcome.state.best)


def test_a_loss_that_stays_the_same_is_not_lower() -> None:
    data = data_for("squared_error", 3, 1)
    plan = plan_for(LAYERS, "squared_error", data=data, epochs=9, patience=2, learning_rates=np.zeros(27))
    outcome = train(ReferenceEngine(), plan, data)
    assert (outcome.status, outcome.state.epoch, outcome.state.best_epoch) == ("stopped", 3, 1)


def test_patience_that_is_not_tried_finishes() -> None:
    data = data_for("squared_error", 3, 1)
    plan = plan_for(LAYERS, "squared_error", "gd(lr=0.01)", data=data, epochs=5, batch_size=90, patience=2)
    outcome = train(ReferenceEngine(), plan, data)
    assert np.all(np.diff(outcome.history[:, 4]) < 0)
    assert (outcome.status, outcome.state.epoch, outcome.state.best_epoch) == ("finished", 5, 5)


def test_going_on_from_a_stopped_training_stops_again() -> None:
    data = contradicting()
    plan = plan_for(LAYERS, "squared_error", data=data, epochs=20, patience=2)
    stopped = train(ReferenceEngine(), plan, data)
    again = train(ReferenceEngine(), continued(plan, stopped.state), data)
    assert (again.status, len(again.history), again.state.step) == ("stopped", 0, stopped.state.step)


@pytest.mark.parametrize("patience", [None, 50])
def test_stopping_in_between_changes_nothing(patience: int | None) -> None:
    data = data_for("softmax_cross_entropy", 5, 3)
    layers = stack([5, 6, 3], "relu")
    plan = plan_for(layers, "softmax_cross_entropy", "adam(lr=0.01)", data=data, epochs=6, patience=patience)
    whole = train(ReferenceEngine(), plan, data)
    state = train(ReferenceEngine(), replace(plan, epochs=2), data).state
    rest = train(ReferenceEngine(), continued(plan, state), data)
    np.testing.assert_array_equal(rest.state.parameters, whole.state.parameters)
    np.testing.assert_array_equal(rest.state.moments, whole.state.moments)
    assert (rest.losses, rest.state.best_loss) == (whole.losses, whole.state.best_loss)
    assert rest.history[:, 1].tolist() == [3, 4, 5, 6]


# ---------------------------------------------------------------------------------------------- divergence


def test_a_divergence_says_at_which_step_and_layer() -> None:
    """The first step makes weights of about 1e200; in the second, their product overflows in layer 2."""
    data = data_for("squared_error", 3, 1)
    plan = plan_for(stack([3, 4, 1], "relu"), "squared_error", "sgd(lr=1e200)", data=data, epochs=3)
    outcome = train(ReferenceEngine(), plan, data)
    assert (outcome.status, outcome.diverged_step, outcome.diverged_layer) == ("diverged", 2, 2)
    assert (outcome.state.step, outcome.state.epoch, len(outcome.history)) == (1, 0, 0)
    assert not math.isfinite(outcome.losses[0])


def test_a_divergence_of_the_loss_alone_is_the_output_layers() -> None:
    data = data_for("squared_error", 3, 1)
    far = EnginePart(data.train.X, data.train.Y * np.float32(1e30), data.train.labels)
    plan = plan_for(stack([3, 4, 1], "relu"), "squared_error", data=data)
    outcome = train(ReferenceEngine(np.float32), plan, EngineData(far, data.valid, data.test))
    assert (outcome.status, outcome.diverged_step, outcome.diverged_layer) == ("diverged", 1, 2)


def test_infinite_parameters_behind_a_bounded_activation_diverge_too() -> None:
    """tanh hides an infinite bias from the loss; the end of the epoch finds it."""
    data = data_for("squared_error", 3, 1)
    plan = plan_for(LAYERS, "squared_error", data=data, epochs=5)
    parameters = plan.start.parameters.copy()
    weights(LAYERS, parameters)[0][1][2] = math.inf
    outcome = train(ReferenceEngine(), replace(plan, start=replace(plan.start, parameters=parameters)), data)
    assert (outcome.status, outcome.diverged_step, outcome.diverged_layer) == ("diverged", 3, 1)
    assert math.isfinite(outcome.losses[0])


def test_a_divergence_disturbs_no_other() -> None:
    data = data_for("squared_error", 3, 1)
    good = plan_for(stack([3, 4, 1], "relu"), "squared_error", data=data, epochs=3)
    bad = replace(good, learning_rates=np.full(9, 1e200))
    outcomes = dict(ReferenceEngine().train([bad, good, bad]))
    assert [outcomes[i].status for i in range(3)] == ["diverged", "finished", "diverged"]
    assert_same_bits(outcomes[1], train(ReferenceEngine(), good, data))


# ---------------------------------------------------------------------------------------------- measures


def test_measure_by_the_formulas() -> None:
    data = data_for("squared_error", 3, 2, rows=(200, 1, 1))
    layers = (Layer("dense", 3, 6, relu), Layer("dense", 6, 2, sigmoid))
    parameters = initial(layers).astype(np.float64)
    W1, b1 = weights(layers, parameters)[0]
    W1[:, 2], b1[2] = 0, -1.0  # a unit that is never on
    W2, b2 = weights(layers, parameters)[1]
    W2[:, 1], b2[1] = 0, 20.0  # and one that is always at the far end of its sigmoid
    X, Y = data.train.X[:SAMPLE_ROWS].astype(np.float64), data.train.Y[:SAMPLE_ROWS]
    z1 = X @ W1 + b1
    a1 = np.maximum(z1, 0)
    z2 = a1 @ W2 + b2
    a2 = 1 / (1 + np.exp(-z2))
    delta2 = 2 * (a2 - Y) / 2 * a2 * (1 - a2)  # of one row's loss, which is the mean over 2 outputs
    delta1 = (delta2 @ W2.T) * (z1 > 0)
    before = parameters * 1.25

    def rms(x: Array) -> float:
        return math.sqrt(np.mean(x**2))

    expected = [
        [rms(delta1), rms(X.T @ delta1 / SAMPLE_ROWS), z1.mean(), rms(z1), a1.mean(), rms(a1),
         np.mean(z1 <= 0), 1 / 6, 0.2],
        [rms(delta2), rms(a1.T @ delta2 / SAMPLE_ROWS), z2.mean(), rms(z2), a2.mean(), rms(a2),
         np.mean(a2 * (1 - a2) < 0.0025), 0.0, 0.2],
    ]  # fmt: skip
    assert expected[1][6] >= 0.5
    np.testing.assert_allclose(measure(layers, squared_error, parameters, data.train, before), expected, rtol=1e-9)
    assert np.isnan(measure(layers, squared_error, parameters, data.train)[:, -1]).all()


def test_the_update_ratio_of_weights_that_were_zero_does_not_exist() -> None:
    data = data_for("squared_error", 3, 1)
    layers = stack([3, 4, 1], "tanh")
    after = initial(layers)
    assert np.isnan(measure(layers, squared_error, after, data.train, np.zeros_like(after))[:, -1]).all()


def test_scores_are_scikit_learns() -> None:
    random = np.random.default_rng(0)
    X = np.zeros((50, 1), np.float32)
    numbers = EnginePart(X, random.standard_normal((50, 3)).astype(np.float32), np.zeros(0, np.int32))
    outputs = numbers.Y + 0.5 * random.standard_normal((50, 3))
    expected = r2_score(numbers.Y, outputs, multioutput="variance_weighted")
    assert score(squared_error, outputs, numbers) == pytest.approx(expected, rel=1e-6)
    labels = random.integers(0, 3, 50).astype(np.int32)
    classes = EnginePart(X, labels[:, None].astype(np.float32), labels)
    assert score(LOSSES["softmax_cross_entropy"], outputs, classes) == accuracy_score(labels, outputs.argmax(axis=1))


@pytest.mark.parametrize(("loss", "threshold"), [("binary_cross_entropy", 0.0), ("squared_error", 0.5)])
def test_a_single_output_decides_above_its_threshold(loss: str, threshold: float) -> None:
    labels = np.array([0, 0, 1, 1], np.int32)
    part = EnginePart(np.zeros((4, 1), np.float32), labels[:, None].astype(np.float32), labels)
    outputs = threshold + np.array([[-0.1], [0.0], [0.1], [-0.1]])
    assert score(LOSSES[loss], outputs, part) == 0.75


def test_the_r2_of_a_constant_target_does_not_exist() -> None:
    part = EnginePart(np.zeros((4, 1), np.float32), np.ones((4, 1), np.float32), np.zeros(0, np.int32))
    assert math.isnan(score(squared_error, np.zeros((4, 1)), part))


# ---------------------------------------------------------------------------------------------- the engine


def test_it_counts_its_steps_and_ticks() -> None:
    data = data_for("squared_error", 3, 1)
    plans = [plan_for(stack([3, 4, 1], "relu"), "squared_error", data=data, epochs=n) for n in (2, 3)]
    engine, seen = ReferenceEngine(), []
    outcomes = list(engine.train(plans, lambda: seen.append(engine.steps())))
    assert [number for number, _ in outcomes] == [0, 1]
    assert engine.steps() == 15  # 3 steps an epoch
    assert seen == list(range(1, 16))


def test_it_predicts_what_the_forward_pass_says() -> None:
    layers = stack([3, 4, 2], "gelu")
    parameters, X = initial(layers), data_for("squared_error", 3, 2).test.X
    expected = forward(layers, parameters.astype(np.float64), X.astype(np.float64)).outputs
    got = ReferenceEngine().predict(layers, parameters, X)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected.astype(np.float32))
