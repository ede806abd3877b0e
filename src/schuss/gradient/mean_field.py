"""What a network of random weights must do, from the activation and the weights' variance alone.

In a wide layer every z is a sum of many small independent terms, so z ~ N(0, q) on every row, and the gradient that
comes back through it is multiplied by random weights and by the slope where z lies (Poole et al., 2016; Schoenholz et
al., 2017):

    q_1 = Var(W)·|x|² + Var(b)                 the row's length, in the first layer
    q_{l+1} = σ_w² E[φ(√q_l x)²] + σ_b²        the variance map, x ~ N(0, 1)
    δ_l² = χ_l δ_{l+1}²                        χ_l = σ_w² E[φ′(√q_l x)²], the gain of the squared gradient

with σ_w² = fan-in · Var(W_{l+1}), and fan-out in its place for δ where the widths differ. A sigmoid's slope is at most
0.25, hence χ ≤ σ_w²/16, whatever the data and the loss.

>>> from schuss.data import load
>>> from schuss.engines.targets import engine_data
>>> from schuss.initializers import glorot_normal
>>> from schuss.losses import softmax_cross_entropy
>>> from schuss.network import mlp
>>> network = mlp([256] * 20, "sigmoid", glorot_normal)
>>> rows = engine_data(load("digits"), softmax_cross_entropy).train
>>> theory = predict(network.layers(64, 10), softmax_cross_entropy, network.initial(64, 10, seed=0), rows)
>>> theory.chi[[0, -2]].round(2).tolist(), round(theory.depth_scale, 2)  # a factor e in a third of a layer
([0.05, 0.06], 0.35)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schuss.activations import Activation
from schuss.engines import EnginePart, Vector
from schuss.engines.reference import sample, targets_of
from schuss.engines.stack import weighted, weights
from schuss.errors import NoTheory
from schuss.language.expectations import Moments, moments
from schuss.layers import Layer
from schuss.losses import Loss
from schuss.show import tables
from schuss.show.formatting import for_json

Array = NDArray[np.float64]

_MOST_UNLIKE = 0.5  # the share of the mean in W's mean square above which W is no random matrix around 0
_DECADE = 4
_SEARCHED = np.logspace(-8, 5, 13 * _DECADE + 1)  # q, where a fixed point is looked for
_STILL = 0.02  # χ that changes by less over the last decade of them has found its limit
_HALVINGS = 30
_TOLERANCE = 1e-7  # of a moment; layers of 10,000 units differ from theory by more
_DRAWS = 64  # of the outputs of a row, for the mean square of the loss's slope
_SIGMAS = 3.0  # a gain nearer to 1 than so many standard errors of Var(W) is 1 as far as one can tell


@dataclass(frozen=True, eq=False)
class MeanField:
    """A prediction for the hidden layers, from the input on: arrays with a number a layer, as in a GradientFlow.

    q : variance of z, mean over the rows
    activation_mean, activation_rms : of φ(z)
    chi : χ, by how much a squared gradient grows on its way back through the layer, mean over the rows
    delta : root mean square of ∂loss/∂z
    fixed_point : the q that the variance map leads to from the last layer on, in ever deeper stacks; None where it
        leads to none, or where the layers differ
    chi_star : χ there; for a ReLU also without a fixed point, since its χ does not depend on q
    """

    layers: tuple[Layer, ...]
    q: Array
    activation_mean: Array
    activation_rms: Array
    chi: Array
    delta: Array
    fixed_point: float | None
    chi_star: float | None

    @property
    def z_rms(self) -> Array:
        """Root mean square of z, √q."""
        return np.sqrt(self.q)

    @property
    def relative(self) -> Array:
        """δ of each layer over δ of the last hidden layer."""
        with np.errstate(all="ignore"):
            return np.asarray(self.delta / self.delta[-1])

    @property
    def depth_scale(self) -> float | None:
        """1 / |ln χ*|, in how many layers a squared gradient changes by a factor e; infinite where χ* is 1."""
        if self.chi_star is None or not self.chi_star > 0:
            return None
        return math.inf if self.chi_star == 1 else 1 / abs(math.log(self.chi_star))

    def to_json(self) -> dict[str, Any]:
        """The prediction as plain numbers; what is not a finite number is None."""
        names = ("relative", "chi", "delta", "q", "activation_mean", "activation_rms")
        single = {"fixed_point": self.fixed_point, "chi_star": self.chi_star, "depth_scale": self.depth_scale}
        return {name: [for_json(x) for x in getattr(self, name)] for name in names} | {
            name: None if value is None else for_json(value) for name, value in single.items()
        }

    def table(self) -> str:
        """The prediction as a text table, one line a layer."""
        return tables.as_text(tables.theory_table(self))

    def __repr__(self) -> str:
        chi = "" if self.chi_star is None else f", χ* = {self.chi_star:.3g}"
        return f"MeanField({len(self.layers)} layer{'s' * (len(self.layers) != 1)}{chi})"


@np.errstate(all="ignore")
def predict(layers: Sequence[Layer], loss: Loss, parameters: Vector, part: EnginePart) -> MeanField:
    """The mean-field prediction of what `engines.reference.measure` measures, for the hidden layers of a stack.

    Parameters
    ----------
    layers, parameters : the whole stack, output layer included, and its weights as one vector, of which only the
        variances are used, and mean and variance of the biases.
    part : rows, of which the first are taken, as in the measurement: each has its own length, hence its own q.

    NoTheory where this theory does not hold: with layers other than dense ones, or weights that are not random.
    """
    _check_dense(layers)
    rows = sample(part)
    drawn = [_drawn(number, W, b) for number, (W, b) in enumerate(weights(layers, parameters.astype(np.float64)), 1)]
    power = np.mean(np.square(rows.X, dtype=np.float64), axis=1)
    q: list[Array] = []
    found: list[Moments] = []
    for layer, this in zip(layers, drawn, strict=True):
        q.append(layer.n_in * this.variance * power + this.bias_variance)
        found.append(_moments(layer.activation, q[-1], this.bias_mean))
        power = found[-1].power
    n = max(len(layers) - 1, 1)
    delta = _deltas(layers, drawn, found, _output_slopes(layers[-1], loss, q[-1], drawn[-1].bias_mean, rows))[:n]
    fixed_point, chi_star = _limit(layers[:n], drawn, float(q[n - 1].mean()))
    following = [*drawn[1:], drawn[-1]]  # an output layer alone is followed by none
    return MeanField(
        layers=tuple(layers[:n]),
        q=np.array([each.mean() + this.bias_mean**2 for each, this in zip(q, drawn, strict=True)])[:n],
        activation_mean=np.array([at.mean.mean() for at in found[:n]]),
        activation_rms=np.sqrt([at.power.mean() for at in found[:n]]),
        chi=np.array([layers[k].n_out * following[k].variance * found[k].slope_power.mean() for k in range(n)]),
        delta=delta,
        fixed_point=fixed_point,
        chi_star=chi_star,
    )


class _Drawn(NamedTuple):
    """What theory knows of a layer's weights and biases."""

    variance: float
    entries: int  # how many weights there are: their variance is known to √(2 / entries)
    bias_mean: float
    bias_variance: float


