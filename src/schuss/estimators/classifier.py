"""The scikit-learn API for classification: `SchussClassifier`.

>>> from sklearn.datasets import load_iris
>>> X, y = load_iris(return_X_y=True, as_frame=True)
>>> model = SchussClassifier(ensemble="light", random_state=0).fit(X, y)
>>> model.predict(X.iloc[[0, 50, 100]]).tolist()
[0, 1, 2]
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin

from schuss.activations import Activation
from schuss.data.encoding import Target
from schuss.ensembles.columns import Table
from schuss.ensembles.ensemble import Problem, class_problem
from schuss.errors import InvalidInput
from schuss.estimators.arguments import class_factors, labels, plain_label, row_weights, target_names
from schuss.estimators.base import Numbers, TableEstimator
from schuss.losses import Loss, binary_cross_entropy, softmax_cross_entropy
from schuss.optimizers import Optimizer


class SchussClassifier(ClassifierMixin, TableEstimator):  # type: ignore[misc]
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
