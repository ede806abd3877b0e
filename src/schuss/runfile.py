"""Run files: safetensors with JSON metadata, written whole or not at all, and checked to the last bit when read.

Activations, optimizers, losses and schedules are kept as their formulas, so a run with a user's own definitions loads
anywhere; formulas are parsed, never executed. A digest over metadata and arrays tells an edited or damaged file.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from schuss import formulas
from schuss.activations import Activation
from schuss.data.encoding import Encoding
from schuss.definitions import Definition, Range, Settings
from schuss.engines import HISTORY, QUANTITIES, Outcome, State, Status
from schuss.errors import InvalidInput, RunFileError, SchussError, positive_integer
from schuss.initializers import INITIALIZERS, Initializer
from schuss.layers import NORMS, Dense, Description, Dropout, Layer, Norm, Residual
from schuss.losses import Loss
from schuss.network import Network
from schuss.optimizers import Optimizer
from schuss.recipe import Recipe
from schuss.schedules import Schedule
from schuss.writing import write_atomically

FORMAT = 3

T = TypeVar("T")


class OtherContent(RunFileError):
    """A file of another kind than the one asked for; the message goes on after the file's name: "holds a …"."""


class Content(NamedTuple):
    """Everything in a run file, in the order of the fields of a Run."""

    network: Network
    recipe: Recipe
    seed: int
    loss: Loss
    layers: tuple[Layer, ...]
    encoding: Encoding
    fingerprint: str
    outcome: Outcome


# ---------------------------------------------------------------------------------------------- files


def write(path: Path, content: Content) -> None:
    """Write a run file; an existing one is replaced only when the new one is complete."""
    write_file(path, *pack(content))


def read(path: Path) -> Content:
    """Read a run file. RunFileError for anything that `write` cannot have written."""
    return read_file(path, unpack)


def pack(content: Content) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """A run as plain values and arrays."""
    return _describe(content), _arrays(content.outcome)


def write_file(path: Path, described: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write plain values and arrays, with a digest of both; an existing file is replaced only by a complete one."""
    from safetensors.numpy import save

    text = json.dumps(described)
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}  # safetensors ignores strides
    raw = save(whole, metadata={"schuss": text, "digest": _digest(text, arrays)})
    write_atomically(path, raw)


def read_file(path: Path, restore: Callable[[dict[str, Any], dict[str, NDArray[Any]]], T]) -> T:
    """What `restore` makes of the values and arrays in a file of `write_file`.

    RunFileError if it was changed, or if `restore` cannot do anything with it.
    """
    text, arrays = _raw(path)
    try:
        return restore(json.loads(text), arrays)
    except OtherContent as error:
        raise RunFileError(f"{path} {error}") from error
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, SchussError, RecursionError) as error:
        why = str(error).rstrip(".")
        raise RunFileError(
            f"{path} is not a run file that this version can read ({why}). Train and save the run again."
        ) from error


def _raw(path: Path) -> tuple[str, dict[str, NDArray[Any]]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise RunFileError(f"there is no run file {path}; `schuss fit … --save {path.name}` makes one.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise RunFileError(f"{path} is not a run file, or is truncated ({error}).") from error
    described = metadata.get("schuss", "")
    if metadata.get("digest") != _digest(described, arrays):
        raise RunFileError(
            f"{path} was changed after it was written, or is no run file; its content cannot be trusted."
        )
    return described, arrays


def _digest(described: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(described.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------- describe


def _arrays(outcome: Outcome) -> dict[str, NDArray[Any]]:
    state = outcome.state
    best = {} if state.best is None else {"best": state.best}
    return best | {
        "parameters": state.parameters,
        "moments": state.moments,
        "history": outcome.history,
        "flow": outcome.flow,
        "watched": outcome.watched,
    }


def _describe(content: Content) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "network": network_json(content.network),
        "recipe": recipe_json(content.recipe),
        "seed": content.seed,
        "loss": loss_json(content.loss),
        "sizes": [content.layers[0].n_in, content.layers[-1].n_out],
        "encoding": content.encoding.to_json(),
        "fingerprint": content.fingerprint,
        "outcome": _outcome(content.outcome),
    }


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


def _outcome(outcome: Outcome) -> dict[str, Any]:
    state = outcome.state
    return {
        "status": outcome.status,
        "step": state.step,
        "epoch": state.epoch,
        "best_loss": state.best_loss,
        "best_epoch": state.best_epoch,
        "losses": list(outcome.losses),
        "scores": list(outcome.scores),
        "seconds": outcome.seconds,
        "diverged_step": outcome.diverged_step,
        "diverged_layer": outcome.diverged_layer,
    }


# ---------------------------------------------------------------------------------------------- restore


def unpack(d: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Content:
    """The run that `pack` described."""
    if "estimator" in d:
        name = f"{d['estimator']:.40}"
        raise OtherContent(
            f"holds a {name}, not the run of one network: schuss.{name}.load reads it, and so does `schuss predict`."
        )
    if d["format"] != FORMAT:
        raise RunFileError(f"this version reads run files of format {FORMAT}, but this file has format {d['format']}.")
    network, recipe = network_from_json(d["network"]), _restored_recipe(d["recipe"])
    loss = loss_from_json(d["loss"])
    n_inputs, n_outputs = (positive_integer("a size", size) for size in d["sizes"])
    layers = network.layers(n_inputs, n_outputs)
    encoding = Encoding.from_json(d["encoding"])
    outcome = _restored_outcome(d["outcome"], arrays, layers, len(recipe.optimizer.state))
    return Content(network, recipe, int(d["seed"]), loss, layers, encoding, str(d["fingerprint"]), outcome)


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


def _restored_recipe(d: dict[str, Any]) -> Recipe:
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


def _restored_outcome(
    d: dict[str, Any], arrays: dict[str, NDArray[Any]], layers: tuple[Layer, ...], n_state: int
) -> Outcome:
    n = sum(layer.n_parameters for layer in layers)
    shapes: dict[str, tuple[int, ...]] = {
        "parameters": (n,),
        "moments": (n_state, n),
        "history": (len(arrays["history"]), len(HISTORY)),
        "flow": (len(arrays["watched"]), len(layers), len(QUANTITIES)),
        "watched": (len(arrays["watched"]),),
    }
    if "best" in arrays:
        shapes["best"] = (n,)
    for name, array in arrays.items():
        if array.shape != shapes[name]:
            raise RunFileError(f"the array '{name}' should have shape {shapes[name]}, but has {array.shape}.")
        if array.dtype.kind != ("i" if name == "watched" else "f"):
            raise RunFileError(f"the array '{name}' holds {array.dtype}, which it cannot.")
    if d["status"] not in get_args(Status):
        raise RunFileError(f"the status '{d['status']}' is unknown.")
    state = State(
        arrays["parameters"], arrays["moments"], int(d["step"]), int(d["epoch"]),
        arrays.get("best"), float(d["best_loss"]), int(d["best_epoch"]),
    )  # fmt: skip
    train_loss, valid_loss, test_loss = map(float, d["losses"])
    train_score, valid_score, test_score = map(float, d["scores"])
    return Outcome(
        status=d["status"],
        state=state,
        history=arrays["history"],
        flow=arrays["flow"],
        watched=arrays["watched"],
        losses=(train_loss, valid_loss, test_loss),
        scores=(train_score, valid_score, test_score),
        seconds=float(d["seconds"]),
        diverged_step=None if d["diverged_step"] is None else int(d["diverged_step"]),
        diverged_layer=None if d["diverged_layer"] is None else int(d["diverged_layer"]),
    )
