"""What classifier and regressor share: everything but what y means."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from schuss.activations import find_activation
from schuss.atomic import path_of
from schuss.data.encoding import Target
from schuss.data.reading import is_table, read_table
from schuss.ensembles import population
from schuss.ensembles.columns import Columns, Table, learn_columns
from schuss.ensembles.continuing import one_more_epoch
from schuss.ensembles.ensemble import (
    Ensemble,
    EnsemblePlan,
    Problem,
    plan_again,
    plan_ensemble,
    started_from,
)
from schuss.ensembles.members import (
    FOLDS,
    LEARNING_RATE,
    LIGHT,
    STYLES,
    WARMUP,
    WIDTHS,
    Training,
    chosen_members,
    usual_batch,
    usual_epochs,
    usual_regularization,
)
from schuss.errors import InvalidInput, finite_number, positive_integer, positive_number, unknown_name
from schuss.estimators import estimatorfile
from schuss.estimators.arguments import (
    check_cells,
    seed_of,
    threads_of,
    truth,
    widths,
)
from schuss.gradient.flow import FlowHistory
from schuss.losses import Loss
from schuss.optimizers import Optimizer, adamw, find_optimizer
from schuss.recipe import Recipe
from schuss.schedules import constant, cosine
from schuss.show.progress import shown_progress
from schuss.training import runfile
from schuss.training.run import Run

if TYPE_CHECKING:
    import onnx
    import torch

    from schuss.diagnosis import Diagnosis

Numbers = NDArray[np.float64]


class Prepared(NamedTuple):
    """What is known before any network is trained: how columns are read, and the rows to learn from and to judge on."""

    columns: Columns
    problem: Problem
    judging: Problem | None
    before: Ensemble | None  # whose networks a warm start goes on with


class TableEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """An ensemble of networks behind scikit-learn's methods; a subclass says what y means."""

    ensemble_: Ensemble
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    # ------------------------------------------------------------------------------------------ fit

    def fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, eval_set: tuple[Any, Any] | None = None
    ) -> Self:
        """Train on rows X. A fit that fails or is interrupted leaves the estimator as it was.

        Parameters
        ----------
        X
            [n, d]: an array, or a data frame of any library, with columns of numbers, text or categories, and gaps.
        y
            Classes [n]; for a regression numbers, [n] or [n, k].
        sample_weight
            [n]; a row of weight 2 is the same as two rows (docs/estimators.md says how far).
        eval_set
            (X, y) that the networks are judged on, in place of folds: all of them train on all rows of X.

        Returns
        -------
        self
        """
        fresh = copy(self)
        return self._become(fresh._trained(fresh._plan(fresh._prepare(X, y, sample_weight, eval_set))))

    def _become(self, fresh: Self) -> Self:
        self.__dict__ = fresh.__dict__
        self._warn_of_divergence(stacklevel=4)  # at the line that called `fit` or `partial_fit`
        return self

    def _trained(self, plan: EnsemblePlan) -> Self:
        with shown_progress() if self.verbose else nullcontext() as progress:
            tell = population.work(plan).progress(progress)
            ((_, runs),) = population.train([plan], threads=threads_of(self.n_jobs), tell=tell)
        return self._assemble(plan, runs)

    def _assemble(self, plan: EnsemblePlan, runs: Sequence[Run]) -> Self:
        """Be the ensemble that was planned, now that its networks are trained; DataError if all diverged."""
        self.ensemble_ = plan.ensemble(runs)
        return self

    def _warn_of_divergence(self, stacklevel: int = 2) -> None:
        diverged = sum(run.status == "diverged" for run in self.runs_)
        if diverged:
            warnings.warn(
                f"{diverged} of {len(self.runs_)} networks diverged and do not count; lower the learning rate.",
                ConvergenceWarning,
                stacklevel=stacklevel,
            )

    def _prepare(self, X: Any, y: Any, sample_weight: Any = None, eval_set: tuple[Any, Any] | None = None) -> Prepared:
        """Read the rows, and learn from them what X and y mean; sets the attributes that say so."""
        if y is None:
            raise InvalidInput(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        before = getattr(self, "ensemble_", None) if truth("warm_start", self.warm_start) else None
        rows = self._rows(X, reset=before is None)
        columns = learn_columns(rows) if before is None else before.columns
        table = columns.read(rows)
        problem = (
            self._first_problem(table, y, sample_weight)
            if before is None
            else self._further_problem(table, y, sample_weight, before.target)
        )
        judging = None
        if eval_set is not None:
            X, y = _pair(eval_set)
            judging = self._further_problem(columns.read(self._rows(X, reset=False)), y, None, problem.target)
        return Prepared(columns, problem, judging, before)

    def _plan(self, prepared: Prepared) -> EnsemblePlan:
        """The networks, and what each of them is trained and judged on."""
        columns, problem, judging, before = prepared
        styles, size = self._members()
        training = self._training(problem)
        if before is None:
            return plan_ensemble(
                problem, columns, styles, size, training, judging=judging, seed=seed_of(self.random_state)
            )
        plan = plan_again(before, problem, judging=judging, training=training)
        wanted = [training.network(member.style) for member in chosen_members(size, styles, FOLDS)]
        if wanted != [job.network for job in plan.jobs]:
            raise InvalidInput("warm_start goes on with the networks of the last fit, but now others are given.")
        return started_from(plan, before)

    def _partly_fitted(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        """A copy that has taken one more pass."""
        fresh = copy(self)
        if hasattr(self, "ensemble_"):
            table = self.ensemble_.columns.read(fresh._rows(X, reset=False))
            problem = fresh._further_problem(table, y, sample_weight, self.ensemble_.target)
            fresh.ensemble_ = one_more_epoch(self.ensemble_, problem, threads=threads_of(self.n_jobs))
            return fresh
        rows = fresh._rows(X, reset=True)
        columns = learn_columns(rows)
        problem = fresh._first_problem(columns.read(rows), y, sample_weight, classes)
        styles, size = self._members()
        size = len(styles) if isinstance(self.ensemble, str) else size  # without folds, one of each style
        usual = fresh._training(problem)
        training = replace(usual, recipe=replace(usual.recipe, epochs=1, schedule=constant, patience=None))
        seed = seed_of(self.random_state)
        return fresh._trained(plan_ensemble(problem, columns, styles, size, training, seed=seed))

    def _first_problem(self, table: Table, y: Any, sample_weight: Any, classes: Any = None) -> Problem:
        """What is to be learned; sets what y means."""
        raise NotImplementedError

    def _further_problem(self, table: Table, y: Any, sample_weight: Any, target: Target) -> Problem:
        """Further rows of a target that is known."""
        raise NotImplementedError

    def _loss(self, problem: Problem) -> Loss:
        raise NotImplementedError

    def _rows(self, X: Any, *, reset: bool) -> Any:
        """The rows as a polars frame or an array; learns the names of the columns if `reset`, else checks them."""
        if not is_table(X) or issparse(X):
            X = validate_data(self, X, dtype=None, ensure_all_finite="allow-nan", reset=reset)
            check_cells(X)
            return X
        rows = read_table(X)
        if rows.width == 0:
            raise InvalidInput(f"Found array with 0 feature(s) (shape={rows.shape}) while a minimum of 1 is required.")
        validate_data(self, X if hasattr(X, "iloc") else rows, skip_check_array=True, reset=reset)
        if len(rows) == 0:
            raise InvalidInput(f"Found array with 0 sample(s) (shape={rows.shape}) while a minimum of 1 is required.")
        return rows

    # ------------------------------------------------------------------------------------------ parameters

    def _members(self) -> tuple[tuple[str, ...], int]:
        """The styles and the number of networks."""
        if isinstance(self.ensemble, str):
            known = {"auto": tuple(STYLES), "light": LIGHT}
            if self.ensemble not in known:
                raise unknown_name("ensemble", self.ensemble, known)
            return known[self.ensemble], len(known[self.ensemble]) * FOLDS
        return tuple(STYLES), positive_integer("ensemble", self.ensemble)

    def _training(self, problem: Problem) -> Training:
        rows = len(problem.y)
        epochs = usual_epochs(rows) if self.epochs == "auto" else positive_integer("epochs", self.epochs)
        regularization = usual_regularization(self._members()[1])
        return Training(
            widths=WIDTHS if isinstance(self.hidden, str) and self.hidden == "auto" else widths(self.hidden),
            activation=None if self.activation == "auto" else find_activation(self.activation),
            dropout=self.dropout,
            recipe=Recipe(
                self._rule(regularization.weight_decay),
                self._loss(problem),
                batch_size=usual_batch(rows) if self.batch_size == "auto" else self.batch_size,
                epochs=epochs,
                schedule=cosine(warmup=WARMUP),
                patience=regularization.patience if truth("early_stopping", self.early_stopping) else None,
            ),
        )

    def _rule(self, usual_decay: float) -> Optimizer:
        usual = adamw(lr=LEARNING_RATE, weight_decay=usual_decay)
        rule = usual if self.optimizer == "auto" else find_optimizer(self.optimizer)
        if self.weight_decay != "auto":
            decay = finite_number("weight_decay", self.weight_decay)
            if "weight_decay" not in dict(rule.settings):
                raise InvalidInput(f"{rule.name} has no weight decay; leave out weight_decay, or take adamw.")
            if decay < 0:
                raise InvalidInput(f"weight_decay must be at least 0, but is {decay:g}.")
            rule = rule(weight_decay=decay)
        return rule if self.learning_rate == "auto" else rule(lr=positive_number("learning_rate", self.learning_rate))

    # ------------------------------------------------------------------------------------------ after fitting

    def _table(self, X: Any) -> Table:
        check_is_fitted(self, "ensemble_")
        return self.ensemble_.columns.read(self._rows(X, reset=False))

    def _predicted(self, X: Any) -> Numbers:
        table = self._table(X)
        return self.ensemble_.predict(table, threads_of(self.n_jobs))

    @property
    def runs_(self) -> tuple[Run, ...]:
        """The trained networks; their inputs are encoded rows."""
        return self.ensemble_.runs

    @property
    def history_(self) -> dict[str, Numbers]:
        """One array [networks, epochs] for each of step, epoch, seconds, train_loss, valid_loss and score.

        NaN after the end of a network that ended before others.
        """
        longest = max(len(run.outcome.history) for run in self.runs_)

        def filled(values: Numbers) -> Numbers:
            return np.pad(values, (0, longest - len(values)), constant_values=np.nan)

        return {name: np.stack([filled(run.history[name]) for run in self.runs_]) for name in self.runs_[0].history}

    @property
    def flow_(self) -> FlowHistory:
        """The gradient flow through the training of the network that counts most."""
        return self.runs_[int(np.argmax(self.ensemble_.weights))].flow

    def doctor(self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, prove: bool = True) -> Diagnosis:
        """What keeps the network that counts most from learning on these rows, and what helps: `schuss.doctor` of it.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; usually what was fitted. The rows are not kept with the estimator. The network is examined on
            its fold of them, also if it was fitted with an `eval_set`.
        prove
            False names causes without trying cures.
        """
        from schuss.diagnosis import doctor

        table = self._table(X)
        plan = plan_again(self.ensemble_, self._further_problem(table, y, sample_weight, self.ensemble_.target))
        wanted = int(np.argmax(self.ensemble_.weights))
        data, job = next((data, job) for number, data, job in plan.groups() if number == wanted)
        return doctor(job.network, data, job.recipe, seed=job.seed, prove=prove, threads=threads_of(self.n_jobs))

    # ------------------------------------------------------------------------------------------ elsewhere

    def to_torch(self) -> torch.nn.Module:
        """The same prediction as a `torch.nn.Module`: (numbers [n, p], codes int64 [n, q]) → float64 [n, k].

        `torch_inputs` turns rows into its arguments. Preprocessing is included.
        """
        from schuss.bridges.torch import torch_module

        check_is_fitted(self, "ensemble_")
        return torch_module(self.ensemble_)

    def torch_inputs(self, X: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows as the arguments of `to_torch`: the columns of numbers, and the codes of the categories."""
        from schuss.bridges.extras import required

        table = self._table(X)
        torch = required("torch", "to_torch")
        return torch.as_tensor(table.numbers), torch.as_tensor(table.codes)

    def to_onnx(self) -> onnx.ModelProto:
        """The same prediction as an ONNX model, preprocessing included; write it with `onnx.save(model, path)`.

        `onnx_inputs` turns rows into its arguments; `schuss.bridges.onnx.onnx_model` says what they are, and what
        comes out.
        """
        from schuss.bridges.onnx import onnx_model

        check_is_fitted(self, "ensemble_")
        return onnx_model(self.ensemble_, getattr(self, "classes_", None))

    def onnx_inputs(self, X: Any) -> dict[str, NDArray[Any]]:
        """Rows as the arguments of `to_onnx`: `session.run(None, model.onnx_inputs(X))`."""
        from schuss.bridges.onnx import onnx_inputs

        table = self._table(X)
        return onnx_inputs(self.ensemble_.columns, table)

    # ------------------------------------------------------------------------------------------ files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file without pickle; an existing one is replaced only by a complete one.

        What `random_state` was is kept if it is a number. InvalidInput for a parameter or a class that is no plain
        value.
        """
        check_is_fitted(self, "ensemble_")
        content = estimatorfile.Content(
            estimator=type(self).__name__,
            parameters=self.get_params(deep=False),
            n_features_in=self.n_features_in_,
            feature_names_in=getattr(self, "feature_names_in_", np.array([])).tolist(),
            target=self._target_state(),
            ensemble=self.ensemble_,
        )
        estimatorfile.write(path_of(path), content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an estimator back; it predicts the same bits. Nothing in the file is executed.

        RunFileError if the file is truncated, edited, or holds something else.
        """
        return runfile.read_file(path_of(path), cls._from_file)

    @classmethod
    def _from_file(cls, d: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """The estimator that a file describes."""
        content = estimatorfile.unpack(d, arrays, cls.__name__)
        model = cls(**content.parameters)
        model.ensemble_ = content.ensemble
        model.n_features_in_ = content.n_features_in
        if content.feature_names_in:
            model.feature_names_in_ = np.array(content.feature_names_in, dtype=object)
        model._set_target_state(content.target)
        return model

    def _target_state(self) -> dict[str, Any]:
        """What y means, as plain values for a file."""
        raise NotImplementedError

    def _set_target_state(self, state: dict[str, Any]) -> None:
        """Set what `_target_state` said."""
        raise NotImplementedError


def _pair(eval_set: Any) -> tuple[Any, Any]:
    if not isinstance(eval_set, tuple) or len(eval_set) != 2:
        raise InvalidInput(f"eval_set must be one tuple (X, y), but is {eval_set!r:.60}.")
    return eval_set
