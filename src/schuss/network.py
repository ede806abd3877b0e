"""What a network is: hidden layers in order, and an output layer whose size comes from the data.

>>> mlp(hidden=[64] * 2, activation="tanh")
Network(Dense(64, tanh), Dense(64, tanh))
>>> [tuple(layer) for layer in Network(Dense(3, "relu")).layers(2, 1)]
[(2, 3, relu), (3, 1, identity)]
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from schuss.activations import Activation, find_activation, identity
from schuss.errors import InvalidInput, seed_number
from schuss.initializers import Initializer, auto, find_initializer, zeros
from schuss.layers import Dense, Layer


class _Streams(threading.local):
    """The random stream of every (seed, layer), from one generator: to set it takes a tenth of making another."""

    def __init__(self) -> None:
        self._philox = Philox(key=0)
        self._generator = Generator(self._philox)
        self._start = self._philox.state

    def __call__(self, seed: int, layer: int) -> Generator:
        """The generator at the start of a stream; it is the same one that the next call sets anew."""
        self._start["state"]["key"][:] = seed, layer
        self._philox.state = self._start
        return self._generator


_stream = _Streams()


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
        seed, layers, at, reads = seed_number(seed), self.layers(n_inputs, n_outputs), 0, identity
        parameters = np.zeros(sum((n_in + 1) * n_out for n_in, n_out, _ in layers), np.float32)
        rules = [*((layer.init, layer.bias) for layer in self.hidden), (self.output_init, zeros)]
        for number, ((n_in, n_out, activation), (init, bias)) in enumerate(zip(layers, rules, strict=True)):
            random = _stream(seed, number)
            parameters[at : at + n_in * n_out] = init.sample(random, (n_in, n_out), reads).ravel()
            at += n_in * n_out
            if bias is not zeros:  # which they are already
                parameters[at : at + n_out] = bias.sample(random, (1, n_out), reads).ravel()
            at, reads = at + n_out, activation
        return parameters

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
