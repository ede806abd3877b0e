"""What a network is: hidden layers in order, and an output layer whose size comes from the data.

>>> mlp(hidden=[64] * 2, activation="tanh")
Network(Dense(64, tanh), Dense(64, tanh))
>>> [tuple(layer) for layer in Network(Dense(3, "relu")).layers(2, 1)]
[(2, 3, relu), (3, 1, identity)]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from schuss.activations import Activation, find_activation, identity
from schuss.errors import InvalidInput, seed_number
from schuss.initializers import Initializer, auto, find_initializer, zeros
from schuss.layers import Dense, Layer


@dataclass(frozen=True, init=False, repr=False)
class Network:
    """Hidden layers, and how the output layer is built once the data says how many outputs there are.

    Parameters
    ----------
    hidden : the hidden layers, from the input on.
    output : the output layer's activation. The default, identity, gives logits for a cross-entropy and any number for
        squared error; a sigmoid under squared error is what the first networks had.
    output_init : the initializer of the output layer's weights.
    """

    hidden: tuple[Dense, ...]
    output: Activation
    output_init: Initializer

    def __init__(
        self, *hidden: Dense, output: str | Activation = identity, output_init: str | Initializer = auto
    ) -> None:
        for layer in hidden:
            if not isinstance(layer, Dense):
                raise InvalidInput(f"a network is made of layers such as Dense(64, 'relu'), but {layer!r} came.")
        object.__setattr__(self, "hidden", tuple(hidden))
        object.__setattr__(self, "output", find_activation(output))
        object.__setattr__(self, "output_init", find_initializer(output_init))

    def layers(self, n_inputs: int, n_outputs: int) -> tuple[Layer, ...]:
        """All layers, the output layer included, with their sizes."""
        sizes = [n_inputs, *(layer.units for layer in self.hidden), n_outputs]
        activations = [*(layer.activation for layer in self.hidden), self.output]
        return tuple(Layer(*each) for each in zip(sizes[:-1], sizes[1:], activations, strict=True))

    def initial(self, n_inputs: int, n_outputs: int, seed: int) -> NDArray[np.float32]:
        """Initial parameters, one float32 vector: W [n_in, n_out] by rows, then b [n_out], layer by layer.

        Layer l draws from its own stream (seed, l): a layer's numbers do not depend on the layers before it.

        InvalidInput if the seed is not a whole number from 0 to 2^63 − 1.
        """
        seed = seed_number(seed)
        return np.concatenate([part.ravel() for part in self._parts(n_inputs, n_outputs, seed)])

    def _parts(self, n_inputs: int, n_outputs: int, seed: int) -> Iterator[NDArray[np.float32]]:
        reads = identity
        rules = [*((layer.init, layer.bias) for layer in self.hidden), (self.output_init, zeros)]
        for number, (layer, (init, bias)) in enumerate(zip(self.layers(n_inputs, n_outputs), rules, strict=True)):
            random = Generator(Philox(key=[seed, number]))
            yield init.sample(random, (layer.n_in, layer.n_out), reads)
            yield bias.sample(random, (1, layer.n_out), reads)
            reads = layer.activation

    def __repr__(self) -> str:
        parts = [*map(repr, self.hidden), *([f"output={self.output}"] if self.output != identity else [])]
        if self.output_init != auto:
            parts.append(f"output_init={self.output_init}")
        return f"Network({', '.join(parts)})"


def mlp(
    hidden: Sequence[int] = (64, 64, 64, 64),
    activation: str | Activation = "relu",
    init: str | Initializer = auto,
    output: str | Activation = identity,
) -> Network:
    """A multilayer perceptron: one Dense layer for each number of units in `hidden`, all with one activation.

    `init` applies to every layer, the output layer included.
    """
    if not hasattr(hidden, "__iter__"):
        raise InvalidInput(f"hidden must list the units of every layer, such as [64, 64], but is {hidden!r:.60}.")
    chosen = find_activation(activation)
    return Network(*(Dense(units, chosen, init) for units in hidden), output=output, output_init=init)
