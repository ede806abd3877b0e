"""The estimators at work that takes long: a large table, a million rows to predict, a search of a hundred candidates.

Each question is answered in a process of its own: `python -m benchmarks.large_tables fit`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import loguniform
from sklearn.datasets import load_digits, make_classification
from sklearn.model_selection import RandomizedSearchCV

import schuss as sc
from benchmarks.figures import Figure
from benchmarks.scale import SECONDS, peak_memory
from benchmarks.workers import environment

ROWS, COLUMNS = 100_000, 30
MILLION = 1_000_000
CANDIDATES, FOLDS = 100, 5
SPACE = {
    "learning_rate": loguniform(1e-4, 1e-1),
    "activation": ["tanh", "relu", "silu", "gelu"],
    "hidden": [(64,), (64, 64), (128, 128, 128)],
    "dropout": [0.0, 0.1, 0.3],
}


def measure() -> list[Figure]:
    seconds, memory, prediction = _answer("fit")
    ours, theirs, differing = _answer("search")
    table, search = f"{ROWS:,} × {COLUMNS}", f"`SchussSearchCV`, {CANDIDATES} candidates × {FOLDS} folds of digits"
    return [
        Figure(f"{table}: fit", seconds, SECONDS, at_most=90),
        Figure(f"{table}: memory at its peak", memory / 1e9, "{:.2f} GB", at_most=1.5),
        Figure(f"{MILLION:,} × {COLUMNS}: predict", prediction, SECONDS, at_most=4),
        Figure(search, ours, SECONDS, at_most=15),
        Figure(f"{search}: faster than `RandomizedSearchCV`", theirs / ours, "{:.1f} ×"),
        Figure(f"{search}: scores that differ from its scores", differing, "{:.0f}", at_most=0),
    ]


def fit() -> list[float]:
    """Seconds of a fit on a large table, the bytes of the process at its peak, seconds of a large prediction."""
    X, y = make_classification(ROWS, COLUMNS, n_informative=15, n_redundant=5, n_classes=3, flip_y=0.05, random_state=0)
    began = time.perf_counter()
    model = sc.SchussClassifier(random_state=0).fit(X, y)
    seconds, memory = time.perf_counter() - began, peak_memory()
    rows = np.tile(X, (MILLION // ROWS, 1))
    began = time.perf_counter()
    model.predict_proba(rows)
    return [seconds, memory, time.perf_counter() - began]


def search() -> list[float]:
    """Seconds of a search and of scikit-learn's over the same candidates; how many scores differ."""
    X, y = load_digits(return_X_y=True)
    model = sc.SchussClassifier(ensemble=1, random_state=0)
    seconds: list[float] = []
    scores: list[NDArray[np.float64]] = []
    for kind in (sc.SchussSearchCV, RandomizedSearchCV):
        began = time.perf_counter()
        found = kind(model, SPACE, n_iter=CANDIDATES, cv=FOLDS, random_state=0).fit(X, y)
        seconds.append(time.perf_counter() - began)
        scores.append(np.array([found.cv_results_[f"split{fold}_test_score"] for fold in range(FOLDS)]))
    return [*seconds, float(np.sum(scores[0] != scores[1]))]


def _answer(question: str) -> Sequence[float]:
    command = [sys.executable, "-m", "benchmarks.large_tables", question]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment())
    return [float(number) for number in json.loads(answer.stdout)]


if __name__ == "__main__":
    print(json.dumps({"fit": fit, "search": search}[sys.argv[1]]()))
