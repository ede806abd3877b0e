"""The gradient seen layer by layer: theory where there is one, constructed cases, and what is shown of it."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from trainings import stack

from schuss.activations import sigmoid
from schuss.data import Dataset, load
from schuss.engines import QUANTITIES
from schuss.engines.stack import backward, forward, weights
from schuss.engines.targets import engine_data
from schuss.errors import InvalidInput, UnknownName
from schuss.gradient.flow import FlowHistory, GradientFlow, flow, hidden_flow
from schuss.language.expectations import gaussian_mean
from schuss.language.expressions import Expression, substitute, symbol
from schuss.layers import BatchNorm, Dense, LayerNorm, Residual, RMSNorm
from schuss.losses import softmax_cross_entropy
from schuss.network import Network, mlp
from schuss.recipe import Recipe
from schuss.training.fit import fit


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def measured(delta: list[float], epoch: int = 0) -> GradientFlow:
    """A flow with the given δ of its layers and 0.5 for every other quantity."""
    values = np.full((len(delta), len(QUANTITIES)), 0.5)
    values[:, QUANTITIES.index("delta")] = delta
    return GradientFlow(stack([2, *[3] * len(delta), 1], "tanh")[:-1], values, epoch)


# ---------------------------------------------------------------------------------------------- against theory


def test_the_gradient_of_a_deep_sigmoid_network_vanishes_as_mean_field_theory_says(digits: Dataset) -> None:
    """Glorot's weights have σ_w² = 1: the length of z settles at q = E[σ(√q x)²], and δ² shrinks by E[σ′(√q x)²]."""
    z, q = sigmoid.expression, 0.3
    for _ in range(50):
        q = gaussian_mean(scaled(z, q) ** 2)
    chi = gaussian_mean(scaled(sigmoid.derivative, q) ** 2)
    decades = -math.log10(chi) / 2
    assert (round(chi, 3), round(decades, 2)) == (0.056, 0.63)

    deep = flow(mlp([256] * 20, "sigmoid", "glorot_normal"), digits)
    assert deep.relative[0] < 1e-9
    assert 0.5 < deep.decades_per_layer < 0.75
    assert deep.decades_per_layer == pytest.approx(decades, abs=0.02)


def scaled(expression: Expression, q: float) -> Expression:
    """f(√q z) instead of f(z)."""
    return substitute(expression, {"z": math.sqrt(q) * symbol("z")})


@pytest.mark.parametrize("seed", range(10))
def test_the_default_initialization_keeps_the_gradient_of_relu(digits: Dataset, seed: int) -> None:
    deep = flow(mlp([256] * 20, "relu"), digits, seed=seed)
    assert np.all((deep.relative > 0.1) & (deep.relative < 10))
    assert abs(deep.decades_per_layer) < 0.05


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_orthogonal_layers_scale_the_gradient_by_their_gain(digits: Dataset, gain: float) -> None:
    """A linear stack: every layer multiplies each row's δ by a gain, exactly."""
    network = mlp([64] * 6, "identity", f"orthogonal(gain={gain})")
    linear = flow(network, digits)
    np.testing.assert_allclose(linear.relative, gain ** np.arange(5.0, -1, -1), rtol=1e-5)
    assert linear.decades_per_layer == pytest.approx(-math.log10(gain), abs=1e-6)
    np.testing.assert_allclose(linear.z_rms[1:] / linear.z_rms[:-1], gain, rtol=1e-5)
    np.testing.assert_array_equal(linear.z_rms, linear.activation_rms)
    assert not linear.saturated.any()
    assert not linear.dead.any()


