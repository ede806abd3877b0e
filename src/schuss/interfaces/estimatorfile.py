"""Fitted estimators as files without pickle: parameters, what was learned about the columns, the ensemble."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from schuss import runfile
from schuss.activations import Activation
from schuss.errors import InvalidInput
from schuss.losses import Loss
from schuss.optimizers import Optimizer
from schuss.tabular import ensemblefile

if TYPE_CHECKING:
    from schuss.interfaces.estimators import _Estimator

Estimator = TypeVar("Estimator", bound="_Estimator")


def write(model: _Estimator, path: Path) -> None:
    """Write a fitted estimator; InvalidInput for a parameter or a class that is no plain value."""
    described, arrays = ensemblefile.pack(model.ensemble_)
    described |= {
        "estimator": type(model).__name__,
        "parameters": {
            name: plain(f"the parameter {name}", value) for name, value in model.get_params(deep=False).items()
        },
        "n_features_in": model.n_features_in_,
        "feature_names_in": getattr(model, "feature_names_in_", np.array([])).tolist(),
        "learned": plain("a class", model.learned()),
    }
    runfile.write_file(path, described, arrays)


def read(kind: type[Estimator], path: Path) -> Estimator:
    """Read an estimator of some kind back; RunFileError if the file holds something else, or was changed."""
    return runfile.read_file(path, partial(restore, kind))


def restore(kind: type[Estimator], d: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Estimator:
    """The estimator that a file describes; RunFileError if it is of another kind."""
    if d.get("estimator") != kind.__name__:
        raise runfile.OtherContent(f"holds a {d.get('estimator', 'run')}, not a {kind.__name__}.")
    model = kind(**{name: restored(value) for name, value in d["parameters"].items()})
    model.ensemble_ = ensemblefile.unpack(d, arrays)
    model.n_features_in_ = int(d["n_features_in"])
    if d["feature_names_in"]:
        model.feature_names_in_ = np.array(d["feature_names_in"], dtype=object)
    model.restore(restored(d["learned"]))
    return model


def plain(name: str, value: Any) -> Any:
    """A parameter as JSON can hold it; what is no plain value says in a dictionary of one entry what it is."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case np.generic():
            return value.item()
        case np.random.RandomState():
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
    raise InvalidInput(f"{name} is {value!r:.60}, which cannot be saved; give text or a number instead.")


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
