"""What comes into an estimator, checked in scikit-learn's way: parameters, rows, targets and weights."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray
from sklearn.utils import check_array, check_consistent_length, check_random_state, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from schuss.data.encoding import LARGEST, Label
from schuss.ensembles.columns import Table
from schuss.errors import InvalidInput, positive_integer, seed_number

Numbers = NDArray[np.float64]


def widths(hidden: Any) -> tuple[int, ...]:
    """The units of every hidden layer."""
    if isinstance(hidden, str) or np.ndim(hidden) != 1 or not len(hidden):
        raise InvalidInput(f"hidden must list the units of every layer, such as (128, 128), but is {hidden!r:.60}.")
    return tuple(positive_integer("the number of units", units) for units in hidden)


def truth(what: str, value: Any) -> bool:
    """True or False; any text would count as True."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidInput(f"{what} must be True or False, but is {value!r:.60}.")
    return bool(value)


def check_cells(X: NDArray[Any]) -> None:
    """Refuse what is neither number nor text; as an element of an array of objects it would be hard to find."""
    if X.dtype.kind == "O":
        for kind in set(map(type, X.flat)):
            if issubclass(kind, dict | list | tuple | set):
                raise TypeError(f"a cell of X: the argument must be a string or a real number, not a {kind.__name__}.")


def target_names(y: Any, n: int) -> tuple[str, ...]:
    """What the columns of y are called: by the data frame or series they came in, or else y, or y0, y1, …"""
    found = getattr(y, "columns", None)
    names = tuple(map(str, [getattr(y, "name", None)] if found is None else found))
    if len(names) == n == len(set(names)) and names != ("None",):
        return names
    return ("y",) if n == 1 else tuple(f"y{i}" for i in range(n))


def labels(table: Table, y: Any) -> NDArray[Any]:
    """Classes y [n], one a row of the table."""
    y = column_or_1d(y, warn=True)
    check_array(y, ensure_2d=False, dtype=None, input_name="y")
    check_consistent_length(table.numbers, y)
    check_classification_targets(y)
    return np.asarray(y)


def plain_label(label: Any) -> Label:
    """A class as text, number or truth; a date, for example, as text."""
    return label if isinstance(label, str | int | float) else str(label)


def quantities(table: Table, y: Any) -> Numbers:
    """Numbers y [n] or [n, k], one a row of the table."""
    y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    check_consistent_length(table.numbers, y)
    if y.size and np.abs(y).max() > LARGEST:
        raise InvalidInput(f"y holds {y.flat[np.abs(y).argmax()]:g}, which is beyond 32-bit numbers; scale it.")
    return np.asarray(y)


def row_weights(sample_weight: Any, n: int) -> Numbers | None:
    """Weights [n], not negative and not all 0; None if there are none."""
    if sample_weight is None:
        return None
    w = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if w.shape != (n,):
        raise InvalidInput(f"sample_weight must have one weight a row, shape ({n},), but has shape {w.shape}.")
    if w.min() < 0:
        raise InvalidInput("Negative values in data passed to `sample_weight`: a weight is at least 0.")
    if not w.any():
        raise InvalidInput("sample_weight is zero for all rows; at least one row must count.")
    return np.asarray(w)


def class_factors(class_weight: Any, y: NDArray[Any], weights: Numbers | None) -> Numbers | None:
    """The weight of every row's class [n], None if all count the same. "balanced" makes all classes weigh the same."""
    if class_weight is None:
        return None
    own = np.ones(len(y)) if weights is None else weights
    if isinstance(class_weight, str) and class_weight == "balanced":
        classes, places = np.unique(y, return_inverse=True)
        totals = np.bincount(places, own)
        factors = np.divide(totals.sum() / len(classes), totals, out=np.zeros_like(totals), where=totals > 0)
        return np.asarray(factors[places])
    if not isinstance(class_weight, dict):
        raise InvalidInput(f"class_weight must be None, 'balanced' or weights by class, but is {class_weight!r:.60}.")
    found = np.asarray(compute_sample_weight(class_weight, y))
    if not (np.isfinite(found).all() and found.min() >= 0 and (own * found).any()):
        raise InvalidInput(
            f"class_weight must hold weights of at least 0, and more than 0 for some class that is there, "
            f"but is {class_weight!r:.60}."
        )
    return found


def threads_of(n_jobs: Any) -> int:
    """Threads as scikit-learn counts jobs, −1 being all cores and −2 all but one; None is all cores, too."""
    jobs = -1 if n_jobs is None else n_jobs
    if isinstance(jobs, bool) or not isinstance(jobs, Integral) or jobs == 0:
        raise InvalidInput(f"n_jobs must be a number of threads, or -1 for all cores, but is {n_jobs!r:.60}.")
    wanted = int(jobs)
    return wanted if wanted > 0 else max(cpu_count() + 1 + wanted, 1)


def seed_of(random_state: Any) -> int:
    """A seed from a number, which is one; from a RandomState, or from None, it is drawn."""
    if isinstance(random_state, Integral):
        return seed_number(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
