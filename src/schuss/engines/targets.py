"""A data set as engines take it: the loss that fits the task, how many outputs it needs, and its targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schuss.data import Dataset, Part
from schuss.engines import NO_WEIGHTS, EngineData, EnginePart
from schuss.errors import InvalidInput
from schuss.losses import Loss, binary_cross_entropy, softmax_cross_entropy, squared_error


def default_loss(data: Dataset) -> Loss:
    """Squared error for regression, cross-entropy for classes: binary (one output) for two, softmax for more."""
    if data.task == "regression":
        return squared_error
    return binary_cross_entropy if len(data.classes) == 2 else softmax_cross_entropy


def n_outputs(data: Dataset, loss: Loss) -> int:
    """How many outputs the loss needs: one for a number or two classes, else one a class or target column.

    Softmax has an output for each class. InvalidInput where the loss does not fit the task.
    """
    check_fits(loss, data.name, len(data.classes))
    if data.task == "regression":
        return data.n_targets
    return 1 if len(data.classes) == 2 and loss.expression is not None else len(data.classes)


def check_fits(loss: Loss, name: str, n_classes: int) -> None:
    """Refuse a loss for another task than that of a data set with so many classes, 0 where numbers are predicted."""
    if n_classes == 0 and loss.name in (softmax_cross_entropy.name, binary_cross_entropy.name):
        raise InvalidInput(f"{loss} is for classes, but the target of {name} is a number; use squared_error or huber.")
    if n_classes > 2 and loss.name == binary_cross_entropy.name:
        raise InvalidInput(f"{loss} is for two classes, but {name} has {n_classes}; use softmax_cross_entropy.")


def target_columns(data: Dataset, loss: Loss) -> int:
    """How many numbers a row the loss compares predictions with; none for softmax, which takes class numbers."""
    return 0 if loss.expression is None else n_outputs(data, loss)


def engine_data(data: Dataset, loss: Loss) -> EngineData:
    """The three parts with the targets that the loss compares predictions with."""
    columns = target_columns(data, loss)
    return EngineData(*(_part(data, part, columns) for part in (data.train, data.valid, data.test)))


def _part(data: Dataset, part: Part, columns: int) -> EnginePart:
    weights = NO_WEIGHTS if part.weights is None else part.weights
    if data.task == "regression":
        return EnginePart(part.X, part.y.astype(np.float32), np.zeros(0, np.int32), weights)
    labels = part.y.astype(np.int32)
    return EnginePart(part.X, _targets(labels, columns), labels, weights)


def _targets(labels: NDArray[np.int32], columns: int) -> NDArray[np.float32]:
    """0 or 1 in one column for two classes, one-hot for more."""
    if columns > 1:
        return np.eye(columns, dtype=np.float32)[labels]
    return labels[:, None].astype(np.float32)
