"""How raw rows become the inputs of a network, and its predictions become labels or units again.

Numbers are imputed with the median and standardized, text becomes one input per category, and a column that had missing
values gets a further input that says where. Everything is learned from the training part only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schuss.data.columns import codes, near_names, parsed, quoted
from schuss.data.reading import read_table
from schuss.errors import DataError, RunFileError

if TYPE_CHECKING:
    import polars as pl

Task = Literal["classification", "regression"]
Label = str | int | float | bool

_NAMED_AT_MOST = 5  # of the columns that a note is about

LARGEST = float(np.finfo(np.float32).max)

FARTHEST = 1e4
"""Standardized inputs are cut off here. None of n training rows lies farther than √n standard deviations from their
mean, so this touches only rows unlike any in training; without it a nearly constant column would explode on them."""


@dataclass(frozen=True)
class Column:
    """One input column and what becomes of it.

    Attributes
    ----------
    kind
        "numeric": (value − mean) / std, with `fill` for a missing value; a `std` of 0 marks a column that was constant
        (or empty) in the training part, and is 0 always. "category": 1 in the input of its category, else 0; a category
        not met in training is 0 everywhere.
    has_missing_flag
        One further input, 1 where the value is missing.
    """

    name: str
    kind: Literal["numeric", "category"]
    mean: float = 0.0
    std: float = 1.0
    fill: float = 0.0
    has_missing_flag: bool = False
    categories: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the network's inputs that this column becomes."""
        values = (self.name,) if self.kind == "numeric" else tuple(f"{self.name}={c}" for c in self.categories)
        return (*values, f"{self.name} is missing") if self.has_missing_flag else values


@dataclass(frozen=True)
class Target:
    """What is predicted: one class of `classes`, or numbers that were standardized with `mean` and `std`."""

    names: tuple[str, ...]
    task: Task
    classes: tuple[Label, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True)
class Encoding:
    """How raw rows become inputs X, and predictions become labels; frozen, without arrays, kept with a run."""

    columns: tuple[Column, ...]
    target: Target
    standardize: bool = True

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the network's inputs, in order: `age`, `city=Rome`, `age is missing`."""
        return tuple(name for column in self.columns for name in column.features)

    def transform(self, raw: object) -> NDArray[np.float32]:
        """Turn raw rows into inputs.

        Parameters
        ----------
        raw
            Whatever `read_table` reads. Columns are found by name and further ones ignored; the columns of a 2-D
            array are taken in order.

        Returns
        -------
        NDArray[np.float32]
            [rows, inputs], C-contiguous.

        Raises
        ------
        DataError
            Where a column is missing, or holds text instead of numbers, or an infinity.

        Examples
        --------
        >>> city = Column("city", "category", categories=("Oslo", "Rome"))
        >>> age = Column("age", "numeric", mean=40, std=10, fill=38, has_missing_flag=True)
        >>> encoding = Encoding((city, age), Target(("y",), "regression", mean=(0.0,), std=(1.0,)))
        >>> encoding.transform({"age": [50, None], "city": ["Rome", "Paris"]})
        array([[ 0. ,  1. ,  1. ,  0. ],
               [ 0. ,  0. , -0.2,  1. ]], dtype=float32)
        """
        categories = [column.name for column in self.columns if column.kind == "category"]
        frame = read_table(raw, text=categories, names=[column.name for column in self.columns])
        check_present([column.name for column in self.columns], frame.columns)
        X = np.zeros((frame.height, len(self.features)), dtype=np.float32)
        position = 0
        for column in self.columns:
            width = len(column.features)
            self._encode(column, frame.get_column(column.name), X[:, position : position + width])
            position += width
        return X

    def _encode(self, column: Column, series: pl.Series, out: NDArray[np.float32]) -> None:
        """Write one column into its inputs, which are 0 so far."""
        if column.kind == "category":
            found = codes(series, column.categories)
            rows = np.flatnonzero(found >= 0)
            out[rows, found[rows]] = 1
        elif column.std > 0:
            values = numbers(series)
            if series.null_count() > 0:
                values = np.where(np.isnan(values), column.fill, values)
            limit = FARTHEST if self.standardize else LARGEST
            with np.errstate(over="ignore"):  # by a tiny std; infinity is cut off, too
                out[:, 0] = np.clip((values - column.mean) / column.std, -limit, limit)
        if column.has_missing_flag:
            out[:, -1] = series.is_null().to_numpy()

    def decode(self, prediction: ArrayLike) -> NDArray[Any]:
        """Turn class indices [n] into labels, or standardized predictions [n] or [n, k] into original units.

        One predicted number a row comes back as [n].

        >>> Encoding((), Target(("y",), "classification", classes=("no", "yes"))).decode([1, 0]).tolist()
        ['yes', 'no']
        """
        values = np.asarray(prediction)
        if self.target.task == "regression":
            k = len(self.target.names)
            if values.dtype.kind not in "iuf" or values.ndim not in (1, 2) or (*values.shape, 1)[1] != k:
                raise DataError(f"predictions must be numbers of shape [n, {k}], but have shape {list(values.shape)}.")
            units: NDArray[np.float64] = values.reshape(-1, k) * np.array(self.target.std) + np.array(self.target.mean)
            return units[:, 0] if k == 1 else units
        n = len(self.target.classes)
        if values.dtype.kind not in "iu" or (values.size and (values.min() < 0 or values.max() >= n)):
            raise DataError(f"predictions must be class indices from 0 to {n - 1}.")
        labels: NDArray[Any] = np.asarray(self.target.classes)[values]
        return labels

    def to_json(self) -> dict[str, Any]:
        """Describe the encoding with what JSON knows; `from_json` restores it without loss."""
        description: dict[str, Any] = json.loads(self.text)
        return description

    @cached_property
    def text(self) -> str:
        """What `to_json` says, as text that is equal for equal encodings; many data sets of one encoding need it."""
        return json.dumps(self, default=_fields, sort_keys=True)

    @staticmethod
    def from_json(description: object) -> Encoding:
        """Restore an encoding; anything that `to_json` would not have written is a RunFileError."""
        values = _record(Encoding, description)
        columns = tuple(_column(entry) for entry in _list(values["columns"], "columns"))
        names = [column.name for column in columns]
        _require(len(set(names)) == len(names), "column names are not unique")
        _require(any(column.features for column in columns), "there is no input")
        _require(type(values["standardize"]) is bool, "'standardize' is not true or false")
        return Encoding(columns, _target(values["target"]), values["standardize"])


