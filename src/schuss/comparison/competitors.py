"""Who takes part: every point of the product of the axes, with the network and the recipe that it stands for.

An axis is what varies between competitors. To add one takes a line in `Competitor` and a line in `AXES`: it is handed
to `mlp` or to `Recipe` under its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Literal, NamedTuple

from schuss.activations import find_activation
from schuss.errors import InvalidInput, positive_integer, unknown_name
from schuss.initializers import find_initializer
from schuss.layers import MOST_LAYERS, MOST_UNITS, NORMS, Dropout
from schuss.network import Network, mlp
from schuss.optimizers import Optimizer, find_optimizer
from schuss.recipe import Recipe
from schuss.schedules import find_schedule
from schuss.show import formatting

NAMED = ("activation", "optimizer")  # the axes whose values say by themselves what they are


class Competitor(NamedTuple):
    """The names and numbers of one point of the product: the fields are the axes."""

    activation: str = "relu"
    optimizer: str = "adam"
    init: str = "auto"
    depth: int = 4
    width: int = 64
    norm: str = "none"
    residual: str = "no"
    dropout: float = 0.0
    batch_size: int | None = 32  # None is the full batch
    schedule: str = "constant"

    def label(self, axes: Sequence[str]) -> str:
        """The competitor named by some of its axes; one alone needs no word for what it is.

        >>> Competitor("tanh", "sgd", depth=8).label(["activation", "optimizer", "depth"])
        'tanh + sgd, depth 8'
        """
        if len(axes) == 1:
            return formatting.setting(getattr(self, axes[0]))
        names = [str(getattr(self, axis)) for axis in axes if axis in ("activation", "optimizer")]
        return ", ".join(
            [*([" + ".join(names)] if names else []), *(_named(self, axis) for axis in axes[len(names) :])]
        )


def _named(competitor: Competitor, axis: str) -> str:
    return f"{axis.replace('_', ' ')} {formatting.setting(getattr(competitor, axis))}"


class Axis(NamedTuple):
    """How a value on an axis is found from what was given, whose argument it becomes, and what it is called."""

    find: Callable[[Any], Any]
    part: Literal["network", "recipe"]
    name: Callable[[Any], Any] = str


def _batch(wanted: int | None) -> int | None:
    return None if wanted is None else positive_integer("batch_size", wanted)


def _norm(wanted: str | None) -> str | None:
    if wanted is not None and wanted not in (*NORMS, "none"):
        raise unknown_name("norm", str(wanted), (*NORMS, "none"))
    return None if wanted == "none" else wanted


def _switch(wanted: bool | str) -> bool:
    if wanted not in (True, False, "yes", "no"):
        raise InvalidInput(f"residual is True or False (yes or no), but is {wanted!r:.60}.")
    return wanted in (True, "yes")


def _same(value: Any) -> Any:
    return value


AXES: dict[str, Axis] = {
    "activation": Axis(find_activation, "network"),
    "optimizer": Axis(find_optimizer, "recipe"),
    "init": Axis(find_initializer, "network"),
    "depth": Axis(partial(positive_integer, "depth", at_most=MOST_LAYERS), "network", _same),
    "width": Axis(partial(positive_integer, "width", at_most=MOST_UNITS), "network", _same),
    "norm": Axis(_norm, "network", lambda norm: norm or "none"),
    "residual": Axis(_switch, "network", lambda residual: "yes" if residual else "no"),
    "dropout": Axis(lambda rate: Dropout(rate).rate, "network", _same),
    "batch_size": Axis(_batch, "recipe", _same),
    "schedule": Axis(find_schedule, "recipe"),
}

# What decides the gradient at initialization, which is measured without dropout.
FLOW_AXES = tuple(axis for axis, (_, part, _) in AXES.items() if part == "network" and axis != "dropout")


@dataclass(frozen=True, eq=False)
class Entrant:
    """A competitor with the definitions that its names stand for; its recipe lacks the learning rate and the epochs."""

    competitor: Competitor
    network: Network
    optimizer: Optimizer
    training: Mapping[str, Any]

    def recipe(self, settings: Mapping[str, float], epochs: int) -> Recipe:
        """The recipe of a trial, with these hyper-parameters of the optimizer."""
        return Recipe(self.optimizer(**settings), epochs=epochs, **self.training)


def entrants(wanted: Mapping[str, object]) -> list[Entrant]:
    """The product of the axes; each is given as one value or as a list of them, for some optimizers fewer matter.

    InvalidInput for an unknown value, an empty list, or a value that is given twice.

    >>> grid = {"activation": "relu", "optimizer": ["gd", "sgd"], "init": "auto", "depth": 2, "width": 8}
    >>> [e.competitor.label(["optimizer", "batch_size"]) for e in entrants(grid | {"batch_size": [8, 16]})]
    ['gd, batch size all', 'sgd, batch size 8', 'sgd, batch size 16']
    """
    values = {axis: _values(axis, given) for axis, given in wanted.items()}
    found: dict[Competitor, Entrant] = {}
    networks: dict[tuple[Any, ...], Network] = {}
    for point in product(*values.values()):
        chosen = dict(zip(values, point, strict=True))
        entrant = _entrant(chosen, networks)
        found.setdefault(entrant.competitor, entrant)  # the full batch has no size to vary
    return list(found.values())


def _entrant(chosen: dict[str, Any], networks: dict[tuple[Any, ...], Network]) -> Entrant:
    parts: dict[str, dict[str, Any]] = {"network": {}, "recipe": {}}
    for axis, value in chosen.items():
        parts[AXES[axis].part][axis] = value
    shape = tuple(parts["network"].values())
    if shape not in networks:  # one object for all that have it: its plan is made and its weights are drawn once
        networks[shape] = _network(**parts["network"])
    training = parts["recipe"]
    rule: Optimizer = training.pop("optimizer")
    names = {axis: AXES[axis].name(value) for axis, value in chosen.items()}
    if rule.full_batch:
        training["batch_size"] = names["batch_size"] = None
    return Entrant(Competitor(**names), networks[shape], rule, training)


def _network(depth: int, width: int, **more: Any) -> Network:
    return mlp([width] * depth, **more)


def _values(axis: str, given: object) -> list[Any]:
    """The values on an axis, at least one and each once."""
    several = given if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    found = [AXES[axis].find(each) for each in several]
    if not found:
        raise InvalidInput(f"give at least one {axis} to compare.")
    names = list(map(str, found))
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InvalidInput(f"the {axis} {min(twice)} is given twice; give each of them its own name.")
    return found


def varying(competitors: Iterable[Competitor]) -> tuple[str, ...]:
    """The axes that differ between competitors; of none, the activation and the optimizer."""
    columns = zip(Competitor._fields, zip(*competitors, strict=True), strict=False)
    # That the full batch has no size to vary is not a difference.
    differ = {axis for axis, column in columns if len(set(column) - {None}) > 1}
    return tuple(axis for axis in Competitor._fields if axis in NAMED or axis in differ)