def test_delta_and_weight_gradient_are_those_of_back_propagation(digits: Dataset) -> None:
    network = mlp([7, 5], "gelu")
    layers = network.layers(64, 10)
    parameters = network.initial(64, 10, 3).astype(np.float64)
    rows = engine_data(digits, softmax_cross_entropy).train
    X, labels = rows.X[:128].astype(np.float64), rows.labels[:128]
    gradient, deltas = backward(layers, parameters, forward(layers, parameters, X), softmax_cross_entropy, labels)
    got = flow(network, digits, seed=3)
    assert len(got.delta) == 2  # the hidden layers
    rms = [np.sqrt(np.mean((128 * delta) ** 2)) for delta in deltas[:2]]
    np.testing.assert_allclose(got.delta, rms, rtol=1e-12)
    gradients = [np.sqrt(np.mean(W**2)) for W, _ in weights(layers, gradient)[:2]]
    np.testing.assert_allclose(got.weight_gradient, gradients, rtol=1e-12)


# ---------------------------------------------------------------------------------------------- single precision


@pytest.mark.parametrize("width", [6, 32])  # in the lanes of the vectors, and in panels
def test_the_native_engine_sees_a_gradient_whose_square_is_no_float(digits: Dataset, width: int) -> None:
    network = mlp([width] * 45, "sigmoid", "glorot_normal")
    exact = flow(network, digits)
    native = fit(network, digits, Recipe("sgd", epochs=1), threads=1).flow.first
    assert 1e-33 < native.delta[0] < 1e-25  # the square of 1e-25 is 0 in single precision
    for quantity in ("delta", "weight_gradient"):
        np.testing.assert_allclose(native[quantity], exact[quantity], rtol=2e-3)


def test_a_gradient_below_single_precision_is_zero_and_said_to_be(digits: Dataset) -> None:
    history = fit(mlp([16] * 90, "sigmoid", "glorot_normal"), digits, Recipe("sgd", epochs=1), threads=1).flow
    exact = flow(mlp([16] * 90, "sigmoid", "glorot_normal"), digits)
    assert exact.delta[0] < 1e-50
    assert np.all(history.first.delta[exact.delta < 1e-39] == 0)
    assert np.all(history.first.delta[exact.delta > 1e-35] > 0)
    assert "below 1e-36" in history.table()
    assert "below 1e-36" not in FlowHistory((measured([0.1, 1.0]),)).table()


def test_the_history_of_a_long_training_of_a_deep_network_is_small(tmp_path: Path) -> None:
    run = fit(mlp([4] * 60, "tanh"), "xor", Recipe("adam", epochs=200), threads=1)
    assert run.flow.epochs.tolist() == [0, 1, 2, 4, 8, 16, 32, 64, 128, 200]
    run.save(tmp_path / "run.schuss")
    assert (tmp_path / "run.schuss").stat().st_size < 1e6
    assert len(json.dumps(run.flow.to_json())) < 1e6


# ---------------------------------------------------------------------------------------------- constructed cases


def test_units_that_are_never_on_are_dead(digits: Dataset) -> None:
    network = Network(Dense(10, "relu", bias="constant(value=-1000)"), Dense(10, "relu"))
    got = flow(network, digits)
    assert (got.dead[0], got.saturated[0]) == (1.0, 1.0)
    assert got.delta[0] == 0
    assert (got.activation_mean[0], got.activation_rms[0]) == (0.0, 0.0)


def test_units_far_on_their_flat_side_are_saturated_but_not_dead(digits: Dataset) -> None:
    network = Network(Dense(10, "sigmoid", bias="constant(value=15)"), Dense(10, "sigmoid"))
    got = flow(network, digits)
    assert (got.saturated[0], got.dead[0]) == (1.0, 0.0)
    assert got.saturated[1] < 0.1
    assert got.activation_mean[0] == pytest.approx(1.0, abs=1e-4)


def test_data_by_name_and_a_seed_that_is_none() -> None:
    np.testing.assert_array_equal(flow(Network(), "iris").values, flow(Network(), load("iris")).values)
    with pytest.raises(InvalidInput, match="seed must be a whole number"):
        flow(Network(), "iris", seed=-1)


