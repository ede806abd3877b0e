"""The numbers that make any activation φ trainable at any depth: α, μ and γ of φ̂(z) = γ(φ(αz) − μ).

>>> z = expressions.symbol("z")
>>> sine = expressions.sin(z)
>>> numbers = tailored_numbers("sine", sine, expressions.derivative(sine, "z"), depth=50)
>>> round(numbers.alpha, 4), abs(numbers.mu) < 1e-12
(0.4954, True)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schuss.errors import FormulaError
from schuss.language import expressions
from schuss.language.expectations import moments
from schuss.language.expressions import Expression

Array = NDArray[np.float64]

_ALPHAS = np.logspace(-3, 3, 61)
_HALVINGS = 45  # of a tenth of a decade
_EXACT = 1e-5  # what the quadrature leaves open about χ, with room to spare


class Tailored(NamedTuple):
    """What stands before and after φ."""

    alpha: float
    mu: float
    gamma: float


def tailored_numbers(name: str, phi: Expression, slope: Expression, depth: int) -> Tailored:
    """α, μ, γ such that φ̂(z) has mean 0, variance 1 and gradient gain χ = E[φ̂′(z)²] = 1 + 1/depth for z ~ N(0, 1).

    By Poincaré's inequality χ ≥ 1, with equality for linear functions only: α says how much of its bend φ shows. Of
    several α that do, the one nearest to 1 (on a log scale) is taken, which changes φ least.

    FormulaError if no α from 1e-3 to 1e3 does.
    """
    offset = float(expressions.evaluate(phi, {"z": 0.0}))
    offset = offset if math.isfinite(offset) else 0.0  # taken off, or the variance would drown in it where α is small
    target = 1 + 1 / depth

    def chi(alphas: ArrayLike) -> Array:
        m = moments(phi, slope, alphas, offset=offset)
        with np.errstate(all="ignore"):
            return np.asarray(np.square(alphas) * m.slope_power / (m.power - m.mean**2))

    scanned = chi(_ALPHAS)
    above = scanned > target
    crossings = np.flatnonzero((above[:-1] != above[1:]) & np.isfinite(scanned[:-1]) & np.isfinite(scanned[1:]))
    if not len(crossings) or np.nanmin(scanned) < 1 - _EXACT:
        raise FormulaError(f"{name} cannot be tailored to depth {depth}: {_why_not(name, scanned, depth)}")
    at = crossings[np.argmin(np.abs(np.log(_ALPHAS[crossings] * _ALPHAS[crossings + 1])))]
    low, high = np.log(_ALPHAS[at : at + 2])
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if (chi([math.exp(middle)])[0] > target) == above[at] else (low, middle)
    alpha = math.exp(0.5 * (low + high))
    m = moments(phi, slope, [alpha], offset=offset)
    return Tailored(alpha, float(m.mean[0]) + offset, 1 / math.sqrt(m.power[0] - m.mean[0] ** 2))


def tailored_slope(depth: int) -> Tailored:
    """The slope below zero (as `alpha`) of a leaky ReLU whose gain is χ = 1 + 1/depth, and its μ and γ.

    A leaky ReLU of slope s has E[φ] = (1 − s)/√2π, E[φ²] = E[φ′²] = (1 + s²)/2, so that χ = 1 + 1/depth means
    (1 − s)² / (1 + s²) = π / (depth + 1).
    """
    bend = math.pi / (depth + 1)
    slope = (1 - bend) / (1 + math.sqrt(1 - (1 - bend) ** 2))
    mean, power = (1 - slope) / math.sqrt(2 * math.pi), (1 + slope**2) / 2
    return Tailored(slope, mean, 1 / math.sqrt(power - mean**2))


def _why_not(name: str, chi: Array, depth: int) -> str:
    chi = chi[np.isfinite(chi)]
    if not len(chi):
        return "it has no mean and variance, or is constant."
    low, high = float(chi.min()), float(chi.max())
    if low < 1 - _EXACT:
        return "it has jumps, of which its slope knows nothing."
    if high < 1 + _EXACT:
        return "it is linear, and a stack of it is one linear map, however deep. Take a function that bends."
    needs = f"the gradient must gain χ = 1 + 1/{depth} = {1 + 1 / depth:.4g} a layer"
    instead = f"tailor(relu, depth={depth}) is a leaky ReLU with the slope below zero that depth {depth} asks for."
    if high - low < _EXACT:
        return (
            f"{needs}, but {name}(αz) is a multiple of {name}(z), and χ is {low:.4g} for every α. Take another "
            f"function; {instead}"
        )
    shallowest, deepest = math.ceil(1 / (high - 1)), math.floor(1 / max(low - 1, _EXACT))
    suits = f", which suits depths from {shallowest} to {deepest}" if shallowest <= deepest else ""
    return f"{needs}, but χ lies between {low:.4g} and {high:.4g} for all α{suits}. Take another function; {instead}"
