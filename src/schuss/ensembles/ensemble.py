"""An ensemble of networks for one table: planned, trained, weighed on rows that each has not seen, predicting together.

`plan_ensemble` → groups of jobs → their runs → `EnsemblePlan.ensemble`. The training itself is between the two, so that
several ensembles, such as all candidates of a search, can be trained as one population.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from schuss.data import Dataset, Encoding, Part
from schuss.data.encoding import Column, Target
from schuss.engines import State
from schuss.engines.targets import check_fits
from schuss.ensembles.columns import Columns, Table, unique
from schuss.ensembles.kinds import Encoder, Inputs, Kind, learn_encoders, medians
from schuss.ensembles.members import FOLDS, STYLES, Member, Training, chosen_members
from schuss.ensembles.sample_rows import canonical, folds
from schuss.ensembles.selection import greedy_weights
from schuss.errors import DataError
from schuss.training.jobs import Job
from schuss.training.run import Run

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

CHUNK = 2048  # rows that are encoded and predicted at once, so that their inputs stay in the cache


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Trained networks and how much each counts.

    Attributes
    ----------
    columns, encoders
        How a table is read, and how it becomes inputs.
    styles, runs, weights
        One of each a network; the weights sum to 1.
    """

    columns: Columns
    encoders: dict[Kind, Encoder]
    styles: tuple[str, ...]
    runs: tuple[Run, ...]
    weights: Numbers

    def shares(self) -> dict[str, float]:
        """How much the networks of each style count together."""
        shares = dict.fromkeys(self.styles, 0.0)
        for style, weight in zip(self.styles, self.weights.tolist(), strict=True):
            shares[style] += weight
        return shares

    def __repr__(self) -> str:
        shares = ", ".join(f"{style} {share:.0%}" for style, share in self.shares().items())
        return f"Ensemble({len(self.runs)} networks: {shares})"

    @property
    def target(self) -> Target:
        """What is predicted."""
        return self.runs[0].encoding.target

    def predict(self, table: Table, threads: int) -> Numbers:
        """Probabilities [n, classes], or the numbers themselves [n, k]: the weighted mean over the networks."""
        if len(table) <= CHUNK:
            return self._predict(table)
        starts = range(0, len(table), CHUNK)
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(lambda start: self._predict(table.take(slice(start, start + CHUNK))), starts))
        return np.concatenate(found)

    def _predict(self, table: Table) -> Numbers:
        counting = [(STYLES[s].inputs, run, w) for s, run, w in zip(self.styles, self.runs, self.weights, strict=True)]
        X = {kind: self.encoders[kind](table) for kind in {kind for kind, _, w in counting if w > 0}}
        found: Numbers = np.zeros(())
        for kind, run, w in counting:
            if w > 0:
                found = found + w * predicted(run, X[kind])
        return found


def predicted(run: Run, X: Inputs) -> Numbers:
    """Probabilities, or numbers in the target's unit, of one network for its encoded inputs: [n, k]."""
    outputs = run.outputs(X).T.astype(np.float64, order="C")  # class by class: sums over few columns are slow in NumPy
    target = run.encoding.target
    if target.task == "regression":
        numbers: Numbers = outputs.T * np.array(target.std) + np.array(target.mean)
        return numbers
    if len(outputs) == 1:
        outputs = np.vstack([np.zeros_like(outputs), outputs])
    e = np.exp(outputs - outputs.max(axis=0))
    return np.asarray((e / e.sum(axis=0)).T)


# ---------------------------------------------------------------------------------------------- the problem


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows to learn from, in canonical order.

    Attributes
    ----------
    y
        Class numbers int64 [n], or standardized numbers float32 [n, k].
    weights
        Of the rows; their mean is 1.
    groups
        Rows of a group stay together in a fold.
    """

    table: Table
    y: NDArray[np.int64] | NDArray[np.float32]
    weights: Numbers
    groups: Places
    target: Target
    _encodings: dict[tuple[str, ...], Encoding] = field(default_factory=dict, repr=False)

    @cached_property
    def medians(self) -> Numbers:
        """Of the columns of numbers; all candidates of a search that learn from these rows need them."""
        return medians(self.table, self.weights)

    def encoding(self, names: tuple[str, ...]) -> Encoding:
        """Of inputs with these names; the same one to all who ask, as to describe it takes long."""
        if names not in self._encodings:
            columns = tuple(Column(name, "numeric") for name in names)
            self._encodings[names] = Encoding(columns, self.target, standardize=False)
        return self._encodings[names]

    def part(self, X: Inputs, rows: Places) -> Part:
        """Some of the rows, encoded, with weights of mean 1; none where all count the same."""
        w = self.weights[rows]
        return Part(X[rows], self.y[rows], None if np.ptp(w) == 0 else (w / w.mean()).astype(np.float32))

    def loss_of(self, rows: Places) -> Callable[[Numbers], float]:
        """Of predictions for some rows: mean log-loss, or mean squared error in units of the target's deviation."""
        w, y = self.weights[rows] / self.weights[rows].sum(), self.y[rows]
        if self.target.task == "classification":
            taken = np.arange(len(y)), y
            return lambda p: float(-w @ np.log(np.maximum(p[taken], 1e-15)))
        mean, std = np.array(self.target.mean), np.array(self.target.std)
        return lambda p: float(w @ (((p - mean) / std - y) ** 2).mean(axis=1))


