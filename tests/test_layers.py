"""Descriptions of norms, dropout and residual blocks: what they refuse, and what they become."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from schuss.activations import identity, relu, sigmoid, tanh
from schuss.engines.stack import weights
from schuss.errors import InvalidInput, UnknownName
from schuss.initializers import auto_gain
from schuss.layers import (
    BatchNorm,
    Dense,
    Description,
    Dropout,
    Layer,
    LayerNorm,
    Residual,
    RMSNorm,
    engine_layers,
    lowered,
    stages,
)
from schuss.network import Network, mlp

# ---------------------------------------------------------------------------------------------- descriptions


def test_descriptions_are_equal_hashable_frozen_and_shown_as_they_are_made() -> None:
    block = Residual(Dense(4, "relu"), BatchNorm(), LayerNorm(tanh), Dropout(0.25), Residual(RMSNorm("gelu")), Dense(4))
    again = Residual(
        Dense(4, relu), BatchNorm(identity), LayerNorm("tanh"), Dropout(1 / 4), Residual(RMSNorm("gelu")), Dense(4)
    )
    assert block == again
    assert hash(block) == hash(again)
    assert pickle.loads(pickle.dumps(block)) == block
    assert repr(block) == (
        "Residual(Dense(4, relu), BatchNorm(), LayerNorm(tanh), Dropout(0.25), Residual(RMSNorm(gelu)), "
        "Dense(4, identity))"
    )
    assert BatchNorm("relu") != LayerNorm("relu")
    for layer, field in ((block, "layers"), (BatchNorm(), "activation"), (Dropout(0.1), "rate"), (BatchNorm(), "kind")):
        with pytest.raises(AttributeError):
            setattr(layer, field, 3)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1, 2.0, math.nan, math.inf, "half", None])
def test_a_rate_is_a_share(rate: Any) -> None:
    with pytest.raises(InvalidInput, match="rate of dropout"):
        Dropout(rate)


def test_a_rate_of_zero_is_allowed() -> None:
    assert Dropout(0).rate == 0.0


def test_norms_take_names_and_say_which_are_near() -> None:
    assert LayerNorm("mine = z * sigmoid(z)").activation.name == "mine"
    with pytest.raises(UnknownName, match=r"did you mean.*relu"):
        BatchNorm("rellu")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Dropout(0.1)], r"Dropout\(0.1\) comes first in a network"),
        ([Dense(4), Dropout(0.1), Dropout(0.2)], r"Dropout\(0.2\) follows Dropout\(0.1\) in a network"),
        ([Residual(Dense(4)), Dropout(0.1)], r"Dropout\(0.1\) follows Residual\(Dense\(4, identity\)\) in a network"),
        ([3], "a network is made of layers such as .* but 3 came"),
        ([[Dense(4)]], "a network is made of layers"),
        ([Dense], "a network is made of layers"),
    ],
)
def test_what_stands_in_the_wrong_place_is_named(layers: list[Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Network(*layers)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "a Residual holds at least one Dense or norm layer, but is empty"),
        ([Dropout(0.1)], r"Dropout\(0.1\) comes first in a Residual"),
        ([Dropout(0.1), Dense(4)], "comes first in a Residual"),
        ([Dense(4), Residual(Dense(4))], r"cannot end with another one, as Residual\(Dense\(4, identity\)\)"),
        ([Residual(Dense(4))], "cannot end with another one"),
        (["relu"], "a Residual is made of layers such as .* but 'relu' came"),
    ],
)
def test_a_residual_says_what_it_cannot_be(layers: list[Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Residual(*layers)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Dense(8), Residual(Dense(4))], r"Residual\(Dense\(4, identity\)\) takes 8 and returns 4.*Dense\(4\) before"),
        ([Residual(LayerNorm(), Dense(8))], r"takes 7 and returns 8"),
        ([Dense(8), Residual(Dense(3), Residual(Dense(4)), Dense(8))], r"Residual\(Dense\(4, .* takes 3 and returns 4"),
    ],
)
def test_a_residual_returns_as_many_numbers_as_it_takes(layers: list[Description], message: str) -> None:
    network = Network(*layers)
    with pytest.raises(InvalidInput, match=message):
        network.layers(7, 1)
    with pytest.raises(InvalidInput, match=message):
        network.initial(7, 1, seed=0)


# ---------------------------------------------------------------------------------------------- lowering


def test_norms_keep_the_width_and_dropout_and_sums_are_folded() -> None:
    network = Network(
        LayerNorm(),
        Dense(5),
        BatchNorm("relu"),
        Dropout(0.25),
        Residual(Dense(6, "tanh"), Dropout(0.5), Residual(RMSNorm("tanh"), Dense(6)), Dense(5), Dropout(0.125)),
        output="sigmoid",
    )
    assert network.layers(7, 2) == (
        Layer("layer_norm", 7, 7, identity),
        Layer("dense", 7, 5, identity),
        Layer("batch_norm", 5, 5, relu, dropout=0.25),
        Layer("dense", 5, 6, tanh, dropout=0.5),
        Layer("rms_norm", 6, 6, tanh),
        Layer("dense", 6, 6, identity, adds=4),  # the output of layer 4
        Layer("dense", 6, 5, identity, dropout=0.125, adds=3),  # the output of layer 3, dropped and all
        Layer("dense", 5, 2, sigmoid),
    )
    hidden = list(engine_layers(network.hidden))
    assert hidden[:3] == [LayerNorm(), Dense(5), BatchNorm("relu")]
    assert len(hidden) == 7


def test_a_block_at_the_start_adds_the_input() -> None:
    assert [layer.adds for layer in lowered([Residual(Dense(3)), Residual(LayerNorm())], 3)] == [0, 1]


def test_stages_are_dense_layers_with_their_norms() -> None:
    layers = lowered([BatchNorm(), Dense(3), Dense(3), LayerNorm(), RMSNorm(), Residual(Dense(3), BatchNorm())], 3)
    assert stages(layers) == [(1, 1), (2, 4), (5, 6)]
    assert stages(lowered([LayerNorm()], 3)) == []


def test_parameters_lie_in_the_order_of_their_shapes() -> None:
    layers = Network(Dense(4), BatchNorm(), LayerNorm(), RMSNorm()).layers(3, 2)
    shapes = [((3, 4), (4,)), ((4,),) * 4, ((4,),) * 2, ((4,),), ((4, 2), (2,))]
    assert [layer.shapes for layer in layers] == shapes
    assert [layer.n_parameters for layer in layers] == [16, 16, 8, 4, 10]
    vector = np.arange(54.0)
    views = weights(layers, vector)
    assert [tuple(array.shape for array in arrays) for arrays in views] == shapes
    assert np.concatenate([array.ravel() for arrays in views for array in arrays]).tolist() == vector.tolist()
    assert all(np.shares_memory(array, vector) for arrays in views for array in arrays)


# ---------------------------------------------------------------------------------------------- initial parameters


def test_norms_start_where_they_change_nothing() -> None:
    network = Network(Dense(2), BatchNorm(), LayerNorm(), RMSNorm())
    views = weights(network.layers(3, 1), network.initial(3, 1, seed=0))
    expected = [[[1, 1], [0, 0], [0, 0], [1, 1]], [[1, 1], [0, 0]], [[1, 1]]]
    assert [[array.tolist() for array in arrays] for arrays in views[1:4]] == expected


@pytest.mark.parametrize("norm", ["batch", "layer", "rms"])
def test_a_norm_changes_no_initial_weight(norm: str) -> None:
    """Nor do dropout and residual blocks: a network and its cured twin start from the same weights."""
    plain = mlp([6, 6, 4], "tanh", "glorot_normal")
    cured = mlp([6, 6, 4], "tanh", "glorot_normal", norm=norm, residual=True, dropout=0.3)
    pairs = [
        [arrays for layer, arrays in zip(layers, weights(layers, network.initial(5, 2, 7)), strict=True)
         if layer.kind == "dense"]
        for network in (plain, cured) for layers in [network.layers(5, 2)]
    ]  # fmt: skip
    for one, other in zip(*pairs, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_auto_scales_by_the_activation_of_the_layer_before_whatever_its_kind() -> None:
    network = Network(LayerNorm("sigmoid"), Dense(300, "tanh"), BatchNorm("relu"), Residual(Dense(300)))
    layers = network.layers(300, 300)
    drawn = [arrays[0] for arrays in weights(layers, network.initial(300, 300, seed=0)) if arrays[0].ndim == 2]
    gains = [auto_gain(phi) for phi in (sigmoid, relu, identity)]
    np.testing.assert_allclose([W.std() for W in drawn], np.array(gains) / math.sqrt(300), rtol=0.01)


# ---------------------------------------------------------------------------------------------- mlp


def test_mlp_builds_its_blocks() -> None:
    dense, norm, drop = Dense(5, identity, "lecun"), RMSNorm("gelu"), Dropout(0.1)
    built = mlp([5, 5, 3], "gelu", "lecun", norm="rms", residual=True, dropout=0.1)
    last = (Dense(3, identity, "lecun"), norm, drop)  # it changes the width, as the first one does
    assert built == Network(dense, norm, drop, Residual(dense, norm, drop), *last, output_init="lecun")
    assert mlp([5, 5], "gelu", residual=True) == Network(Dense(5, "gelu"), Residual(Dense(5, "gelu")))
    assert mlp([5], "gelu", dropout=0.1) == Network(Dense(5, "gelu"), drop)
    assert mlp([5], norm="batch").hidden == (Dense(5), BatchNorm("relu"))
    assert mlp([5], norm="layer").hidden == (Dense(5), LayerNorm("relu"))
    assert mlp([5, 5]) == mlp([5, 5], norm=None, residual=False, dropout=0)


def test_mlp_says_what_a_norm_is() -> None:
    with pytest.raises(UnknownName, match=r"unknown norm 'bacth'; did you mean batch\? Known: batch, layer, rms"):
        mlp([5], norm="bacth")
    with pytest.raises(InvalidInput, match="rate of dropout"):
        mlp([5], dropout=1.0)


def test_a_deep_stack_of_blocks_has_every_sum_one_block_apart() -> None:
    layers = mlp([8] * 50, norm="layer", residual=True).layers(8, 1)
    adds = [layer.adds for layer in layers if layer.adds is not None]
    assert len(adds) == 49
    assert all(later - earlier == 2 for earlier, later in pairwise(adds))