def _drawn(number: int, W: NDArray[np.float64], b: NDArray[np.float64]) -> _Drawn:
    variance = float(np.mean(W**2))
    if not variance > 0 or not math.isfinite(variance):
        raise NoTheory(f"no prediction: the weights of layer {number} are all 0, or not all finite.")
    if W.mean() ** 2 > _MOST_UNLIKE * variance:
        raise NoTheory(f"no prediction: the weights of layer {number} are not random numbers around 0.")
    return _Drawn(variance, W.size, float(b.mean()), float(b.var()))


def _check_dense(layers: Sequence[Layer]) -> None:
    for layer in layers:
        if layer.kind != "dense" or layer.adds is not None:
            what = "a residual sum" if layer.kind == "dense" else f"a {layer.kind.replace('_', ' ')}"
            raise NoTheory(f"no prediction: this theory is for plain dense stacks, but this network has {what}.")


def _moments(phi: Activation, q: Array, bias_mean: float) -> Moments:
    """E[φ], E[φ²], E[φ′²] for z ~ N(bias_mean, q), a number for each q."""
    # In single precision: after some layers all rows are of one length up to rounding, and computed once.
    known, places = np.unique(np.float32(np.sqrt(q)), return_inverse=True)
    found = moments(phi.expression, phi.derivative, known, mean=bias_mean, tolerance=_TOLERANCE)
    return Moments(*(each[places] for each in found))


