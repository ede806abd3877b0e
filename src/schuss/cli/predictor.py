"""`schuss fit table.csv` with no network described: an ensemble for the table, judged on rows kept aside."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import log_loss, root_mean_squared_error

from schuss.cli.output import Output, Picture, predicted_columns
from schuss.data.columns import whole
from schuss.data.dataset import raw_table
from schuss.data.encoding import check_present
from schuss.data.reading import read_table
from schuss.data.targets import check_quantities, encode_classes
from schuss.ensembles.columns import has_commas, notes_on
from schuss.ensembles.sample_rows import folds
from schuss.errors import DataError, RunFileError
from schuss.estimators import estimatorfile
from schuss.estimators.estimators import SchussClassifier, SchussRegressor
from schuss.show import formatting, tables

if TYPE_CHECKING:
    import polars as pl

Predictor = SchussClassifier | SchussRegressor

KEPT_ASIDE = 5  # every fifth row


@dataclass(frozen=True)
class Problem:
    """A table to predict from: what is trained on, what judges, and what was decided on the way."""

    name: str
    is_classes: bool
    targets: tuple[str, ...]
    train: tuple[pl.DataFrame, Any]
    test: tuple[pl.DataFrame, Any]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        what = f"classes of '{self.targets[0]}'" if self.is_classes else f"numbers '{', '.join(self.targets)}'"
        rows = f"{len(self.train[0])} rows to train on + {len(self.test[0])} kept aside to judge"
        n = self.train[0].width
        return f"Table '{self.name}': {what} from {n} column{'s' * (n > 1)}, {rows}"


def read_problem(source: str, target: str | None, task: str | None, seed: int) -> Problem:
    """Read a table and keep a fifth of its rows aside, the same share of every class."""
    table, kind = raw_table(source, target, task=task)
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
    judges = folds(np.arange(len(y)), strata, KEPT_ASIDE, np.random.default_rng(seed)) == 0
    train, test = ((table.inputs.filter(rows), y.filter(rows)) for rows in (~judges, judges))
    notes = table.notes + tuple(notes_on(table.inputs))
    return Problem(table.name, kind == "classification", tuple(table.targets.columns), train, test, notes)


def trained(problem: Problem, seed: int, threads: int | None) -> tuple[Predictor, float]:
    """An estimator, and the seconds that it took."""
    kind = SchussClassifier if problem.is_classes else SchussRegressor
    began = time.perf_counter()
    model = kind(random_state=seed, n_jobs=threads, verbose=1).fit(*problem.train)
    return model, time.perf_counter() - began


def report(model: Predictor, problem: Problem, seconds: float, save: Path | None, output: Output) -> None:
    """What came of it, for people and machines; the estimator itself into the file `save`."""
    found = result(model, problem)
    if save is not None:
        model.save(save)
    output.write_json(lambda: found)
    show(found, seconds, output)
    output.draw(f"fit-{problem.name}", pictures(model))
    if save is not None:
        output.show(f"estimator: {save}")


def result(model: Predictor, problem: Problem) -> dict[str, Any]:
    """How good the predictions are on the rows kept aside, and what the ensemble is made of."""
    y = np.asarray(problem.test[1])
    known = np.isin(y, model.classes_) if isinstance(model, SchussClassifier) else np.ones(len(y), np.bool_)
    dummy = DummyClassifier() if problem.is_classes else DummyRegressor()
    seconds = sum(run.outcome.seconds for run in model.runs_)
    shares = {style: round(share, 4) for style, share in model.ensemble_.shares().items()}
    return {
        "rows": len(y),
        "rows_of_known_classes": int(known.sum()),
        "scores": scores(model, problem, known),
        "scores_without_inputs": scores(dummy.fit(*map(np.asarray, problem.train)), problem, known),
        "networks": len(model.runs_),
        "shares": shares,
        "thread_seconds": seconds,
    }


def scores(model: Any, problem: Problem, known: NDArray[np.bool_]) -> dict[str, float]:
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


def show(found: dict[str, Any], seconds: float, output: Output) -> None:
    """The result for people."""
    facts = [("judged on", f"{found['rows']} rows kept aside")]
    for name, value in found["scores"].items():
        blind = formatting.significant(found["scores_without_inputs"][name], 4)
        beside = "" if name == "R²" else f" ({blind} without a look at the inputs)"  # R² is 0 then, but for chance
        facts.append((name, f"{formatting.significant(value, 4)}{beside}"))
    if found["rows_of_known_classes"] < found["rows"]:
        facts.append(("log-loss is of", f"{found['rows_of_known_classes']} rows, whose class was trained on"))
    shares = ", ".join(f"{style} {100 * share:.0f} %" for style, share in found["shares"].items())
    output.show(tables.facts_table("Result", facts))
    output.show(f"{found['networks']} networks count by style: {shares}.", f"Trained in {seconds:.1f} s.")


def pictures(model: Predictor) -> dict[str, Picture]:
    """Of the network that counts most: its training on one page, and the gradient flow through it."""
    run = model.runs_[int(np.argmax(model.ensemble_.weights))]
    return {"": run.figure, "flow": run.flow.figure}


def described_estimator(d: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Predictor:
    """The estimator that a file describes, whichever it is."""
    known = {kind.__name__: kind for kind in (SchussClassifier, SchussRegressor)}
    if d["estimator"] not in known:
        raise RunFileError(f"it holds a {d['estimator']:.40}, which is unknown.")
    return estimatorfile.from_file(known[d["estimator"]], d, arrays)


def predictions(model: Predictor, path: str) -> tuple[list[str], list[list[Any]]]:
    """Names and columns: the prediction, and the probability of each class. Columns of the table are found by name."""
    columns = model.ensemble_.columns
    text = [columns.names[i] for i in columns.categorical]
    frame = read_table(path, text=text, names=list(columns.names))
    check_present(columns.names, frame.columns)
    rows = frame.select(columns.names)
    names = model.runs_[0].encoding.target.names
    if isinstance(model, SchussRegressor):
        return predicted_columns(names, model.predict(rows))
    p = model.predict_proba(rows)
    return predicted_columns(names, model.classes_[p.argmax(axis=1)], model.classes_.tolist(), p)
