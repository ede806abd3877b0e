"""Measure the estimators on tables, beside their rivals: `python -m benchmarks.tabular FOLDER`.

FOLDER holds tables as .csv files whose last column is the target; scikit-learn's own tables come with them. Those of
docs/estimators.md are abalone, german (Statlog's German credit data), ionosphere and sonar of the UCI repository; pima
(diabetes) and housing (of Boston), which were there once; and phoneme of the ELENA project. A target of text or of few
different whole numbers is a class. Every table is split at random (64 % train, 16 % valid, 20 % test,
stratified for classes), with seeds 0, 1, 2; each method may use train and valid as it likes, and test judges.

With all tables and methods, a large table, a prediction of a million rows and a search are measured, too.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import schuss as sc
from benchmarks import large_tables, machine, tabular_picture
from benchmarks.figures import TIMES, figures_table
from benchmarks.figures import Figure as Judged
from benchmarks.intervals import interval
from benchmarks.workers import is_installed

HEADING = "## Measured\n"
MOST_CLASSES = 10  # whole numbers with more different values than this are quantities


@dataclass(frozen=True)
class Table:
    name: str
    X: pd.DataFrame
    y: NDArray[Any]
    is_classes: bool


@dataclass(frozen=True)
class Measured:
    """All that a report is about, and the machines that measured it."""

    figures: Sequence[Figure]
    at_work: Sequence[Judged]  # on large tables
    machines: Sequence[dict[str, str]]


@dataclass(frozen=True)
class Figure:
    """What one method reached on one split of one table; a regression has an rmse, in the target's deviations."""

    method: str
    table: str
    split: int
    seconds: float
    predict_seconds: float
    accuracy: float | None = None
    log_loss: float | None = None
    rmse: float | None = None


# ---------------------------------------------------------------------------------------------- tables


def tables(folder: Path) -> Iterator[Table]:
    for path in sorted(folder.glob("*.csv")):
        frame = pd.read_csv(path)
        yield _table(path.stem, frame.iloc[:, :-1], frame.iloc[:, -1])
    for load in (load_digits, load_breast_cancer, load_wine, load_diabetes):
        bunch = load(as_frame=True)
        yield _table(load.__name__.removeprefix("load_"), bunch.data, bunch.target)


def _table(name: str, X: pd.DataFrame, y: pd.Series) -> Table:
    is_text = not pd.api.types.is_numeric_dtype(y)
    is_classes = is_text or (y.nunique() <= MOST_CLASSES and bool((y == y.round()).all()))
    values = np.unique(y, return_inverse=True)[1] if is_classes else y.to_numpy(dtype=np.float64)
    return Table(name, X, values, is_classes)


def split(table: Table, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, NDArray[Any], NDArray[Any]]:
    """Rows of train and valid together, and of test."""
    stratify = table.y if table.is_classes else None
    return train_test_split(table.X, table.y, test_size=0.2, random_state=seed, stratify=stratify)


# ---------------------------------------------------------------------------------------------- methods


def _encoded(model: Any) -> Pipeline:
    """What a network needs: numbers scaled, text one-hot."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    text = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(_columns(numbers, text), model)


def _ordinal(model: Any) -> Pipeline:
    """What trees need."""
    text = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(_columns(SimpleImputer(strategy="median"), text), model)


def _columns(numbers: Any, text: Any) -> Any:
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")), (text, make_column_selector(dtype_exclude="number"))
    )


class TextAsItIs:
    """A model whose `fit` is told which columns are text, by an argument called `named`."""

    def __init__(self, model: Any, named: str) -> None:
        self.model, self.named = model, named

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> TextAsItIs:
        self.model.fit(X, y, **{self.named: _text_columns(X)})
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        return np.asarray(self.model.predict(X)).ravel()

    def predict_proba(self, X: pd.DataFrame) -> NDArray[Any]:
        return np.asarray(self.model.predict_proba(X))


def _catboost(is_classes: bool, seed: int) -> Any:
    """CatBoost as its authors run it: with its defaults."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    kind = CatBoostClassifier if is_classes else CatBoostRegressor
    return TextAsItIs(kind(random_seed=seed, verbose=0, allow_writing_files=False), "cat_features")


def _realmlp(is_classes: bool, seed: int) -> Any:
    """RealMLP with its tuned defaults (Holzmüller et al., 2024), as pytabkit has it."""
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    kind = RealMLP_TD_Classifier if is_classes else RealMLP_TD_Regressor
    return TextAsItIs(kind(random_state=seed, device="cpu"), "cat_col_names")


def _text_columns(X: pd.DataFrame) -> list[str]:
    return [name for name in X if not pd.api.types.is_numeric_dtype(X[name])]


def _lightgbm(is_classes: bool, seed: int) -> Any:
    from lightgbm import LGBMClassifier, LGBMRegressor

    return _ordinal((LGBMClassifier if is_classes else LGBMRegressor)(random_state=seed, verbose=-1))


