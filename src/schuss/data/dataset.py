"""From any table to a `Dataset`: encoded, split, and ready to train on.

>>> load("iris")
Dataset 'iris': classification of 3 classes, 4 inputs, rows 96 train + 24 valid + 30 test
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schuss.data.columns import as_array, check_unique, column, quoted
from schuss.data.encoding import Encoding, Label, Target, Task, learn_encoding, numbers
from schuss.data.files import as_path, exists, read_arrays
from schuss.data.problems import PROBLEMS, built_in
from schuss.data.reading import from_array, is_table, read_table, without_row_numbers
from schuss.data.targets import (
    check_quantities,
    encode_classes,
    encode_quantities,
    inferred_task,
    take_target,
    target_frame,
)
from schuss.errors import DataError, InvalidInput, UnknownName, finite_number, seed_number, unknown_name

if TYPE_CHECKING:
    import polars as pl

TASKS: tuple[Task, ...] = ("classification", "regression")

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Part:
    """Rows to train or to judge on.

    Attributes
    ----------
    X
        float32 [n, d], C-contiguous: the encoded inputs.
    y
        Classification: int64 [n], the index of the class. Regression: float32 [n, k], standardized on the training
        part.
    weights
        None, or how much each row counts in the loss and the score: numbers [n], none negative, not all 0. With mean 1
        over the training part, as `load` scales them, the steps of training stay as large as without.

    Raises
    ------
    DataError
        For other weights.
    """

    X: NDArray[np.float32]
    y: NDArray[np.int64] | NDArray[np.float32]
    weights: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Check the weights."""
        if self.weights is not None:
            object.__setattr__(self, "weights", _row_weights(self.weights, len(self)).astype(np.float32))

    def first(self, n: int) -> Part:
        """At most so many rows, which are in random order."""
        return Part(self.X[:n], self.y[:n], None if self.weights is None else self.weights[:n])

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.X)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A table made ready: three parts in random order, and the encoding that was learned from `train`.

    `notes` says, in whole sentences, what was decided or left out on the way.
    """

    name: str
    task: Task
    train: Part
    valid: Part
    test: Part
    encoding: Encoding
    notes: tuple[str, ...] = ()
    _resplit: Callable[[int], Dataset] | None = field(default=None, repr=False)

    def resplit(self, seed: int) -> Dataset:
        """The same table split anew, as `load(..., seed=seed)` does, the encoding learned from the new training part.

        What comes without its table (parts put together by hand, or another process's copy) keeps its one split.

        >>> load("iris").resplit(3).fingerprint == load("iris", seed=3).fingerprint
        True
        """
        return self if self._resplit is None else self._resplit(seed_number(seed))

    def without_table(self) -> Dataset:
        """The three parts alone, light to send to another process; it keeps its one split."""
        return replace(self, _resplit=None)

    @property
    def n_inputs(self) -> int:
        """Columns of X."""
        return int(self.train.X.shape[1])

    @property
    def n_targets(self) -> int:
        """Columns of y: the numbers to predict a row; 1 for classification."""
        return int(self.train.y.shape[1]) if self.task == "regression" else 1

    @property
    def classes(self) -> tuple[Label, ...]:
        """The original labels, in the order of their indices; empty for regression."""
        return self.encoding.target.classes

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the arrays and the encoding, in hexadecimal: equal for equal data, whatever its name."""
        digest = hashlib.sha256(self.encoding.text.encode())
        for part in (self.train, self.valid, self.test):
            for array in (part.X, part.y) if part.weights is None else (part.X, part.y, part.weights):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def __repr__(self) -> str:
        what = f"{self.n_targets} number{'s' * (self.n_targets > 1)}" if self.task == "regression" else None
        rows = f"{len(self.train)} train + {len(self.valid)} valid + {len(self.test)} test"
        return (
            f"Dataset '{self.name}': {self.task} of {what or f'{len(self.classes)} classes'}, "
            f"{self.n_inputs} input{'s' * (self.n_inputs > 1)}, rows {rows}"
        )


@dataclass(frozen=True)
class RawTable:
    """Raw rows: input columns, target columns, and what is known beside them."""

    name: str
    inputs: pl.DataFrame
    targets: pl.DataFrame
    notes: tuple[str, ...] = ()
    task: Task | None = None
    is_split: bool = True
    weights: NDArray[np.float64] | None = None


def load(
    source: object,
    target: object = None,
    *,
    task: str | None = None,
    valid: float = 0.16,
    test: float = 0.2,
    seed: int = 0,
    standardize: bool = True,
    name: str | None = None,
    weights: object = None,
) -> Dataset:
    """Make a `Dataset` of a built-in problem, a file, arrays or a data frame.

    Parameters
    ----------
    source
        The name of a built-in problem (`PROBLEMS`); the path of a .csv, .tsv, .parquet or .npz file (arrays X and y);
        a data frame of any library or a mapping of names to columns; a 2-D array; or a pair (X, y). A Dataset is
        returned as it is.
    target
        The name of the target column, or the target itself: [n], or [n, k] to predict k numbers. Tables may leave it
        out: it is the one column called target, label, class or y, else the last column.
    task
        "classification" or "regression". Left out, text, booleans and whole numbers of at most 20 different values (and
        half as many as rows) are classes, other numbers are quantities.
    valid, test
        Shares of the rows for choosing and for judging; every class has at least one row in every part.
    seed
        Which rows go where, and in which order.
    standardize
        Bring numbers, the target of a regression included, to mean 0 and standard deviation 1 on the training part.
    name
        What to call the dataset; the name of the file or problem if left out.
    weights
        How much each row of the source counts in losses and scores, [n], none negative; only their ratios matter. They
        change neither the split nor how columns are encoded.

    Raises
    ------
    UnknownName
        For a name that is no built-in problem, nor a file.
    DataError
        For data that cannot be learned from; the message says what to do.

    Examples
    --------
    >>> data = load({"height": range(100), "sex": ["f", "m"] * 50}, target="sex")
    >>> data
    Dataset 'data': classification of 2 classes, 1 input, rows 64 train + 16 valid + 20 test
    >>> data.classes, data.encoding.decode([1, 0, 0]).tolist()
    (('f', 'm'), ['m', 'f', 'f'])
    """
    if isinstance(source, Dataset):
        if weights is not None:
            raise DataError("a Dataset is returned as it is, but weights were given; give them where it is loaded.")
        return source
    _check_split(valid, test, seed)
    table, kind = raw_table(source, target, task=task, weights=weights)
    return _dataset(table, kind, name or table.name, (valid, test), standardize, task is None, seed)


def raw_table(
    source: object, target: object = None, *, task: str | None = None, weights: object = None
) -> tuple[RawTable, Task]:
    """The rows of a source that have a target, as they are, and the task; arguments and errors are those of `load`."""
    if task is not None and task not in TASKS:
        raise unknown_name("task", str(task), TASKS)
    table = _read(source, target)
    if weights is not None:
        table = replace(table, weights=_row_weights(weights, table.inputs.height))
    _check_inputs(table.inputs)
    table = _without_missing_targets(table)
    return table, task or table.task or inferred_task(table.targets)


def _dataset(
    table: RawTable, kind: Task, name: str, shares: tuple[float, float], standardize: bool, is_inferred: bool, seed: int
) -> Dataset:
    """Split, learn the encoding from the training part, and encode."""
    y, meaning, rows = _encode_target(table, kind, (*shares, seed), standardize, is_inferred=is_inferred)
    encoding, notes = learn_encoding(table.inputs[rows[0]], meaning, standardize=standardize)
    X = encoding.transform(table.inputs)
    w = _scaled(table.weights, rows[0])
    train, validation, judging = (Part(X[part], y[part], None if w is None else w[part]) for part in rows)
    again = partial(_dataset, table, kind, name, shares, standardize, is_inferred) if table.is_split else None
    return Dataset(name, kind, train, validation, judging, encoding, table.notes + notes, again)


# ---------------------------------------------------------------------------------------------- the source


def _read(source: object, target: object) -> RawTable:
    if isinstance(source, str) and source in PROBLEMS:
        return _read_problem(source, target)
    if isinstance(source, tuple) and len(source) == 2:
        if target is not None:
            raise DataError("the target came twice: in the pair (X, y) and as target; give it once.")
        source, target = source
    label = "data"
    if isinstance(source, str | os.PathLike):
        path = _path(source)
        label = path.stem
        if path.suffix.lower() == ".npz" and target is None:
            source, target = read_arrays(path)
    if not is_table(source) and (target is None or isinstance(target, str | int)):
        raise DataError("an array X needs its target: give y as an array with one entry a row of X.")
    inputs, notes = without_row_numbers(read_table(source))
    if target is None or isinstance(target, str | int):
        targets, inputs, choice = take_target(inputs, None if target is None else str(target))
        notes += choice
    else:
        targets = target_frame(target)
    if inputs.width == 0:
        raise DataError("the data has no input columns: expected at least one column beside the target.")
    if inputs.height != targets.height:
        raise DataError(
            f"inputs and target must have the same number of rows, but have {inputs.height} and {targets.height}."
        )
    return RawTable(label, inputs, targets, notes)


def _read_problem(name: str, target: object) -> RawTable:
    import polars as pl

    if target is not None:
        raise DataError(f"the built-in problem '{name}' brings its own target; leave the target out.")
    problem = built_in(name)
    inputs = from_array("X", problem.inputs, names=problem.names)
    targets = pl.DataFrame([column("target", problem.target)])
    return RawTable(name, inputs, targets, task=problem.task, is_split=problem.is_split)


def _path(source: str | os.PathLike[str]) -> Path:
    """The path that a text stands for; a plain word that is neither a problem nor a file is an unknown name."""
    path = as_path(source)
    looks_like_path = path.suffix or len(path.parts) != 1 or exists(path)
    if isinstance(source, str) and not looks_like_path:
        raise UnknownName(f"{unknown_name('problem', source, PROBLEMS)} There is no file '{source}' either.")
    return path


def _without_missing_targets(table: RawTable) -> RawTable:
    import polars as pl

    _check_types(table.targets)
    for series in table.targets:
        if series.dtype != pl.String:
            numbers(series)
    known = ~table.targets.select(pl.any_horizontal(pl.all().is_null())).to_series()
    if known.all():
        return table
    if not known.any():
        raise DataError(f"the target {quoted(table.targets.columns)} has no values; choose another target.")
    note = f"{(~known).sum()} of {len(known)} rows have no value of the target and are not used"
    return replace(
        table,
        inputs=table.inputs.filter(known),
        targets=table.targets.filter(known),
        notes=(*table.notes, note),
        weights=None if table.weights is None else table.weights[known.to_numpy()],
    )


def _check_types(table: pl.DataFrame) -> None:
    import polars as pl

    check_unique("the data", table.columns)
    for series in table:
        if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.String)):
            raise DataError(
                f"column '{series.name}' must hold one number or text a row, but holds {series.dtype}; "
                "spread it over several columns, or remove it."
            )


