"""The built-in problems: small tables to learn on, without a file and without a download."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schuss.data.encoding import Task


@dataclass(frozen=True, eq=False)
class Problem:
    """A built-in table: inputs [n, d], their names, the target [n], and what kind of target it is."""

    inputs: NDArray[Any]
    names: tuple[str, ...]
    target: NDArray[Any]
    task: Task
    is_split: bool = True  # False: too small to split, every part is the whole table


PROBLEMS: dict[str, str] = {}
"""Name → one line that says what it is, simplest first."""

_builders: dict[str, Callable[[], Problem]] = {}


def _problem(build: Callable[[], Problem]) -> Callable[[], Problem]:
    """Register the decorated function as the built-in problem of its name; its docstring is the description."""
    PROBLEMS[build.__name__] = (build.__doc__ or "").strip().rstrip(".")
    _builders[build.__name__] = build
    return build


def built_in(name: str) -> Problem:
    """Build the problem called `name`, always with the same rows.

    >>> built_in("xor").inputs.tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    return _builders[name]()


def _in_the_plane(inputs: NDArray[np.float64], labels: NDArray[np.int64]) -> Problem:
    return Problem(inputs, ("x", "y"), labels, "classification")


@_problem
def xor() -> Problem:
    """Exclusive or: 4 rows of two bits, its own train, valid and test part."""
    inputs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return Problem(inputs, ("a", "b"), inputs[:, 0] ^ inputs[:, 1], "classification", is_split=False)


@_problem
def moons() -> Problem:
    """Two interleaved half circles with noise: 1000 rows, 2 inputs, 2 classes."""
    random = np.random.default_rng(1)
    label = np.arange(1000) % 2
    angle = random.uniform(0, np.pi, 1000)
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    lower = np.column_stack([1 - np.cos(angle), 0.5 - np.sin(angle)])
    return _in_the_plane(np.where(label[:, None] == 0, upper, lower) + random.normal(0, 0.15, (1000, 2)), label)


@_problem
def circles() -> Problem:
    """A circle inside another, with noise: 1000 rows, 2 inputs, 2 classes."""
    random = np.random.default_rng(2)
    label = np.arange(1000) % 2
    angle = random.uniform(0, 2 * np.pi, 1000)
    radius = np.where(label == 0, 1.0, 0.5) + random.normal(0, 0.1, 1000)
    return _in_the_plane(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), label)


@_problem
def spirals() -> Problem:
    """Two spirals wound into each other, 1.5 turns: 1000 rows, 2 inputs, 2 classes."""
    random = np.random.default_rng(3)
    label = np.arange(1000) % 2
    radius = np.sqrt(random.uniform(0.02, 1, 1000))  # the root spreads the rows evenly along the arm
    angle = 3 * np.pi * radius + np.pi * label
    inputs = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return _in_the_plane(inputs + random.normal(0, 0.02, (1000, 2)), label)


@_problem
def blobs() -> Problem:
    """Four round clouds that touch: 1000 rows, 2 inputs, 4 classes."""
    random = np.random.default_rng(4)
    label = np.arange(1000) % 4
    centers = np.array([[-2.0, -2.0], [-2.0, 2.0], [2.0, -2.0], [2.0, 2.0]])
    return _in_the_plane(centers[label] + random.normal(0, 1.0, (1000, 2)), label)


@_problem
def digits() -> Problem:
    """Handwritten digits of 8 x 8 pixels: 1797 rows, 64 inputs, 10 classes."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Problem(bunch.data, tuple(bunch.feature_names), bunch.target, "classification")


def _named_classes(bunch: Any) -> Problem:
    """A scikit-learn problem with its class names, rather than their indices, as the target."""
    return Problem(bunch.data, tuple(bunch.feature_names), bunch.target_names[bunch.target], "classification")


@_problem
def iris() -> Problem:
    """Three species of iris by their flowers: 150 rows, 4 inputs, 3 classes."""
    from sklearn.datasets import load_iris

    return _named_classes(load_iris())


@_problem
def wine() -> Problem:
    """Three growers of wine by chemical analysis: 178 rows, 13 inputs, 3 classes."""
    from sklearn.datasets import load_wine

    return _named_classes(load_wine())


@_problem
def breast_cancer() -> Problem:
    """Benign or malignant tumors by their cell nuclei: 569 rows, 30 inputs, 2 classes."""
    from sklearn.datasets import load_breast_cancer

    return _named_classes(load_breast_cancer())


@_problem
def diabetes() -> Problem:
    """Progress of diabetes within a year: 442 rows, 10 inputs, a number to predict."""
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(scaled=False)  # in the original units: schuss standardizes on the training part itself
    return Problem(bunch.data, tuple(bunch.feature_names), bunch.target, "regression")
