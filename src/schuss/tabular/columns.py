"""What the columns of a table are: numbers with gaps, or categories with names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schuss.data.columns import codes, column, parsed
from schuss.data.encoding import LARGEST, numbers
from schuss.data.reading import is_table, read_table
from schuss.errors import DataError

if TYPE_CHECKING:
    import polars as pl

MOST_CATEGORIES = 100
"""So many categories of a column, the most frequent ones, get an input of their own; the others are as if unknown."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table as numbers: `numbers` float64 [n, p], NaN where missing; `codes` int64 [n, q], −1 where unknown."""

    numbers: NDArray[np.float64]
    codes: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.numbers)

    def take(self, rows: slice | NDArray[np.int64]) -> Table:
        """Some of the rows, in the order given."""
        return Table(self.numbers[rows], self.codes[rows])


@dataclass(frozen=True)
class Columns:
    """How a table is read: which columns are categories, and which names these have.

    Attributes
    ----------
    names
        Of all columns.
    categories
        For every column its categories, the most frequent `MOST_CATEGORIES` in sorted order; None for numbers.
    """

    names: tuple[str, ...]
    categories: tuple[tuple[str, ...] | None, ...]

    @property
    def numeric(self) -> list[int]:
        """Which columns hold numbers."""
        return [i for i, known in enumerate(self.categories) if known is None]

    @property
    def categorical(self) -> list[int]:
        """Which columns hold categories."""
        return [i for i, known in enumerate(self.categories) if known is not None]

    def read(self, X: Any) -> Table:
        """Turn raw rows, with the columns in order, into numbers; DataError where a number cannot be read.

        >>> columns = Columns(("age", "city"), (None, ("Oslo", "Rome")))
        >>> columns.read({"age": [31.0, None], "city": ["Rome", "Paris"]})
        Table(numbers=array([[31.], [nan]]), codes=array([[ 1], [-1]]))
        """
        if _is_numeric(X) and not self.categorical:
            return Table(_checked(np.ascontiguousarray(X, dtype=np.float64)), np.zeros((len(X), 0), np.int64))
        found = _series(X)
        columns = [numbers(found[i]) for i in self.numeric]
        coded = [codes(found[i], self.categories[i] or ()) for i in self.categorical]
        n = len(found[0])
        return Table(
            np.column_stack(columns).astype(np.float64) if columns else np.zeros((n, 0)),
            np.column_stack(coded) if coded else np.zeros((n, 0), np.int64),
        )


def learn_columns(X: Any) -> Columns:
    """Which columns of the training rows are numbers, and which categories: text, and a data frame's categories.

    >>> learn_columns({"age": [31, None], "city": ["Rome", "?"]})
    Columns(names=('age', 'city'), categories=(None, ('Rome',)))
    """
    if _is_numeric(X):
        return Columns(tuple(f"x{i}" for i in range(X.shape[1])), (None,) * X.shape[1])
    found = _series(X)
    return Columns(tuple(series.name for series in found), tuple(map(_categories, found)))


def unique(names: Sequence[str]) -> list[str]:
    """The names, a repeated one with the number of its repetition.

    >>> unique(["a", "b", "a"])
    ['a', 'b', 'a (2)']
    """
    found: dict[str, None] = {}
    for name in names:
        fresh = next(c for k in count(1) if (c := name if k == 1 else f"{name} ({k})") not in found)
        found[fresh] = None
    return list(found)


def _checked(X: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        huge = np.abs(X) > LARGEST
    if huge.any():
        row, place = np.argwhere(huge)[0].tolist()
        raise DataError(
            f"column {place + 1} of X holds {X[row, place]:g} (row {row + 1}), infinite or beyond 32-bit numbers; "
            "correct the value, or set it to NaN."
        )
    return X


def _is_numeric(X: Any) -> bool:
    return isinstance(X, np.ndarray) and X.dtype.kind in "biuf"


def _series(X: Any) -> list[pl.Series]:
    """The columns of a data frame, or of an array of objects; there text that reads as numbers is numbers."""
    if is_table(X):
        return read_table(X).get_columns()
    return [parsed(column(f"x{i}", X[:, i])) for i in range(X.shape[1])]


def _categories(series: pl.Series) -> tuple[str, ...] | None:
    import polars as pl

    if series.dtype != pl.String:
        return None
    counts = Counter(series.drop_nulls().to_list())
    frequent = sorted(counts, key=lambda text: (-counts[text], text))[:MOST_CATEGORIES]
    return tuple(sorted(frequent))
