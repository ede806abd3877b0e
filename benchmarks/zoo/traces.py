"""What the published rules read of a training: weights, gradients, activations and losses, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import schuss as sc
from benchmarks.zoo.setups import Setup
from schuss.engines import SAMPLE_ROWS, EnginePart
from schuss.engines.reference import targets_of
from schuss.engines.stack import backward, forward, weights
from schuss.engines.targets import engine_data

Array = NDArray[Any]
MOMENTS = 40  # of a longer training every second, third, … epoch is looked at


@dataclass(frozen=True)
class Moment:
    """A training after some epoch, its tensors on the first batch (at most 128 rows); lists have an entry a layer."""

    epoch: int
    W: list[Array]  # [n_in, n_out]
    gradient: list[Array]  # of the mean loss of the batch with respect to W
    gradient_bias: list[Array]
    z: list[Array]  # [rows, units]
    a: list[Array]
    score: float  # on the training part: accuracy, or R²


@dataclass(frozen=True)
class Trace:
    """A training as a monitor sees it."""

    setup: Setup
    moments: list[Moment]  # the first before training
    train_loss: Array  # an entry an epoch; infinite for the one in which it diverged
    valid_loss: Array
    valid_score: Array
    diverged: bool

    @property
    def activations(self) -> list[str]:
        """The names of the hidden layers' activations."""
        return [str(layer.activation) for layer in self.setup.network.hidden]

    @property
    def hidden(self) -> range:
        return range(self.setup.depth)

    def mostly(self, is_met: Callable[[Moment], bool]) -> bool:
        """Whether a condition holds at more than half of the moments after the first epoch."""
        later = [moment for moment in self.moments if moment.epoch > 0]
        return sum(map(is_met, later)) > len(later) / 2


def trace(setup: Setup) -> Trace:
    runs = list(stages(setup))
    last = runs[-1]
    before = setup.network.initial(last.layers[0].n_in, last.layers[-1].n_out, setup.seed)
    moments = [moment(setup, last, before, 0)]
    moments += [moment(setup, run, run.parameters, run.recipe.epochs) for run in runs]
    diverged = last.status == "diverged"
    losses = [np.append(last.history[name], [np.inf] * diverged) for name in ("train_loss", "valid_loss")]
    return Trace(setup, moments, *losses, valid_score=last.history["score"], diverged=diverged)


def stages(setup: Setup) -> Iterator[sc.Run]:
    """Train again, from moment to moment, until it diverges: by `resume`, which changes no bit."""
    stride = math.ceil(setup.epochs / MOMENTS)
    run: sc.Run | None = None
    for epochs in [*range(stride, setup.epochs, stride), setup.epochs]:
        recipe = sc.Recipe(setup.optimizer, batch_size=setup.batch_size, epochs=epochs)
        run = sc.fit(setup.network, setup.data, recipe, seed=setup.seed, resume=run, threads=1)
        yield run
        if run.status == "diverged":
            break


@np.errstate(all="ignore")
def moment(setup: Setup, run: sc.Run, parameters: Array, epoch: int) -> Moment:
    train = engine_data(setup.data, run.loss).train
    rows = slice(min(setup.recipe.batch_size or SAMPLE_ROWS, SAMPLE_ROWS))
    batch = EnginePart(train.X[rows], train.Y[rows], train.labels[rows])
    exact = parameters.astype(np.float64)
    passed = forward(run.layers, exact, batch.X.astype(np.float64))
    gradient, _ = backward(run.layers, exact, passed, run.loss, targets_of(run.loss, batch))
    slopes = weights(run.layers, gradient)
    return Moment(
        epoch,
        W=[W for W, _ in weights(run.layers, exact)],
        gradient=[W for W, _ in slopes],
        gradient_bias=[b for _, b in slopes],
        z=passed.z,
        a=passed.a,
        score=replace(run, outcome=replace(run.outcome, state=replace(run.outcome.state, parameters=parameters))).score(
            setup.data.train
        ),
    )
