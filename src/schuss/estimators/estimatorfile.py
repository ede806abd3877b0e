"""Fitted estimators as files without pickle: parameters, what was learned about the columns, the ensemble."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from schuss import descriptions
from schuss.activations import Activation
from schuss.ensembles import ensemblefile
from schuss.errors import InvalidInput
from schuss.losses import Loss
from schuss.optimizers import Optimizer
from schuss.training import runfile

if TYPE_CHECKING:
    from schuss.estimators.estimators import _Estimator

Estimator = TypeVar("Estimator", bound="_Estimator")


def write(model: _Estimator, path: Path) -> None:
    """Write a fitted estimator; InvalidInput for a parameter or a class that is no plain value."""
    described, arrays = ensemblefile.pack(model.ensemble_)
    described |= {
        "estimator": type(model).__name__,
        "parameters": {
            name: to_plain(f"the parameter {name}", value) for name, value in model.get_params(deep=False).items()
        },
        "n_features_in": model.n_features_in_,
        "feature_names_in": getattr(model, "feature_names_in_", np.array([])).tolist(),
        "target": to_plain("a class", model._target_state()),
    }
    runfile.write_file(path, described, arrays)


def read(kind: type[Estimator], path: Path) -> Estimator:
    """Read an estimator of some kind back; RunFileError if the file holds something else, or was changed."""
    return runfile.read_file(path, partial(from_file, kind))


def from_file(kind: type[Estimator], d: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Estimator:
    """The estimator that a file describes; RunFileError if it is of another kind."""
    if d.get("estimator") != kind.__name__:
        raise runfile.OtherContent(f"holds a {d.get('estimator', 'run')}, not a {kind.__name__}.")
    model = kind(**{name: from_plain(value) for name, value in d["parameters"].items()})
    model.ensemble_ = ensemblefile.unpack(d, arrays)
    model.n_features_in_ = int(d["n_features_in"])
    if d["feature_names_in"]:
        model.feature_names_in_ = np.array(d["feature_names_in"], dtype=object)
    model._set_target_state(from_plain(d["target"]))
    return model


def to_plain(name: str, value: Any) -> Any:
    """A parameter as JSON can hold it; what is no plain value says in a dictionary of one entry what it is."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case np.generic():
            return value.item()
        case np.random.RandomState():
            return None
        case tuple() | list() | np.ndarray():
            return {"list": [to_plain(name, each) for each in value]}
        case dict():
            return {"dict": [[to_plain(name, key), to_plain(name, each)] for key, each in value.items()]}
        case Activation():
            return {"activation": descriptions.activation_json(value)}
        case Optimizer():
            return {"optimizer": descriptions.optimizer_json(value)}
        case Loss():
            return {"loss": descriptions.loss_json(value)}
    raise InvalidInput(f"{name} is {value!r:.60}, which cannot be saved; give text or a number instead.")


def from_plain(value: Any) -> Any:
    """The parameter that `to_plain` described."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "list":
            return tuple(map(from_plain, content))
        case "dict":
            return {from_plain(key): from_plain(each) for key, each in content}
        case "activation":
            return descriptions.activation_from_json(content)
        case "loss":
            return descriptions.loss_from_json(content)
    return descriptions.optimizer_from_json(content)
