"""What the columns of a table are: numbers with gaps, dates as numbers of days, or categories with names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schuss.data.columns import codes, column, parsed, whole
from schuss.data.encoding import LARGEST, numbers
from schuss.data.reading import is_table, read_table
from schuss.errors import DataError

if TYPE_CHECKING:
    import polars as pl

MOST_CATEGORIES = 100
"""So many categories of a column, the most frequent ones, get an input of their own; the others are as if unknown."""


MOSTLY = 0.8
"""Where so large a share of a column's texts are numbers, the others are pointed out."""


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
    dates
        Which columns are dates: numbers, of days since 1970.
    """

    names: tuple[str, ...]
    categories: tuple[tuple[str, ...] | None, ...]
    dates: tuple[int, ...] = ()

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
        if _is_numeric(X) and not self.categorical and not self.dates:
            return Table(_checked(np.ascontiguousarray(X, dtype=np.float64)), np.zeros((len(X), 0), np.int64))
        found = _series(X)
        columns = [_days(found[i]) if i in self.dates else numbers(found[i]) for i in self.numeric]
        coded = [codes(_names(found[i]), self.categories[i] or ()) for i in self.categorical]
        n = len(found[0])
        return Table(
            np.column_stack(columns).astype(np.float64) if columns else np.zeros((n, 0)),
            np.column_stack(coded) if coded else np.zeros((n, 0), np.int64),
        )


def learn_columns(X: Any) -> Columns:
    """Which columns of the training rows are numbers, and which categories: text, and a data frame's categories.

    Dates are days of a calendar, or text of which every value is one, such as 2026-11-24 or 2026-11-24 12:30:00. In an
    array of objects, text that reads as numbers throughout is numbers.

    >>> learn_columns({"age": [31, None], "city": ["Rome", "?"], "day": ["2026-11-24", None]})
    Columns(names=('age', 'city', 'day'), categories=(None, ('Rome',), None), dates=(2,))
    """
    if _is_numeric(X):
        return Columns(tuple(f"x{i}" for i in range(X.shape[1])), (None,) * X.shape[1])
    found = _series(X) if is_table(X) else list(map(parsed, _series(X)))
    dates = tuple(i for i, series in enumerate(found) if _are_dates(series))
    categories = tuple(None if i in dates else _categories(series) for i, series in enumerate(found))
    return Columns(tuple(series.name for series in found), categories, dates)


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
    """The columns of a data frame, or of an array of objects; DataError for lists and the like."""
    import polars as pl

    found = read_table(X).get_columns() if is_table(X) else [column(f"x{i}", X[:, i]) for i in range(X.shape[1])]
    for series in found:
        if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.String)):
            raise DataError(
                f"column '{series.name}' must hold numbers, text or dates, but holds values of type {series.dtype}."
            )
    return found


def _names(series: pl.Series) -> pl.Series:
    """Text by which a value is known, whatever type it came in: 1, 1.0 and "1.0" are 1; True and "True" are true."""
    import polars as pl

    text = whole(series).cast(pl.String).str.replace(r"^(-?\d+)\.0+$", "$1")
    text = text.str.replace(r"^(\d{4}-\d{2}-\d{2}) 00:00:00(\.0+)?$", "$1")  # a date that came as a time
    lower = text.str.to_lowercase()
    return text.zip_with(~lower.is_in(["true", "false"]).fill_null(value=False), lower)


def _categories(series: pl.Series) -> tuple[str, ...] | None:
    import polars as pl

    if series.null_count() == len(series):
        return ()  # nothing is known of it: whatever comes later is unknown
    if series.dtype != pl.String:
        return None
    counts = Counter(_names(series).drop_nulls().to_list())
    frequent = sorted(counts, key=lambda text: (-counts[text], text))[:MOST_CATEGORIES]
    return tuple(sorted(frequent))


# ---------------------------------------------------------------------------------------------- notes


def notes_on(frame: pl.DataFrame) -> list[str]:
    """What a reader of a table should know about how its columns are taken.

    >>> import polars as pl
    >>> notes_on(pl.DataFrame({"day": ["2026-11-24", "2026-11-25"], "price": ["1,5", "2,5"]}))
    ["column 'day' holds dates, read as days since 1970",
     "column 'price' looks like numbers with commas, but is read as text: write 1.5 for one and a half"]
    """
    return [f"column '{series.name}' {note}" for series in frame if (note := _note(series))]


def _note(series: pl.Series) -> str:
    import polars as pl

    if _are_dates(series):
        return "holds dates, read as days since 1970"
    if has_commas(series):
        return "looks like numbers with commas, but is read as text: write 1.5 for one and a half"
    if note := _almost_numbers(series):
        return note
    different = series.drop_nulls().n_unique() if series.dtype == pl.String else 0
    if different > MOST_CATEGORIES:
        return f"has {different:,} different texts, of which the {MOST_CATEGORIES} most frequent are distinguished"
    return ""


def _almost_numbers(series: pl.Series) -> str:
    """Where a few values keep a column of numbers, or of dates, from being one."""
    import polars as pl

    if series.dtype != pl.String:
        return ""
    there = series.drop_nulls()
    zeros = there.filter(there.str.contains(r"^0\d"))
    if len(zeros) and there.str.contains(r"^\d+$").all():
        return f"is read as text, because some of its numbers have leading zeros, such as {zeros[0]}"
    for what, fits in (
        ("numbers", there.cast(pl.Float64, strict=False).is_not_null()),
        ("dates", there.str.contains(_DATE)),
    ):
        if len(there) > fits.sum() >= MOSTLY * len(there):
            example = there.filter(~fits)[0]
            return f"is read as text: {fits.sum():,} of {len(there):,} values are {what}, but '{example}' is not"
    return ""


def has_commas(series: pl.Series) -> bool:
    """Whether text would be numbers, were it not for commas: 1,5 or 1,234,567."""
    import polars as pl

    if series.dtype != pl.String or series.null_count() == len(series):
        return False
    return bool(series.drop_nulls().str.contains(r"^[-+]?\d+([.,]\d+)*,\d+(\.\d+)?$").all())


# ---------------------------------------------------------------------------------------------- dates

_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?)?$"


def _are_dates(series: pl.Series) -> bool:
    import polars as pl

    if series.dtype != pl.String or series.null_count() == len(series):
        return False
    there = series.drop_nulls()
    return bool(there.str.contains(_DATE).all()) and not np.isnan(_parsed_days(there)).any()


def _days(series: pl.Series) -> NDArray[np.float64]:
    """Days since 1970, NaN where nothing is; DataError where something else than a date is."""
    import polars as pl

    text = series.cast(pl.String)
    days = _parsed_days(text)
    others = text.is_not_null().to_numpy() & (np.isnan(days) | ~text.str.contains(_DATE).fill_null(True).to_numpy())
    if others.any():
        row = int(others.argmax())
        raise DataError(
            f"column '{series.name}' holds dates such as 2026-11-24, but in row {row + 1} it holds '{text[row]}'; "
            "correct the value, or leave it empty."
        )
    return days


def _parsed_days(text: pl.Series) -> NDArray[np.float64]:
    """Days since 1970 in UTC, the time of the day as their fraction; NaN where there is no date."""
    import polars as pl

    def number(pattern: str) -> pl.Series:
        return text.str.extract(pattern).cast(pl.Float64).fill_null(0.0)

    days = text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).cast(pl.Int32).cast(pl.Float64)
    minutes = 60 * number(r"[T ](\d{2}):") + number(r"[T ]\d{2}:(\d{2})") + number(r":\d{2}:(\d{2}(?:\.\d+)?)") / 60
    sign = text.str.contains(r":.*-\d{2}:?\d{2}$").fill_null(value=False).cast(pl.Float64) * -2 + 1
    zone = sign * (60 * number(r":.*[-+](\d{2}):?\d{2}$") + number(r":.*[-+]\d{2}:?(\d{2})$"))
    return np.asarray((days + (minutes - zone) / 1440).to_numpy(), dtype=np.float64)
