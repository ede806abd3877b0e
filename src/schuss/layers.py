"""What a stack is made of: descriptions of layers, frozen, with no arrays inside.

>>> Dense(64, "relu")
Dense(64, relu)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schuss.activations import Activation, find_activation, identity
from schuss.errors import positive_integer
from schuss.initializers import Initializer, auto, find_initializer, zeros


class Layer(NamedTuple):
    """A layer whose sizes are known: φ(x·W + b) with W [n_in, n_out] and b [n_out]."""

    n_in: int
    n_out: int
    activation: Activation


@dataclass(frozen=True, init=False, repr=False)
class Dense:
    """A fully connected layer of `units` units: a = φ(x·W + b), x [rows, n_in] → a [rows, units].

    Parameters
    ----------
    units : how many outputs.
    activation : φ, by name, formula or itself.
    init, bias : the initializers of W and of b, by name or themselves.
    """

    units: int
    activation: Activation
    init: Initializer
    bias: Initializer

    def __init__(
        self,
        units: int,
        activation: str | Activation = identity,
        init: str | Initializer = auto,
        bias: str | Initializer = zeros,
    ) -> None:
        object.__setattr__(self, "units", positive_integer("the number of units", units))
        object.__setattr__(self, "activation", find_activation(activation))
        object.__setattr__(self, "init", find_initializer(init))
        object.__setattr__(self, "bias", find_initializer(bias))

    def __repr__(self) -> str:
        extra = (f", init={self.init}" if self.init != auto else "") + (
            f", bias={self.bias}" if self.bias != zeros else ""
        )
        return f"Dense({self.units}, {self.activation}{extra})"
