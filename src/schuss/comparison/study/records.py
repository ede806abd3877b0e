"""What is kept of a network: its outcome in numbers, the course of its training, the flow of its gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, get_type_hints

import numpy as np
from numpy.typing import NDArray

from schuss.comparison.competitors import Competitor
from schuss.engines import HISTORY, QUANTITIES, Status
from schuss.training.run import Run

Stage: TypeAlias = Literal["trial", "final"]
Curves: TypeAlias = Mapping[str, NDArray[np.float32]]

CURVES = HISTORY[1:]  # of these the course is kept
POINTS = 256  # of a course at most: more epochs than that are kept evenly spaced, the last one among them


class Record(NamedTuple):
    """The outcome of a network; a score that does not exist is NaN. Arrays are kept as the bytes of float32 numbers."""

    status: Status
    train_loss: float
    valid_loss: float
    test_loss: float
    train_score: float
    valid_score: float
    test_score: float
    epochs: int
    steps: int
    seconds: float
    diverged_step: int | None
    diverged_layer: int | None
    curves: bytes  # [CURVES, epoch]
    flow: bytes | None  # [measurement, layer, QUANTITIES], after the epochs `watched`
    watched: str


class Row(NamedTuple):
    """One network of a study: who, what was tried, and what came of it; a score that does not exist is NaN."""

    data: str
    stage: Stage
    competitor: Competitor
    trial: int
    learning_rate: float
    settings: str  # other hyper-parameters that are tuned, as in "momentum=0.93"
    seed: int
    status: Status
    train_loss: float
    valid_loss: float
    test_loss: float
    train_score: float
    valid_score: float
    test_score: float
    epochs: int
    steps: int
    seconds: float
    diverged_step: int | None
    diverged_layer: int | None

    @property
    def activation(self) -> str:
        """The name of the activation."""
        return self.competitor.activation

    @property
    def optimizer(self) -> str:
        """The name of the optimizer, without what is tuned."""
        return self.competitor.optimizer

    @staticmethod
    def columns() -> dict[str, type]:
        """The names in `tidy`, each with what it holds: text, whole numbers or numbers."""
        own, axes = (get_type_hints(kind) for kind in (Row, Competitor))
        names = (*Row._fields[:2], *Competitor._fields, *Row._fields[3:])
        return {name: _kind((own | axes)[name]) for name in names}

    def tidy(self) -> dict[str, str | int | float | None]:
        """The row as a flat mapping, a column an axis."""
        return dict(zip(self.columns(), (*self[:2], *self.competitor, *self[3:]), strict=True))


def _kind(hint: Any) -> type:
    return float if hint is float else int if hint in (int, int | None) else str


def record(run: Run, *, with_flow: bool) -> Record:
    """What is kept of a run."""
    outcome = run.outcome
    # The accuracy of weights that are not numbers is the share of class 0, which would look like a result.
    lost = run.status == "diverged"
    losses, scores = ((math.nan,) * 3, (math.nan,) * 3) if lost else (outcome.losses, outcome.scores)
    kept = _kept(len(outcome.history))
    return Record(
        run.status, *losses, *scores, outcome.state.epoch, outcome.state.step, outcome.seconds,
        outcome.diverged_step, outcome.diverged_layer,
        curves=_packed(outcome.history[kept][:, [HISTORY.index(name) for name in CURVES]].T),
        flow=_packed(outcome.flow) if with_flow else None,
        watched=",".join(map(str, outcome.watched.tolist())),
    )  # fmt: skip


def _packed(values: NDArray[np.float64]) -> bytes:
    """In single precision; what is beyond it, in the last epochs before a divergence, becomes infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32).tobytes()


def _kept(epochs: int) -> NDArray[np.int64]:
    return np.arange(epochs) if epochs <= POINTS else np.rint(np.linspace(0, epochs - 1, POINTS)).astype(np.int64)


def curves(raw: bytes) -> Curves:
    """The course of a training by name: epoch, seconds, train_loss, valid_loss, score (on valid)."""
    return dict(zip(CURVES, np.frombuffer(raw, np.float32).reshape(len(CURVES), -1), strict=True))


def flows(raw: bytes, watched: str) -> dict[int, NDArray[np.float64]]:
    """The measurements [layer, quantity] of all layers by the epoch they were taken after."""
    epochs = [int(epoch) for epoch in watched.split(",") if epoch]
    values = np.frombuffer(raw, np.float32).astype(np.float64).reshape(len(epochs), -1, len(QUANTITIES))
    return dict(zip(epochs, values, strict=True))
