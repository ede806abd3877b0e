"""The engine that reads like the textbook: forward, back-propagation, update, in NumPy, at any depth.

It is the oracle of the native engine, and it measures gradient flow at initialization, in double precision, where a
gradient of 1e-60 is still a number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from schuss.engines import (
    DEAD_BELOW,
    QUANTITIES,
    SAMPLE_ROWS,
    SATURATED_BELOW,
    EngineData,
    EnginePart,
    Outcome,
    Plan,
    Status,
    Vector,
)
from schuss.engines.stack import Pass, backward, forward, is_trained, running_statistics, weighted, weights
from schuss.layers import Layer
from schuss.losses import Loss
from schuss.randomness import epoch_order


class ReferenceEngine:
    """NumPy, one network after the other; `dtype` float64 (default) or float32."""

    def __init__(self, dtype: DTypeLike = np.float64) -> None:
        self.dtype = np.dtype(dtype)
        self._steps = 0

    def train(self, plans: Iterable[Plan], tick: Callable[[], None] = lambda: None) -> Iterator[tuple[int, Outcome]]:
        """Train every plan, in order."""
        for number, plan in enumerate(plans):
            yield number, _Training(plan, self.dtype, self._count(tick)).run()

    def predict(self, layers: Sequence[Layer], parameters: Vector, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """The outputs of the last layer, [rows, n_out]."""
        return forward(layers, parameters.astype(self.dtype), X.astype(self.dtype)).outputs.astype(np.float32)

    def _count(self, tick: Callable[[], None]) -> Callable[[], None]:
        def after_step() -> None:
            self._steps += 1
            tick()

        return after_step

    def steps(self) -> int:
        """How many updates have been made so far."""
        return self._steps


# ---------------------------------------------------------------------------------------------- score, flow


def targets_of(loss: Loss, part: EnginePart) -> NDArray[Any]:
    """What the loss compares predictions with: class numbers for softmax, else the target columns."""
    return part.labels if loss.expression is None else part.Y


def batch_loss(loss: Loss, outputs: Vector, part: EnginePart) -> float:
    """(1/n) Σ wᵢ·lossᵢ over the n rows of a batch."""
    return float(np.mean(weighted(loss.values(outputs, targets_of(loss, part)), part.weights)))


def part_loss(loss: Loss, outputs: Vector, part: EnginePart) -> float:
    """Σ wᵢ·lossᵢ / Σ wᵢ over the rows of a part that is evaluated."""
    return float(batch_loss(loss, outputs, part) / _mean_weight(part))


@np.errstate(all="ignore")
def score(loss: Loss, outputs: Vector, part: EnginePart) -> float:
    """Accuracy for classes; R² for numbers: 1 − the squared error over that of the constant mean. Rows are weighted."""
    if len(part.labels):
        chosen = outputs.argmax(axis=1) if outputs.shape[1] > 1 else outputs[:, 0] > loss.threshold
        return float(np.mean(weighted(chosen == part.labels, part.weights)) / _mean_weight(part))
    center = weighted(part.Y, part.weights).mean(axis=0) / _mean_weight(part)
    spread = np.sum(weighted((part.Y - center) ** 2, part.weights))
    return float(1 - np.sum(weighted((part.Y - outputs) ** 2, part.weights)) / spread) if spread > 0 else math.nan


def _mean_weight(part: EnginePart) -> np.float64:
    return np.mean(part.weights, dtype=np.float64) if len(part.weights) else np.float64(1)


def sample(part: EnginePart) -> EnginePart:
    """The first rows of a part, on which the gradient flow is measured."""
    return part.rows(slice(SAMPLE_ROWS))


@np.errstate(all="ignore")
def measure(
    layers: Sequence[Layer], loss: Loss, parameters: Vector, part: EnginePart, previous: Vector | None = None
) -> NDArray[np.float64]:
    """The gradient flow on the first rows of a part: [layer, quantity], in double precision.

    All units take part, with the statistics of these rows in batch_norm layers. `previous` holds the parameters before
    the last update, for the update ratio (NaN without). The weights of a norm layer are its gain.
    """
    rows = sample(part)
    exact = parameters.astype(np.float64)
    passed = forward(layers, exact, rows.X.astype(np.float64), batch_statistics=True)
    gradient, deltas = backward(layers, exact, passed, loss, targets_of(loss, rows), rows.weights)
    after = weights(layers, exact)
    before = weights(layers, exact if previous is None else previous.astype(np.float64))
    result = np.empty((len(layers), len(QUANTITIES)))
    for number, layer in enumerate(layers):
        z, a = passed.z[number], passed.a[number]
        slopes = np.abs(layer.activation.slope(z))
        W = before[number][0]
        result[number] = (
            _rms(deltas[number]) * len(rows.X),  # of one row's loss, not of its share in the mean
            _rms(weights(layers, gradient)[number][0]),
            z.mean(), _rms(z), a.mean(), _rms(a),
            np.mean(slopes < SATURATED_BELOW * layer.activation.usual_slope),
            np.mean(np.all(slopes < DEAD_BELOW, axis=0)),
            math.nan if previous is None or not W.any() else _rms(after[number][0] - W) / _rms(W),
        )  # fmt: skip
    return result


def _rms(x: Vector) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


# ---------------------------------------------------------------------------------------------- training


class _Diverged(Exception):
    """A loss that is not a finite number, found in the forward pass `passed`."""

    def __init__(self, step: int, passed: Pass) -> None:
        super().__init__(step)
        bad = [not np.isfinite(z).all() for z in passed.z]
        self.step, self.layer = step, bad.index(True) + 1 if any(bad) else len(bad)


class _Training:
    """One network on its way through the epochs."""

    def __init__(self, plan: Plan, dtype: np.dtype[Any], after_step: Callable[[], None]) -> None:
        self.plan, self.after_step = plan, after_step
        self.data = EngineData(*(p._replace(X=p.X.astype(dtype), Y=p.Y.astype(dtype)) for p in plan.data))
        self.parameters = plan.start.parameters.astype(dtype)
        self.moments = plan.start.moments.astype(dtype)
        self.statistics = ~is_trained(plan.layers)
        self.step, self.epoch = plan.start.step, plan.start.epoch
        self.best, self.best_loss, self.best_epoch = plan.start.best, plan.start.best_loss, plan.start.best_epoch
        self.previous: Vector | None = None
        self.history: list[tuple[float, ...]] = []
        self.flow: list[NDArray[np.float64]] = []
        self.watched: list[int] = []
        self.began = time.perf_counter()

    @np.errstate(all="ignore")
    def run(self) -> Outcome:
        status: Status = "finished"
        step = layer = None
        try:
            if self.epoch == 0:
                self.watch()
            while self.epoch < self.plan.epochs and status == "finished":
                if self.patience_is_over():
                    status = "stopped"
                else:
                    self.run_epoch()
        except _Diverged as found:
            status, step, layer = "diverged", found.step, found.layer
        return self.outcome(status, step, layer)

    def run_epoch(self) -> None:
        train = self.data.train
        n = len(train.X)
        whole = self.plan.batch_size >= n
        order = np.arange(n) if whole else epoch_order(self.plan.seed, self.epoch, n)
        total = 0.0
        for start in range(0, n, self.plan.batch_size):
            rows = order[start : start + self.plan.batch_size]
            total += len(rows) * self.update(train.rows(rows))
        self.epoch += 1
        valid_loss, valid_score, passed = self.evaluate(self.data.valid)
        self.history.append(
            (self.step, self.epoch, time.perf_counter() - self.began, total / n, valid_loss, valid_score)
        )
        if not (math.isfinite(valid_loss) and np.isfinite(self.parameters).all()):
            raise _Diverged(self.step, passed)
        self.watch()
        if self.plan.patience and valid_loss < self.best_loss:
            self.best, self.best_loss, self.best_epoch = self.parameters.copy(), valid_loss, self.epoch

    def update(self, batch: EnginePart) -> float:
        """One step on one batch: forward, loss, backward, clip, the optimizer's rule, running statistics."""
        plan = self.plan
        passed = forward(plan.layers, self.parameters, batch.X, batch_statistics=True, dropout=(plan.seed, self.step))
        target = targets_of(plan.loss, batch)
        loss = batch_loss(plan.loss, passed.outputs, batch)
        if not math.isfinite(loss):
            raise _Diverged(self.step + 1, passed)
        gradient, _ = backward(plan.layers, self.parameters, passed, plan.loss, target, batch.weights)
        if plan.clip_norm is not None:
            norm = math.sqrt(np.sum(np.square(gradient, dtype=np.float64)))
            gradient *= min(1.0, plan.clip_norm / (norm + 1e-6))  # 1e-6 as in PyTorch's clip_grad_norm_
        self.previous = self.parameters
        lr = float(plan.learning_rates[self.step])
        self.step += 1
        self.parameters, self.moments = plan.optimizer.step(self.parameters, gradient, self.moments, self.step, lr)
        if self.statistics.any():
            self.parameters[self.statistics] = running_statistics(plan.layers, self.previous, passed)
            self.moments[:, self.statistics] = 0
        self.after_step()
        return loss

    def evaluate(self, part: EnginePart, parameters: Vector | None = None) -> tuple[float, float, Pass]:
        passed = forward(self.plan.layers, self.parameters if parameters is None else parameters, part.X)
        loss = part_loss(self.plan.loss, passed.outputs, part)
        return loss, score(self.plan.loss, passed.outputs, part), passed

    def watch(self) -> None:
        if self.epoch in self.plan.watch:
            self.flow.append(measure(self.plan.layers, self.plan.loss, self.parameters, self.data.train, self.previous))
            self.watched.append(self.epoch)

    def patience_is_over(self) -> bool:
        patience = self.plan.patience
        return patience is not None and self.epoch - self.best_epoch >= patience

    def outcome(self, status: Status, step: int | None, layer: int | None) -> Outcome:
        chosen = self.parameters if self.best is None else self.best
        results = [self.evaluate(part, chosen)[:2] for part in self.data]
        state = replace(
            self.plan.start, parameters=self.parameters, moments=self.moments, step=self.step, epoch=self.epoch,
            best=self.best, best_loss=self.best_loss, best_epoch=self.best_epoch,
        )  # fmt: skip
        (a, b, c), (x, y, z) = zip(*results, strict=True)
        return Outcome(
            status=status,
            state=state,
            history=np.array(self.history).reshape(-1, 6),
            flow=np.array(self.flow).reshape(-1, len(self.plan.layers), len(QUANTITIES)),
            watched=np.array(self.watched, dtype=np.int64),
            losses=(a, b, c),
            scores=(x, y, z),
            seconds=time.perf_counter() - self.began,
            diverged_step=step,
            diverged_layer=layer,
        )
