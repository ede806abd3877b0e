"""What can be seen of a case before anything is changed: its weights, its data, its gradient, its training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from schuss.diagnosis.cases import Case, constant_losses
from schuss.diagnosis.laboratory import Measured
from schuss.diagnosis.scaling import numeric_inputs
from schuss.engines import SAMPLE_ROWS
from schuss.engines.reference import targets_of
from schuss.engines.stack import forward, weights
from schuss.engines.targets import engine_data
from schuss.gradient.flow import GradientFlow, flow
from schuss.layers import stages

_ROWS = 512  # rows on which the loss before training is looked at


@dataclass(frozen=True, eq=False)
class Evidence:
    """The signs of a case; `trained` is its own training, from several seeds."""

    case: Case
    trained: Measured
    seed: int

    @cached_property
    def flow(self) -> GradientFlow:
        """The gradient flow before training, in double precision: of 1e-60 a float32 would leave nothing."""
        return flow(self.case.network, self.case.data, seed=self.seed, loss=self.case.loss)

    @cached_property
    def initial_loss(self) -> float:
        """The loss before training, over that of the constant predictor; infinite where it is no number."""
        case, loss = self.case, self.case.loss
        part = engine_data(case.data, loss).train
        X, target = part.X[:_ROWS].astype(np.float64), targets_of(loss, part)[:_ROWS]
        with np.errstate(all="ignore"):
            outputs = forward(case.layers, self._initial.astype(np.float64), X, batch_statistics=True).outputs
            ratio = float(np.mean(loss.values(outputs, target))) / constant_losses(case)[0]
        return ratio if math.isfinite(ratio) else math.inf

    @cached_property
    def symmetric_layers(self) -> tuple[int, ...]:
        """Hidden layers (from 1) whose units all start with the same weights and bias: they stay the same."""
        views = zip(self.case.layers[:-1], weights(self.case.layers, self._initial), strict=False)
        dense = [arrays for layer, arrays in views if layer.kind == "dense"]
        same = [W.shape[1] > 1 and bool(np.all(W[:, :1] == W) and np.all(b == b[0])) for W, b in dense]
        return tuple(number for number, is_same in enumerate(same, 1) if is_same)

    @cached_property
    def dead(self) -> NDArray[np.float64]:
        """Share of the units of each hidden layer that say the same on every row, with slope 0.

        A hard tanh that jumps between −1 and 1 has slope 0 as well, but is saturated, not dead.
        """
        layers = self.case.layers
        X = self.case.data.train.X[:SAMPLE_ROWS].astype(np.float64)
        with np.errstate(all="ignore"):
            passed = forward(layers, self._initial.astype(np.float64), X, batch_statistics=True)
            shares = [
                np.mean(
                    np.all(layers[last].activation.slope(passed.z[last]) == 0, axis=0)
                    & (np.ptp(passed.a[last], axis=0) == 0)
                )
                for _, last in stages(layers)
            ]
        return np.array(shares[:-1] or shares)

    @cached_property
    def linear_layers(self) -> tuple[int, ...]:
        """Hidden layers (from 1) whose activation has the same slope everywhere."""
        z = np.linspace(-10, 10, 2001)
        slopes = [layer.activation.slope(z) for layer in self.flow.layers]
        return tuple(number for number, slope in enumerate(slopes, 1) if np.ptp(slope) <= 1e-12 * abs(slope).max())

    @cached_property
    def input_scales(self) -> NDArray[np.float64]:
        """Root mean square of every numeric input that is not constant."""
        X = self.case.data.train.X[:, numeric_inputs(self.case.data)].astype(np.float64)
        return _rms(X[:, X.std(axis=0) > 0]) if X.size else np.ones(0)

    @cached_property
    def target_scale(self) -> float:
        """The largest root mean square of a number to predict; 1 for classes."""
        data = self.case.data
        return float(_rms(data.train.y.astype(np.float64)).max()) if data.task == "regression" else 1.0

    @cached_property
    def bounded_layers(self) -> tuple[int, ...]:
        """Hidden layers (from 1) whose activation is flat on both ends."""
        ranges = [layer.activation.range for layer in self.flow.layers]
        return tuple(number for number, ends in enumerate(ranges, 1) if all(map(math.isfinite, ends)))

    @cached_property
    def _initial(self) -> NDArray[np.float32]:
        layers = self.case.layers
        return self.case.network.initial(layers[0].n_in, layers[-1].n_out, self.seed)


def _rms(X: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.mean(X * X, axis=0)))
