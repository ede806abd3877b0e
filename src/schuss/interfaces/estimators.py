"""scikit-learn's manners: `SchussClassifier` and `SchussRegressor`.

>>> from sklearn.datasets import load_iris
>>> X, y = load_iris(return_X_y=True, as_frame=True)
>>> model = SchussClassifier(ensemble="light", random_state=0).fit(X, y)
>>> model.predict(X.iloc[[0, 50, 100]]).tolist()
[0, 1, 2]
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils import Tags, check_array, check_random_state, compute_sample_weight
from sklearn.utils.validation import check_is_fitted, validate_data

from schuss import runfile
from schuss.activations import Activation
from schuss.data.encoding import Target
from schuss.data.reading import is_table, read_table
from schuss.errors import InvalidInput, RunFileError, positive_integer, positive_number
from schuss.insight.gradient_flow import FlowHistory
from schuss.interfaces.arguments import (
    check_cells,
    labels,
    plain,
    quantities,
    restored,
    target_names,
    widths,
)
from schuss.interfaces.progress import shown_progress
from schuss.losses import Loss, binary_cross_entropy, find_loss, softmax_cross_entropy
from schuss.optimizers import Optimizer, adamw, find_optimizer
from schuss.recipe import Recipe
from schuss.schedules import constant, cosine
from schuss.tabular import ensemblefile, population
from schuss.tabular.columns import Columns, Table, learn_columns
from schuss.tabular.continuing import one_more_epoch
from schuss.tabular.ensemble import Ensemble, Plan, Problem, class_problem, number_problem, planned
from schuss.tabular.members import FOLDS, STYLES, WIDTHS, Training, usual_batch, usual_epochs, usual_restraint
from schuss.training import Run

if TYPE_CHECKING:
    import onnx
    import torch

    from schuss.insight.diagnosis import Diagnosis

Numbers = NDArray[np.float64]

LIGHT = ("plain", "piecewise")
LEARNING_RATE = 3e-3
WARMUP = 0.05  # of the training, during which the learning rate rises


class _Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """What classifier and regressor share: everything but what y means."""

    ensemble_: Ensemble
    columns_: Columns

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # ------------------------------------------------------------------------------------------ fit

    def fit(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, eval_set: tuple[Any, Any] | None = None
    ) -> Self:
        """Train on rows X.

        Parameters
        ----------
        X
            [n, d]: an array, or a data frame of any library, with columns of numbers, text or categories, and gaps.
        y
            Classes [n]; for a regression numbers, [n] or [n, k].
        sample_weight
            [n]; a row of weight 2 is the same as two rows. Only their proportions count.
        eval_set
            (X, y) that the networks are judged on, in place of folds: all of them train on all rows of X.

        Returns
        -------
        self
        """
        plan = self.plan(X, y, sample_weight, eval_set)
        return self._train(plan)

    def _train(self, plan: Plan) -> Self:
        with shown_progress() if self.verbose else nullcontext() as progress:
            (self.ensemble_,) = population.train([plan], threads=self.threads(), progress=progress)
        return self

    def plan(self, X: Any, y: Any, sample_weight: Any = None, eval_set: tuple[Any, Any] | None = None) -> Plan:
        """Everything before the training: what is learned from the columns, the folds, the networks."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        before = getattr(self, "ensemble_", None) if self.warm_start else None
        table = self._table(X, reset=before is None)
        learned = self._learned(table, y, sample_weight)
        judging = None
        if eval_set is not None:
            judging = self._more(self._table(eval_set[0], reset=False), eval_set[1], None, learned.target)
        styles, size = self._members()
        training = self._training(learned)
        return planned(
            learned, self.columns_, styles, size, training, judging=judging, before=before, seed=self._seed()
        )

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        if hasattr(self, "ensemble_"):
            target = self.ensemble_.runs[0].encoding.target
            learned = self._more(self._table(X, reset=False), y, sample_weight, target)
            self.ensemble_ = one_more_epoch(self.ensemble_, learned, threads=self.threads())
            return self
        learned = self._learned(self._table(X, reset=True), y, sample_weight, classes)
        styles, size = self._members()
        size = len(styles) if isinstance(self.ensemble, str) else size  # without folds, one of each style
        usual = self._training(learned)
        training = replace(usual, recipe=replace(usual.recipe, epochs=1, schedule=constant, patience=None))
        return self._train(planned(learned, self.columns_, styles, size, training, seed=self._seed()))

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _learned(self, table: Table, y: Any, sample_weight: Any, classes: Any = None) -> Problem:
        """What is to be learned; sets what y means."""
        raise NotImplementedError

    def _more(self, table: Table, y: Any, sample_weight: Any, target: Target) -> Problem:
        """Further rows of a target that is known."""
        raise NotImplementedError

    def _loss(self, learned: Problem) -> Loss:
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------ input

    def _table(self, X: Any, *, reset: bool) -> Table:
        """The rows as numbers; learns the columns if `reset`, else checks that they are the same."""
        if is_table(X) and not issparse(X):
            X = X if hasattr(X, "iloc") else read_table(X)
            validate_data(self, X, skip_check_array=True, reset=reset)
            if len(X) == 0:
                raise ValueError(f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required.")
        else:
            X = validate_data(self, X, dtype=None, ensure_all_finite="allow-nan", reset=reset)
            check_cells(X)
        if reset:
            self.columns_ = learn_columns(X)
        return self.columns_.read(X)

    def _weights(self, sample_weight: Any, n: int) -> Numbers | None:
        if sample_weight is None:
            return None
        w = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
        if w.shape != (n,):
            raise ValueError(f"sample_weight must have one weight a row, shape ({n},), but has shape {w.shape}.")
        if w.min() < 0:
            raise ValueError("Negative values in data passed to `sample_weight`: a weight is at least 0.")
        if not w.any():
            raise ValueError("sample_weight is zero for all rows; at least one row must count.")
        return np.asarray(w)

    # ------------------------------------------------------------------------------------------ parameters

    def _members(self) -> tuple[tuple[str, ...], int]:
        """The styles and the number of networks."""
        if self.ensemble == "auto":
            return tuple(STYLES), len(STYLES) * FOLDS
        if self.ensemble == "light":
            return LIGHT, len(LIGHT) * FOLDS
        return tuple(STYLES), positive_integer("ensemble", self.ensemble)

    def _training(self, learned: Problem) -> Training:
        rows = len(learned.y)
        epochs = usual_epochs(rows) if self.epochs == "auto" else positive_integer("epochs", self.epochs)
        restraint = usual_restraint(self._members()[1])
        return Training(
            widths=WIDTHS if self.hidden == "auto" else widths(self.hidden),
            activation=None if self.activation == "auto" else self.activation,
            dropout=self.dropout,
            recipe=Recipe(
                self._rule(restraint.weight_decay),
                self._loss(learned),
                batch_size=usual_batch(rows) if self.batch_size == "auto" else self.batch_size,
                epochs=epochs,
                schedule=cosine(warmup=WARMUP),
                patience=restraint.patience if self.early_stopping else None,
            ),
        )

    def _rule(self, usual_decay: float) -> Optimizer:
        rule = adamw(lr=LEARNING_RATE) if self.optimizer == "auto" else find_optimizer(self.optimizer)
        if "weight_decay" in dict(rule.settings):
            rule = rule(weight_decay=usual_decay if self.weight_decay == "auto" else self.weight_decay)
        return rule if self.learning_rate == "auto" else rule(lr=positive_number("learning_rate", self.learning_rate))

    def threads(self) -> int:
        """How many threads train and predict; no result depends on it."""
        return int(effective_n_jobs(-1 if self.n_jobs is None else self.n_jobs))

    # ------------------------------------------------------------------------------------------ after fitting

    def _predicted(self, X: Any) -> Numbers:
        check_is_fitted(self)
        return self.ensemble_.predict(self._table(X, reset=False), self.threads())

    @property
    def runs_(self) -> tuple[Run, ...]:
        """The trained networks; their inputs are encoded rows."""
        return self.ensemble_.runs

    @property
    def history_(self) -> dict[str, Numbers]:
        """One array [networks, epochs] for each of step, epoch, seconds, train_loss, valid_loss and score."""
        return {name: np.stack([run.history[name] for run in self.runs_]) for name in self.runs_[0].history}

    @property
    def flow_(self) -> FlowHistory:
        """The gradient flow through the training of the network that counts most."""
        return self.runs_[int(np.argmax(self.ensemble_.weights))].flow

    def doctor(self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, prove: bool = True) -> Diagnosis:
        """What keeps the network that counts most from learning on these rows, and what helps: `schuss.doctor` of it.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; usually what was fitted. The rows are not kept with the estimator.
        prove
            False names causes without trying cures.
        """
        from schuss.insight.diagnosis import doctor

        check_is_fitted(self)
        plan = clone(self).set_params(random_state=0).plan(X, y, sample_weight)
        wanted = int(np.argmax(self.ensemble_.weights)) % len(plan.members)
        data, job = next((data, job) for number, data, job in plan.groups() if number == wanted)
        return doctor(job.network, data, job.recipe, seed=job.seed, prove=prove, threads=self.threads())

    # ------------------------------------------------------------------------------------------ elsewhere

    def to_torch(self) -> torch.nn.Module:
        """The same prediction as a `torch.nn.Module`: (numbers [n, p], codes int64 [n, q]) → float64 [n, k].

        `torch_inputs` turns rows into its arguments. Preprocessing is included.
        """
        from schuss.interfaces.exports import torch_module

        check_is_fitted(self)
        return torch_module(self.ensemble_)

    def torch_inputs(self, X: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows as the arguments of `to_torch`: the columns of numbers, and the codes of the categories."""
        from schuss.interfaces.exports import required

        table = self._table(X, reset=False)
        torch = required("torch", "to_torch")
        return torch.as_tensor(table.numbers), torch.as_tensor(table.codes)

    def to_onnx(self) -> onnx.ModelProto:
        """The same prediction as an ONNX model, preprocessing included; write it with `onnx.save(model, path)`.

        It takes `numbers` float64 [n, p], NaN where missing, and `categories` text [n, q] if there are any, and gives
        `probabilities` [n, classes] and `label` [n], or `prediction` [n, k].
        """
        from schuss.interfaces.exports import onnx_model

        check_is_fitted(self)
        return onnx_model(self.ensemble_, getattr(self, "classes_", None))

    # ------------------------------------------------------------------------------------------ files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file without pickle; an existing one is replaced only by a complete one.

        What `random_state` was is kept if it is a number. InvalidInput for a parameter that is no plain value.
        """
        check_is_fitted(self)
        described, arrays = ensemblefile.pack(self.ensemble_)
        described |= {
            "estimator": type(self).__name__,
            "parameters": {name: plain(name, value) for name, value in self.get_params(deep=False).items()},
            "n_features_in": self.n_features_in_,
            "feature_names_in": getattr(self, "feature_names_in_", np.array([])).tolist(),
        }
        runfile.write_file(Path(path), described | self._described(), arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an estimator back; it predicts the same bits. Nothing in the file is executed.

        RunFileError if the file is truncated, edited, or holds something else.
        """
        return runfile.read_file(Path(path), cls._restored)

    @classmethod
    def _restored(cls, d: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        if d.get("estimator") != cls.__name__:
            raise RunFileError(f"it holds a {d.get('estimator', 'run')}, not a {cls.__name__}.")
        model = cls(**{name: restored(value) for name, value in d["parameters"].items()})
        model.ensemble_ = ensemblefile.unpack(d, arrays)
        model.columns_ = model.ensemble_.columns
        model.n_features_in_ = int(d["n_features_in"])
        if d["feature_names_in"]:
            model.feature_names_in_ = np.array(d["feature_names_in"], dtype=object)
        model._restore(d)
        return model

    def _described(self) -> dict[str, Any]:
        raise NotImplementedError

    def _restore(self, d: dict[str, Any]) -> None:
        raise NotImplementedError


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
        Rows of one update; "auto" is 32 or 64, by the number of rows (`schuss.tabular.members.usual_batch`).
    epochs
        Passes over the rows, at most; "auto" is 20 to 300, by the number of rows
        (`schuss.tabular.members.usual_epochs`).
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
        return self._partial_fit(X, y, sample_weight, classes)

    def _learned(self, table: Table, y: Any, sample_weight: Any, classes: Any = None) -> Problem:
        name, y = target_names(y, 1), labels(table, y)
        weights = self._weighed(y, sample_weight)
        known = (y if weights is None else y[weights > 0]) if classes is None else classes
        self.classes_ = np.unique(known)  # a class of no weight is none
        if len(self.classes_) < 2:
            raise InvalidInput(
                f"there must be at least two classes, but y has one class only: {self.classes_.tolist()[0]!r}."
            )
        target = Target(name, "classification", tuple(self.classes_.tolist()))
        return class_problem(table, self._numbers(y, weights), weights, target)

    def _more(self, table: Table, y: Any, sample_weight: Any, target: Target) -> Problem:
        y = labels(table, y)
        weights = self._weighed(y, sample_weight)
        return class_problem(table, self._numbers(y, weights), weights, target)

    def _weighed(self, y: NDArray[Any], sample_weight: Any) -> Numbers | None:
        """The weight of every row: its own times its class's."""
        weights = self._weights(sample_weight, len(y))
        if self.class_weight is None:
            return weights
        by_class = np.asarray(compute_sample_weight(self.class_weight, y))
        return by_class if weights is None else by_class * weights

    def _numbers(self, y: NDArray[Any], weights: Numbers | None) -> NDArray[np.int64]:
        """The place of every label among the classes; any for rows of no weight."""
        unknown = np.setdiff1d(y if weights is None else y[weights > 0], self.classes_)
        if len(unknown):
            raise InvalidInput(
                f"there is the class {unknown.tolist()[0]!r} in y, which is not among the known classes."
            )
        return np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)

    def _loss(self, learned: Problem) -> Loss:
        loss = binary_cross_entropy if len(learned.target.classes) == 2 else softmax_cross_entropy
        return loss(smoothing=self.label_smoothing)

    def _described(self) -> dict[str, Any]:
        return {"classes": self.classes_.tolist(), "dtype": self.classes_.dtype.str}

    def _restore(self, d: dict[str, Any]) -> None:
        self.classes_ = np.array(d["classes"], dtype=np.dtype(d["dtype"]))

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

    n_outputs_: int | None

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
        return self._partial_fit(X, y, sample_weight)

    def _learned(self, table: Table, y: Any, sample_weight: Any, classes: Any = None) -> Problem:  # noqa: ARG002
        values = quantities(table, y)
        self.n_outputs_ = None if values.ndim == 1 else values.shape[1]
        values = values.reshape(len(values), -1)
        return number_problem(
            table, values, self._weights(sample_weight, len(values)), target_names(y, values.shape[1])
        )

    def _more(self, table: Table, y: Any, sample_weight: Any, target: Target) -> Problem:
        y = quantities(table, y)
        return number_problem(table, y.reshape(len(y), -1), self._weights(sample_weight, len(y)), target.names, target)

    def _loss(self, learned: Problem) -> Loss:  # noqa: ARG002
        return find_loss(self.loss)

    def _described(self) -> dict[str, Any]:
        return {"n_outputs": self.n_outputs_}

    def _restore(self, d: dict[str, Any]) -> None:
        self.n_outputs_ = None if d["n_outputs"] is None else int(d["n_outputs"])

    def predict(self, X: Any) -> Numbers:
        """The numbers of each row, [n], or [n, k] where y had k columns."""
        found = self._predicted(X)
        return found[:, 0] if self.n_outputs_ is None else found
