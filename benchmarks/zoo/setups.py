"""One training in plain numbers and words, what came of it, and what counts as learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

import schuss as sc
from benchmarks.zoo.problems import UNSPOILED, Spoil, dataset
from schuss.optimizers import find_optimizer

SEEDS = 3  # a network is healthy, or shows its fault, from each of so many seeds in a row
RATES = 7  # a network's learning rate is the best of so many, spread over its optimizer's range
REACHED = 0.85  # share of the usual gain that a healthy network reaches, on training and validation part
GIVEN_BACK = 0.05  # of the constant predictor's loss: what validation may lose again after its best epoch
WORSE = 0.7  # a faulty network gains at most this share of its twin's gain
RESTORED = 0.9  # a cured one at least this share


@dataclass(frozen=True)
class Setup:
    """A training, described so that it can be written to a file and drawn again: names and numbers only."""

    problem: str
    activation: str
    depth: int
    width: int
    optimizer: str
    batch_size: int
    epochs: int
    seed: int
    init: str = "auto"
    bias: float = 0.0
    biased: tuple[int, int] = (0, 0)  # hidden layers with this bias: from, to (not included)
    spoil: Spoil = UNSPOILED

    @property
    def data(self) -> sc.Dataset:
        return dataset(self.problem, self.spoil)

    @property
    def network(self) -> sc.Network:
        first, last = self.biased
        biases = [f"constant(value={self.bias})" if first <= i < last else "zeros" for i in range(self.depth)]
        hidden = [sc.Dense(self.width, self.activation, self.init, bias) for bias in biases]
        return sc.Network(*hidden, output_init=self.init)

    @property
    def recipe(self) -> sc.Recipe:
        return sc.Recipe(self.optimizer, batch_size=self.batch_size, epochs=self.epochs)

    @property
    def job(self) -> sc.Job:
        return sc.Job(self.network, self.recipe, self.seed)

    def at_rate(self, rate: float) -> Setup:
        return replace(self, optimizer=f"{find_optimizer(self.optimizer).name}(lr={rate:.3g})")

    @property
    def rate(self) -> float:
        return find_optimizer(self.optimizer).lr

    def over_rates(self) -> list[Setup]:
        """The same training at every learning rate that is tried."""
        low, high = find_optimizer(self.optimizer).search
        return [self.at_rate(rate) for rate in np.geomspace(low, high, RATES)]

    def from_seeds(self) -> list[Setup]:
        """The same training from its own seed and those after it."""
        return [replace(self, seed=self.seed + i) for i in range(SEEDS)]

    def plain(self) -> dict[str, Any]:
        return asdict(self) | {"spoil": list(self.spoil), "biased": list(self.biased)}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Setup:
        return cls(**values | {"spoil": Spoil(*values["spoil"]), "biased": tuple(values["biased"])})

    def __str__(self) -> str:
        parts = [f"{self.problem}: {self.depth} × {self.width} {self.activation}, init {self.init}"]
        if self.bias:
            parts.append(f"bias {self.bias} in hidden layers {self.biased[0] + 1}–{self.biased[1]}")
        parts.append(f"{self.optimizer}, batch {self.batch_size}, {self.epochs} epochs, seed {self.seed}")
        if self.spoil != UNSPOILED:
            parts.append(str(self.spoil))
        return ", ".join(parts)


def train(setups: Sequence[Setup], threads: int | None) -> list[sc.Run]:
    """A run for each setup, in order; those on one table are trained as one population."""
    runs: dict[int, sc.Run] = {}
    for key in dict.fromkeys((setup.problem, setup.spoil) for setup in setups):
        at = [i for i, setup in enumerate(setups) if (setup.problem, setup.spoil) == key]
        runs |= dict(zip(at, sc.fit_many([setups[i].job for i in at], dataset(*key), threads=threads), strict=True))
    return [runs[i] for i in range(len(setups))]


# ---------------------------------------------------------------------------------------------- what counts as learning


@lru_cache(maxsize=512)
def constant_losses(data: sc.Dataset) -> tuple[float, float]:
    """The loss of the best constant prediction, found on the training part: there, and on the validation part."""
    if data.task == "regression":
        mean = data.train.y.mean(axis=0)
        return float(np.mean((data.train.y - mean) ** 2)), float(np.mean((data.valid.y - mean) ** 2))
    shares = np.bincount(data.train.y, minlength=len(data.classes)) / len(data.train)
    return float(-np.log(shares[data.train.y]).mean()), float(-np.log(shares[data.valid.y]).mean())


def gain(data: sc.Dataset, train_loss: float) -> float:
    """The share of the constant predictor's training loss that is gone: 1 is perfect; 0 is nothing, or divergence."""
    return float(np.clip(1 - train_loss / constant_losses(data)[0], 0, 1)) if np.isfinite(train_loss) else 0.0


def run_gain(setup: Setup, run: sc.Run) -> float:
    return 0.0 if run.status == "diverged" else gain(setup.data, run.outcome.losses[0])


@lru_cache
def usual_valid_gain(problem: str) -> float:
    """The gain in validation loss of two layers of 32 ReLU with Adam, at the best epoch and learning rate."""
    common = Setup(problem, "relu", 2, 32, "adam", 32, 60, seed=0)
    losses = [run.history["valid_loss"] for run in train(common.over_rates(), None)]
    return 1 - min(map(np.nanmin, losses)) / constant_losses(common.data)[1]


def is_healthy(setup: Setup, run: sc.Run) -> bool:
    """It gains what is usual on this table, and validation loss does not rise again: nothing to complain of."""
    if run.status == "diverged":
        return False
    constant = constant_losses(setup.data)[1]
    valid = run.history["valid_loss"]
    wanted = REACHED * usual_valid_gain(setup.problem)
    gains = run_gain(setup, run), 1 - valid[-1] / constant
    return bool(min(gains) >= wanted and valid[-1] <= np.nanmin(valid) + GIVEN_BACK * constant)


def is_overfit(setup: Setup, run: sc.Run) -> bool:
    """The training rows are learned, and validation loss, once below a constant's by a tenth, rises by a quarter."""
    if run.status == "diverged" or run_gain(setup, run) < 0.8:
        return False
    valid = run.history["valid_loss"] / constant_losses(setup.data)[1]
    return bool(np.nanmin(valid) <= 0.9 and valid[-1] >= np.nanmin(valid) + 0.25)


def never_beats_constant(setup: Setup, run: sc.Run) -> bool:
    """At no epoch is the validation loss more than 2 % below that of the constant prediction."""
    return bool(np.nanmin(run.history["valid_loss"]) >= 0.98 * constant_losses(setup.data)[1])


def is_clearly_worse(setup: Setup, run: sc.Run, twin_gain: float) -> bool:
    return run_gain(setup, run) <= WORSE * twin_gain
