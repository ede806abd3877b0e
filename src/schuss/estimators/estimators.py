"""scikit-learn's manners: `SchussClassifier` and `SchussRegressor`.

>>> from sklearn.datasets import load_iris
>>> X, y = load_iris(return_X_y=True, as_frame=True)
>>> model = SchussClassifier(ensemble="light", random_state=0).fit(X, y)
>>> model.predict(X.iloc[[0, 50, 100]]).tolist()
[0, 1, 2]
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from schuss.activations import Activation, find_activation
from schuss.data.encoding import Target
from schuss.data.reading import is_table, read_table
from schuss.ensembles import population
from schuss.ensembles.columns import Columns, Table, learn_columns
from schuss.ensembles.continuing import one_more_epoch
from schuss.ensembles.ensemble import (
    Ensemble,
    EnsemblePlan,
    Problem,
    class_problem,
    number_problem,
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
    class_factors,
    labels,
    plain_label,
    quantities,
    row_weights,
    seed_of,
    target_names,
    threads_of,
    truth,
    widths,
)
from schuss.gradient.flow import FlowHistory
from schuss.losses import Loss, binary_cross_entropy, find_loss, softmax_cross_entropy
from schuss.optimizers import Optimizer, adamw, find_optimizer
from schuss.recipe import Recipe
from schuss.schedules import constant, cosine
from schuss.show.progress import shown_progress
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


class _Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """What classifier and regressor share: everything but what y means."""

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
        from schuss.bridges.exports import torch_module

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

        `onnx_inputs` turns rows into its arguments; `schuss.bridges.exports.onnx_model` says what they are, and what
        comes out.
        """
        from schuss.bridges.exports import onnx_model

        check_is_fitted(self, "ensemble_")
        return onnx_model(self.ensemble_, getattr(self, "classes_", None))

    def onnx_inputs(self, X: Any) -> dict[str, NDArray[Any]]:
        """Rows as the arguments of `to_onnx`: `session.run(None, model.onnx_inputs(X))`."""
        from schuss.bridges.exports import onnx_inputs

        table = self._table(X)
        return onnx_inputs(self.ensemble_.columns, table)

    # ------------------------------------------------------------------------------------------ files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file without pickle; an existing one is replaced only by a complete one.

        What `random_state` was is kept if it is a number. InvalidInput for a parameter or a class that is no plain
        value.
        """
        check_is_fitted(self, "ensemble_")
        estimatorfile.write(self, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an estimator back; it predicts the same bits. Nothing in the file is executed.

        RunFileError if the file is truncated, edited, or holds something else.
        """
        return estimatorfile.read(cls, Path(path))

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


class SchussClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """An ensemble of networks that tells classes from the columns of a table.

    Columns may be numbers, text or categories, with gaps; docs/estimators.md says what becomes of them, and what is
    trained. The rows may come in any order: the same rows give the same networks.

    Parameters
    ----------
    hidden
        The units of every hidden layer; "auto" is (128, 128, 128).
    activation
        A name, formula or definition; "auto" is ReLU, and SiLU after waves.
    optimizer, learning_rate, weight_decay
        The rule, by name or itself, "auto" being adamw with a learning rate of 0.003; another learning rate than its
        own; its weight decay, if it has one, "auto" being 0.01, or 0.3 of a network on its own. The rate rises for 5 %
        of the training and falls as a cosine to 0.
    batch_size
        Rows of one update; "auto" is 32 or 64, by the number of rows (`schuss.ensembles.members.usual_batch`).
    epochs
        Passes over the rows, at most; "auto" is 20 to 300, by the number of rows
        (`schuss.ensembles.members.usual_epochs`).
    dropout
        The share of every hidden layer's outputs that are 0 in training.
    label_smoothing
        The share of each label that is spread over all classes; it makes probabilities modest.
    ensemble
        How many networks; "auto" is 20: four styles, each on five folds. "light" is 10: plain and piecewise ones.
    early_stopping
        Train every network on all rows but a fold, keep its best epoch there, and end 8 epochs after it, a network on
        its own 6. False: train on all rows, to the end.
    class_weight
        Weights by class, or "balanced": so that all classes weigh the same.
    random_state
        A number for the same networks every time; None draws one, a RandomState gives one.
    n_jobs
        Threads; None takes all cores. No result depends on it.
    warm_start
        Begin a further `fit` with the weights and the preprocessing of the last one.
    verbose
        1 shows progress.

    Attributes
    ----------
    classes_
        The classes, in the order of the columns of `predict_proba`.
    n_features_in_, feature_names_in_
        What the rows looked like; names if they had some.
    ensemble_
        The networks, their preprocessing, and how much each counts.
    runs_, history_, flow_
        Each network's run; losses and scores of all, [networks, epochs]; the gradient flow of the network that counts
        most.

    Examples
    --------
    >>> frame = {"size": [1.0, 2.0, None, 4.0] * 10, "city": ["Rome", "Oslo"] * 20}
    >>> model = SchussClassifier(ensemble=2, random_state=0).fit(frame, ["no", "yes", "no", "no"] * 10)
    >>> model.predict({"size": [2.0], "city": ["Oslo"]}).tolist()
    ['yes']
    """

    classes_: NDArray[Any]

    def __init__(
        self,
        hidden: Any = "auto",
        activation: str | Activation = "auto",
        *,
        optimizer: str | Optimizer = "auto",
        learning_rate: float | str = "auto",
        batch_size: int | str = "auto",
        epochs: int | str = "auto",
        dropout: float = 0.0,
        weight_decay: float | str = "auto",
        label_smoothing: float = 0.0,
        ensemble: int | str = "auto",
        early_stopping: bool = True,
        class_weight: Any = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.ensemble = ensemble
        self.early_stopping = early_stopping
        self.class_weight = class_weight
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.warm_start = warm_start
        self.verbose = verbose

    def partial_fit(
        self, X: Any, y: Any, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Take one pass over more rows, at the optimizer's own learning rate, without folds.

        The first call learns the preprocessing from its rows, and builds one network of each style, or `ensemble` ones;
        `classes` are all classes that will come, those of y if not given. Later calls may have other rows.
        """
        if isinstance(self.class_weight, str):
            raise InvalidInput(
                "class_weight='balanced' needs all rows at once; give partial_fit weights by class, or sample_weight."
            )
        if classes is not None and hasattr(self, "ensemble_"):
            known, given = self.classes_.tolist(), np.unique(classes).tolist()
            if known != given:
                raise InvalidInput(f"classes must be those of the first call, {known!r:.60}, but are {given!r:.60}.")
        return self._become(self._partly_fitted(X, y, sample_weight, classes))

    def _first_problem(self, table: Table, y: Any, sample_weight: Any, classes: Any = None) -> Problem:
        name, y = target_names(y, 1), labels(table, y)
        known = y[self._weights(y, sample_weight)[-1]] if classes is None else classes
        self.classes_ = np.unique(known)  # a class of no weight is none
        if len(self.classes_) < 2:
            raise InvalidInput(
                f"there must be at least two classes, but y has one class only: {self.classes_.tolist()!r:.60}."
            )
        target = Target(name, "classification", tuple(map(plain_label, self.classes_.tolist())))
        return self._further_problem(table, y, sample_weight, target)

    def _further_problem(self, table: Table, y: Any, sample_weight: Any, target: Target) -> Problem:
        y = labels(table, y)
        weights, factors, counting = self._weights(y, sample_weight)
        unknown = np.setdiff1d(y[counting], self.classes_)
        if len(unknown):
            raise InvalidInput(
                f"there is the class {unknown.tolist()[0]!r} in y, which is not among the known classes."
            )
        codes = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)  # any for rows of no weight
        return class_problem(table, codes, weights, target, factors)

    def _weights(self, y: NDArray[Any], sample_weight: Any) -> tuple[Numbers | None, Numbers | None, NDArray[np.bool_]]:
        """The weights of the rows, those of their classes, and which rows have any."""
        weights = row_weights(sample_weight, len(y))
        factors = class_factors(self.class_weight, y, weights)
        counting = np.ones(len(y), np.bool_)
        for w in (weights, factors):
            counting &= True if w is None else w > 0
        return weights, factors, counting

    def _loss(self, problem: Problem) -> Loss:
        loss = binary_cross_entropy if len(problem.target.classes) == 2 else softmax_cross_entropy
        return loss(smoothing=self.label_smoothing)

    def _target_state(self) -> dict[str, Any]:
        """The classes, and what kind of values they are."""
        return {"classes": self.classes_.tolist(), "dtype": self.classes_.dtype.str}

    def _set_target_state(self, state: dict[str, Any]) -> None:
        """Set what `_target_state` said."""
        self.classes_ = np.array(state["classes"], dtype=np.dtype(state["dtype"]))

    def predict_proba(self, X: Any) -> Numbers:
        """The probability of each of `classes_`, [n, classes]."""
        return self._predicted(X)

    def predict_log_proba(self, X: Any) -> Numbers:
        """The logarithm of `predict_proba`."""
        return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row, [n]."""
        p = self.predict_proba(X)
        return np.asarray(self.classes_[p.argmax(axis=1)])


class SchussRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """An ensemble of networks that predicts numbers from the columns of a table.

    As `SchussClassifier`; the target is standardized, and may be several numbers a row.

    Parameters
    ----------
    loss
        squared_error, absolute_error, huber, or a definition.

    The other parameters and the attributes are those of `SchussClassifier`; label_smoothing, class_weight and classes_
    have no meaning here.

    Examples
    --------
    >>> model = SchussRegressor(ensemble=2, random_state=0).fit({"x": range(100)}, [2.0 * x for x in range(100)])
    >>> abs(float(model.predict({"x": [50]})[0]) - 100) < 5
    True
    """

    n_outputs_: int
    is_vector_: bool  # y was [n], not [n, k]

    def __init__(
        self,
        hidden: Any = "auto",
        activation: str | Activation = "auto",
        *,
        optimizer: str | Optimizer = "auto",
        learning_rate: float | str = "auto",
        batch_size: int | str = "auto",
        epochs: int | str = "auto",
        dropout: float = 0.0,
        weight_decay: float | str = "auto",
        loss: str | Loss = "squared_error",
        ensemble: int | str = "auto",
        early_stopping: bool = True,
        random_state: Any = None,
        n_jobs: int | None = None,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.loss = loss
        self.ensemble = ensemble
        self.early_stopping = early_stopping
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.warm_start = warm_start
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Take one pass over more rows, at the optimizer's own learning rate, without folds.

        The first call learns the preprocessing and the scale of y from its rows, and builds one network of each style,
        or `ensemble` ones. Later calls may have other rows.
        """
        return self._become(self._partly_fitted(X, y, sample_weight))

    def _first_problem(self, table: Table, y: Any, sample_weight: Any, classes: Any = None) -> Problem:  # noqa: ARG002
        values = quantities(table, y)
        self.is_vector_ = values.ndim == 1
        values = values.reshape(len(values), -1)
        self.n_outputs_ = values.shape[1]
        weights = row_weights(sample_weight, len(values))
        return number_problem(table, values, weights, target_names(y, values.shape[1]))

    def _further_problem(self, table: Table, y: Any, sample_weight: Any, target: Target) -> Problem:
        values = quantities(table, y)
        values = values.reshape(len(values), -1)
        if values.shape[1] != len(target.names):
            raise InvalidInput(f"y must have {len(target.names)} columns as before, but has {values.shape[1]}.")
        return number_problem(table, values, row_weights(sample_weight, len(values)), target.names, target)

    def _loss(self, problem: Problem) -> Loss:  # noqa: ARG002
        return find_loss(self.loss)

    def _target_state(self) -> dict[str, Any]:
        """How many numbers a row has, and whether they came as a vector."""
        return {"n_outputs": self.n_outputs_, "is_vector": self.is_vector_}

    def _set_target_state(self, state: dict[str, Any]) -> None:
        """Set what `_target_state` said."""
        self.n_outputs_, self.is_vector_ = int(state["n_outputs"]), bool(state["is_vector"])

    def predict(self, X: Any) -> Numbers:
        """The numbers of each row, [n], or [n, k] where y had k columns."""
        found = self._predicted(X)
        return found[:, 0] if self.is_vector_ else found