def _schuss(**settings: Any) -> Callable[[bool, int], Any]:
    def made(is_classes: bool, seed: int) -> Any:
        return (sc.SchussClassifier if is_classes else sc.SchussRegressor)(random_state=seed, **settings)

    return made


SCHUSS, ONE, MLP, CATBOOST = "schuss", "schuss, ensemble=1", "scikit-learn MLP", "CatBoost"
METHODS: dict[str, Callable[[bool, int], Any]] = {
    SCHUSS: _schuss(),
    "schuss, ensemble='light'": _schuss(ensemble="light"),
    ONE: _schuss(ensemble=1),
    MLP: lambda is_classes, seed: _encoded((MLPClassifier if is_classes else MLPRegressor)(random_state=seed)),
    "HistGradientBoosting": lambda is_classes, seed: _ordinal(
        (HistGradientBoostingClassifier if is_classes else HistGradientBoostingRegressor)(random_state=seed)
    ),
    "ExtraTrees": lambda is_classes, seed: _ordinal(
        (ExtraTreesClassifier if is_classes else ExtraTreesRegressor)(300, random_state=seed, n_jobs=-1)
    ),
    CATBOOST: _catboost,
    "LightGBM": _lightgbm,
    "RealMLP": _realmlp,
}
NEEDS = {CATBOOST: "catboost", "LightGBM": "lightgbm", "RealMLP": "pytabkit"}


