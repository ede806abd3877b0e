"""Who computes: what an engine is given, what it returns, and nothing about how.

An engine takes plans (numbers and definitions, no names to look up) and yields outcomes as networks finish. `reference`
reads like the textbook; `native` is the C++ core. An engine's only randomness is counter-based: (seed, epoch) → order,
(seed, step, layer) → the units that dropout keeps.

The parameters of a stack are one vector, layer by layer: of a dense layer W [n_in, n_out] by rows, then b [n_out]; of a
norm gain, shift, running mean and running variance, as many of them as its kind has (`Layer.shapes`). The state of an
optimizer is an array [n_state, n] in the same order. The running statistics of batch_norm lie in the vector, so that
a copy of the parameters includes them, but they are not trained: their gradient and their state are 0, and after
an update they are the new statistics, whatever the optimizer's rule made of them.

Training and the measurement of the flow use the statistics of the batch, everything else the running ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from schuss.layers import Layer
from schuss.losses import Loss
from schuss.optimizers import Optimizer

Vector: TypeAlias = NDArray[np.floating[Any]]
Status: TypeAlias = Literal["finished", "stopped", "diverged", "cancelled"]

# What is measured at every layer, and what is kept of every epoch; `watch` and `epochs` say when.
QUANTITIES = (
    "delta", "weight_gradient", "z_mean", "z_rms", "activation_mean", "activation_rms", "saturated", "dead",
    "update_ratio",
)  # fmt: skip
HISTORY = ("step", "epoch", "seconds", "train_loss", "valid_loss", "score")
SAMPLE_ROWS = 128  # the gradient flow is measured on the first rows of the training part, at most so many
NORM_EPSILON = 1e-5  # added to every variance that is divided by, as in PyTorch
BATCH_MOMENTUM = 0.1  # the share of a batch in the running statistics of batch_norm, as in PyTorch
NO_WEIGHTS = np.zeros(0, np.float32)  # of rows that all count 1
SATURATED_BELOW = 0.01  # a unit is saturated on a row where |φ′| is below this share of its usual slope
DEAD_BELOW = float(np.finfo(np.float32).tiny)  # and dead where it is below this on every row: 0 in float32 arithmetic


class EnginePart(NamedTuple):
    """Rows as an engine takes them: inputs X [n, d], targets Y [n, k], class numbers [n] (none for regression).

    With weights [n] row i counts w_i times: the loss of a batch of B rows is Σ w_i·loss_i / B, as in PyTorch the mean
    of reduction="none" times w; that of a part, when it is evaluated, Σ w_i·loss_i / Σ w_i, and so for the score.
    Weights with mean 1 over the training part leave the size of the steps as it is. Without any, every row counts 1.
    """

    X: NDArray[np.float32]
    Y: NDArray[np.float32]
    labels: NDArray[np.int32]
    weights: NDArray[np.float32] = NO_WEIGHTS

    def rows(self, chosen: NDArray[np.int64] | slice) -> EnginePart:
        """Some of the rows."""
        labels, weights = self.labels, self.weights
        return EnginePart(
            self.X[chosen],
            self.Y[chosen],
            labels[chosen] if len(labels) else labels,
            weights[chosen] if len(weights) else weights,
        )


@dataclass(frozen=True, eq=False)
class EngineData:
    """The three parts of a data set; equal only to itself, so that an engine can keep its own form of it beside it."""

    train: EnginePart
    valid: EnginePart
    test: EnginePart

    def __iter__(self) -> Iterator[EnginePart]:
        """The parts."""
        return iter((self.train, self.valid, self.test))


@dataclass(frozen=True)
class State:
    """Where a training stands; training on from it gives the same bits as never having stopped."""

    parameters: Vector
    moments: Vector  # [n_state, n]
    step: int = 0
    epoch: int = 0
    best: Vector | None = None  # with patience: the parameters of the lowest validation loss so far
    best_loss: float = float("inf")
    best_epoch: int = 0


@dataclass(frozen=True)
class Plan:
    """One network to train, and on what.

    `learning_rates` holds the rate of every step of the whole training, schedule applied. `watch` holds the epochs
    after which the flow is measured; 0 is before training. A `batch_size` of at least the number of rows is the full
    batch, which keeps the rows' own order.
    """

    layers: tuple[Layer, ...]
    data: EngineData
    loss: Loss
    optimizer: Optimizer
    learning_rates: NDArray[np.float64]
    batch_size: int
    epochs: int
    patience: int | None
    clip_norm: float | None
    seed: int
    watch: tuple[int, ...]
    start: State


@dataclass(frozen=True)
class Outcome:
    """What became of a plan.

    `history` has a row an epoch and the columns HISTORY; `flow` is [measurement, layer, quantity] with QUANTITIES,
    taken after the epochs `watched`. `losses` and `scores` are those of the train, valid and test parts at the end,
    with the best parameters if the plan has patience. A diverged network says at which step and layer (from 1).
    """

    status: Status
    state: State
    history: NDArray[np.float64]
    flow: NDArray[np.float64]
    watched: NDArray[np.int64]
    losses: tuple[float, float, float]
    scores: tuple[float, float, float]
    seconds: float
    diverged_step: int | None = None
    diverged_layer: int | None = None


class Engine(Protocol):
    """What an engine can do."""

    def train(self, plans: Iterable[Plan], tick: Callable[[], None] = ...) -> Iterator[tuple[int, Outcome]]:
        """Train every plan, each on its own data; yield (number of the plan, outcome) as they finish, in any order.

        Plans are taken as they are needed, so neither a long list of them nor all their data sets need exist at once:
        an engine keeps a data set for no longer than somebody else does, or a network is trained on it. `tick` is
        called now and then while work goes on. Closing the iterator, or an interrupt, cancels what is still running.
        """
        ...

    def predict(self, layers: Sequence[Layer], parameters: Vector, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """The outputs of the last layer, [rows, n_out]."""
        ...

    def steps(self) -> int:
        """How many updates the engine has made since it was created, over all networks."""
        ...
