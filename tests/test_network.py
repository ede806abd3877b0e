"""Descriptions: layers, networks, and the recipe of a training."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import Generator, Philox

from schuss.activations import identity, relu, sigmoid, tanh
from schuss.errors import InvalidInput, UnknownName
from schuss.initializers import INITIALIZERS, auto_gain, constant, he_normal, normal
from schuss.layers import Dense, Layer
from schuss.losses import huber
from schuss.network import Network, mlp
from schuss.optimizers import adam, sgd
from schuss.recipe import Recipe
from schuss.schedules import cosine

# ---------------------------------------------------------------------------------------------- layers and networks


def test_a_layer_takes_names_formulas_and_objects() -> None:
    assert Dense(3, "relu", "he_normal", "constant(value=0.5)") == Dense(3, relu, he_normal, constant(value=0.5))
    assert Dense(3) == Dense(3, identity)
    assert Dense(3, "mine = z * sigmoid(z)").activation.name == "mine"
    assert Dense(np.int64(3)).units == 3


@pytest.mark.parametrize("units", [0, -1, 2.5, "3", None, math.nan, True])
def test_a_layer_has_at_least_one_unit(units: int) -> None:
    with pytest.raises(InvalidInput, match="number of units"):
        Dense(units)


def test_unknown_names_suggest_near_ones() -> None:
    with pytest.raises(UnknownName, match=r"did you mean.*relu"):
        Dense(3, "rellu")
    with pytest.raises(UnknownName, match=r"did you mean.*he_normal"):
        Dense(3, "relu", "he_norm")
    with pytest.raises(UnknownName, match=r"did you mean.*sigmoid"):
        mlp([3], output="sigmod")


def test_descriptions_are_frozen_equal_and_hashable() -> None:
    first, second = Network(Dense(4, "relu"), Dense(3, "tanh")), Network(Dense(4, relu), Dense(3, tanh))
    assert first == second
    assert hash(first) == hash(second)
    assert first != Network(Dense(4, "relu"), Dense(3, "relu"))
    with pytest.raises(AttributeError):
        first.output = sigmoid  # type: ignore[misc]
    with pytest.raises(AttributeError):
        first.hidden[0].units = 5  # type: ignore[misc]


def test_a_network_is_made_of_layers() -> None:
    with pytest.raises(InvalidInput, match="hidden must list"):
        mlp(64)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="residual is True or False, but is 'no'"):
        mlp([8, 8], residual="no")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="Dense"):
        Network(64)  # type: ignore[arg-type]


def test_mlp_repeats_one_activation_and_one_initializer() -> None:
    expected = Network(Dense(5, "tanh", "lecun"), Dense(2, "tanh", "lecun"), output="sigmoid", output_init="lecun")
    assert mlp([5, 2], "tanh", "lecun", output="sigmoid") == expected
    assert mlp() == Network(*[Dense(64, "relu")] * 4)


def test_sizes_come_from_the_data_and_the_output_layer_is_added() -> None:
    layers = Network(Dense(4, "relu"), Dense(3, "tanh"), output="sigmoid").layers(7, 2)
    assert layers == (Layer("dense", 7, 4, relu), Layer("dense", 4, 3, tanh), Layer("dense", 3, 2, sigmoid))
    assert Network().layers(7, 2) == (Layer("dense", 7, 2, identity),)


def test_a_network_shows_what_makes_it_again() -> None:
    network = Network(Dense(4, "leaky_relu(slope=0.2)", "he_normal", "constant"), output="sigmoid", output_init="zeros")
    assert repr(network) == (
        "Network(Dense(4, leaky_relu(slope=0.2), init=he_normal, bias=constant), output=sigmoid, output_init=zeros)"
    )
    assert repr(mlp([2, 2])) == "Network(Dense(2, relu), Dense(2, relu))"


# ---------------------------------------------------------------------------------------------- initial weights


def test_initial_weights_are_one_vector_of_float32() -> None:
    parameters = mlp([4, 3], init="constant(value=0.5)").initial(2, 1, seed=0)
    assert parameters.dtype == np.float32
    layer_by_layer = [0.5] * 8 + [0] * 4 + [0.5] * 12 + [0] * 3 + [0.5] * 3 + [0]
    assert parameters.tolist() == layer_by_layer


def test_weights_lie_by_rows_and_come_from_the_stream_of_the_layer() -> None:
    """W [n_in, n_out]: the first n_out numbers are the weights of the first input."""
    parameters = mlp([4, 3], "relu").initial(2, 1, seed=5)
    second = Generator(Philox(key=[5, 1])).standard_normal((4, 3), dtype=np.float32) * (math.sqrt(2) / math.sqrt(4))
    np.testing.assert_allclose(parameters[12:24].reshape(4, 3), second, rtol=1e-6)


def test_auto_scales_by_the_activation_that_a_layer_reads() -> None:
    """The first layer reads the data, every other one the activation before it."""
    parameters = Network(Dense(300, "sigmoid"), Dense(300, "relu")).initial(300, 300, seed=0)
    stds = [layer[:90_000].std() for layer in np.split(parameters, 3)]
    gains = [auto_gain(phi) for phi in (identity, sigmoid, relu)]
    np.testing.assert_allclose(stds, np.array(gains) / math.sqrt(300), rtol=0.01)


def test_seeds_and_layers_draw_different_numbers() -> None:
    network = mlp([8, 8], init="normal")
    first, again, other = (network.initial(8, 8, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.any((first == other) & (first != 0))
    W1, W2, W3 = (first[start : start + 64] for start in (0, 72, 144))
    assert not np.any((W1 == W2) | (W2 == W3) | (W1 == W3))


def test_a_layers_draw_does_not_depend_on_the_layers_before() -> None:
    deep = Network(Dense(3, "relu"), Dense(8, "relu", "normal"), output_init="normal").initial(5, 2, seed=4)
    wide = Network(Dense(30, "tanh"), Dense(8, "relu", "normal"), output_init="normal").initial(5, 2, seed=4)
    assert np.array_equal(deep[-18:], wide[-18:])


def test_every_layer_may_have_its_own_initializer() -> None:
    network = Network(Dense(2, "relu", "zeros", "constant(value=2)"), Dense(2, "relu", constant(value=3)))
    assert network.initial(1, 1, 0)[:8].tolist() == [0, 0, 2, 2, 3, 3, 3, 3]


@pytest.mark.parametrize("init", INITIALIZERS)
def test_every_initializer_serves_a_whole_network(init: str) -> None:
    parameters = mlp([7, 3], "gelu", init).initial(4, 2, seed=0)
    assert parameters.shape == (4 * 7 + 7 + 7 * 3 + 3 + 3 * 2 + 2,)
    assert np.all(np.isfinite(parameters))
    assert np.any(parameters) == (init != "zeros")


def test_auto_says_when_no_scale_can_help() -> None:
    with pytest.raises(InvalidInput, match="initializer of its own"):
        mlp([4], "nothing = 0 * z").initial(2, 1, seed=0)
    assert np.any(mlp([4], "nothing = 0 * z", init=normal).initial(2, 1, seed=0))


# ---------------------------------------------------------------------------------------------- recipe


def test_a_recipe_takes_names_and_objects() -> None:
    recipe = Recipe("adam(lr=0.01)", "huber", 16, 5, "cosine", 3, 1.0)
    assert recipe == Recipe(adam(lr=0.01), huber, 16, 5, cosine, 3, 1.0)
    assert (recipe.optimizer.lr, recipe.batch_size, recipe.epochs, recipe.patience, recipe.clip_norm) == (
        0.01,
        16,
        5,
        3,
        1,
    )
    assert hash(recipe) == hash(Recipe(adam(lr=0.01), huber, 16, 5, cosine, 3, 1.0))


def test_the_defaults() -> None:
    recipe = Recipe()
    assert (recipe.optimizer, recipe.loss, recipe.batch_size, recipe.epochs) == (adam, None, 32, 20)
    assert (recipe.patience, recipe.clip_norm, recipe.schedule.name) == (None, None, "constant")


def test_gradient_descent_takes_the_full_batch_whatever_is_asked() -> None:
    assert Recipe("gd", batch_size=8).batch_size is None
    assert Recipe("sgd", batch_size=None).batch_size is None
    assert Recipe("gd", batch_size=8) == Recipe("gd", batch_size=None)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("batch_size", 0), ("batch_size", 2.5), ("epochs", 0), ("epochs", "many"), ("epochs", None), ("patience", 0),
     ("clip_norm", 0.0), ("clip_norm", -1.0), ("clip_norm", math.nan), ("clip_norm", math.inf)],
)  # fmt: skip
def test_numbers_out_of_place_are_named(argument: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=argument):
        Recipe(**{argument: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("argument", "value", "near"),
    [("optimizer", "adm", "adam"), ("loss", "hubert", "huber"), ("schedule", "cosin", "cosine")],
)
def test_unknown_parts_suggest_near_ones(argument: str, value: str, near: str) -> None:
    with pytest.raises(UnknownName, match=rf"did you mean.*{near}"):
        Recipe(**{argument: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", ["0", "-0.1", "nan", "1e999"])
def test_a_learning_rate_is_positive(rate: str) -> None:
    with pytest.raises(InvalidInput):
        Recipe(f"adam(lr={rate})")


def test_a_recipe_shows_what_differs() -> None:
    assert repr(Recipe(sgd(lr=0.5), "huber", None, 3, "cosine(warmup=0.1)", 2, 1.0)) == (
        "Recipe(sgd(lr=0.5), batch_size=all, epochs=3, loss=huber, patience=2, clip_norm=1.0, "
        "schedule=cosine(warmup=0.1))"
    )