def _fields(described: Encoding | Column | Target) -> dict[str, Any]:
    """One level of `dataclasses.asdict`, which copies every name of thousands of columns."""
    return {field.name: getattr(described, field.name) for field in fields(described)}


# ---------------------------------------------------------------------------------------------- learning an encoding


def learn_encoding(inputs: pl.DataFrame, target: Target, *, standardize: bool) -> tuple[Encoding, tuple[str, ...]]:
    """Learn the encoding of the training rows `inputs`; also notes about columns that bring nothing."""
    import polars as pl

    columns: list[Column] = []
    noted: dict[str, list[str]] = {}  # what is to be said → the columns it is said of
    for series in inputs:
        column, note = _learn_text(series) if series.dtype == pl.String else _learn_numbers(series, standardize)
        if column is not None:
            columns.append(column)
        if note:
            noted.setdefault(note, []).append(series.name)
    notes = tuple(f"{_said_of(names)} {note}" for note, names in noted.items())
    if not any(column.features for column in columns):
        raise DataError(f"no input column is left: {'; '.join(notes)}.")
    return Encoding(tuple(columns), target, standardize), notes


def _said_of(names: Sequence[str]) -> str:
    """The subject of a note, which may be about hundreds of pixels at the edge of a picture."""
    if len(names) == 1:
        return f"column {quoted(names)}"
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return f"each of the columns {quoted(names[:_NAMED_AT_MOST])}{more}"


def numbers(series: pl.Series) -> NDArray[np.float64]:
    """The values of a numeric or boolean column as float64, NaN where missing; an error for text and infinities."""
    import polars as pl

    given, series = series, _numeric(series)
    if series.dtype == pl.String and series.null_count() < len(series):
        texts = series.cast(pl.Float64, strict=False).is_null() & series.is_not_null()
        row = texts.arg_max() or 0
        raise DataError(
            f"column '{series.name}' must hold numbers, but holds '{given[row]}' (row {row + 1}); correct the value."
        )
    values = series.cast(pl.Float64).to_numpy()
    huge = np.abs(values) > LARGEST
    if huge.any():
        row = int(huge.argmax())
        raise DataError(
            f"column '{series.name}' holds {values[row]:g} (row {row + 1}), infinite or beyond 32-bit numbers; "
            "correct the value, or leave it empty."
        )
    return values


def _numeric(series: pl.Series) -> pl.Series:
    """Text as numbers, also with leading zeros, or as booleans, if every value reads as one."""
    import polars as pl

    if series.dtype == pl.String:
        values = series.cast(pl.Float64, strict=False)
        if values.null_count() == series.null_count():
            return values
    return parsed(series)


