"""Initial weights: from all zero, which never learns, to the scale that keeps the signal's variance at any activation.

An initializer is a function of a random generator, the shape (fan_in, fan_out) of the weights and the activation whose
outputs the layer reads; keyword-only arguments are its parameters.

>>> from schuss.activations import relu
>>> float(round(auto_gain(relu) ** 2, 12))
2.0
>>> weights = he_normal.sample(np.random.default_rng(0), (200, 300))
>>> weights.shape, float(weights.std().round(2))  # √(2 / 200)
((200, 300), 0.1)
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from schuss.activations import Activation, identity
from schuss.definitions import Definition, NonNegative, Settings, description, lookup, names_of, signature
from schuss.errors import FormulaError, InvalidInput
from schuss.language.expectations import gaussian_mean

Weights: TypeAlias = NDArray[np.floating]
Shape: TypeAlias = tuple[int, int]

ROOT_2 = math.sqrt(2)


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Initializer(Definition):
    """A rule for initial weights; `he_normal(gain=0.5)` is a configured copy."""

    rule: Callable[..., Weights]

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Pickle by name: the function cannot be, since in its module the name stands for this object."""
        module, name = self.rule.__module__, self.rule.__name__
        if getattr(getattr(sys.modules.get(module), name, None), "rule", None) is not self.rule:
            return super().__reduce__()  # one made inside a function
        return _named, (module, name, self.settings)

    def sample(self, random: Generator, shape: Shape, reads: Activation = identity) -> NDArray[np.float32]:
        """Weights float32 [fan_in, fan_out] for a layer that reads the outputs of the activation `reads`.

        InvalidInput if the rule gives another shape.
        """
        weights = np.asarray(self.rule(random, shape, reads, **dict(self.settings)), dtype=np.float32)
        if weights.shape != shape:
            raise InvalidInput(
                f"the initializer {self} must give weights of shape {list(shape)}, but gave {list(weights.shape)}."
            )
        return weights


def initializer(function: Callable[..., Weights]) -> Initializer:
    """Turn a function of (random, shape, reads) into an Initializer."""
    called = signature(function)
    if len(called.positional) != 3:
        raise FormulaError(
            f"an initializer is a function of (random, shape, reads), but {function.__name__} takes "
            f"{called.positional}."
        )
    return Initializer(
        name=function.__name__, rule=function, description=description(function), **called.hyperparameters
    )


def _named(module: str, name: str, settings: Settings) -> Initializer:
    """The initializer of that name in a module, configured."""
    found: Initializer = getattr(import_module(module), name)
    return replace(found, settings=settings)


def find_initializer(wanted: str | Initializer) -> Initializer:
    """An initializer from itself, its name, or a configured name such as "normal(std=0.05)"."""
    if isinstance(wanted, Initializer):
        return wanted
    return lookup("initializer", wanted, INITIALIZERS)


@lru_cache(maxsize=256)
def auto_gain(reads: Activation) -> float:
    """1 / √E[φ(x)²] for x ~ N(0, 1): √2 for relu, 1 for identity and selu, found by quadrature for any other.

    Weights of variance gain² / fan_in on inputs φ(z), z ~ N(0, 1), give the next z variance 1 again.
    """
    power = gaussian_mean(reads.expression**2)
    if not 0 < power < math.inf:
        raise InvalidInput(
            f"no scale keeps the variance of z at 1 for {reads}: the mean of its square is {power:g}. "
            "Give the layer an initializer of its own, such as glorot_normal."
        )
    return 1 / math.sqrt(power)


@initializer
def zeros(random: Generator, shape: Shape, reads: Activation) -> Weights:
    """All zero: every unit of a layer computes and learns the same, so a stack does not learn."""
    return np.zeros(shape, dtype=np.float32)


@initializer
def constant(random: Generator, shape: Shape, reads: Activation, *, value: float = 0.1) -> Weights:
    """All the same number: symmetric like zeros."""
    return np.full(shape, value)


@initializer
def normal(random: Generator, shape: Shape, reads: Activation, *, std: NonNegative = 0.01) -> Weights:
    """N(0, std²), the same for every fan-in, as before 2010."""
    return std * random.standard_normal(shape, dtype=np.float32)


@initializer
def uniform(random: Generator, shape: Shape, reads: Activation, *, limit: NonNegative = 0.05) -> Weights:
    """Uniform in −limit … limit."""
    return limit * (2 * random.random(shape, dtype=np.float32) - 1)


@initializer
def glorot_normal(random: Generator, shape: Shape, reads: Activation, *, gain: NonNegative = 1.0) -> Weights:
    """N(0, gain² · 2 / (fan_in + fan_out)): between what forward and backward ask for (Glorot and Bengio, 2010)."""
    return gain * math.sqrt(2 / sum(shape)) * random.standard_normal(shape, dtype=np.float32)


@initializer
def glorot_uniform(random: Generator, shape: Shape, reads: Activation, *, gain: NonNegative = 1.0) -> Weights:
    """Uniform with Glorot's variance: limit gain · √(6 / (fan_in + fan_out))."""
    return gain * math.sqrt(6 / sum(shape)) * (2 * random.random(shape, dtype=np.float32) - 1)


@initializer
def he_normal(random: Generator, shape: Shape, reads: Activation, *, gain: NonNegative = ROOT_2) -> Weights:
    """N(0, gain² / fan_in) with gain √2, right for ReLU (He et al., 2015)."""
    return gain / math.sqrt(shape[0]) * random.standard_normal(shape, dtype=np.float32)


@initializer
def he_uniform(random: Generator, shape: Shape, reads: Activation, *, gain: NonNegative = ROOT_2) -> Weights:
    """Uniform with He's variance: limit gain · √(3 / fan_in)."""
    return gain * math.sqrt(3 / shape[0]) * (2 * random.random(shape, dtype=np.float32) - 1)


@initializer
def lecun(random: Generator, shape: Shape, reads: Activation, *, gain: NonNegative = 1.0) -> Weights:
    """N(0, gain² / fan_in): keeps the variance of a linear layer (LeCun et al., 1998), also SELU's."""
    return gain / math.sqrt(shape[0]) * random.standard_normal(shape, dtype=np.float32)


@initializer
def orthogonal(random: Generator, shape: Shape, reads: Activation, *, gain: NonNegative = 1.0) -> Weights:
    """gain times a random matrix with orthonormal rows or columns (Saxe et al., 2014).

    A layer that does not narrow keeps the length of every vector exactly.
    """
    q, r = np.linalg.qr(random.standard_normal((max(shape), min(shape))))
    q = q * np.sign(np.diag(r))  # without the signs the distribution would depend on LAPACK's choice of them
    return gain * (q if shape[0] >= shape[1] else q.T)


@initializer
def auto(random: Generator, shape: Shape, reads: Activation) -> Weights:
    """N(0, σ_w² / fan_in), σ_w² = 1 / E[φ(x)²]: the variance of z stays 1 through any φ, the user's included.

    φ is the activation whose outputs the layer reads, not its own: the one before it, for the first layer the identity.
    """
    return auto_gain(reads) / math.sqrt(shape[0]) * random.standard_normal(shape, dtype=np.float32)


INITIALIZERS: dict[str, Initializer] = names_of(
    [zeros, constant, normal, uniform, glorot_normal, glorot_uniform, he_normal, he_uniform, lecun, orthogonal, auto]
)