def measured(method: str, table: Table, seed: int) -> Figure:
    X, X_test, y, y_test = split(table, seed)
    model = METHODS[method](table.is_classes, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rivals that do not converge, or miss feature names
        began = time.perf_counter()
        model.fit(X, y)
        fitted = time.perf_counter()
        p = model.predict_proba(X_test) if table.is_classes else model.predict(X_test)
        seconds = {"seconds": fitted - began, "predict_seconds": time.perf_counter() - fitted}
    about = {"method": method, "table": table.name, "split": seed, **seconds}
    if not table.is_classes:
        return Figure(**about, rmse=float(root_mean_squared_error(y_test, p) / np.std(y_test)))
    accuracy = float(accuracy_score(y_test, p.argmax(axis=1)))
    return Figure(**about, accuracy=accuracy, log_loss=float(log_loss(y_test, p, labels=np.unique(table.y))))


# ---------------------------------------------------------------------------------------------- report

ABOUT = """\
Mean over {tables} tables and {splits} random splits of each: 64 % to train, 16 % to validate or train, 20 % to judge.
Log-loss and RMSE (as a share of the target's deviation): the smaller the better. In brackets a 95 % bootstrap interval,
over the tables, of what a method is worse than the first one; where it holds 0, these tables cannot tell the two apart.
Seconds are those of all {fits} fits, side by side on {machines}.

`python -m benchmarks.tabular FOLDER --markdown docs/estimators.md` makes this section again."""

QUANTITIES = ("accuracy", "log_loss", "rmse")


def about(found: Measured) -> str:
    names, splits = {figure.table for figure in found.figures}, {figure.split for figure in found.figures}
    machines = dict.fromkeys(f"{place['cores']} cores ({place['processor']})" for place in found.machines)
    return ABOUT.format(
        tables=len(names), splits=len(splits), fits=len(names) * len(splits), machines=" and ".join(machines)
    )


def per_table(figures: Sequence[Figure], method: str, quantity: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for figure in figures:
        value = getattr(figure, quantity)
        if figure.method == method and value is not None:
            found.setdefault(figure.table, []).append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def summary(figures: Sequence[Figure]) -> str:
    """A row a method: the means over the tables, and how much the first method is better, with an interval."""
    methods = list(dict.fromkeys(figure.method for figure in figures))
    lines = [
        "| method | accuracy % | log-loss | RMSE share | log-loss beyond schuss | RMSE beyond schuss | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in methods:
        means = [per_table(figures, method, quantity) for quantity in QUANTITIES]
        cells = [_mean(100 * np.array(list(means[0].values())), 2), _mean(list(means[1].values()), 4)]
        cells += [_mean(list(means[2].values()), 4)]
        for quantity, own in zip(QUANTITIES[1:], means[1:], strict=True):
            first = per_table(figures, methods[0], quantity)
            beyond = [own[name] - first[name] for name in own if name in first]
            gap = "{:+.4f} ({:+.4f} … {:+.4f})".format(*interval(beyond)) if beyond else ""
            cells.append("" if method == methods[0] else gap)
        seconds = sum(figure.seconds for figure in figures if figure.method == method)
        lines.append(f"| {method} | {' | '.join(cells)} | {seconds:.1f} |")
    return "\n".join(lines)


def ratios(figures: Sequence[Figure]) -> dict[str, list[float]]:
    """Of each method but the first: table by table, how many times that one's loss its own is."""
    methods = list(dict.fromkeys(figure.method for figure in figures))
    first, *others = ({q: per_table(figures, method, q) for q in QUANTITIES[1:]} for method in methods)
    return {
        method: [value / first[q][name] for q in QUANTITIES[1:] for name, value in own[q].items() if name in first[q]]
        for method, own in zip(methods[1:], others, strict=True)
    }


def _mean(values: Any, digits: int) -> str:
    return f"{np.mean(values):.{digits}f}" if len(values) else ""


def by_table(figures: Sequence[Figure]) -> str:
    """A row a table: log-loss, or RMSE as share of the deviation, of each method."""
    methods = list(dict.fromkeys(figure.method for figure in figures))
    names = list(dict.fromkeys(figure.table for figure in figures))
    lines = ["| table | measure | " + " | ".join(methods) + " |", "|---" * (len(methods) + 2) + "|"]
    for name in names:
        quantity = "rmse" if any(f.rmse is not None for f in figures if f.table == name) else "log_loss"
        values = [per_table(figures, method, quantity).get(name) for method in methods]
        lowest = min(value for value in values if value is not None)
        cells = ["" if v is None else f"**{v:.4f}**" if v == lowest else f"{v:.4f}" for v in values]
        lines.append(f"| {name} | {'RMSE' if quantity == 'rmse' else 'log-loss'} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def bounds(figures: Sequence[Figure]) -> Iterator[Judged]:
    """What schuss should reach beside its rivals, of those that were measured."""
    seconds = {method: {(f.table, f.split): f.seconds for f in figures if f.method == method} for method in METHODS}
    for method, share in ((SCHUSS, 1.3), (ONE, 0.15)):
        both = seconds[method].keys() & seconds[MLP].keys()
        if both:
            own, other = (sum(seconds[name][fit] for fit in both) for name in (method, MLP))
            yield Judged(f"{method}: time to fit, as share of {MLP}'s", own / other, TIMES, at_most=share)
    for rival, wanted in ((CATBOOST, (0.0, 0.0)), (MLP, (0.04, 0.15))):
        for quantity, word, least in zip(QUANTITIES[1:], ("log-loss", "RMSE"), wanted, strict=True):
            own, other = (per_table(figures, name, quantity) for name in (SCHUSS, rival))
            better = [other[name] - own[name] for name in own if name in other]
            if better:
                yield Judged(f"{SCHUSS}: {word} below {rival}'s", float(np.mean(better)), "{:.4f}", at_least=least)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tabular", description=__doc__)
    parser.add_argument("folder", type=Path, help="tables as .csv files, the target in the last column")
    parser.add_argument("--splits", type=int, default=3, help="so many random splits of each table")
    parser.add_argument("--tables", help="some of them, with commas between")
    parser.add_argument("--methods", help=f"some of them, with semicolons between: {'; '.join(METHODS)}")
    parser.add_argument("--markdown", type=Path, help="a page whose last section, 'Measured', becomes this report")
    parser.add_argument("--picture", type=Path, help="where to draw how much worse each method is, as .png or .svg")
    files = parser.add_mutually_exclusive_group()
    files.add_argument("--json", type=Path, help="where to write the figures for a machine")
    files.add_argument("--from", dest="earlier", type=Path, nargs="+", help="files of --json, to be reported together")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    found = _read(options.earlier) if options.earlier else _measure(options)
    judged = [*bounds(found.figures), *found.at_work]
    parts = [summary(found.figures), by_table(found.figures), *([figures_table(judged)] if judged else [])]
    report = "\n\n".join(parts)
    print(report)
    if options.json:
        content = {"machine": found.machines[0]}
        content |= {name: list(map(asdict, getattr(found, name))) for name in ("figures", "at_work")}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    if options.picture:
        tabular_picture.draw(ratios(found.figures), options.picture)
    if options.markdown:
        before = options.markdown.read_text().partition(HEADING)[0]
        options.markdown.write_text(f"{before}{HEADING}\n{about(found)}\n\n{report}\n")


def _read(paths: Sequence[Path]) -> Measured:
    contents = [json.loads(path.read_text()) for path in paths]
    return Measured(
        [Figure(**figure) for content in contents for figure in content["figures"]],
        [Judged(**figure) for content in contents for figure in content.get("at_work", [])],
        [content["machine"] for content in contents],
    )


def _measure(options: argparse.Namespace) -> Measured:
    place = machine.description()  # before the work, whose load is none of its own
    wanted = options.methods.split(";") if options.methods else list(METHODS)
    methods = [name.strip() for name in wanted if is_installed(NEEDS.get(name.strip(), "sklearn"))]
    chosen = [t for t in tables(options.folder) if not options.tables or t.name in options.tables.split(",")]
    figures = []
    for table in chosen:
        for seed in range(options.splits):
            for method in methods:  # side by side, so that a busy machine is busy for all of them
                figures.append(measured(method, table, seed))
                print(figures[-1], file=sys.stderr, flush=True)
    at_work = [] if options.methods or options.tables else large_tables.measure()
    return Measured(figures, at_work, [place])


if __name__ == "__main__":
    main()
