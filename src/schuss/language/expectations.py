"""Means over a normal distribution: what theory needs to know of an activation.

>>> z = expressions.symbol("z")
>>> round(gaussian_mean(expressions.maximum(z, 0) ** 2), 12)
0.5
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schuss.language import expressions
from schuss.language.expressions import Expression

Array = NDArray[np.float64]

_REACH = 12.0  # the normal density outside is below 1e-31 of its peak
EXACT = 1e-11  # of the mean of |f|
_HALVINGS = 40  # a corner or a jump is closed in to 1e-12, where it weighs nothing any more
_NOTHING = 1e-5  # what still weighs more there, of the mean of |f|, is a pole, and the mean does not exist
_MOST_INTERVALS = 1000  # a function that needs more of them is too rough


def _lobatto(n: int) -> tuple[Array, Array]:
    """The nodes and weights of Gauss and Lobatto: both ends are nodes, and for an odd n the middle.

    A jump next to an end, or in the middle, would be unseen by two symmetric rules of even order: both would agree.
    """
    last = np.polynomial.Legendre.basis(n - 1)
    nodes = np.concatenate([[-1.0], np.sort(last.deriv().roots()), [1.0]])
    weights = 2 / (n * (n - 1) * last(nodes) ** 2)
    return nodes * (1 - 1e-13), weights  # a corner that lies on the end itself belongs to neither side


_FINE, _COARSE = np.polynomial.legendre.leggauss(12), _lobatto(9)


class Moments(NamedTuple):
    """E[φ], E[φ²] and E[φ′²] for z ~ N(mean, scale²), a number for each scale."""

    mean: Array
    power: Array
    slope_power: Array


def moments(
    phi: Expression,
    slope: Expression,
    scales: ArrayLike,
    *,
    mean: float = 0.0,
    offset: float = 0.0,
    tolerance: float = EXACT,
) -> Moments:
    """The moments of φ − offset, for the expressions φ and φ′ of z and each of several scales."""

    def functions(z: Array) -> Array:
        value = _values(phi, z) - offset
        return np.stack([value, value**2, _values(slope, z) ** 2])

    return Moments(*gaussian_means(functions, scales, mean, tolerance))


def gaussian_mean(expression: Expression) -> float:
    """E[f(z)] for z ~ N(0, 1), for an expression f of z."""
    return float(gaussian_means(lambda z: _values(expression, z)[None], [1.0])[0, 0])


def gaussian_means(
    functions: Callable[[Array], Array], scales: ArrayLike, mean: float = 0.0, tolerance: float = EXACT
) -> Array:
    """E[f(z)], z ~ N(mean, scale²), of k functions and for each of n scales, [k, n].

    `functions` takes an array z of any shape and returns [k, *shape]. Gauss and Legendre's rule on intervals
    that are halved where Gauss and Lobatto's disagrees: corners and jumps are found wherever they are. Gauss–Hermite
    with 200 nodes would be off by 1e-4 for relu. NaN where there is no mean, or f waves too fast to be seen.

    `tolerance` is a share of E[|f|], and mostly what a corner costs: each factor of 1000 is ten halvings.
    """
    scale = np.asarray(scales, dtype=np.float64)
    edges = _edges(float(scale.max()))
    left, width = (np.tile(each, len(scale)) for each in (edges[:-1], np.diff(edges)))
    owner = np.repeat(np.arange(len(scale)), len(edges) - 1)
    result = size = np.zeros((0, 0))
    for halving in range(_HALVINGS + 1):
        fine, coarse = (_integrals(functions, left, width, scale[owner], mean, rule) for rule in (_FINE, _COARSE))
        if halving == 0:
            size = _summed(np.abs(fine), owner, len(scale))
            result = np.zeros_like(size)
        with np.errstate(invalid="ignore"):  # what is not finite is not halved: it does not get better
            rough = np.any(np.abs(fine - coarse) > tolerance * size[:, owner], axis=0)
            if halving == _HALVINGS:
                fine[np.abs(fine) > _NOTHING * size[:, owner]] = math.nan
                rough[:] = False
        result += _summed(fine[:, ~rough], owner[~rough], len(scale))
        wild = np.bincount(owner[rough], minlength=len(scale)) > _MOST_INTERVALS
        result[:, wild] = math.nan
        rough &= ~wild[owner]
        if not rough.any():
            break
        width = np.tile(0.5 * width[rough], 2)
        left = np.concatenate([left[rough], left[rough]])
        left[len(left) // 2 :] += width[: len(left) // 2]
        owner = np.tile(owner[rough], 2)
    return result


def _edges(scale: float) -> Array:
    """Whole numbers, and ever shorter intervals around 0, where a wide distribution meets what φ does at |z| ≈ 1."""
    halvings = 2 + max(math.ceil(math.log2(scale)), 0) if 0 < scale < math.inf else 0
    near = 0.5 ** np.arange(1, halvings + 1)
    return np.unique(np.concatenate([np.arange(-_REACH, _REACH + 1), near, -near]))


def _integrals(
    functions: Callable[[Array], Array], left: Array, width: Array, scale: Array, mean: float, rule: tuple[Array, Array]
) -> Array:
    """∫ f(mean + scale·x) N(x) dx over the intervals, [k, intervals]."""
    nodes, weights = rule
    x = left[:, None] + 0.5 * width[:, None] * (nodes + 1)
    density = 0.5 * width[:, None] * weights * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    with np.errstate(all="ignore"):
        integrals: Array = np.sum(functions(mean + scale[:, None] * x) * density, axis=-1)
    return integrals


def _summed(integrals: Array, owner: NDArray[np.int64], n: int) -> Array:
    return np.stack([np.bincount(owner, row, n) for row in integrals])


def _values(expression: Expression, z: Array) -> Array:
    return np.broadcast_to(expressions.evaluate(expression, {"z": z}), z.shape)
