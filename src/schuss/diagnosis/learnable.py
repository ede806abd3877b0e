"""Is there anything to learn? Judged by methods that need no gradient, on rows they have not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schuss.data import Dataset
from schuss.data.encoding import Task
from schuss.diagnosis import thresholds
from schuss.diagnosis.evidence import Evidence
from schuss.diagnosis.signs import Sign

_MOST_ROWS = 2000
_SHUFFLES = 300


def nothing_to_learn(seen: Evidence) -> Sign | None:
    """A sign if neither the network nor a forest nor a linear model beats the constant predictor on new rows."""
    if seen.trained.best_valid_learned >= thresholds.LEARNABLE:
        return None
    agreement = best_agreement(seen.case.data)
    if agreement >= thresholds.BY_CHANCE:
        return None
    return Sign(
        (),
        {"agreement": agreement, "valid_learned": seen.trained.best_valid_learned},
        "On rows that they have not seen, this network, a linear model and a forest of decision trees predict no "
        "better than a constant: the inputs say nothing about the target. Look for a shifted or shuffled column, for "
        "better inputs, or for more rows.",
    )


def best_agreement(data: Dataset) -> float:
    """Standard deviations by which out-of-sample predictions agree better with the target than with a shuffled one.

    The better of a linear model, judged on each row by a fit without it, and of a random forest, judged on the rows
    that each tree has not drawn; on at most 2000 rows of the training and validation parts.
    """
    X = np.concatenate([data.train.X, data.valid.X])[:_MOST_ROWS].astype(np.float64)
    y = np.concatenate([data.train.y, data.valid.y])[:_MOST_ROWS]
    target = np.eye(len(data.classes))[y] if data.task == "classification" else y.astype(np.float64)
    linear = _agreement(_linear(X, target), target)
    return linear if linear >= thresholds.BY_CHANCE else max(linear, _agreement(_forest(X, y, data.task), target))


def _linear(X: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ridge regression's prediction of every row from all others, [n, k], in closed form: (ŷ − hy) / (1 − h)."""
    X = X - X.mean(axis=0)
    X = np.hstack([np.ones((len(X), 1)), X / np.where(X.std(axis=0) > 0, X.std(axis=0), 1)])
    hat = X @ np.linalg.solve(X.T @ X + len(X) / 30 * np.eye(X.shape[1]), X.T)
    own = np.diag(hat)[:, None]
    return np.asarray((hat @ target - own * target) / (1 - own))


def _forest(X: NDArray[np.float64], y: NDArray[Any], task: Task) -> NDArray[np.float64]:
    """A random forest's out-of-bag predictions, [n, k]; NaN for a row that every tree has drawn."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    common = {"n_estimators": 100, "oob_score": True, "random_state": 0}
    if task == "classification":
        return np.asarray(RandomForestClassifier(**common).fit(X, y).oob_decision_function_)
    y = y[:, 0] if y.shape[1] == 1 else y
    return np.asarray(RandomForestRegressor(**common).fit(X, y).oob_prediction_).reshape(len(X), -1)


def _agreement(predicted: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """The sum of products with the target, against that with the target's rows shuffled, in standard deviations."""
    random = np.random.default_rng(0)
    predicted = np.nan_to_num(predicted - np.nanmean(predicted, axis=0))
    shuffled = np.array([np.sum(predicted * target[random.permutation(len(target))]) for _ in range(_SHUFFLES)])
    spread = shuffled.std()
    return float((np.sum(predicted * target) - shuffled.mean()) / spread) if spread > 0 else 0.0
