"""Reading files: text with separators, Parquet, and NumPy's .npz."""

from __future__ import annotations

import csv
import difflib
import os
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schuss.data.columns import check_unique, first_line, guarded, parsed, quoted, simplified
from schuss.errors import DataError

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".csv", ".tsv", ".parquet", ".npz")


def as_path(source: str | os.PathLike[str]) -> Path:
    """The path that `source` names, ~ expanded."""
    try:
        return Path(os.fspath(source)).expanduser()
    except (RuntimeError, TypeError) as error:
        raise DataError(f"{source!r} is not a path: {first_line(error)}.") from error


def exists(path: Path) -> bool:
    """Is there such a file or folder? (False also for what no file can be called.)"""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def read_arrays(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Read the arrays X and (where there is one) y from an .npz file; pickled objects are refused."""
    check_file(path)
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not an .npz file of plain arrays: {first_line(error)}.") from error
    if "X" not in arrays:
        raise DataError(f"{path} must hold the arrays X and y, but holds {quoted(arrays) or 'none'}.")
    return arrays["X"], arrays.get("y")


def check_file(path: Path) -> None:
    """Refuse a path that is not a readable file with something in it; a missing one brings near names."""
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; give the path of one file ({', '.join(SUFFIXES)}).")
        if not exists(path):
            neighbors = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            near = difflib.get_close_matches(path.name, neighbors, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; check the path."
            raise DataError(f"there is no file {path}{hint}")
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path} must end in {', '.join(SUFFIXES)}; convert it, or rename it to what it is.")
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty; a table needs a line of column names and a line a row.")
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read: {first_line(error)}.") from error


def read_file(path: Path, text: Collection[str] = ()) -> pl.DataFrame:
    """Read a .csv, .tsv or .parquet file; the columns `text` of a text file stay text, whatever they read as."""
    import polars as pl

    check_file(path)
    if path.suffix.lower() == ".parquet":
        return guarded(f"{path} is not a Parquet table", lambda: pl.read_parquet(path))
    frame = _read_csv(path)
    return pl.DataFrame([series if series.name in text else parsed(simplified(series)) for series in frame])


def _read_csv(path: Path) -> pl.DataFrame:
    """Read a text file with every column as text: fast with polars where all lines are regular, else exactly.

    polars fills short lines with nulls and misreads a quote inside a field, so irregular files go to the csv module.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}.") from error
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = data.rstrip(b"\n")
    content = _decoded(path, data)
    separator = "\t" if path.suffix.lower() == ".tsv" else _separator(content)
    names = next(_records(path, content, separator))
    _check_header(path, names)
    frame = _read_fast(data, separator, len(names)) if data.count(b'"') % 2 == 0 else None
    if frame is None or not (
        frame.to_series(-1).null_count() == 0
        or _is_regular(data, separator, len(names))
        or frame.height == sum(1 for _ in _records(path, content, separator)) - 1
    ):
        frame = _read_exactly(path, content, separator)
    if frame.height == 0:
        raise DataError(f"{path} has a line of column names but no rows.")
    frame.columns = names
    return frame


def _read_fast(data: bytes, separator: str, width: int) -> pl.DataFrame | None:
    import polars as pl
    from polars.exceptions import PanicException, PolarsError

    try:
        frame = pl.read_csv(data, separator=separator, infer_schema_length=0)  # all text
    except (PolarsError, PanicException):
        return None
    return frame if frame.width == width else None


def _decoded(path: Path, data: bytes) -> str:
    if not data.removeprefix(b"\xef\xbb\xbf").strip():
        raise DataError(f"{path} is empty; a table needs a line of column names and a line a row.")
    if b"\0" in data:
        raise DataError(f"{path} is not a table of text: it holds binary data; save it as CSV in UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path} is not a table of UTF-8 text (line {line} holds the byte {data[error.start]:#04x}); "
            "save it as CSV in UTF-8."
        ) from error


def _separator(content: str) -> str:
    """A comma, unless the header has none but another usual separator."""
    header = next(line for line in _lines(content) if line.strip())
    return next((mark for mark in ",;\t|" if mark in header), ",")


def _lines(content: str) -> Iterator[str]:
    """The lines with their ends, one at a time: most callers want the first one of a large file."""
    start, end = 0, content.find("\n")
    while end >= 0:
        yield content[start : end + 1]
        start, end = end + 1, content.find("\n", end + 1)
    yield content[start:]


def _records(path: Path, content: str, separator: str) -> Iterator[list[str]]:
    """The records of a text file, blank lines left out; each must have as many values as the first one, the names."""
    reader = csv.reader(_lines(content), delimiter=separator, strict=True)
    width, line = 0, 1
    try:
        for record in reader:
            if width == 0 and record:
                width = len(record)
                yield [name.strip() or f"column_{i + 1}" for i, name in enumerate(record)]
            elif record and len(record) != width:
                raise DataError(
                    f"{path}, line {line}: expected {width} values, as in the line of names, but found {len(record)}; "
                    "complete the line, or quote values that contain the separator."
                )
            elif record:
                yield record
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: {error}; is a quote left open?") from error


def _check_header(path: Path, names: list[str]) -> None:
    check_unique(str(path), names)
    if sum(_is_decimal(name) for name in names) * 2 > len(names):
        raise DataError(
            f"{path} must begin with a line of column names, but its first line holds numbers "
            f"({', '.join(names[:3])}, …); add a line of names."
        )


def _is_decimal(name: str) -> bool:
    """Is it a number with a point, as in a row of data (whole numbers are also met as names)?"""
    try:
        float(name)
    except ValueError:
        return False
    return "." in name


def _is_regular(data: bytes, separator: str, width: int) -> bool:
    """Has every line the same number of separators? (With quotes in the file: not known, so no.)"""
    if b'"' in data:
        return False
    characters = np.frombuffer(data + b"\n", dtype=np.uint8)
    marks = characters[(characters == ord("\n")) | (characters == ord(separator))]
    return bool((np.diff(np.flatnonzero(marks == ord("\n")), prepend=-1) == width).all())


def _read_exactly(path: Path, content: str, separator: str) -> pl.DataFrame:
    import polars as pl

    names, *rows = _records(path, content, separator)
    return pl.DataFrame(
        [pl.Series(name, values, dtype=pl.String) for name, values in zip(names, zip(*rows, strict=True), strict=False)]
    )