def class_problem(
    table: Table, y: Places, weights: Numbers | None, target: Target, factors: Numbers | None = None
) -> Problem:
    """To tell classes: y holds class numbers [n]; `factors` [n] are the weights of the rows' classes."""
    rows = canonical(table, y[:, None].astype(np.float64), weights, factors)
    return Problem(table.take(rows.places), y[rows.places], rows.weights, rows.groups, target)


def number_problem(
    table: Table, y: Numbers, weights: Numbers | None, names: Sequence[str], scale: Target | None = None
) -> Problem:
    """To predict numbers y [n, k], standardized by `scale`, the target of another problem, or else by themselves."""
    rows = canonical(table, y, weights)
    chosen = y[rows.places]
    if scale is None:
        mean = rows.weights @ chosen / len(chosen)
        std = np.sqrt(rows.weights @ (chosen - mean) ** 2 / len(chosen))
        std = np.where(std <= 1e-12 * np.abs(mean), 1.0, std)
        scale = Target(tuple(names), "regression", mean=tuple(mean.tolist()), std=tuple(std.tolist()))
    standardized = ((chosen - np.array(scale.mean)) / np.array(scale.std)).astype(np.float32)
    return Problem(table.take(rows.places), standardized, rows.weights, rows.groups, scale)


# ---------------------------------------------------------------------------------------------- plan, train, finish


@dataclass(frozen=True, eq=False)
class EnsemblePlan:
    """An ensemble to be trained.

    Attributes
    ----------
    judging
        What the networks are judged on: rows of `problem` by folds, unless it is another problem.
    rows
        For each member the rows of `problem` that it is trained on, and the rows of `judging` that it is judged on.
    is_judged
        Whether the networks are stopped and weighed by how they are judged.
    """

    problem: Problem
    judging: Problem
    columns: Columns
    encoders: dict[Kind, Encoder]
    members: tuple[Member, ...]
    jobs: tuple[Job, ...]
    rows: tuple[tuple[Places, Places], ...]
    is_judged: bool

    def groups(self) -> Iterator[tuple[int, Dataset, Job]]:
        """The number, data set and job of each member, one kind of inputs after the other: each takes much memory."""
        for kind, encoder in self.encoders.items():
            X = encoder(self.problem.table)
            judged = X if self.judging is self.problem else encoder(self.judging.table)
            encoding = self.problem.encoding(tuple(unique(encoder.names(self.columns))))
            for number, (member, job, (train, valid)) in enumerate(
                zip(self.members, self.jobs, self.rows, strict=True)
            ):
                if STYLES[member.style].inputs == kind:
                    parts = self.problem.part(X, train), self.judging.part(judged, valid)
                    yield number, Dataset("table", self.problem.target.task, *parts, parts[1], encoding), job

    def ensemble(self, runs: Sequence[Run]) -> Ensemble:
        """The ensemble of the runs, one a member; those that diverged do not count. DataError if all did."""
        styles = tuple(member.style for member in self.members)
        return Ensemble(self.columns, self.encoders, styles, tuple(runs), self._weights(runs))

    def _weights(self, runs: Sequence[Run]) -> Numbers:
        """The same for all members of a style, by greedy selection on the rows that each was not trained on.

        Where fewer than half of the rows were judged by every style, as in an ensemble of a few networks, there is too
        little to choose by: then all count the same.
        """
        sound = sound_ones(runs)
        styles = list(dict.fromkeys(member.style for member, fine in zip(self.members, sound, strict=True) if fine))
        if self.is_judged and len(styles) > 1:
            unseen = [self._unseen(style, runs, sound) for style in styles]
            everywhere = np.flatnonzero(np.all([~np.isnan(p[:, 0]) for p in unseen], axis=0))
            if 2 * len(everywhere) > len(self.judging.y):
                chosen = greedy_weights([p[everywhere] for p in unseen], self.judging.loss_of(everywhere))
                by_style = dict(zip(styles, chosen, strict=True))
                each = np.array([by_style.get(member.style, 0.0) for member in self.members]) * sound
                return np.asarray(each / each.sum())
        return np.asarray(sound / sound.sum())

    def _unseen(self, style: str, runs: Sequence[Run], sound: NDArray[np.bool_]) -> Numbers:
        """What the members of a style say together about the judging rows; NaN about those none was judged on."""
        kind = STYLES[style].inputs
        X = self.encoders[kind](self.judging.table)
        n_columns = len(self.problem.target.classes) or len(self.problem.target.names)
        total, count = np.zeros((len(X), n_columns)), np.zeros((len(X), 1))
        for member, run, fine, (_, rows) in zip(self.members, runs, sound, self.rows, strict=True):
            if member.style == style and fine:
                total[rows] += predicted(run, X[rows])
                count[rows] += 1
        with np.errstate(invalid="ignore"):
            return np.asarray(total / count)


