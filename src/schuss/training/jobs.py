"""What is to be trained, and how far a training is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from schuss.engines import State
from schuss.errors import InvalidInput, checked, seed_number
from schuss.network import Network, check_network
from schuss.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """One network to train: what, how, and from which seed.

    `start` is where the training begins: parameters, the optimizer's state, and the steps done; None draws new weights.
    """

    network: Network
    recipe: Recipe
    seed: int = 0
    start: State | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_network(self.network)
        checked(self.recipe, Recipe, "a recipe", "an sc.Recipe, such as sc.Recipe('adam')")
        object.__setattr__(self, "seed", seed_number(self.seed))


class Progress(NamedTuple):
    """How far a training is: networks done and in all, and the share of all updates done."""

    networks: int
    total: int
    share: float


ProgressCallback: TypeAlias = Callable[[Progress], None]


class Work(NamedTuple):
    """An amount of training: networks, and updates over all of them."""

    networks: int
    updates: int

    def progress(self, callback: ProgressCallback | None) -> WorkCallback | None:
        """What tells `callback` how far this work is, when told what is done of it."""
        if callback is None:
            return None
        if not callable(callback):
            raise InvalidInput(f"progress is a function of one sc.Progress, but is {callback!r:.60}.")
        whole = max(self.updates, 1)
        return lambda done: callback(Progress(done.networks, self.networks, min(done.updates / whole, 1.0)))


WorkCallback: TypeAlias = Callable[[Work], None]