def _check_inputs(inputs: pl.DataFrame) -> None:
    """Refuse, by its name, the column that makes the inputs unusable."""
    import polars as pl

    if inputs.height == 0:
        raise DataError("the data has no rows.")
    _check_types(inputs)
    for series in inputs:
        if series.null_count() == len(series):
            raise DataError(f"column '{series.name}' has no values at all (all missing or NaN); remove it.")
        if series.dtype != pl.String:
            numbers(series)


def _encode_target(
    table: RawTable, task: Task, split: tuple[float, float, int], standardize: bool, *, is_inferred: bool
) -> tuple[NDArray[np.int64] | NDArray[np.float32], Target, list[Rows]]:
    """Give y, what it means, and the rows of train, valid and test."""
    n = table.targets.height
    whole = [np.arange(n)] * 3
    if task == "classification":
        labels, meaning = encode_classes(table.targets, at_least=3 if table.is_split else 1, is_inferred=is_inferred)
        return labels, meaning, split_rows(labels, *split) if table.is_split else whole
    values = check_quantities(table.targets, at_least=10 if table.is_split else 1)
    rows = split_rows(np.zeros(n, dtype=np.int64), *split) if table.is_split else whole
    y, meaning = encode_quantities(values, table.targets.columns, rows[0], standardize=standardize)
    return y, meaning, rows


