"""An ensemble of networks for one table: trained on folds, weighed on what each has not seen, and predicting together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schuss.data import Dataset, Encoding, Part
from schuss.data.encoding import Column, Target
from schuss.errors import DataError
from schuss.tabular.columns import Columns, Table
from schuss.tabular.kinds import Encoder, Kind, learn_encoders
from schuss.tabular.members import FOLDS, STYLES, Member, Training, planned
from schuss.tabular.rows import Rows, canonical, folds
from schuss.tabular.selection import greedy_weights
from schuss.training import Job, Run, fit_many

Numbers = NDArray[np.float64]

CHUNK = 4096  # rows that are encoded and predicted at once, so that their inputs stay in the cache


@dataclass(frozen=True)
class Ensemble:
    """Trained networks and how much each counts.

    Attributes
    ----------
    columns, encoders : how a table is read, and how it becomes inputs.
    styles, runs, weights : one of each a network; the weights sum to 1.
    """

    columns: Columns
    encoders: dict[Kind, Encoder]
    styles: tuple[str, ...]
    runs: tuple[Run, ...]
    weights: Numbers

    def predict(self, table: Table, threads: int) -> Numbers:
        """Probabilities [n, classes], or the numbers themselves [n, k]: the weighted mean over the networks."""
        starts = range(0, len(table), CHUNK)
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(lambda start: self._predict(table.take(slice(start, start + CHUNK))), starts))
        return np.concatenate(found)

    def _predict(self, table: Table) -> Numbers:
        counting = [
            (style, run, w) for style, run, w in zip(self.styles, self.runs, self.weights, strict=True) if w > 0
        ]
        kinds = {STYLES[style].inputs for style, _, _ in counting}
        X = {kind: self.encoders[kind](table) for kind in kinds}
        return sum((w * predicted(run, X[STYLES[style].inputs]) for style, run, w in counting), np.zeros(()))


def predicted(run: Run, X: NDArray[np.float32]) -> Numbers:
    """Probabilities, or numbers in the target's unit, of one network for its encoded inputs: [n, k]."""
    outputs = run.outputs(X).astype(np.float64)
    target = run.encoding.target
    if target.task == "regression":
        return outputs * np.array(target.std) + np.array(target.mean)
    if outputs.shape[1] == 1:
        outputs = np.hstack([np.zeros_like(outputs), outputs])
    e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


# ---------------------------------------------------------------------------------------------- training


@dataclass(frozen=True)
class Problem:
    """What is learned: rows in canonical order, the target, and what it means.

    Attributes
    ----------
    y : class numbers [n], or standardized numbers [n, k].
    """

    table: Table
    y: NDArray[np.int64] | NDArray[np.float32]
    rows: Rows
    target: Target


def problem(table: Table, y: Numbers, weights: Numbers | None, target: Target) -> Problem:
    """The rows that count. `y` holds class numbers [n, 1] or raw numbers [n, k]; a regression's target is completed."""
    rows = canonical(table, y, weights)
    chosen = y[rows.places]
    if target.task == "classification":
        return Problem(table.take(rows.places), chosen[:, 0].astype(np.int64), rows, target)
    mean = rows.weights @ chosen / len(chosen)
    std = np.sqrt(rows.weights @ (chosen - mean) ** 2 / len(chosen))
    std = np.where(std <= 1e-12 * np.abs(mean), 1.0, std)
    target = Target(target.names, "regression", mean=tuple(mean.tolist()), std=tuple(std.tolist()))
    return Problem(table.take(rows.places), ((chosen - mean) / std).astype(np.float32), rows, target)


def train_ensemble(
    learned: Problem, columns: Columns, styles: Sequence[str], size: int, training: Training, *, seed: int, threads: int
) -> Ensemble:
    """Train `size` networks on folds and weigh them."""
    random = np.random.default_rng(seed)
    encoders = learn_encoders(learned.table, columns, learned.rows.weights, random)
    n_folds = min(FOLDS, int(learned.rows.groups.max()) + 1)
    if n_folds < 2:
        raise DataError(
            "there is 1 sample (n_samples=1, or all rows are equal), but at least two different ones are needed."
        )
    members = planned(size, styles, n_folds)
    strata = learned.y if learned.target.task == "classification" else np.zeros(len(learned.y), np.int64)
    divisions = [folds(learned.rows.groups, strata, n_folds, random) for _ in range(members[-1].division + 1)]
    inputs = {kind: encoders[kind](learned.table) for kind in {STYLES[style].inputs for style in styles}}
    jobs = [Job(training.network(m.style), training.recipe, int(random.integers(2**63))) for m in members]

    def train(number: int) -> Run:
        member, job = members[number], jobs[number]
        judged = divisions[member.division] == member.fold
        return fit_many([job], _dataset(learned, inputs[STYLES[member.style].inputs], judged), threads=1)[0]

    with ThreadPoolExecutor(threads) as pool:
        runs = tuple(pool.map(train, range(len(members))))
    return Ensemble(
        columns, encoders, tuple(m.style for m in members), runs, _weights(learned, members, runs, inputs, divisions)
    )


def _dataset(learned: Problem, X: NDArray[np.float32], judged: NDArray[np.bool_]) -> Dataset:
    train, valid = (Part(X[rows], learned.y[rows]) for rows in (~judged, judged))
    named = tuple(Column(f"input {i + 1}", "numeric") for i in range(X.shape[1]))
    return Dataset(
        "table", learned.target.task, train, valid, valid, Encoding(named, learned.target, standardize=False)
    )


def _weights(
    learned: Problem,
    members: Sequence[Member],
    runs: Sequence[Run],
    inputs: dict[Kind, NDArray[np.float32]],
    divisions: Sequence[NDArray[np.int64]],
) -> Numbers:
    """The same for all members of a style, by greedy selection on the rows each was not trained on."""
    styles = list(dict.fromkeys(m.style for m in members))
    predictions = []
    for style in styles:
        total, count = 0.0, np.zeros((len(learned.y), 1))
        for member, run in zip(members, runs, strict=True):
            if member.style == style:
                rows = np.flatnonzero(divisions[member.division] == member.fold)
                found = predicted(run, inputs[STYLES[style].inputs][rows])
                total = total + np.zeros((len(learned.y), found.shape[1]))
                total[rows] += found
                count[rows] += 1
        if not count.all():
            return np.full(len(members), 1 / len(members))
        predictions.append(total / count)
    by_style = dict(zip(styles, greedy_weights(predictions, _price(learned)), strict=True))
    each = np.array([by_style[m.style] for m in members])
    return each / each.sum()


def _price(learned: Problem) -> Callable[[Numbers], float]:
    """Mean log-loss of probabilities, or mean squared error in units of the target's deviation."""
    w = learned.rows.weights / learned.rows.weights.sum()
    if learned.target.task == "classification":
        taken = np.arange(len(learned.y)), learned.y
        return lambda p: float(-w @ np.log(np.maximum(p[taken], 1e-15)))
    std, mean = np.array(learned.target.std), np.array(learned.target.mean)
    return lambda p: float(w @ (((p - mean) / std - learned.y) ** 2).mean(axis=1))
