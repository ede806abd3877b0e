"""Reading tables: files, arrays and data frames of any library become one polars frame.

In the frame every column is a number, a boolean or text, missing values are null, and text is stripped.
Columns that hold anything else (lists, bytes, …) are left as they are: the code that uses one reports it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schuss.data.columns import as_array, check_unique, column, guarded, quoted, simplified
from schuss.data.files import as_path, read_arrays, read_file
from schuss.errors import DataError

if TYPE_CHECKING:
    import polars as pl


def read_table(source: object, *, text: Collection[str] = (), names: Sequence[str] | None = None) -> pl.DataFrame:
    """Read any table.

    Parameters
    ----------
    source
        A path to a .csv, .tsv, .parquet or .npz file (its array X), a data frame of any library, a mapping of names
        to columns, or a 2-D array of numbers.
    text
        Columns of a text file that stay text even where every value reads as a number.
    names
        Names for the columns of a 2-D array, which has none; without them x1, x2, …

    Raises
    ------
    DataError
        For everything that is not a table; exceptions of polars or NumPy never come through.

    Examples
    --------
    >>> read_table({"age": [31, None], "city": ["Rome", "?"]}).rows()
    [(31, 'Rome'), (None, None)]
    """
    import polars as pl

    if isinstance(source, str | os.PathLike):
        frame = _from_path(as_path(source), text, names)
    elif isinstance(source, pl.LazyFrame):
        frame = guarded("the lazy frame cannot be collected", source.collect)
    elif isinstance(source, pl.DataFrame):
        frame = source
    elif isinstance(source, Mapping):
        frame = _from_columns({str(name): column(str(name), values) for name, values in source.items()})
    elif hasattr(source, "columns") and hasattr(source, "index"):  # pandas and its relatives: also without pyarrow
        frame = _from_frame(source)
    elif hasattr(source, "__arrow_c_stream__"):
        check_unique("the table", list(getattr(source, "column_names", ())))
        frame = guarded("the table cannot be read", lambda: pl.DataFrame(source))
    elif hasattr(source, "columns"):
        frame = _from_frame(source)
    else:
        frame = from_array("X", source, text=text, names=names)
    return frame.with_columns([simplified(series) for series in frame])


def without_row_numbers(table: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Drop a nameless first column that counts the rows, as pandas writes it: in sorted files it betrays the target."""
    if table.width > 1 and table.columns[0] in ("column_1", "Unnamed: 0"):
        first = table.to_series(0)
        if first.dtype.is_integer() and np.array_equal(first.to_numpy(), np.arange(len(first))):
            return table.drop(first.name), (f"column '{first.name}' only counts the rows and is not used",)
    return table, ()


def is_table(source: object) -> bool:
    """Has `source` named columns (or is it a file), or is it an array?"""
    if isinstance(source, str | os.PathLike | Mapping):
        return True
    # Of a lazy frame `columns` must not be asked: it warns.
    return any(hasattr(source, name) for name in ("collect_schema", "__arrow_c_stream__", "columns"))


def _from_path(path: Path, text: Collection[str], names: Sequence[str] | None) -> pl.DataFrame:
    if path.suffix.lower() == ".npz":
        return from_array(f"X in {path}", read_arrays(path)[0], text=text, names=names)
    return read_file(path, text)


def from_array(
    what: str, values: object, *, text: Collection[str] = (), names: Sequence[str] | None = None
) -> pl.DataFrame:
    """Turn a 2-D array of numbers into a frame with the given names, or x1, x2, …"""
    import polars as pl

    array = as_array(what, values)
    if array.ndim != 2:
        advice = {1: "one column is X[:, None], one row X[None, :]", 3: "flatten each row with X.reshape(len(X), -1)"}
        hint = f"; {advice[array.ndim]}" if array.ndim in advice else ""
        raise DataError(f"{what} must be a 2-D array (rows x columns), but has the shape {list(array.shape)}{hint}.")
    if array.dtype.kind not in "biuf":
        array = _numbers(what, array)
    if names is not None and len(names) != array.shape[1]:
        raise DataError(f"{what} must have {len(names)} columns, but has {array.shape[1]}.")
    if text:
        raise DataError(f"{what} is an array, but {quoted(text)} must be text; give a data frame or a dict of columns.")
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float64)  # half and extended precision
    schema = list(names or (f"x{i + 1}" for i in range(array.shape[1])))
    return pl.DataFrame([pl.Series(name, array[:, i]) for i, name in enumerate(schema)])


def _numbers(what: str, array: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers that came as objects or text."""
    if array.dtype.kind in "OU":
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            pass
    raise DataError(
        f"{what} must hold numbers, but holds other values (type {array.dtype}); "
        "for columns of text give a data frame or a dict of columns."
    )


def _from_columns(columns: Mapping[str, pl.Series]) -> pl.DataFrame:
    import polars as pl

    lengths = {name: len(series) for name, series in columns.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"'{name}' {length}" for name, length in list(lengths.items())[:5])
        raise DataError(f"all columns must have the same number of rows, but they have: {found}.")
    return pl.DataFrame(list(columns.values()))


def _from_frame(source: Any) -> pl.DataFrame:
    """A data frame of an unknown library: the names in `columns`, each column by its name."""
    names = list(source.columns)
    check_unique("the data frame", [str(name) for name in names])
    columns = {}
    for name in names:
        values = source[name]
        if str(getattr(values, "dtype", "")) == "category":  # pandas': labels, also where they are numbers
            values = np.array([str(value) for value in values], dtype=object)
        columns[str(name)] = column(str(name), values)
    return _from_columns(columns)
