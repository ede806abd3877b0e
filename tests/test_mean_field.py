"""Mean-field theory against the measurement, against closed forms, and where it has nothing to say."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from schuss.activations import tailor
from schuss.data import Dataset, load
from schuss.engines.targets import default_loss, engine_data, n_outputs
from schuss.errors import NoTheory
from schuss.gradient.flow import GradientFlow, flow
from schuss.gradient.mean_field import MeanField, predict
from schuss.layers import Dense
from schuss.losses import softmax_cross_entropy
from schuss.network import Network, mlp


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def theory(network: Network, data: Dataset, seed: int = 0) -> MeanField:
    loss = default_loss(data)
    layers = network.layers(data.n_inputs, n_outputs(data, loss))
    parameters = network.initial(layers[0].n_in, layers[-1].n_out, seed)
    return predict(layers, loss, parameters, engine_data(data, loss).train)


# ---------------------------------------------------------------------------------------------- the measurement


def decades_apart(flows: list[GradientFlow], quantity: str) -> float:
    """The largest distance in any layer between the means over seeds of log10, less 5 % of what is predicted."""
    measured = np.mean([np.log10(each[quantity]) for each in flows], axis=0)
    predicted = np.mean([np.log10(getattr(each.theory, quantity)) for each in flows], axis=0)
    return float(np.max(np.abs(measured - predicted) - 0.05 * np.abs(predicted)))


@pytest.mark.parametrize(
    ("activation", "init"),
    [
        ("sigmoid", "glorot_normal"),
        ("sigmoid", "auto"),
        ("tanh", "lecun"),
        ("tanh", "glorot_uniform(gain=1.5)"),
        ("relu", "he_normal"),
        ("gelu", "auto"),
        ("selu", "lecun"),
        ("wave = sin(2 * z) + 0.5 * z", "auto"),
        ("steps = where(z > 0.4, z, 0.3 * tanh(3 * z))", "auto"),
        ("tailor(sigmoid, depth=10)", "auto"),
        ("hard_tanh", "orthogonal"),
    ],
)
def test_theory_and_measurement_agree_in_every_layer(digits: Dataset, activation: str, init: str) -> None:
    flows = [flow(mlp([128] * 10, activation, init), digits, seed=seed) for seed in range(3)]
    for quantity in ("relative", "delta", "z_rms", "activation_rms"):
        assert decades_apart(flows, quantity) < 0.15, quantity


def test_layers_of_different_widths_activations_and_biases(digits: Dataset) -> None:
    network = Network(
        Dense(300, "tanh"), Dense(100, "relu", bias="normal(std=0.5)"), Dense(200, "gelu", bias="constant(value=0.4)"),
        Dense(400, "sigmoid", init="he_normal"), Dense(150, "selu"),
    )  # fmt: skip
    flows = [flow(network, digits, seed=seed) for seed in range(6)]
    for quantity in ("relative", "delta", "z_rms", "activation_rms"):
        assert decades_apart(flows, quantity) < 0.06, quantity
    assert flows[0].theory is not None
    assert flows[0].theory.fixed_point is None


@pytest.mark.parametrize(("data", "loss"), [("diabetes", None), ("breast_cancer", None), ("iris", "squared_error")])
def test_delta_is_right_for_every_loss(data: str, loss: str | None) -> None:
    flows = [flow(mlp([200] * 4, "tanh"), data, seed=seed, loss=loss) for seed in range(8)]
    assert decades_apart(flows, "delta") < 0.08


# ---------------------------------------------------------------------------------------------- closed forms


def test_a_linear_stack_multiplies_by_its_variance(digits: Dataset) -> None:
    got = theory(mlp([64] * 6, "identity", "orthogonal(gain=1.5)"), digits)
    rows = engine_data(digits, softmax_cross_entropy).train.X[:128].astype(np.float64)
    np.testing.assert_allclose(got.q, 2.25 ** np.arange(1, 7) * np.mean(rows**2), rtol=1e-4)
    np.testing.assert_allclose(got.chi[:-1], 2.25, rtol=1e-4)
    np.testing.assert_allclose(got.relative, 1.5 ** np.arange(5.0, -1, -1), rtol=1e-4)
    assert got.fixed_point is None
    assert got.depth_scale == pytest.approx(1 / math.log(2.25), rel=1e-3)


def test_a_sigmoids_gain_is_at_most_a_sixteenth(digits: Dataset) -> None:
    """(1/4)², the square of its largest slope, which it reaches at z = 0 alone."""
    got = theory(mlp([128] * 8, "sigmoid", "lecun(gain=0.1)"), digits)
    assert np.all(got.chi < 0.01 / 16 * 1.02)
    assert got.chi[0] == pytest.approx(0.01 / 16, rel=0.03)
    settled = theory(mlp([256] * 20, "sigmoid", "glorot_normal"), digits)
    assert settled.chi_star == pytest.approx(0.0558, rel=0.01)
    assert settled.fixed_point == pytest.approx(0.265, rel=0.01)
    assert settled.depth_scale == pytest.approx(-1 / math.log(0.0558), rel=0.01)


def test_a_tailored_stack_stays_at_variance_one_and_its_gain(digits: Dataset) -> None:
    got = theory(mlp([512] * 10, tailor("sigmoid", 10)), digits)
    assert got.fixed_point == pytest.approx(1, rel=0.02)
    assert got.chi_star == pytest.approx(1.1, rel=0.01)
    np.testing.assert_allclose(got.q, 1, atol=0.15)
    np.testing.assert_allclose(got.q[-3:], 1, atol=0.02)


@pytest.mark.parametrize(
    ("activation", "init", "fixed_point", "chi_star"),
    [
        ("tanh", "lecun(gain=0.5)", 0.0, 0.25),  # the signal fades away, where tanh is linear
        ("relu", "he_normal", None, 1.0),  # every q stays where it is
        ("relu", "lecun", 0.0, 0.5),
        ("relu", "lecun(gain=2)", None, 2.0),  # every q grows by 2 a layer
        ("squared_relu", "lecun(gain=3)", None, None),
        ("selu", "lecun", 1.0, 1.07),
    ],
)
def test_where_ever_deeper_stacks_go(
    digits: Dataset, activation: str, init: str, fixed_point: float | None, chi_star: float | None
) -> None:
    got = theory(mlp([200] * 6, activation, init), digits)
    assert got.fixed_point == (None if fixed_point is None else pytest.approx(fixed_point, rel=0.05, abs=1e-9))
    assert got.chi_star == (None if chi_star is None else pytest.approx(chi_star, rel=0.02))
    assert (got.depth_scale == math.inf) == (chi_star == 1.0)


# ---------------------------------------------------------------------------------------------- what is said of it


def test_the_prediction_stands_beside_the_measurement(digits: Dataset) -> None:
    got = flow(mlp([64] * 6, "sigmoid"), digits)
    assert got.theory is not None
    assert got.theory.layers == got.layers
    document = json.loads(json.dumps(got.to_json(), allow_nan=False))["theory"]
    assert {"relative", "chi", "depth_scale"} <= set(document)
    assert document["relative"] == got.theory.relative.tolist()
    assert len(document["chi"]) == 6
    header, _, first = got.table().splitlines()[1:4]
    assert "theory" in header
    assert first.split()[0] == "1"
    text = got.theory.table()
    assert "χ goes to 0.15" in " ".join(text.split())
    assert "MeanField(6 layers, χ* = 0.15" in repr(got.theory)


def test_a_network_without_hidden_layers_has_a_prediction_too(digits: Dataset) -> None:
    got = flow(Network(), digits)
    assert got.theory is not None
    assert got.theory.delta == pytest.approx(got.delta, rel=0.2)
    assert (got.theory.relative.tolist(), got.theory.chi_star) == ([1.0], None)


def test_an_infinite_depth_scale_is_none_in_json(digits: Dataset) -> None:
    got = theory(mlp([200] * 4, "relu"), digits)
    assert got.depth_scale == math.inf
    assert got.to_json()["depth_scale"] is None


@pytest.mark.parametrize("init", ["zeros", "constant(value=0.1)"])
def test_weights_that_are_not_random_have_no_theory(digits: Dataset, init: str) -> None:
    got = flow(mlp([16] * 3, "tanh", init), digits)
    assert got.theory is None
    assert "no prediction: the weights of layer 1" in got.no_theory
    assert got.to_json()["theory"] is None
    assert "theory" not in got.table()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"norm": "layer"}, "this network has a layer norm"),
        ({"norm": "batch"}, "this network has a batch norm"),
        ({"residual": True}, "this network has a residual sum"),
    ],
)
def test_layers_that_are_not_dense_have_no_theory(digits: Dataset, more: dict[str, Any], why: str) -> None:
    network = mlp([16] * 3, "tanh", **more)
    got = flow(network, digits)
    assert got.theory is None
    assert why in got.no_theory
    with pytest.raises(NoTheory, match=why):
        theory(network, digits)


def test_dropout_changes_nothing_before_training(digits: Dataset) -> None:
    plain, dropped = (flow(mlp([16] * 3, "tanh", dropout=rate), digits).theory for rate in (0.0, 0.5))
    assert plain is not None
    assert dropped is not None
    np.testing.assert_array_equal(plain.delta, dropped.delta)