def test_without_hidden_layers_the_output_layer_is_shown(digits: Dataset) -> None:
    got = flow(Network(), digits)
    assert got.relative.tolist() == [1.0]
    assert math.isnan(got.decades_per_layer)


def test_the_loss_may_be_chosen_and_must_fit(digits: Dataset) -> None:
    network = mlp([8], "tanh")
    assert flow(network, digits, loss="squared_error").delta != flow(network, digits).delta
    with pytest.raises(InvalidInput, match="for two classes"):
        flow(network, digits, loss="binary_cross_entropy")


def test_a_flow_depends_on_its_seed_only(digits: Dataset) -> None:
    network = mlp([8, 8], "tanh")
    first, again, other = (flow(network, digits, seed=seed).values for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.any(first[:, :2] == other[:, :2])


# ---------------------------------------------------------------------------------------------- what is said of it


def test_decades_are_the_slope_of_the_logarithm() -> None:
    falling = measured([1e-6, 1e-4, 1e-2, 1.0])
    assert falling.decades_per_layer == pytest.approx(2.0)
    np.testing.assert_allclose(falling.relative, [1e-6, 1e-4, 1e-2, 1])
    assert measured([100.0, 10.0, 1.0]).decades_per_layer == pytest.approx(-1.0)


def test_layers_that_no_gradient_reaches_are_left_out_of_the_slope() -> None:
    assert measured([0.0, math.inf, 1e-2, 1e-1, 1.0]).decades_per_layer == pytest.approx(1.0)
    assert math.isnan(measured([0.0, 0.0, 1.0]).decades_per_layer)


def test_quantities_are_attributes_and_items() -> None:
    got = measured([0.1, 1.0])
    for quantity in (*QUANTITIES, "relative"):
        np.testing.assert_array_equal(getattr(got, quantity), got[quantity])
    assert got.dead.tolist() == [0.5, 0.5]
    with pytest.raises(AttributeError, match="no attribute 'detla'"):
        got.detla
    with pytest.raises(UnknownName, match=r"did you mean.*delta"):
        got["detla"]
    assert "GradientFlow(2 layers, epoch 0" in repr(got)
    assert repr(measured([1.0])) == "GradientFlow(1 layer, epoch 0)"  # no slope through one point


def test_flows_can_be_compared_and_kept_in_sets() -> None:
    """By identity: arrays have no one truth value."""
    got = measured([1.0, 1.0])
    assert got == got
    assert got != measured([1.0, 1.0])
    assert len({got, got}) == 1


def test_json_holds_a_row_a_layer(digits: Dataset) -> None:
    document = flow(Network(Dense(6, "relu"), Dense(5, "leaky_relu(slope=0.2)")), digits).to_json()
    assert list(document) == ["epoch", "layers", "decades_per_layer", "theory"]
    first, second = document["layers"]
    expected = {
        "layer",
        "units",
        "activation",
        "delta",
        "relative",
        "weight_gradient",
        "activation_rms",
        "saturated",
        "dead",
    }
    assert expected <= set(first)
    assert (first["layer"], first["units"], first["activation"]) == (1, 6, "relu")
    assert (second["layer"], second["units"], second["activation"]) == (2, 5, "leaky_relu(slope=0.2)")
    assert second["relative"] == 1.0
    assert first["delta"] / second["delta"] == pytest.approx(first["relative"])
    assert first["update_ratio"] is None  # nothing was updated yet
    assert all(type(value) in (int, float, str, type(None)) for value in first.values())


def test_what_is_no_number_is_none_in_json() -> None:
    document = measured([0.0, math.nan, 0.0]).to_json()
    assert document["decades_per_layer"] is None
    assert [layer["delta"] for layer in document["layers"]] == [0.0, None, 0.0]
    assert [layer["relative"] for layer in document["layers"]] == [None, None, None]


def test_a_history_stacks_its_measurements() -> None:
    history = FlowHistory((measured([0.1, 1.0]), measured([0.2, 1.0], epoch=1), measured([0.4, 2.0], epoch=4)))
    assert history.epochs.tolist() == [0, 1, 4]
    np.testing.assert_allclose(history["delta"], [[0.1, 1], [0.2, 1], [0.4, 2]])
    np.testing.assert_allclose(history["relative"], [[0.1, 1], [0.2, 1], [0.2, 1]])
    assert len(history) == len(list(history)) == 3
    assert (history.first.epoch, history.last.epoch) == (0, 4)
    assert [entry["epoch"] for entry in history.to_json()] == [0, 1, 4]
    with pytest.raises(UnknownName, match=r"did you mean.*saturated"):
        history["saturation"]


def test_only_hidden_layers_are_kept() -> None:
    layers = stack([4, 3, 2, 1], "tanh")
    values = np.arange(3.0 * len(QUANTITIES)).reshape(3, -1)
    got = hidden_flow(layers, values, epoch=7)
    assert [layer.n_out for layer in got.layers] == [3, 2]
    np.testing.assert_array_equal(got.values, values[:2])
    assert got.epoch == 7


def test_a_row_is_a_dense_layer_with_the_norms_that_follow_it() -> None:
    network = Network(LayerNorm(), Dense(3), BatchNorm("relu"), LayerNorm("tanh"), Residual(Dense(3, "gelu")))
    layers = network.layers(4, 2)
    values = np.arange(6.0 * len(QUANTITIES)).reshape(6, -1)
    got = hidden_flow(layers, values)
    assert [(layer.kind, layer.n_out, str(layer.activation)) for layer in got.layers] == [
        ("dense", 3, "tanh"),
        ("dense", 3, "gelu"),
    ]
    for quantity in ("delta", "weight_gradient", "z_mean", "z_rms", "update_ratio"):
        np.testing.assert_array_equal(got[quantity], values[[1, 4], QUANTITIES.index(quantity)])
    for quantity in ("activation_mean", "activation_rms", "saturated", "dead"):
        np.testing.assert_array_equal(got[quantity], values[[3, 4], QUANTITIES.index(quantity)])
    assert values[1, 0] == len(QUANTITIES)  # the measurement itself is left as it is


def test_norms_alone_leave_the_output_layer_to_show() -> None:
    got = hidden_flow(Network(BatchNorm("relu"), RMSNorm()).layers(4, 2), np.zeros((3, len(QUANTITIES))))
    assert [(layer.n_out, str(layer.activation)) for layer in got.layers] == [(2, "identity")]


def test_layers_that_cure_bring_the_gradient_back(digits: Dataset) -> None:
    """Twenty sigmoids lose the gradient; with residual blocks, or with norms and a fitting activation, it arrives."""
    plain = flow(mlp([64] * 20, "sigmoid", "glorot_normal"), digits)
    blocks = flow(mlp([64] * 20, "sigmoid", "glorot_normal", norm="layer", residual=True), digits)
    assert plain.relative[0] < 1e-10
    assert 0.1 < blocks.relative[0] < 100
    assert len(blocks.layers) == len(plain.layers) == 20
    for norm in ("batch", "layer", "rms"):
        assert 0.1 < flow(mlp([64] * 20, "tanh", norm=norm), digits).relative[0] < 10


def test_tables_and_pictures_are_made() -> None:
    history = FlowHistory((measured([0.1, 1.0]), measured([0.2, 1.0], epoch=1)))
    assert "tanh" in history.first.table()
    assert len(history.table().splitlines()) > 3
    for figure in (history.first.figure(), history.figure()):
        assert figure.axes


def test_deeper_is_worse(digits: Dataset) -> None:
    """The first layer's share falls with every layer more."""
    shares = [flow(mlp([64] * depth, "sigmoid"), digits).relative[0] for depth in (2, 4, 8)]
    assert all(later < 0.3 * earlier for earlier, later in pairwise(shares))
