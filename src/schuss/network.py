"""What a network is: hidden layers in order, and an output layer whose size comes from the data.

>>> mlp(hidden=[64] * 2, activation="tanh")
Network(Dense(64, tanh), Dense(64, tanh))
>>> mlp(hidden=[8, 8], norm="layer", residual=True)
Network(Dense(8, identity), LayerNorm(relu), Residual(Dense(8, identity), LayerNorm(relu)))
>>> [layer[:4] for layer in Network(Dense(3, "relu")).layers(2, 1)]
[('dense', 2, 3, relu), ('dense', 3, 1, identity)]
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from schuss.activations import Activation, find_activation, identity
from schuss.errors import InvalidInput, checked, seed_number, unknown_name
from schuss.initializers import Initializer, auto, find_initializer
from schuss.layers import NORMS, Dense, Description, Dropout, Layer, Residual, check_order, engine_layers, lowered
from schuss.show.formatting import counted, times


class _Streams(threading.local):
    """The random stream of every (seed, layer), from one generator: to set it takes a tenth of making another."""

    def __init__(self) -> None:
        self._philox = Philox(key=0)
        self._generator = Generator(self._philox)
        self._start = self._philox.state

    def __call__(self, seed: int, layer: int) -> Generator:
        """The generator at the start of a stream; it is the same one that the next call sets anew."""
        key = self._start["state"]["key"]
        key[0], key[1] = seed, layer
        self._philox.state = self._start
        return self._generator


_stream = _Streams()
_NORM_START = np.array([1, 0, 0, 1], dtype=np.float32)  # gain, shift, running mean, running variance


@dataclass(frozen=True, init=False, repr=False)
class Network:
    """Hidden layers, and how the output layer is built once the data says how many outputs there are.

    Parameters
    ----------
    hidden : the hidden layers, from the input on: Dense, BatchNorm, LayerNorm, RMSNorm, Dropout, Residual.
    output : the output layer's activation. The default, identity, gives logits for a cross-entropy and any number for
        squared error; a sigmoid under squared error is what the first networks had.
    output_init : the initializer of the output layer's weights.
    """

    hidden: tuple[Description, ...]
    output: Activation
    output_init: Initializer

    def __init__(
        self, *hidden: Description, output: str | Activation = identity, output_init: str | Initializer = auto
    ) -> None:
        check_order(hidden, "a network")
        object.__setattr__(self, "hidden", tuple(hidden))
        object.__setattr__(self, "output", find_activation(output))
        object.__setattr__(self, "output_init", find_initializer(output_init))

    def layers(self, n_inputs: int, n_outputs: int) -> tuple[Layer, ...]:
        """All layers as engines take them, the output layer included, with their sizes.

        InvalidInput if a Residual does not return as many numbers as it takes.
        """
        return lowered(self._with_output(n_outputs), n_inputs)

    def _with_output(self, n_outputs: int) -> tuple[Description, ...]:
        return *self.hidden, Dense(n_outputs, self.output, self.output_init)

    def initial(self, n_inputs: int, n_outputs: int, seed: int) -> NDArray[np.float32]:
        """Initial parameters, one float32 vector, layer by layer in the order of `Layer.shapes`.

        The l-th Dense draws from its own stream (seed, l): its numbers do not depend on the layers before it, and a
        norm put between two of them changes no weight. A norm starts with gain 1, shift 0, running mean 0, variance 1.

        InvalidInput if the seed is not a whole number from 0 to 2^63 − 1.
        """
        seed, number, reads = seed_number(seed), 0, identity
        descriptions = engine_layers(self._with_output(n_outputs))
        parts = []
        for description, layer in zip(descriptions, self.layers(n_inputs, n_outputs), strict=True):
            if isinstance(description, Dense):
                random = _stream(seed, number)
                parts.append(description.init.sample(random, (layer.n_in, layer.n_out), reads).ravel())
                parts.append(description.bias.sample(random, (1, layer.n_out), reads).ravel())
                number += 1
            else:
                parts.append(np.repeat(_NORM_START[: len(layer.shapes)], layer.n_out))
            reads = layer.activation
        return np.concatenate(parts)

    def __repr__(self) -> str:
        return self._written(map(repr, self.hidden))

    def brief(self) -> str:
        """What it is made of, with what repeats counted, for reading.

        >>> mlp([64] * 50, norm="batch").brief()
        'Network(50 × (Dense(64, identity), BatchNorm(relu)))'
        """
        return self._written(counted([*map(repr, self.hidden)], times))

    def _written(self, hidden: Iterable[str]) -> str:
        parts = [*hidden, *([f"output={self.output}"] if self.output != identity else [])]
        if self.output_init != auto:
            parts.append(f"output_init={self.output_init}")
        return f"Network({', '.join(parts)})"


def check_network(network: object) -> None:
    """InvalidInput for what is no Network, such as a module of another library."""
    checked(network, Network, "a network", "an sc.Network, such as sc.mlp([64, 64])")


def mlp(
    hidden: Sequence[int] = (64, 64, 64, 64),
    activation: str | Activation = "relu",
    init: str | Initializer = auto,
    output: str | Activation = identity,
    *,
    norm: str | None = None,
    residual: bool = False,
    dropout: float = 0.0,
) -> Network:
    """A multilayer perceptron: one block for each number of units in `hidden`, all with one activation.

    Parameters
    ----------
    init : of every Dense, that of the output layer included.
    norm : batch, layer or rms: a block is Dense(units), Norm(activation) instead of Dense(units, activation).
    residual : wrap every block in a Residual that has as many units as the block before it.
    dropout : the share of each block's outputs that are 0 in training.
    """
    if not hasattr(hidden, "__iter__"):
        raise InvalidInput(f"hidden must list the units of every layer, such as [64, 64], but is {hidden!r:.60}.")
    if norm is not None and norm not in NORMS:
        raise unknown_name("norm", str(norm), NORMS)
    if residual not in (True, False):
        raise InvalidInput(f"residual is True or False, but is {residual!r:.60}.")
    chosen, init, drop = find_activation(activation), find_initializer(init), Dropout(dropout)
    layers: list[Description] = []
    width = None
    for units in hidden:
        block: list[Description] = [Dense(units, chosen, init)]
        if norm is not None:
            block = [Dense(units, identity, init), NORMS[norm](chosen)]
        if drop.rate > 0:
            block.append(drop)
        layers += [Residual(*block)] if residual and units == width else block
        width = units
    return Network(*layers, output=output, output_init=init)
