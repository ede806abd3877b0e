"""What a target column means: classes or quantities, and how they become numbers to learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schuss.data.columns import as_array, codes, column, near_names, whole
from schuss.data.encoding import LARGEST, Target, Task, moments, numbers
from schuss.data.reading import from_array, read_table
from schuss.errors import DataError

if TYPE_CHECKING:
    import polars as pl

TARGET_NAMES = ("target", "label", "class", "y")


def take_target(table: pl.DataFrame, target: str | None) -> tuple[pl.DataFrame, pl.DataFrame, tuple[str, ...]]:
    """Divide a table into target and inputs."""
    notes: tuple[str, ...] = ()
    if table.width == 0:
        raise DataError("the table has no columns: expected at least one input and the target.")
    if target is None:
        known = [name for name in table.columns if name.lower() in TARGET_NAMES]
        target = known[0] if len(known) == 1 else table.columns[-1]
        if len(known) != 1:
            notes = (f"the target is the last column, '{target}'; name another one with target",)
    if target not in table.columns:
        raise DataError(f"there is no column '{target}' to be the target; {near_names(target, table.columns)}")
    return table.select(target), table.drop(target), notes


def target_frame(target: object) -> pl.DataFrame:
    """A target that was given as an array, a series or a frame: one column a number to predict."""
    import polars as pl

    if hasattr(target, "columns"):
        return read_table(target)
    array = as_array("the target", target)
    if array.ndim == 2 and array.shape[1] != 1:
        return from_array("the target", array, names=[f"target{i + 1}" for i in range(array.shape[1])])
    if array.ndim not in (1, 2):
        raise DataError(f"the target must have shape [n] or [n, k], but has shape {list(array.shape)}.")
    values = target if isinstance(target, pl.Series) else array.reshape(-1)
    return pl.DataFrame([column("target", values)])


def inferred_task(targets: pl.DataFrame) -> Task:
    """Text, booleans and few different whole numbers are classes, other numbers are quantities."""
    import polars as pl

    series = targets.to_series(0)
    if targets.width > 1:
        return "regression"
    if series.dtype in (pl.String, pl.Boolean):
        return "classification"
    if series.dtype.is_float() and not np.array_equal(values := numbers(series), np.round(values)):
        return "regression"
    return "classification" if series.n_unique() <= min(20, len(series) / 2) else "regression"


def encode_classes(targets: pl.DataFrame, *, at_least: int, is_inferred: bool) -> tuple[NDArray[np.int64], Target]:
    """The index of every row's class, and the classes in sorted order."""
    import polars as pl

    if targets.width > 1:
        raise DataError("classes must come as one column of labels; from a column a class, take y.argmax(axis=1).")
    series = whole(targets.to_series(0))
    classes = series.unique().sort()
    if len(classes) < 2:
        raise DataError(
            f"the target '{series.name}' has one class only ({classes[0]!r}); "
            "expected at least two; choose another target."
        )
    is_text = series.dtype == pl.String
    y = codes(series, classes.to_list()) if is_text else np.searchsorted(classes.to_numpy(), series.to_numpy())
    counts = np.bincount(y)
    rare = np.flatnonzero(counts < at_least)
    if rare.size:
        found = ", ".join(f"{classes[int(i)]!r} has {counts[i]}" for i in rare[:5]) + (" …" if rare.size > 5 else "")
        quantity = "" if not (is_inferred and series.dtype.is_numeric()) else ", or say task='regression'"
        raise DataError(
            f"every class of the target '{series.name}' needs at least {at_least} rows (to train, choose and judge), "
            f"but {found}; add rows, merge or remove rare classes{quantity}."
        )
    return y, Target((series.name,), "classification", classes=tuple(classes.to_list()))


def check_quantities(targets: pl.DataFrame, *, at_least: int) -> NDArray[np.float64]:
    """The numbers to predict [n, k], in original units."""
    import polars as pl

    for series in targets:
        if series.dtype == pl.String:
            example = series.drop_nulls()[0]
            raise DataError(
                f"the target '{series.name}' of a regression must be numbers, but holds text such as '{example}'; "
                "choose another target, or task='classification'."
            )
    if targets.height < at_least:
        raise DataError(
            f"a regression needs at least {at_least} rows to split, but there are {targets.height}; add rows."
        )
    values = np.column_stack([numbers(series) for series in targets])
    for name, lowest, highest in zip(targets.columns, values.min(axis=0), values.max(axis=0), strict=True):
        if lowest == highest:
            raise DataError(
                f"the target '{name}' is {lowest:g} in every row; there is nothing to learn; choose another target."
            )
    return values


def encode_quantities(
    values: NDArray[np.float64], names: Sequence[str], train: NDArray[np.int64], *, standardize: bool
) -> tuple[NDArray[np.float32], Target]:
    """Standardize the numbers to predict [n, k] by the rows `train`."""
    mean, std = np.zeros(values.shape[1]), np.ones(values.shape[1])
    if standardize:
        mean, std = np.array([moments(of) for of in values[train].T]).T
        std[std == 0] = 1.0  # constant in the training part alone
    with np.errstate(over="ignore"):
        y = np.clip((values - mean) / std, -LARGEST, LARGEST).astype(np.float32)
    return y, Target(tuple(names), "regression", mean=tuple(mean.tolist()), std=tuple(std.tolist()))
