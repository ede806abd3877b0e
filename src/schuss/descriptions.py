"""Definitions, networks and recipes as plain values, and back.

Activations, optimizers, losses and schedules are kept as their formulas, so a run with a user's own definitions loads
anywhere; formulas are parsed, never executed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schuss.activations import Activation
from schuss.definitions import Definition, Range, Settings
from schuss.errors import InvalidInput, RunFileError
from schuss.initializers import INITIALIZERS, Initializer
from schuss.language import formulas
from schuss.layers import NORMS, Dense, Description, Dropout, Norm, Residual
from schuss.losses import Loss
from schuss.network import Network
from schuss.optimizers import Optimizer
from schuss.recipe import Recipe
from schuss.schedules import Schedule

# ---------------------------------------------------------------------------------------------- describe


def network_json(network: Network) -> dict[str, Any]:
    """A network as plain values, its activations as formulas."""
    return {
        "hidden": [_layer(layer) for layer in network.hidden],
        "output": activation_json(network.output),
        "output_init": _definition(network.output_init),
    }


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain values, its optimizer, loss and schedule as formulas."""
    return {
        "optimizer": optimizer_json(recipe.optimizer),
        "loss": None if recipe.loss is None else loss_json(recipe.loss),
        "batch_size": recipe.batch_size,
        "epochs": recipe.epochs,
        "schedule": {**_definition(recipe.schedule), "formula": formulas.text(recipe.schedule.formula)},
        "horizon": recipe.horizon,
        "patience": recipe.patience,
        "clip_norm": recipe.clip_norm,
    }


def _layer(layer: Description) -> dict[str, Any]:
    match layer:
        case Residual():
            return {"kind": "residual", "layers": [_layer(each) for each in layer.layers]}
        case Dropout():
            return {"kind": "dropout", "rate": layer.rate}
        case Norm():
            return {"kind": layer.kind, "activation": activation_json(layer.activation)}
        case Dense():
            return {
                "kind": "dense",
                "units": layer.units,
                "activation": activation_json(layer.activation),
                "init": _definition(layer.init),
                "bias": _definition(layer.bias),
            }


def _definition(definition: Definition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "settings": dict(definition.settings),
        "defaults": dict(definition.defaults),
        "ranges": [[x if math.isfinite(x) else None for x in allowed] for allowed in definition.ranges],
    }


def activation_json(activation: Activation) -> dict[str, Any]:
    """An activation as plain values."""
    return {**_definition(activation), "formula": formulas.text(activation.formula)}


def loss_json(loss: Loss) -> dict[str, Any]:
    """A loss as plain values."""
    formula = None if loss.formula is None else formulas.text(loss.formula)
    return {**_definition(loss), "formula": formula, "threshold": loss.threshold}


def optimizer_json(optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer as plain values."""
    return {
        **_definition(optimizer),
        "updates": [formulas.text(e) for e in optimizer.updates],
        "state": list(optimizer.state),
        "full_batch": optimizer.full_batch,
        "search": list(optimizer.search),
    }


# ---------------------------------------------------------------------------------------------- restore


def network_from_json(d: dict[str, Any]) -> Network:
    """The network that `network_json` described; an initializer that is not built in cannot draw any more."""
    return Network(
        *map(_restored_layer, d["hidden"]),
        output=activation_from_json(d["output"]),
        output_init=_restored_initializer(d["output_init"]),
    )


def _restored_layer(d: dict[str, Any]) -> Description:
    match d["kind"]:
        case "residual":
            return Residual(*map(_restored_layer, d["layers"]))
        case "dropout":
            return Dropout(d["rate"])
        case "dense":
            return Dense(
                d["units"],
                activation_from_json(d["activation"]),
                _restored_initializer(d["init"]),
                _restored_initializer(d["bias"]),
            )
    norms = {norm.kind: norm for norm in NORMS.values()}
    return norms[d["kind"]](activation_from_json(d["activation"]))


def _settings(d: dict[str, Any], key: str = "settings") -> Settings:
    return tuple((str(name), float(value)) for name, value in d[key].items())


def _restored_definition(d: dict[str, Any]) -> dict[str, Any]:
    """The fields that `_definition` described."""
    settings, defaults = _settings(d), _settings(d, "defaults")
    ranges = tuple(
        Range(-math.inf if low is None else float(low), math.inf if high is None else float(high), bool(a), bool(b))
        for low, high, a, b in d["ranges"]
    )
    for (name, value), allowed in zip(settings, ranges, strict=True):
        if value not in allowed:
            raise RunFileError(f"{name} of {d['name']} must be {allowed}, but is {value!r}.")
    return {"name": str(d["name"]), "settings": settings, "defaults": defaults, "ranges": ranges}


def activation_from_json(d: dict[str, Any]) -> Activation:
    """The activation that `activation_json` described."""
    formula = formulas.parse(d["formula"], ["z", *d["settings"]])
    return Activation(formula=formula, **_restored_definition(d))


def loss_from_json(d: dict[str, Any]) -> Loss:
    """The loss that `loss_json` described."""
    names = ["prediction", "target", *d["settings"]]
    formula = None if d["formula"] is None else formulas.parse(d["formula"], names)
    return Loss(formula=formula, threshold=float(d["threshold"]), **_restored_definition(d))


def optimizer_from_json(d: dict[str, Any]) -> Optimizer:
    """The optimizer that `optimizer_json` described."""
    state = tuple(str(name) for name in d["state"])
    names = ["w", "g", *state, "t", *d["settings"]]
    updates = tuple(formulas.parse(line, names) for line in d["updates"])
    low, high = d["search"]
    if len(updates) != 1 + len(state) or "lr" not in d["settings"]:
        raise RunFileError("the optimizer's rule is incomplete.")
    return Optimizer(
        updates=updates, state=state, search=(float(low), float(high)), full_batch=bool(d["full_batch"]),
        **_restored_definition(d),
    )  # fmt: skip


def recipe_from_json(d: dict[str, Any]) -> Recipe:
    """The recipe that `recipe_json` described."""
    return Recipe(
        optimizer=optimizer_from_json(d["optimizer"]),
        loss=None if d["loss"] is None else loss_from_json(d["loss"]),
        batch_size=d["batch_size"],
        epochs=d["epochs"],
        schedule=_restored_schedule(d["schedule"]),
        horizon=d["horizon"],
        patience=d["patience"],
        clip_norm=d["clip_norm"],
    )


def _restored_schedule(d: dict[str, Any]) -> Schedule:
    return Schedule(formula=formulas.parse(d["formula"], ["progress", *d["settings"]]), **_restored_definition(d))


def _restored_initializer(d: dict[str, Any]) -> Initializer:
    """The initializer by name; one that is not built in is a name only, since its code is not in the file."""
    name = str(d["name"])
    if name in INITIALIZERS:
        return INITIALIZERS[name](**dict(_settings(d)))

    def unavailable(*_: object, **__: object) -> NDArray[np.float32]:
        raise InvalidInput(
            f"the initializer {name} was defined outside schuss; a loaded run cannot draw new weights with it."
        )

    return Initializer(rule=unavailable, **_restored_definition(d))
