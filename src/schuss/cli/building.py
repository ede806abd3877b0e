"""The network and the recipe that the options of a command describe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import schuss as sc
from schuss.cli.userfiles import own_or_name
from schuss.errors import positive_integer
from schuss.layers import MOST_LAYERS, MOST_UNITS


def network_of(before: sc.Run | None, **wanted: Any) -> sc.Network:
    """The network that the options describe; a run that goes on keeps its own where none is given."""
    given = {name: value for name, value in wanted.items() if value is not None}
    if before is not None and not given:
        return before.network
    depth = positive_integer("depth", given.pop("depth", 4), MOST_LAYERS)
    hidden = [positive_integer("width", given.pop("width", 64), MOST_UNITS)] * depth
    for name, kind in {"activation": "activation", "init": "initializer"}.items():
        if name in given:
            given[name] = own_or_name(kind, given[name])
    return sc.mlp(hidden, **given)


def recipe_of(before: sc.Run | None, optimizer: str | None, lr: float | None, **wanted: Any) -> sc.Recipe:
    """The recipe that the options describe, on the ground of that of the run that goes on."""
    recipe = sc.Recipe() if before is None else before.recipe
    own = None if optimizer is None else own_or_name("optimizer", optimizer)
    rule = recipe.optimizer if own is None else sc.optimizers.find_optimizer(own)
    given = {name: value for name, value in wanted.items() if value is not None}
    given |= {kind: own_or_name(kind, given[kind]) for kind in ("loss", "schedule") if kind in given}
    return replace(recipe, optimizer=rule if lr is None else rule(lr=lr), **given)
