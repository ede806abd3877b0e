"""A case: what is trained, how, and on what; cut to a budget, and what it is compared with."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schuss.data import Dataset, Part
from schuss.engines import EngineData, EnginePart
from schuss.engines.encoded import default_loss, engine_data, n_outputs
from schuss.insight.diagnosis.thresholds import FEWEST_EPOCHS, WORK
from schuss.layers import Layer
from schuss.losses import Loss
from schuss.network import Network
from schuss.recipe import Recipe


class Case(NamedTuple):
    """A network, how it is trained, and the data: what a cure changes."""

    network: Network
    recipe: Recipe
    data: Dataset

    @property
    def loss(self) -> Loss:
        """The loss it is trained with."""
        return self.recipe.loss or default_loss(self.data)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers with their sizes."""
        return self.network.layers(self.data.n_inputs, n_outputs(self.data, self.loss))


def within_budget(case: Case) -> Case:
    """The case with so few epochs, and then so few rows, that one training takes at most WORK operations."""
    weights = sum(layer.n_parameters for layer in case.layers)
    rows = len(case.data.train)
    epochs = min(case.recipe.epochs, max(FEWEST_EPOCHS, int(WORK / (6 * weights * rows))))
    affordable = int(WORK / (6 * weights * epochs))
    data = case.data if affordable >= rows else _first_rows(case.data, max(affordable, 1000))
    recipe = case.recipe if epochs == case.recipe.epochs else replace(case.recipe, epochs=epochs)
    return Case(case.network, recipe, data)


def _first_rows(data: Dataset, n: int) -> Dataset:
    """The first rows of each part, which are in random order."""
    train, valid, test = (Part(part.X[:n], part.y[:n]) for part in (data.train, data.valid, data.test))
    return replace(data, train=train, valid=valid, test=test)


def constant_losses(case: Case) -> tuple[float, float]:
    """The loss of the best constant prediction, chosen on the training part: there, and on the validation part."""
    loss, data = case.loss, engine_data(case.data, case.loss)
    best = _log_shares(data, len(case.data.classes)) if loss.expression is None else _best_constants(loss, data)
    train, valid = (_mean_loss(loss, best, part) for part in (data.train, data.valid))
    return train, valid


def _mean_loss(loss: Loss, prediction: NDArray[np.float64], part: EnginePart) -> float:
    target = part.labels if loss.expression is None else part.Y
    return float(np.mean(loss.values(np.broadcast_to(prediction, (len(part.X), len(prediction))), target)))


def _log_shares(data: EngineData, classes: int) -> NDArray[np.float64]:
    return np.log(np.bincount(data.train.labels, minlength=classes) / len(data.train.labels))


def _best_constants(loss: Loss, data: EngineData) -> NDArray[np.float64]:
    """For each column the constant at which the loss's slope changes its sign, by bisection."""
    target = data.train.Y.astype(np.float64)
    scale = np.abs(target).max(axis=0) + 30.0  # ±30 as a logit is a probability of 1e-13
    low, high = -scale, scale
    for _ in range(60):
        middle = (low + high) / 2
        rises = loss.slopes(np.broadcast_to(middle, target.shape), target).mean(axis=0) > 0
        low, high = np.where(rises, low, middle), np.where(rises, middle, high)
    return np.asarray((low + high) / 2)
