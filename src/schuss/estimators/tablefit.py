"""An ensemble for a table in one call, evaluated on held-out rows: `fit_table`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import log_loss, root_mean_squared_error

from schuss.data.columns import whole
from schuss.data.dataset import raw_table
from schuss.data.targets import check_quantities, encode_classes
from schuss.ensembles.columns import has_commas, notes_on
from schuss.ensembles.sample_rows import folds
from schuss.errors import DataError, seed_number
from schuss.estimators.classifier import SchussClassifier
from schuss.estimators.regressor import SchussRegressor
from schuss.show import tables

if TYPE_CHECKING:
    import polars as pl

Model: TypeAlias = SchussClassifier | SchussRegressor

KEPT_ASIDE = 5  # every fifth row


@dataclass(frozen=True)
class TableProblem:
    """A table to predict from: what is trained on, what judges, and what was decided on the way."""

    name: str
    is_classes: bool
    targets: tuple[str, ...]
    train: tuple[pl.DataFrame, Any]
    test: tuple[pl.DataFrame, Any]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        what = f"classes of '{self.targets[0]}'" if self.is_classes else f"numbers '{', '.join(self.targets)}'"
        rows = f"{len(self.train[0])} rows for training + {len(self.test[0])} held out for evaluation"
        n = self.train[0].width
        return f"Table '{self.name}': {what} from {n} column{'s' * (n > 1)}, {rows}"


@dataclass(frozen=True, repr=False)
class TableFit:
    """An ensemble for a table, and the scores of its predictions on held-out rows.

    scores : of a classifier accuracy, and log-loss on the rows of known classes; of a regressor R² and the error.
    scores_without_inputs : the same of what always says the most frequent class, or the mean.
    rows_of_known_classes : the held-out rows whose class occurs in the training rows; all rows for regression.
    seconds : how long the training took.
    """

    model: Model
    problem: TableProblem
    scores: dict[str, float]
    scores_without_inputs: dict[str, float]
    rows_of_known_classes: int
    seconds: float

    @property
    def rows(self) -> int:
        """The number of held-out rows."""
        return len(self.problem.test[0])

    def table(self) -> str:
        """The scores as a text table."""
        return tables.as_text(tables.table_fit_table(self))

    def to_json(self) -> dict[str, Any]:
        """The scores, and what the ensemble is made of, as plain values."""
        return {
            "rows": self.rows,
            "rows_of_known_classes": self.rows_of_known_classes,
            "scores": self.scores,
            "scores_without_inputs": self.scores_without_inputs,
            "networks": len(self.model.runs_),
            "shares": {style: round(share, 4) for style, share in self.model.ensemble_.shares().items()},
            "thread_seconds": sum(run.outcome.seconds for run in self.model.runs_),
        }

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {value:.4g}" for name, value in self.scores.items())
        return f"TableFit({self.problem.name}: {scores} on {self.rows} rows)"


def fit_table(
    data: object,
    target: object = None,
    *,
    task: str | None = None,
    seed: int = 0,
    threads: int | None = None,
    verbose: int = 0,
) -> TableFit:
    """Train the ensemble for a table on four fifths of its rows, and judge it on the others; `schuss fit TABLE` does.

    Parameters
    ----------
    data, target, task : as for `load`.
    seed : for the choice of the held-out rows, and for the ensemble.
    threads : None takes all cores; no result depends on it.
    verbose : 1 shows progress.

    Raises
    ------
    DataError
        If the table cannot be predicted from: fewer than 10 rows, or a target of too many classes.

    >>> fit = fit_table({"size": range(100)}, [2.0 * size for size in range(100)], task="regression")
    >>> list(fit.scores), fit.rows, len(fit.problem.train[0])
    (['R²', 'root mean squared error'], 20, 80)
    """
    return fit_problem(read_problem(data, target, task, seed), seed, threads, verbose)


def read_problem(data: object, target: object, task: str | None, seed: int) -> TableProblem:
    """Read a table and keep a fifth of its rows aside, the same share of every class."""
    table, kind = raw_table(data, target, task=task)
    for series in table.targets:
        if has_commas(series):
            raise DataError(
                f"the target '{series.name}' looks like numbers with commas, such as {series.drop_nulls()[0]}; "
                "write 1.5 for one and a half."
            )
    if kind == "classification":
        strata, classes = encode_classes(table.targets, at_least=1, is_inferred=task is None)
        y: Any = whole(table.targets.to_series(0))
        if 2 * len(classes.classes) > len(y):
            raise DataError(
                f"the target '{y.name}' has {len(classes.classes)} different values in {len(y)} rows, too many to be "
                "classes; choose another target, or task regression for numbers."
            )
    else:
        check_quantities(table.targets, at_least=10)
        y = table.targets.to_series(0) if table.targets.width == 1 else table.targets
        strata = np.zeros(len(y), np.int64)
    if len(y) < 10:
        raise DataError(f"a table to predict from needs at least 10 rows, but {table.name} has {len(y)}; add rows.")
    judges = folds(np.arange(len(y)), strata, KEPT_ASIDE, np.random.default_rng(seed_number(seed))) == 0
    train, test = ((table.inputs.filter(rows), y.filter(rows)) for rows in (~judges, judges))
    notes = table.notes + tuple(notes_on(table.inputs))
    return TableProblem(table.name, kind == "classification", tuple(table.targets.columns), train, test, notes)


def fit_problem(problem: TableProblem, seed: int, threads: int | None, verbose: int = 0) -> TableFit:
    """Train an ensemble on the training rows and evaluate it on the held-out rows."""
    began = time.perf_counter()
    kind = SchussClassifier if problem.is_classes else SchussRegressor
    model = kind(random_state=seed, n_jobs=threads, verbose=verbose).fit(*problem.train)
    seconds = time.perf_counter() - began
    y = np.asarray(problem.test[1])
    known = np.isin(y, model.classes_) if isinstance(model, SchussClassifier) else np.ones(len(y), np.bool_)
    dummy = DummyClassifier() if problem.is_classes else DummyRegressor()
    blind = dummy.fit(*map(np.asarray, problem.train))
    return TableFit(
        model, problem, _scores(model, problem, known), _scores(blind, problem, known), int(known.sum()), seconds
    )


def _scores(model: Any, problem: TableProblem, known: NDArray[np.bool_]) -> dict[str, float]:
    """Of a classifier accuracy, and log-loss on the rows of known classes; of a regressor R² and the error."""
    X, y = problem.test
    if not problem.is_classes:
        error = float(root_mean_squared_error(y, model.predict(X)))
        return {"R²": float(model.score(X, y)), "root mean squared error": error}
    found = {"accuracy": float(model.score(X, y))}
    if known.any():  # a class of one row may be among the judges alone
        p = model.predict_proba(X)[known]
        found["log-loss"] = float(log_loss(np.asarray(y)[known], p, labels=model.classes_))
    return found
