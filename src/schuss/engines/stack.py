"""Forward and back through a stack, in NumPy: what every layer computes, and back-propagation through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from schuss.engines import BATCH_MOMENTUM, NO_WEIGHTS, NORM_EPSILON, Vector
from schuss.layers import Layer
from schuss.losses import Loss
from schuss.randomness import kept_units

Float = TypeVar("Float", bound=np.floating[Any])


def weights(layers: Sequence[Layer], parameters: NDArray[Float]) -> list[tuple[NDArray[Float], ...]]:
    """The views of every layer into the parameter vector, with the shapes and in the order of `Layer.shapes`."""
    views, at = [], 0
    for layer in layers:
        arrays = []
        for shape in layer.shapes:
            end = at + int(np.prod(shape))
            arrays.append(parameters[at:end].reshape(shape))
            at = end
        views.append(tuple(arrays))
    return views


def weighted(values: Vector, row_weights: Vector) -> Vector:
    """Values of rows, [n] or [n, k], times the rows' weights, if they have any."""
    return values * row_weights.reshape(-1, *[1] * (values.ndim - 1)) if len(row_weights) else values


# ---------------------------------------------------------------------------------------------- normalization


class Normalized(NamedTuple):
    """x̂ = (x − mean)·scale, scale = 1/√(variance + ε), and the axis of x whose statistics these are."""

    x_hat: Vector
    scale: Vector
    mean: Vector
    variance: Vector
    axis: int | None  # None: running statistics, which do not depend on x


def _normalized(layer: Layer, x: Vector, running: tuple[Vector, ...]) -> Normalized:
    """x with mean 0 and variance 1: over the batch, or over each row, or by the running (mean, variance) if given."""
    axis = None if running else 0 if layer.kind == "batch_norm" else 1
    if axis is None:
        mean, variance = running
    elif layer.kind == "rms_norm":
        mean, variance = np.zeros_like(x[:, :1]), np.mean(x * x, axis=1, keepdims=True)
    else:
        mean, variance = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
    scale = 1 / np.sqrt(variance + x.dtype.type(NORM_EPSILON))
    return Normalized((x - mean) * scale, scale, mean, variance, axis)


def _back_through(layer: Layer, normalized: Normalized, slope: Vector) -> Vector:
    """∂loss/∂x from ∂loss/∂x̂: less what moving x does to its own mean and to its own variance."""
    x_hat, scale, _, _, axis = normalized
    if axis is None:
        return slope * scale
    back = slope - x_hat * np.mean(slope * x_hat, axis, keepdims=True)
    if layer.kind != "rms_norm":
        back -= slope.mean(axis, keepdims=True)
    return np.asarray(back * scale)


# ---------------------------------------------------------------------------------------------- forward and backward


@dataclass
class Pass:
    """What a forward pass leaves for the backward pass, of every layer: z, a = φ(z), and what else it computed.

    `values` has one entry more: the network's input, then the output of every layer, which the next one reads.
    """

    values: list[Vector]
    z: list[Vector] = field(default_factory=list)
    a: list[Vector] = field(default_factory=list)
    normalized: list[Normalized | None] = field(default_factory=list)  # of norm layers
    mask: list[Vector | None] = field(default_factory=list)  # of layers with dropout: 0, or 1/(1 − rate)

    @property
    def outputs(self) -> Vector:
        """The outputs of the last layer."""
        return self.values[-1]