def sound_ones(runs: Sequence[Run]) -> NDArray[np.bool_]:
    """Which runs did not diverge; DataError if all did."""
    sound = np.array([run.status != "diverged" for run in runs])
    if not sound.any():
        raise DataError("all networks diverged: their numbers grew without bound. Lower the learning rate.")
    return sound


def plan_ensemble(
    problem: Problem,
    columns: Columns,
    styles: Sequence[str],
    size: int,
    training: Training,
    *,
    judging: Problem | None = None,
    seed: int,
) -> EnsemblePlan:
    """Plan an ensemble of `size` networks.

    They are judged on `judging` and trained on all rows if it is given; else, if the recipe has patience, each is
    judged on a fold and trained on the other ones. A single row has no folds, and no judgment.
    """
    random = np.random.default_rng(seed)
    kinds = {STYLES[style].inputs for style in styles[:size]}
    encoders = learn_encoders(problem.table, problem.medians, columns, problem.weights, kinds, random)
    if not all(encoder.names(columns) for encoder in encoders.values()):
        raise DataError("no column has any value, so there is nothing to learn from.")
    members = chosen_members(size, styles, _n_folds(problem))
    jobs = [Job(training.network(m.style), training.recipe, int(random.integers(2**63))) for m in members]
    return _plan(problem, judging, columns, encoders, members, jobs)


def plan_again(
    before: Ensemble, problem: Problem, *, judging: Problem | None = None, training: Training | None = None
) -> EnsemblePlan:
    """Plan the networks of an ensemble once more, with its preprocessing and seeds: equal rows get the same folds.

    They are trained as before, or else by another `training`.
    """
    members = chosen_members(len(before.runs), list(dict.fromkeys(before.styles)), _n_folds(problem))
    jobs = [Job(run.network, training.recipe if training else run.recipe, run.seed) for run in before.runs]
    return _plan(problem, judging, before.columns, before.encoders, members, jobs)


def started_from(plan: EnsemblePlan, before: Ensemble) -> EnsemblePlan:
    """The plan, its networks beginning with the weights of those of `before`."""
    starts = [
        State(run.parameters, np.zeros((len(job.recipe.optimizer.state), run.parameters.size), np.float32))
        for run, job in zip(before.runs, plan.jobs, strict=True)
    ]
    return replace(plan, jobs=tuple(replace(job, start=start) for job, start in zip(plan.jobs, starts, strict=True)))


def _plan(
    problem: Problem,
    judging: Problem | None,
    columns: Columns,
    encoders: dict[Kind, Encoder],
    members: Sequence[Member],
    jobs: Sequence[Job],
) -> EnsemblePlan:
    if judging is None and _n_folds(problem) < 2:
        jobs = [replace(job, recipe=replace(job.recipe, patience=None)) for job in jobs]
    recipe = jobs[0].recipe
    if recipe.loss is not None:  # else it is the one that fits
        check_fits(recipe.loss, "the table", len(problem.target.classes))
    is_judged = recipe.patience is not None
    if is_judged and judging is None:
        rows = _fold_rows(problem, members, np.random.default_rng(jobs[0].seed))
    else:
        every = np.arange(len(problem.y))
        rows = [(every, every if judging is None else np.arange(len(judging.y)))] * len(members)
    return EnsemblePlan(
        problem, judging or problem, columns, encoders, tuple(members), tuple(jobs), tuple(rows), is_judged
    )


def _n_folds(problem: Problem) -> int:
    return min(FOLDS, int(problem.groups.max()) + 1)


def _fold_rows(problem: Problem, members: Sequence[Member], random: np.random.Generator) -> list[tuple[Places, Places]]:
    n_folds = _n_folds(problem)
    if n_folds < 2:
        raise DataError(
            "there is 1 sample (n_samples=1), but folds need at least 2; early_stopping=False does without."
        )
    strata = np.zeros(len(problem.y), np.int64) if problem.target.task == "regression" else problem.y.astype(np.int64)
    divisions = [folds(problem.groups, strata, n_folds, random) for _ in range(members[-1].division + 1)]
    masks = [divisions[member.division] == member.fold for member in members]
    return [(np.flatnonzero(~judged), np.flatnonzero(judged)) for judged in masks]
