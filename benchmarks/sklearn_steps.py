"""scikit-learn: MLPClassifier, from the call of `fit` to its end."""

from __future__ import annotations

import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.shapes import ROWS, Shape, random_rows
from benchmarks.workers import Timer, seconds_per_call


def timer(variant: str, shape: Shape, threads: int, seconds: float) -> Timer:  # noqa: ARG001 (NumPy's threads are set from outside)
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    X, y = random_rows(shape)
    epochs = 2 if shape.is_small else 1
    model = MLPClassifier(
        [shape.width] * shape.depth, batch_size=shape.batch, max_iter=epochs, tol=0, n_iter_no_change=epochs + 1
    )
    return lambda: seconds_per_call(lambda: model.fit(X, y), seconds) / (epochs * ROWS / shape.batch)
