"""The scikit-learn API for regression: `SchussRegressor`."""

from __future__ import annotations

from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import Tags

from schuss.activations import Activation
from schuss.data.encoding import Target
from schuss.ensembles.columns import Table
from schuss.ensembles.ensemble import Problem, number_problem
from schuss.errors import InvalidInput
from schuss.estimators.arguments import quantities, row_weights, target_names
from schuss.estimators.base import Numbers, TableEstimator
from schuss.losses import Loss, find_loss
from schuss.optimizers import Optimizer


class SchussRegressor(RegressorMixin, TableEstimator):  # type: ignore[misc]
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
