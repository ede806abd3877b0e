"""Descent where it can be seen: an optimizer's own rule on a landscape of two weights.

Three landscapes have what makes descent hard: a narrow valley, Rosenbrock's bent one, and a saddle, where the slope is
zero though it is not the lowest place. Gradient descent sees the exact slope; every other rule sees that of a random
part of the data: the exact one with noise, the same for all rules.

>>> from schuss.optimizers import gd, sgd
>>> stuck, freed = best_descent(gd, SADDLE), best_descent(sgd, SADDLE)
>>> round(stuck.end, 2), round(freed.end, 2)
(0.0, -0.25)
"""

# ruff: noqa: D102 (the members of a protocol are what its own docstring speaks of)

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from schuss.definitions import Settings
from schuss.errors import unknown_name
from schuss.language import expressions
from schuss.language.expressions import Expression, symbol

STEPS = 100  # of every descent
_TAIL = STEPS // 4  # where a descent ends is judged by the mean loss of so many last steps: a single one is noise


class Rule(Protocol):
    """What descends: an Optimizer."""  # a protocol, as this module stands beneath the optimizers, who draw with it

    @property
    def settings(self) -> Settings: ...
    @property
    def defaults(self) -> Settings: ...
    @property
    def lr(self) -> float: ...
    @property
    def state(self) -> Sequence[str]: ...
    @property
    def search(self) -> tuple[float, float]: ...
    @property
    def full_batch(self) -> bool: ...
    def step(
        self, w: NDArray[Any], g: NDArray[Any], state: NDArray[Any], t: int, lr: float
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...


@dataclass(frozen=True)
class Landscape:
    """A loss of two weights x and y.

    start : where every descent begins.
    view : the part that is drawn, x from, x to, y from, y to.
    minima : the lowest places.
    noise : standard deviation of what is added to each part of the slope where it is not that of the whole data.
    """

    name: str
    title: str
    formula: Expression
    start: tuple[float, float]
    view: tuple[float, float, float, float]
    minima: tuple[tuple[float, float], ...]
    noise: float

    def __call__(self, x: float | NDArray[np.float64], y: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """The loss at (x, y), elementwise."""
        return np.asarray(expressions.evaluate(self.formula, {"x": x, "y": y}), dtype=np.float64)

    @cached_property
    def slopes(self) -> tuple[Expression, Expression]:
        """∂loss/∂x and ∂loss/∂y."""
        return expressions.derivative(self.formula, "x"), expressions.derivative(self.formula, "y")

    def gradient(self, w: NDArray[np.float64]) -> NDArray[np.float64]:
        """The exact slope at w = (x, y)."""
        at = {"x": w[0], "y": w[1]}
        return np.array([expressions.evaluate(slope, at) for slope in self.slopes], dtype=np.float64)


_x, _y = symbol("x"), symbol("y")
VALLEY = Landscape(
    "valley", "a narrow valley, 360 times steeper across than along", _x**2 / 20 + 18 * _y**2,
    (-2.0, 0.8), (-2.3, 0.8, -1.0, 1.0), ((0.0, 0.0),), 0.2,
)  # fmt: skip
ROSENBROCK = Landscape(
    "rosenbrock", "Rosenbrock's bent valley", ((1 - _x) ** 2 + 100 * (_y - _x**2) ** 2) / 50,
    (-1.2, 1.0), (-1.6, 1.6, -0.6, 1.8), ((1.0, 1.0),), 0.1,
)  # fmt: skip
SADDLE = Landscape(
    "saddle", "a saddle between two lowest places", _x**2 / 2 - _y**2 / 2 + _y**4 / 4,
    (-1.5, 0.0), (-1.8, 0.9, -1.5, 1.5), ((0.0, -1.0), (0.0, 1.0)), 0.2,
)  # fmt: skip
LANDSCAPES = {landscape.name: landscape for landscape in (VALLEY, ROSENBROCK, SADDLE)}


def find_landscape(name: str) -> Landscape:
    """A landscape by its name; UnknownName if there is none such."""
    if str(name) not in LANDSCAPES:
        raise unknown_name("landscape", str(name), LANDSCAPES)
    return LANDSCAPES[name]


@dataclass(frozen=True, eq=False)
class Descent:
    """Where a rule went: `path` [STEPS + 1, 2], from the start on; not finite from the step at which it diverged."""

    rule: Rule
    landscape: Landscape
    learning_rate: float
    path: NDArray[np.float64]

    @property
    def losses(self) -> NDArray[np.float64]:
        """The loss at every point of the path."""
        with np.errstate(all="ignore"):
            return self.landscape(self.path[:, 0], self.path[:, 1])

    @property
    def climbs(self) -> bool:
        """Whether the path ever was above its start: by luck it may have come down in a better place."""
        return not bool(np.all(self.losses <= self.losses[0]))

    @property
    def end(self) -> float:
        """The mean loss of the last quarter; infinite where the rule diverged."""
        last = self.losses[-_TAIL:]
        return float(last.mean()) if np.isfinite(last).all() else math.inf


def descend(rule: Rule, landscape: Landscape, learning_rate: float) -> Descent:
    """STEPS updates by the rule itself, from the landscape's start."""
    noise = 0.0 if rule.full_batch else landscape.noise
    draws = noise * np.random.default_rng(0).standard_normal((STEPS, 2))
    path = np.empty((STEPS + 1, 2))
    path[0] = landscape.start
    state = np.zeros((len(rule.state), 2))
    with np.errstate(all="ignore"):
        for t in range(STEPS):
            gradient = landscape.gradient(path[t]) + draws[t]
            path[t + 1], state = rule.step(path[t], gradient, state, t + 1, learning_rate)
    return Descent(rule, landscape, learning_rate, path)


def best_descent(rule: Rule, landscape: Landscape) -> Descent:
    """The descent at the learning rate that ends lowest (to 0.001; the lowest of equal ones) without climbing.

    Tried are 1, 2 and 5 times the powers of ten from `rule.search[0]` to ten times `rule.search[1]`: that range is for
    the weights of networks, of about 0.1, and here they are of about 1. A rule whose learning rate was set
    (`adam(lr=0.3)`) keeps it.
    """
    if rule.lr != dict(rule.defaults)["lr"]:
        return descend(rule, landscape, rule.lr)
    low, high = rule.search
    tried = (descend(rule, landscape, rate) for rate in _neat_rates(low, 10 * high))
    return min(tried, key=_lack)


def _lack(descent: Descent) -> tuple[bool, float]:
    """What a descent is chosen by, the least first."""
    return descent.climbs, round(descent.end, 3) if math.isfinite(descent.end) else math.inf


def _neat_rates(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten from low to high; low itself where there are none."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    rates = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    return [rate for rate in rates if low <= rate <= high] or [low]
