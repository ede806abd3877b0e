"""What the zoo's networks learn: small tables, and what can be spoiled about a table."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

import schuss as sc
from schuss.data.problems import PROBLEMS, built_in

Array = NDArray[Any]


class Table(NamedTuple):
    """Raw rows: inputs [n, d], the target [n], and what kind of target it is."""

    X: Array
    y: Array
    task: str


class Spoil(NamedTuple):
    """What is done to a table on purpose; `size` says how much of it, `seed` which random numbers."""

    what: str = "nothing"
    size: float = 0.0
    seed: int = 0


UNSPOILED = Spoil()


@lru_cache
def table(name: str) -> Table:
    """A built-in problem of schuss, or one of those made below."""
    if name in PROBLEMS:
        problem = built_in(name)
        return Table(problem.inputs.astype(float), problem.target, problem.task)
    X, y, task = MADE[name](default_rng(sum(name.encode())))
    return Table(X, y, task)


@lru_cache(maxsize=512)
def dataset(name: str, spoil: Spoil = UNSPOILED) -> sc.Dataset:
    """The table as schuss takes it, spoiled or not.

    nothing : numbers at mean 0 and standard deviation 1, as `load` does it.
    scales : every input is multiplied by 10^u, u uniform in ±size, and nothing is standardized but the target.
    offset, unit : the target is moved by `size` standard deviations, or multiplied by `size`, and not standardized.
    shuffled : the target belongs to another row, so that there is nothing to learn.
    rows : training rows are only a share `size` of all, and a fifth of their targets are wrong.
    """
    X, y, task = table(name)
    random = default_rng(spoil.seed)
    match spoil.what:
        case "scales":
            X = standard(X) * 10 ** random.uniform(-spoil.size, spoil.size, X.shape[1])
            return sc.load((X, y if task == "classification" else standard(y)), task=task, standardize=False)
        case "offset" | "unit":
            y = standard(y) + spoil.size if spoil.what == "offset" else standard(y) * spoil.size
            return sc.load((standard(X), y), task=task, standardize=False)
        case "shuffled":
            return sc.load((X, random.permutation(y)), task=task)
        case "rows":
            wrong = random.random(len(y)) < 0.2
            y = np.where(wrong, random.permutation(y), y)
            return sc.load((X, y), task=task, valid=0.8 * (1 - spoil.size), test=0.2 * (1 - spoil.size))
    return sc.load((X, y), task=task)


def standard(values: Array) -> Array:
    """Every column at mean 0 and standard deviation 1; a constant column stays at 0."""
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)


# ---------------------------------------------------------------------------------------------- made here

MADE: dict[str, Callable[[Generator], Table]] = {}


def _made(build: Callable[[Generator], Table]) -> Callable[[Generator], Table]:
    MADE[build.__name__] = build
    return build


def _noisy(X: Array, y: Array, random: Generator) -> Table:
    """A regression with noise of a twentieth of the target's spread."""
    return Table(X, y + 0.05 * y.std() * random.standard_normal(len(y)), "regression")


@_made
def checkers(random: Generator) -> Table:
    """The fields of a 3 × 3 board by their color: 900 rows, 2 inputs, 2 classes."""
    X = random.uniform(0, 3, (900, 2))
    return Table(X, np.floor(X).sum(axis=1).astype(int) % 2, "classification")


@_made
def rings(random: Generator) -> Table:
    """Shells around a center, each with a third of a normal cloud: 900 rows, 4 inputs, 3 classes."""
    X = random.standard_normal((900, 4))
    radius = np.linalg.norm(X, axis=1)
    return Table(X, np.digitize(radius, np.quantile(radius, [1 / 3, 2 / 3])), "classification")


@_made
def friedman1(random: Generator) -> Table:
    """10 sin(π x₁ x₂) + 20 (x₃ − ½)² + 10 x₄ + 5 x₅ (Friedman, 1991): 900 rows, 10 inputs, of which 5 count."""
    X = random.random((900, 10))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    return _noisy(X, y, random)


def _circuit(random: Generator) -> tuple[Array, Array, Array]:
    """Inputs of Friedman's alternating-current circuit, and its resistance and reactance."""
    low, high = [0, 40 * np.pi, 0, 1], [100, 560 * np.pi, 1, 11]
    X = random.uniform(low, high, (900, 4))
    return X, X[:, 0], X[:, 1] * X[:, 2] - 1 / (X[:, 1] * X[:, 3])


@_made
def friedman2(random: Generator) -> Table:
    """The impedance of a circuit (Friedman, 1991): 900 rows, 4 inputs."""
    X, resistance, reactance = _circuit(random)
    return _noisy(X, np.hypot(resistance, reactance), random)


@_made
def friedman3(random: Generator) -> Table:
    """The phase shift of a circuit (Friedman, 1991): 900 rows, 4 inputs."""
    X, resistance, reactance = _circuit(random)
    return _noisy(X, np.arctan2(reactance, resistance), random)


@_made
def waves(random: Generator) -> Table:
    """sin 3x₁ + x₂²: 700 rows, 3 inputs, of which one counts for nothing."""
    X = random.uniform(-1, 1, (700, 3))
    return _noisy(X, np.sin(3 * X[:, 0]) + X[:, 1] ** 2, random)


@_made
def hills(random: Generator) -> Table:
    """Two hills and a hollow in a plain: 900 rows, 2 inputs."""
    X = random.uniform(-2, 2, (900, 2))

    def hill(x: float, y: float) -> Array:
        return np.exp(-1.5 * ((X[:, 0] - x) ** 2 + (X[:, 1] - y) ** 2))

    return _noisy(X, hill(1, 1) + hill(-1, -0.5) - hill(1, -1), random)
