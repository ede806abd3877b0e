"""scikit-learn's manners: `SchussClassifier` and `SchussRegressor`."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, check_array, check_consistent_length, check_random_state, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from schuss.activations import Activation
from schuss.data.encoding import Target
from schuss.data.reading import is_table, read_table
from schuss.errors import InvalidInput, positive_integer, positive_number
from schuss.insight.gradient_flow import FlowHistory
from schuss.optimizers import Optimizer, find_optimizer
from schuss.recipe import Recipe
from schuss.schedules import cosine
from schuss.tabular.columns import Columns, Table, learn_columns
from schuss.tabular.ensemble import Ensemble, problem, train_ensemble
from schuss.tabular.members import EPOCHS, FOLDS, STYLES, WIDTHS, Training, usual_batch
from schuss.training import Run

Numbers = NDArray[np.float64]

_WARMUP = 0.05


class _Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """What classifier and regressor share."""

    ensemble_: Ensemble
    columns_: Columns

    # ------------------------------------------------------------------------------------------ input

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _table(self, X: Any, *, reset: bool) -> Table:
        """The rows as numbers; learns the columns if `reset`, else checks that they are the same."""
        if is_table(X) and not issparse(X):
            X = X if hasattr(X, "iloc") else read_table(X)
            validate_data(self, X, skip_check_array=True, reset=reset)
            if len(X) == 0:
                raise ValueError(f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required.")
        else:
            X = validate_data(self, X, dtype=None, ensure_all_finite="allow-nan", reset=reset)
            _check_cells(X)
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

    # ------------------------------------------------------------------------------------------ fit

    def _fit(self, table: Table, y: Numbers, weights: Numbers | None, target: Target) -> Self:
        learned = problem(table, y, weights, target)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        styles, size = self._members()
        self.ensemble_ = train_ensemble(
            learned, self.columns_, styles, size, self._training(len(learned.y)), seed=seed, threads=self._threads()
        )
        return self

    def _members(self) -> tuple[list[str], int]:
        """The styles and the number of networks."""
        if self.ensemble == "auto":
            return list(STYLES), len(STYLES) * FOLDS
        if self.ensemble == "light":
            return ["plain", "piecewise"], 2 * FOLDS
        return list(STYLES), positive_integer("ensemble", self.ensemble)

    def _training(self, rows: int) -> Training:
        epochs = EPOCHS if self.epochs == "auto" else positive_integer("epochs", self.epochs)
        return Training(
            widths=WIDTHS if self.hidden == "auto" else tuple(self.hidden),
            activation=None if self.activation == "auto" else self.activation,
            dropout=self.dropout,
            recipe=Recipe(
                self._rule(),
                batch_size=usual_batch(rows) if self.batch_size == "auto" else self.batch_size,
                epochs=epochs,
                schedule=cosine(warmup=_WARMUP),
                patience=epochs if self.early_stopping else None,
            ),
        )

    def _rule(self) -> Optimizer:
        rule = find_optimizer(self.optimizer)
        if "weight_decay" in dict(rule.settings):
            rule = rule(weight_decay=self.weight_decay)
        return rule if self.learning_rate == "auto" else rule(lr=positive_number("learning_rate", self.learning_rate))

    def _threads(self) -> int:
        return int(effective_n_jobs(-1 if self.n_jobs is None else self.n_jobs))

    # ------------------------------------------------------------------------------------------ after fitting

    def _predicted(self, X: Any) -> Numbers:
        check_is_fitted(self)
        return self.ensemble_.predict(self._table(X, reset=False), self._threads())

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


def _check_cells(X: NDArray[Any]) -> None:
    """Refuse what is neither number nor text; as an element of an array of objects it would be hard to find."""
    if X.dtype.kind == "O":
        for kind in set(map(type, X.flat)):
            if issubclass(kind, dict | list | tuple | set):
                raise TypeError(f"a cell of X: the argument must be a string or a real number, not a {kind.__name__}.")


class SchussClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """An ensemble of networks that tells classes."""

    classes_: NDArray[Any]

    def __init__(
        self,
        hidden: Any = "auto",
        activation: str | Activation = "auto",
        *,
        optimizer: str | Optimizer = "adamw",
        learning_rate: float | str = "auto",
        batch_size: int | str = "auto",
        epochs: int | str = "auto",
        dropout: float = 0.0,
        weight_decay: float = 0.01,
        ensemble: int | str = "auto",
        early_stopping: bool = True,
        class_weight: Any = None,
        random_state: Any = None,
        n_jobs: int | None = None,
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
        self.ensemble = ensemble
        self.early_stopping = early_stopping
        self.class_weight = class_weight
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train on rows X [n, d] with the classes y [n]."""
        table = self._table(X, reset=True)
        y = self._labels(table, y)
        weights = self._weights(sample_weight, len(y))
        if self.class_weight is not None:
            weights = compute_sample_weight(self.class_weight, y) * (1.0 if weights is None else weights)
        counting = slice(None) if weights is None else weights > 0
        self.classes_, numbers = np.unique(y[counting], return_inverse=True)
        if len(self.classes_) < 2:
            raise InvalidInput(f"there must be at least two classes, but y has one class only: {self.classes_[0]!r}.")
        all_numbers = np.zeros((len(y), 1))
        all_numbers[counting, 0] = numbers
        return self._fit(table, all_numbers, weights, Target(("y",), "classification", tuple(self.classes_.tolist())))

    def _labels(self, table: Table, y: Any) -> NDArray[Any]:
        if y is None:
            raise ValueError("SchussClassifier requires y to be passed, but the target y is None.")
        y = column_or_1d(y, warn=True)
        check_array(y, ensure_2d=False, dtype=None, input_name="y")
        check_consistent_length(table.numbers, y)
        check_classification_targets(y)
        return np.asarray(y)

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
    """An ensemble of networks that predicts numbers."""

    def __init__(
        self,
        hidden: Any = "auto",
        activation: str | Activation = "auto",
        *,
        optimizer: str | Optimizer = "adamw",
        learning_rate: float | str = "auto",
        batch_size: int | str = "auto",
        epochs: int | str = "auto",
        dropout: float = 0.0,
        weight_decay: float = 0.01,
        ensemble: int | str = "auto",
        early_stopping: bool = True,
        random_state: Any = None,
        n_jobs: int | None = None,
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
        self.ensemble = ensemble
        self.early_stopping = early_stopping
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train on rows X [n, d] with the numbers y [n] or [n, k]."""
        table = self._table(X, reset=True)
        if y is None:
            raise ValueError("SchussRegressor requires y to be passed, but the target y is None.")
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        check_consistent_length(table.numbers, y)
        self._is_single = y.ndim == 1
        y = y.reshape(len(y), -1)
        names = tuple(f"y{i}" for i in range(y.shape[1]))
        return self._fit(table, y, self._weights(sample_weight, len(y)), Target(names, "regression"))

    def predict(self, X: Any) -> Numbers:
        """The numbers of each row, [n] or [n, k]."""
        found = self._predicted(X)
        return found[:, 0] if self._is_single else found