# ---------------------------------------------------------------------------------------------- weights


def _row_weights(values: object, n: int) -> NDArray[np.float64]:
    weights = as_array("weights", values)
    if weights.shape != (n,) or weights.dtype.kind not in "biuf":
        raise DataError(f"weights must be {n} numbers, one a row, but are {weights.dtype} of shape {weights.shape}.")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise DataError("weights must be finite, none negative, and not all 0 in any part (train, valid, test).")
    return weights.astype(np.float64)


def _scaled(weights: NDArray[np.float64] | None, train: Rows) -> NDArray[np.float32] | None:
    """With mean 1 over the training part."""
    if weights is None:
        return None
    scaled: NDArray[np.float32] = (weights / _row_weights(weights[train], len(train)).mean()).astype(np.float32)
    return scaled


# ---------------------------------------------------------------------------------------------- the split


def _check_split(valid: float, test: float, seed: object) -> None:
    for what, share in (("valid", valid), ("test", test)):
        if not 0 < finite_number(what, share) < 1:
            raise InvalidInput(f"{what} must be a share of the rows between 0 and 1, but is {share!r}.")
    if valid + test >= 1:
        raise InvalidInput(f"valid and test must leave rows to train on, but together they are {valid + test:g}.")
    seed_number(seed)


def split_rows(y: NDArray[np.int64], valid: float, test: float, seed: int) -> list[Rows]:
    """Choose the rows of train, valid and test at random, with the same share of every class, at least one row each.

    Returns
    -------
    list
        Three arrays of row numbers, each in random order. Every class has at least 3 rows.

    Examples
    --------
    >>> train, valid, test = split_rows(np.repeat([0, 1], [6, 14]), valid=0.2, test=0.2, seed=0)
    >>> len(train), len(valid), len(test)
    (12, 4, 4)
    """
    order = np.random.default_rng(seed).permutation(len(y))
    sizes = np.bincount(y)
    n_test = np.clip(np.rint(sizes * test).astype(np.int64), 1, sizes - 2)
    n_valid = np.clip(np.rint(sizes * valid).astype(np.int64), 1, sizes - n_test - 1)
    shuffled = y[order]
    by_class = np.argsort(shuffled, kind="stable")
    rank = np.empty_like(by_class)  # the place of every row among those of its class
    rank[by_class] = np.arange(len(y)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    to_test = rank < n_test[shuffled]
    to_valid = ~to_test & (rank < (n_test + n_valid)[shuffled])
    return [order[~to_test & ~to_valid], order[to_valid], order[to_test]]