@np.errstate(all="ignore")
def forward(
    layers: Sequence[Layer],
    parameters: Vector,
    X: Vector,
    *,
    batch_statistics: bool = False,
    dropout: tuple[int, int] | None = None,
) -> Pass:
    """Layer by layer: z = x·W + b, or gain·x̂ + shift; a = φ(z); in training a·mask; the output, + value[adds].

    As given, this is prediction. Training and the gradient flow take `batch_statistics` in batch_norm layers, and
    training drops units: `dropout` is the seed and how many steps came before.
    """
    result = Pass(values=[X])
    for number, (layer, arrays) in enumerate(zip(layers, weights(layers, parameters), strict=True)):
        x = result.values[-1]
        if layer.kind == "dense":
            W, b = arrays
            normalized, z = None, x @ W + b
        else:
            normalized = _normalized(layer, x, () if batch_statistics else arrays[2:])
            z = arrays[0] * normalized.x_hat
            if layer.kind != "rms_norm":
                z = z + arrays[1]
        a = output = layer.activation(z)
        mask = None
        if dropout is not None and layer.dropout:
            seed, step = dropout
            factor = np.float32(1 / (1 - layer.dropout)).astype(z.dtype)
            mask = factor * kept_units(seed, step, number, layer.dropout, z.shape)
            output = output * mask
        if layer.adds is not None:
            output = output + result.values[layer.adds]
        result.values.append(output)
        result.z.append(z)
        result.a.append(a)
        result.normalized.append(normalized)
        result.mask.append(mask)
    return result


@np.errstate(all="ignore")
def backward(
    layers: Sequence[Layer],
    parameters: Vector,
    passed: Pass,
    loss: Loss,
    target: Vector,
    row_weights: Vector = NO_WEIGHTS,
) -> tuple[Vector, list[Vector]]:
    """Back-propagation: the gradient of the mean loss as one vector, and ∂loss/∂z of every layer [rows, units].

    The gradient of running statistics is 0: they are not trained.
    """
    gradient = np.zeros_like(parameters)
    deltas: list[Vector] = []
    # The mean is over rows, and over outputs too unless the loss is softmax's, which prices a whole row.
    priced = passed.outputs.shape[0] if loss.expression is None else passed.outputs.size
    slope_of_outputs = weighted(loss.slopes(passed.outputs, target), row_weights) / priced
    slopes = {len(layers): slope_of_outputs}  # ∂loss/∂value, summed over those who read it
    pairs = list(zip(layers, weights(layers, parameters), weights(layers, gradient), strict=True))
    for number in reversed(range(len(layers))):
        layer, arrays, gradients = pairs[number]
        slope, mask, normalized = slopes.pop(number + 1), passed.mask[number], passed.normalized[number]
        if layer.adds is not None:
            slopes[layer.adds] = slopes.get(layer.adds, 0) + slope
        delta = (slope if mask is None else slope * mask) * layer.activation.slope(passed.z[number])
        if normalized is None:
            gradients[0][:] = passed.values[number].T @ delta
            back = delta @ arrays[0].T
        else:
            gradients[0][:] = (delta * normalized.x_hat).sum(axis=0)
            back = _back_through(layer, normalized, delta * arrays[0])
        if layer.kind != "rms_norm":
            gradients[1][:] = delta.sum(axis=0)
        slopes[number] = slopes[number] + back if number in slopes else back
        deltas.insert(0, delta)
    return gradient, deltas


# ---------------------------------------------------------------------------------------------- running statistics


def is_trained(layers: Sequence[Layer]) -> NDArray[np.bool_]:
    """Of every number of the parameter vector whether the optimizer moves it: all but the running statistics."""
    return np.concatenate(
        [np.arange(layer.n_parameters) < 2 * layer.n_out if layer.kind == "batch_norm"
         else np.full(layer.n_parameters, True) for layer in layers]
    )  # fmt: skip


def running_statistics(layers: Sequence[Layer], parameters: Vector, passed: Pass) -> Vector:
    """The running means and variances of all batch_norm layers after a batch, one after the other.

    r ← 0.9·r + 0.1·s, s the mean and the unbiased variance of the batch, n/(n − 1) of the biased one (of a single row
    the biased one, 0).
    """
    n, found = len(passed.outputs), [parameters[:0]]
    keep, take = (parameters.dtype.type(share) for share in (1 - BATCH_MOMENTUM, BATCH_MOMENTUM))
    for layer, arrays, normalized in zip(layers, weights(layers, parameters), passed.normalized, strict=True):
        if layer.kind == "batch_norm" and normalized is not None:
            unbiased = normalized.variance[0] * parameters.dtype.type(n / max(n - 1, 1))
            found += [keep * arrays[2] + take * normalized.mean[0], keep * arrays[3] + take * unbiased]
    return np.concatenate(found)
