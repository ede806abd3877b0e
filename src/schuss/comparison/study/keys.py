"""The key of a network: a hash of all that decides its bits, and of nothing else.

That is what a run file says about network and recipe, the fingerprint of the three parts of the data, the seed, and who
computes: the version of schuss, and the engine with its instruction set, each of which rounds in its own way.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from schuss import descriptions
from schuss.losses import Loss
from schuss.network import Network
from schuss.optimizers import Optimizer
from schuss.recipe import Recipe
from schuss.schedules import Schedule
from schuss.training.jobs import Job

_VERSION = version("schuss")
_MOST = 1024  # descriptions that are kept in mind
_NOT_DECIDING = {"defaults", "ranges", "search"}


def network_key(engine: str, fingerprint: str, job: Job) -> bytes:
    """The key of a job on the data with that fingerprint: 16 bytes of SHA-256."""
    parts = (_VERSION, engine, fingerprint, _network(job.network), _recipe(job.recipe), str(job.seed))
    return hashlib.sha256("\n".join(parts).encode()).digest()[:16]


def digest(described: object) -> str:
    """A hash of plain values, as short text."""
    return hashlib.sha256(_canonical(described).encode()).hexdigest()[:16]


_described: dict[int, tuple[Network, str]] = {}


def _network(network: Network) -> str:
    """The description, and what the network draws: the name of an initializer does not say what it does.

    By identity: networks with different initializers of one name are equal. They are kept, so that no other gets an id.
    """
    if id(network) not in _described:
        if len(_described) == _MOST:
            _described.clear()
        drawn = network.initial(n_inputs=1, n_outputs=1, seed=0)
        text = _canonical(descriptions.network_json(network)) + hashlib.sha256(drawn.tobytes()).hexdigest()
        _described[id(network)] = network, text
    return _described[id(network)][1]


def _recipe(recipe: Recipe) -> str:
    """The description, of which what all trials of an optimizer share is made once: formulas take time to write."""
    plain = replace(recipe.optimizer, settings=recipe.optimizer.defaults)
    settings = [
        list(recipe.optimizer.settings),
        recipe.batch_size,
        recipe.epochs,
        recipe.horizon,
        recipe.patience,
        recipe.clip_norm,
    ]
    return _definitions(plain, recipe.loss, recipe.schedule) + _canonical(settings)


@lru_cache(maxsize=_MOST)
def _definitions(optimizer: Optimizer, loss: Loss | None, schedule: Schedule) -> str:
    return _canonical(descriptions.recipe_json(Recipe(optimizer, loss=loss, schedule=schedule)))


def _canonical(described: object) -> str:
    return json.dumps(_deciding(described), sort_keys=True, separators=(",", ":"))


def _deciding(described: Any) -> Any:
    """Without what decides nothing; a hyper-parameter of that name does."""
    if isinstance(described, dict):
        return {
            name: value if name == "settings" else _deciding(value)
            for name, value in described.items()
            if name not in _NOT_DECIDING
        }
    return [_deciding(each) for each in described] if isinstance(described, list | tuple) else described
