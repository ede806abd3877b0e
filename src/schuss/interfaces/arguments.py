"""What comes into an estimator, checked in scikit-learn's way, and its parameters as files hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from schuss import runfile
from schuss.activations import Activation
from schuss.errors import InvalidInput, positive_integer
from schuss.losses import Loss
from schuss.optimizers import Optimizer
from schuss.tabular.columns import Table

Numbers = NDArray[np.float64]


def widths(hidden: Any) -> tuple[int, ...]:
    """The units of every hidden layer."""
    if not hasattr(hidden, "__iter__") or isinstance(hidden, str) or not len(hidden):
        raise InvalidInput(f"hidden must list the units of every layer, such as (128, 128), but is {hidden!r:.60}.")
    return tuple(positive_integer("the number of units", units) for units in hidden)


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


def quantities(table: Table, y: Any) -> Numbers:
    """Numbers y [n] or [n, k], one a row of the table."""
    y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    check_consistent_length(table.numbers, y)
    return np.asarray(y)


# ---------------------------------------------------------------------------------------------- files


def plain(name: str, value: Any) -> Any:
    """A parameter as JSON can hold it; what is no plain value says in a dictionary of one entry what it is."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case np.generic():
            return value.item()
        case np.random.RandomState() | np.random.Generator():
            return None
        case tuple() | list() | np.ndarray():
            return {"list": [plain(name, each) for each in value]}
        case dict():
            return {"dict": [[plain(name, key), plain(name, each)] for key, each in value.items()]}
        case Activation():
            return {"activation": runfile.activation_json(value)}
        case Optimizer():
            return {"optimizer": runfile.optimizer_json(value)}
        case Loss():
            return {"loss": runfile.loss_json(value)}
    raise InvalidInput(f"the parameter {name} is {value!r:.60}, which cannot be saved; give its name instead.")


def restored(value: Any) -> Any:
    """The parameter that `plain` described."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "list":
            return tuple(map(restored, content))
        case "dict":
            return {restored(key): restored(each) for key, each in content}
        case "activation":
            return runfile.activation_from_json(content)
        case "loss":
            return runfile.loss_from_json(content)
    return runfile.optimizer_from_json(content)
