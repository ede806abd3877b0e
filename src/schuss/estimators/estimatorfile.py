"""Fitted estimators as files without pickle: parameters, what was learned about the columns, the ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schuss import descriptions
from schuss.activations import Activation
from schuss.ensembles import ensemblefile
from schuss.ensembles.ensemble import Ensemble
from schuss.errors import InvalidInput
from schuss.losses import Loss
from schuss.optimizers import Optimizer
from schuss.training import runfile


class Content(NamedTuple):
    """Everything in the file of an estimator; the parameters and what y means are plain values there."""

    estimator: str
    parameters: dict[str, Any]
    n_features_in: int
    feature_names_in: list[str]
    target: dict[str, Any]
    ensemble: Ensemble


def write(path: Path, content: Content) -> None:
    """Write a fitted estimator; InvalidInput for a parameter or a class that is no plain value."""
    described, arrays = ensemblefile.pack(content.ensemble)
    described |= {
        "estimator": content.estimator,
        "parameters": {name: to_plain(f"the parameter {name}", value) for name, value in content.parameters.items()},
        "n_features_in": content.n_features_in,
        "feature_names_in": content.feature_names_in,
        "target": to_plain("a class", content.target),
    }
    runfile.write_file(path, described, arrays)


def unpack(d: dict[str, Any], arrays: dict[str, NDArray[Any]], kind: str) -> Content:
    """The estimator that a file describes; RunFileError if it is of another kind."""
    if d.get("estimator") != kind:
        raise runfile.OtherContent(f"holds a {d.get('estimator', 'run')}, not a {kind}.")
    return Content(
        kind,
        {name: from_plain(value) for name, value in d["parameters"].items()},
        int(d["n_features_in"]),
        d["feature_names_in"],
        from_plain(d["target"]),
        ensemblefile.unpack(d, arrays),
    )


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
