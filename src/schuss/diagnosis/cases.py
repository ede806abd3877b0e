"""A case: what is trained, how, and on what; cut to a budget, and what it is compared with."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schuss.data import Dataset
from schuss.diagnosis.thresholds import FEWEST_EPOCHS, WORK
from schuss.engines import EngineData, EnginePart
from schuss.engines.reference import part_loss
from schuss.engines.stack import weighted
from schuss.engines.targets import default_loss, engine_data, n_outputs
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
    """The first rows of each part."""
    return replace(data.without_table(), train=data.train.first(n), valid=data.valid.first(n), test=data.test.first(n))


def constant_losses(case: Case) -> tuple[float, float]:
    """The loss of the best constant prediction, chosen on the training part: there, and on the validation part."""
    loss, data = case.loss, engine_data(case.data, case.loss)
    best = _log_shares(loss, data, len(case.data.classes)) if loss.expression is None else _best_constants(loss, data)
    train, valid = (_mean_loss(loss, best, part) for part in (data.train, data.valid))
    return train, valid


def _mean_loss(loss: Loss, prediction: NDArray[np.float64], part: EnginePart) -> float:
    return part_loss(loss, np.broadcast_to(prediction, (len(part.X), len(prediction))), part)


def _log_shares(loss: Loss, data: EngineData, classes: int) -> NDArray[np.float64]:
    """Of the classes in the rows by their weights, smoothed as their targets are."""
    train = data.train
    counts = np.bincount(train.labels, train.weights if len(train.weights) else None, minlength=classes)
    return np.asarray(np.log((1 - loss.smoothing) * counts / counts.sum() + loss.smoothing / classes))


def _best_constants(loss: Loss, data: EngineData) -> NDArray[np.float64]:
    """For each column the constant at which the loss's slope changes its sign, by bisection."""
    target = data.train.Y.astype(np.float64)
    scale = np.abs(target).max(axis=0) + 30.0  # ±30 as a logit is a probability of 1e-13
    low, high = -scale, scale
    for _ in range(60):
        middle = (low + high) / 2
        slopes = loss.slopes(np.broadcast_to(middle, target.shape), target)
        rises = weighted(slopes, data.train.weights).mean(axis=0) > 0
        low, high = np.where(rises, low, middle), np.where(rises, middle, high)
    return np.asarray((low + high) / 2)
