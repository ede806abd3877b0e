"""Trainings as evidence: cases by the dozen in one population, each from several seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schuss.diagnosis.cases import Case, constant_losses
from schuss.gradient.flow import GradientFlow
from schuss.training.jobs import Job, Progress, ProgressCallback
from schuss.training.population import train_jobs
from schuss.training.run import Run

WORST = -1.0  # learned of a network that diverged: worse than the constant predictor, and still a number


@dataclass(frozen=True, eq=False)
class Trained:
    """What became of one training.

    learned, valid_learned : the share of the constant predictor's loss that is gone, at the end.
    best_valid_learned : the same on the validation part in the best epoch.
    """

    learned: float
    valid_learned: float
    best_valid_learned: float
    train_loss: float
    valid_score: float
    diverged: bool
    before: GradientFlow
    after: GradientFlow
    losses: NDArray[np.float64]  # on the training part, epoch by epoch


@dataclass(frozen=True, eq=False)
class Measured:
    """A case trained from several seeds; numbers are medians over them."""

    case: Case
    runs: tuple[Trained, ...]

    def median(self, quantity: Callable[[Trained], float]) -> float:
        """The middle one over the seeds."""
        return float(np.median([quantity(run) for run in self.runs]))

    @property
    def learned(self) -> float:
        """The share of the constant predictor's loss on the training part that is gone, at the end."""
        return self.median(lambda run: run.learned)

    @property
    def worst_learned(self) -> float:
        """The same from the seed from which it is least."""
        return min(run.learned for run in self.runs)

    @property
    def best_valid_learned(self) -> float:
        """The same on the validation part, in the best epoch."""
        return self.median(lambda run: run.best_valid_learned)

    @property
    def valid_learned(self) -> float:
        """The same on the validation part, at the end."""
        return self.median(lambda run: run.valid_learned)

    @property
    def train_loss(self) -> float:
        """The loss on the training part, infinite if it diverged."""
        return self.median(lambda run: run.train_loss)

    @property
    def valid_score(self) -> float:
        """Accuracy or R² on the validation part, minus infinity if it diverged."""
        return self.median(lambda run: run.valid_score)

    @property
    def first_layer(self) -> float:
        """δ of layer 1 over that of the last hidden layer, before training."""
        return self.median(lambda run: float(run.before.relative[0]))

    @property
    def diverged(self) -> bool:
        """Whether most seeds diverged."""
        return self.median(lambda run: run.diverged) >= 0.5


class Laboratory:
    """Trains cases, and counts what it does for the progress bar."""

    def __init__(self, seeds: Sequence[int], threads: int | None, progress: ProgressCallback | None) -> None:
        self.seeds, self.threads, self.progress = tuple(seeds), threads, progress
        self.trained = 0

    def measure(self, cases: Sequence[Case]) -> list[Measured]:
        """Every case from every seed, in one population for each data set."""
        found: dict[int, list[Trained]] = {}
        for numbers in _by_data(cases):
            constants = {number: constant_losses(cases[number]) for number in numbers}
            jobs = [Job(cases[n].network, cases[n].recipe, seed) for n in numbers for seed in self.seeds]
            runs: dict[int, Run] = dict(
                train_jobs(jobs, cases[numbers[0]].data, threads=self.threads, progress=self._counting())
            )
            self.trained += len(jobs)
            for at, number in enumerate(numbers):
                own = range(at * len(self.seeds), (at + 1) * len(self.seeds))
                found[number] = [_trained(runs[k], constants[number]) for k in own]
        return [Measured(case, tuple(found[number])) for number, case in enumerate(cases)]

    def _counting(self) -> ProgressCallback | None:
        """The user's callback, told of all networks of the visit so far."""
        if self.progress is None:
            return None
        tell, before = self.progress, self.trained
        return lambda at: tell(Progress(before + at.networks, before + at.total, at.share))


def _by_data(cases: Sequence[Case]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for number, case in enumerate(cases):
        groups.setdefault(id(case.data), []).append(number)
    return list(groups.values())


def _trained(run: Run, constants: tuple[float, float]) -> Trained:
    outcome, flow = run.outcome, run.flow
    diverged = run.status == "diverged"
    valid = [_learned(loss, constants[1]) for loss in run.history["valid_loss"].tolist()]
    return Trained(
        learned=WORST if diverged else _learned(outcome.losses[0], constants[0]),
        valid_learned=WORST if diverged else _learned(outcome.losses[1], constants[1]),
        best_valid_learned=max(valid, default=WORST),
        train_loss=math.inf if diverged else outcome.losses[0],
        valid_score=-math.inf if diverged else outcome.scores[1],
        diverged=diverged,
        before=flow.first,
        after=flow.last,
        losses=np.asarray(run.history["train_loss"]),
    )


def _learned(loss: Any, constant: float) -> float:
    return max(1 - loss / constant, WORST) if math.isfinite(loss) and constant > 0 else WORST
