"""One column of any kind (list, array, series of any library) becomes a polars series.

A simplified series holds numbers, booleans or stripped text, and null for every missing value.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schuss.errors import DataError

if TYPE_CHECKING:
    import polars as pl

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "NULL", "null", "None", "<NA>", "?")
"""What stands for a missing value in text."""


def column(name: str, values: object) -> pl.Series:
    """Turn one column of any kind (list, array, series of any library) into a polars series."""
    import polars as pl

    if isinstance(values, pl.Series):
        return simplified(values.alias(name))
    array = as_array(f"column '{name}'", values)
    if array.ndim != 1:
        raise DataError(f"column '{name}' must be one-dimensional, but has shape {array.shape}.")
    if array.dtype.kind in "biu":
        return pl.Series(name, array)
    if array.dtype.kind == "f":
        return simplified(pl.Series(name, array.astype(np.float64)))
    if array.dtype.kind in "Mm":
        return simplified(pl.Series(name, array.astype(f"{array.dtype.kind}8[us]")))
    if array.dtype.kind == "U":
        return simplified(pl.Series(name, array.tolist(), dtype=pl.String))
    if array.dtype.kind == "O":
        return simplified(_from_objects(name, array.tolist()))
    raise DataError(f"column '{name}' must hold numbers or text, but holds values of type {array.dtype}.")


def as_array(what: str, values: object) -> NDArray[Any]:
    """`np.asarray`, with a clear error for what is not an array."""
    try:
        if isinstance(values, np.ma.MaskedArray):
            values = np.where(np.ma.getmaskarray(values), np.array(None), values.data.astype(object))
        array = np.asarray(values)
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    except Exception as error:  # anything: the conversion runs the methods of any library's objects
        raise DataError(f"{what} cannot be read as an array: {first_line(error)}.") from error


def simplified(series: pl.Series) -> pl.Series:
    """Reduce a series to numbers, booleans or stripped text, with null for every missing value."""
    import polars as pl

    dtype = series.dtype
    if dtype.is_float():
        return series.fill_nan(None)
    if dtype == pl.Null or dtype.is_decimal():
        return series.cast(pl.Float64)
    if dtype == pl.Duration:  # in days, whatever its unit
        return series.dt.total_microseconds().cast(pl.Float64) / 86_400e6
    if dtype.is_temporal() or dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if series.dtype == pl.String:
        stripped = series.str.strip_chars()
        return stripped.set(stripped.is_in(MISSING), None)
    return series


def parsed(series: pl.Series) -> pl.Series:
    """Turn a column of text into whole numbers, numbers or booleans, if every value reads as one.

    Whole numbers with leading zeros in some, such as 01067, are names of something, and stay text.
    """
    import polars as pl

    if series.dtype != pl.String or series.null_count() == len(series):
        return series
    if series.str.contains(r"^0\d").any() and series.str.contains(r"^\d+$").all():
        return series
    for dtype in (pl.Int64, pl.Float64):
        numbers = series.cast(dtype, strict=False)
        if numbers.null_count() == series.null_count():
            return numbers
    lower = series.str.to_lowercase()
    return lower == "true" if bool(lower.drop_nulls().is_in(["true", "false"]).all()) else series


def whole(series: pl.Series) -> pl.Series:
    """Turn floats that are all whole numbers into integers: elsewhere a missing value turned integers into floats."""
    import polars as pl

    present = series.drop_nulls()
    if series.dtype.is_float() and bool(((present % 1 == 0) & (present.abs() <= 2.0**53)).all()):
        return series.cast(pl.Int64)
    return series


def codes(series: pl.Series, categories: Sequence[str]) -> NDArray[np.int64]:
    """The index of every row's category, −1 where it is missing or unknown. Numbers stand for their text."""
    import polars as pl

    if not categories:
        return np.full(len(series), -1)
    text = whole(series).cast(pl.String)
    found = text.replace_strict(list(categories), list(range(len(categories))), default=-1, return_dtype=pl.Int64)
    return found.to_numpy()


def _from_objects(name: str, values: list[Any]) -> pl.Series:
    """Python objects: booleans, numbers of any kind, or else their text; pandas' NA and NaT are missing."""
    import numbers
    from decimal import Decimal

    import polars as pl

    kinds = set(map(type, values))
    absent = {kind for kind in kinds if kind.__name__ in ("NoneType", "NAType", "NaTType")}
    kinds -= absent
    for kind in kinds:
        if issubclass(kind, list | tuple | dict | set | bytes | np.ndarray):
            raise DataError(f"column '{name}' must hold one number or text a row, but holds a {kind.__name__}.")
    if kinds <= {bool, np.bool_}:
        return pl.Series(name, [None if type(v) in absent else bool(v) for v in values], dtype=pl.Boolean)
    if all(issubclass(kind, numbers.Real | Decimal | np.bool_) for kind in kinds):
        whole = all(issubclass(kind, numbers.Integral) for kind in kinds)
        try:
            exact = [None if type(v) in absent else int(v) if whole else float(v) for v in values]
            return pl.Series(name, exact, dtype=pl.Int64 if whole else pl.Float64)
        except (OverflowError, TypeError) as error:
            raise DataError(f"column '{name}' holds a number beyond 64 bits; rescale the column.") from error
    return pl.Series(name, [None if type(v) in absent else str(v) for v in values], dtype=pl.String)


def check_unique(what: str, names: Iterable[str]) -> None:
    """Refuse a table in which two columns bear one name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{what} has more than one column called {quoted(twice)}; give each column its own name.")


def quoted(names: Iterable[str]) -> str:
    """List names for a message: 'a', 'b'."""
    return ", ".join(f"'{name}'" for name in names)


def near_names(name: str, known: Sequence[str]) -> str:
    """A hint that names what may have been meant, else all known names."""
    near = difflib.get_close_matches(name.lower(), [other.lower() for other in known], n=3, cutoff=0.6)
    meant = [other for other in known if other.lower() in near]
    if meant:
        return f"did you mean {quoted(meant).replace(', ', ' or ')}?"
    shown = known[:10]
    return f"its columns are {quoted(shown)}{', …' if len(known) > len(shown) else ''}."


def first_line(error: BaseException) -> str:
    """What another library's exception says, cut to its first sentence, without the full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0].rstrip(".")


def guarded(message: str, read: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """Run `read`, turning whatever polars raises into a DataError."""
    from polars.exceptions import PanicException, PolarsError

    try:
        return read()
    except (PolarsError, PanicException, OSError, ValueError, TypeError) as error:
        raise DataError(f"{message}: {first_line(error)}.") from error