def _output_slopes(layer: Layer, loss: Loss, q: Array, bias_mean: float, rows: EnginePart) -> Array:
    """E[(∂loss/∂z)²] of the output layer for z ~ N(bias_mean, q), a number for each row.

    Rows with large outputs err more: a softmax that is sure of a class chosen by chance has twice the squared slope of
    one that is not. Where a few rows are much longer than the others, δ is theirs.
    """
    total = np.zeros(len(q))
    for normal in np.random.default_rng(0).standard_normal((_DRAWS, len(q), layer.n_out)):
        z = bias_mean + np.sqrt(q)[:, None] * normal
        slopes = loss.slopes(layer.activation(z), targets_of(loss, rows)) * layer.activation.slope(z)
        total += np.mean(weighted(slopes, rows.weights) ** 2, axis=1)
    outputs = 1 if loss.expression is None else layer.n_out  # all losses but softmax's are a mean over outputs
    return total / _DRAWS / outputs**2


def _deltas(layers: Sequence[Layer], drawn: Sequence[_Drawn], found: Sequence[Moments], last: Array) -> Array:
    """δ of every layer: back from that of the output, with fan-out · Var(W) · E[φ′²] of every layer, row by row."""
    squares = [last]
    for k in reversed(range(len(layers) - 1)):
        squares.insert(0, squares[0] * layers[k + 1].n_out * drawn[k + 1].variance * found[k].slope_power)
    return np.sqrt([each.mean() for each in squares])


# ---------------------------------------------------------------------------------------------- ever deeper


def _limit(hidden: Sequence[Layer], drawn: Sequence[_Drawn], q: float) -> tuple[float | None, float | None]:
    """q* and χ* if the stack went on without end from q; None where its layers differ, or where they do not exist."""
    inner = drawn[1 : len(hidden)]  # the first layer reads the data and the last one is the output
    scales = np.array([layer.n_out * d.variance for layer, d in zip(hidden, inner, strict=False)])
    if not len(inner) or len({layer.activation for layer in hidden}) > 1:
        return None, None
    error = math.sqrt(2 / min(d.entries for d in inner))
    if scales.max() > scales.min() * (1 + 2 * _SIGMAS * error):
        return None, None
    bias_mean, bias_variance = np.mean([(d.bias_mean, d.bias_variance) for d in inner], axis=0).tolist()
    error *= _SIGMAS / math.sqrt(len(inner))
    phi, weight_variance = hidden[0].activation, float(scales.mean())

    def step(q: Array) -> Array:
        grown: Array = weight_variance * _moments(phi, q, bias_mean).power + bias_variance - q
        return grown

    fixed, on_the_way = _fixed_point(step, q, error)
    before, chi = (weight_variance * _moments(phi, on_the_way, bias_mean).slope_power).tolist()
    if not abs(chi - before) <= _STILL * chi:  # also where it is not a number
        return fixed, None
    return fixed, 1.0 if abs(chi - 1) < error else chi


def _fixed_point(step: Callable[[Array], Array], q: float, error: float) -> tuple[float | None, Array]:
    """The fixed point that q runs into, with steps as given (None if it has none), and two q on the way there.

    Two NaN where the map has no value at q, as beside a pole of φ.

    The variance map grows with q for nearly every φ, so that q goes one way until it meets the next fixed point.
    """
    unknown = np.full(2, math.nan)
    if not math.isfinite(q):
        return None, unknown
    moves = step(_SEARCHED)
    factors = moves / _SEARCHED
    if np.ptp(factors) < 1e-6 and abs(factors[0]) < error:  # a ReLU at its own scale: every q stays where it is
        return None, np.array([q, q])
    start = min(int(np.searchsorted(_SEARCHED, q)), len(moves) - 1)
    if not math.isfinite(moves[start]):
        return None, unknown
    up = moves > 0
    way = 1 if up[start] else -1
    ahead = np.arange(start, len(up) if way > 0 else -1, way)
    if len(missing := np.flatnonzero(~np.isfinite(moves[ahead]))):
        ahead = ahead[: missing[0]]
    turned = ahead[up[ahead] != up[start]]
    if not len(turned):
        a_decade_before = min(max(ahead[-1] - way * _DECADE, 0), len(moves) - 1)
        return None if way > 0 or len(missing) else 0.0, _SEARCHED[[a_decade_before, ahead[-1]]]
    low, high = sorted(np.log(_SEARCHED[[turned[0], turned[0] - way]]))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if step(np.exp([middle]))[0] > 0 else (low, middle)
    fixed = math.exp(low)
    return fixed, np.array([fixed, fixed])
