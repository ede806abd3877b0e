"""Run files: safetensors with JSON metadata, written whole or not at all, and checked to the last bit when read.

A digest over metadata and arrays tells an edited or damaged file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from schuss.atomic import write_atomically
from schuss.data.encoding import Encoding
from schuss.descriptions import (
    loss_from_json,
    loss_json,
    network_from_json,
    network_json,
    recipe_from_json,
    recipe_json,
)
from schuss.engines import HISTORY, QUANTITIES, Outcome, State, Status
from schuss.errors import RunFileError, SchussError, positive_integer
from schuss.layers import Layer
from schuss.losses import Loss
from schuss.network import Network
from schuss.recipe import Recipe

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
    network, recipe = network_from_json(d["network"]), recipe_from_json(d["recipe"])
    loss = loss_from_json(d["loss"])
    n_inputs, n_outputs = (positive_integer("a size", size) for size in d["sizes"])
    layers = network.layers(n_inputs, n_outputs)
    encoding = Encoding.from_json(d["encoding"])
    outcome = _restored_outcome(d["outcome"], arrays, layers, len(recipe.optimizer.state))
    return Content(network, recipe, int(d["seed"]), loss, layers, encoding, str(d["fingerprint"]), outcome)


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