def moments(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation (over n), the latter 0 where it is nothing but rounding of the mean."""
    mean, std = float(values.mean()), float(values.std())
    return mean, 0.0 if std <= 1e-12 * abs(mean) else std


def _learn_numbers(series: pl.Series, standardize: bool) -> tuple[Column, str]:
    values = numbers(series)
    present = values[~np.isnan(values)]
    if present.size == 0:
        return Column(series.name, "numeric", std=0.0), "has no value in the training part: its input is always 0"
    fill, flag = float(np.median(present)), present.size < values.size
    if not standardize:
        return Column(series.name, "numeric", fill=fill, has_missing_flag=flag), ""
    mean, std = moments(np.where(np.isnan(values), fill, values) if flag else values)
    note = "" if std > 0 else "has the same value in every row of the training part: its input is always 0"
    return Column(series.name, "numeric", mean, std, fill, flag), note


def _learn_text(series: pl.Series) -> tuple[Column | None, str]:
    categories = tuple(series.drop_nulls().unique().sort().to_list())
    limit = min(100, max(10, len(series) // 2))
    if len(categories) > limit:
        found = f"{len(categories)} different texts in {len(series)} training rows (at most {limit})"
        return None, f"is not used: {found}; turn it into numbers or fewer categories"
    flag = series.null_count() > 0
    if not categories:
        return Column(series.name, "category"), "has no value in the training part; it is not used"
    note = "" if len(categories) + flag > 1 else "has the same text in every row of the training part"
    return Column(series.name, "category", has_missing_flag=flag, categories=categories), note


def check_present(expected: Sequence[str], found: Sequence[str]) -> None:
    """Refuse a table that lacks columns of the training data."""
    present = set(found)
    missing = [name for name in expected if name not in present]
    if missing:
        raise DataError(
            f"the data must have the columns of the training data, but {quoted(missing[:5])}"
            f"{' …' if len(missing) > 5 else ''} {'is' if len(missing) == 1 else 'are'} missing; "
            + near_names(missing[0], found)
        )


# ---------------------------------------------------------------------------------------------- reading a description


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise RunFileError(f"the encoding in the run file is damaged: {problem}; use the file as schuss wrote it.")


def _record(kind: type, entry: object) -> dict[str, Any]:
    """A mapping with exactly the fields of `kind`."""
    expected = [field.name for field in fields(kind)]
    _require(isinstance(entry, Mapping) and set(entry) == set(expected), f"expected an object with {quoted(expected)}")
    return dict(cast(Mapping[str, Any], entry))


def _list(entry: object, what: str) -> list[Any]:
    _require(isinstance(entry, list | tuple), f"'{what}' is not a list")
    return list(cast(Sequence[Any], entry))


def _texts(entry: object, what: str) -> tuple[str, ...]:
    texts = _list(entry, what)
    _require(all(map(_is_text, texts)), f"'{what}' holds something other than text")
    _require(len(set(texts)) == len(texts), f"'{what}' holds the same text twice")
    return tuple(texts)


def _is_text(entry: object) -> bool:
    """JSON can also hold halves of surrogate pairs, which are not text."""
    return type(entry) is str and entry.encode(errors="ignore").decode() == entry


def _finite(entry: object, what: str) -> float:
    _require(type(entry) in (int, float), f"'{what}' is not a number")
    number = cast(float, entry)
    _require(abs(number) <= LARGEST, f"'{what}' is not finite, or beyond 32-bit numbers")
    return float(number)


def _column(entry: object) -> Column:
    values = _record(Column, entry)
    _require(_is_text(values["name"]), "a column's name is not text")
    _require(values["kind"] in ("numeric", "category"), "a column is neither numeric nor category")
    _require(type(values["has_missing_flag"]) is bool, "'has_missing_flag' is not true or false")
    mean, std, fill = (_finite(values[key], key) for key in ("mean", "std", "fill"))
    _require(std >= 0, "'std' is negative")
    categories = _texts(values["categories"], "categories")
    if values["kind"] == "numeric":
        _require(not categories, "a numeric column has categories")
    else:
        _require((mean, std, fill) == (0, 1, 0), "a category column has a mean, std or fill")
    return Column(values["name"], values["kind"], mean, std, fill, values["has_missing_flag"], categories)


def _target(entry: object) -> Target:
    values = _record(Target, entry)
    names = _texts(values["names"], "names")
    classes = _list(values["classes"], "classes")
    mean, std = (tuple(_finite(v, key) for v in _list(values[key], key)) for key in ("mean", "std"))
    if values["task"] == "classification":
        kinds = set(map(type, classes))
        _require(len(kinds) == 1 and kinds <= {str, int, float, bool}, "'classes' are not all of one kind")
        _require(len(classes) == len(set(classes)) >= 2, "'classes' are not at least two different ones")
        _require(float not in kinds or all(map(math.isfinite, classes)), "a class is not finite")
        _require(len(names) == 1 and not mean and not std, "a class target has a mean or std")
    else:
        _require(values["task"] == "regression", "'task' is neither classification nor regression")
        _require(not classes, "a regression target has classes")
        _require(len(names) == len(mean) == len(std) >= 1, "'mean' and 'std' do not fit the target")
        _require(all(value > 0 for value in std), "'std' is not positive")
    return Target(names, values["task"], tuple(classes), mean, std)
