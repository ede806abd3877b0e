"""What a user writes against the nearest built-in definition: both must train natively, and about as fast."""

from __future__ import annotations

import schuss as sc
from benchmarks.schuss_steps import training_timer
from benchmarks.shapes import POPULATION, Shape
from benchmarks.workers import Timer
from schuss.expressions import Expression, sigmoid, sqrt


@sc.activation
def mine(z: Expression) -> Expression:
    """A user's activation: the sigmoid's approximation of gelu."""
    return z * sigmoid(1.702 * z)


@sc.optimizer
def my_adam(
    w: Expression, g: Expression, m: Expression, v: Expression, t: Expression,
    *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8,
) -> tuple[Expression, ...]:  # fmt: skip
    """A user's optimizer: Adam once more."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    return w - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + epsilon), m, v


VARIANTS = {
    "silu": (sc.silu, sc.adam),
    "mine": (mine, sc.adam),
    "adam": (sc.relu, sc.adam),
    "my_adam": (sc.relu, my_adam),
}


def timer(variant: str, shape: Shape, threads: int, seconds: float) -> Timer:
    activation, optimizer = VARIANTS[variant]
    return training_timer(shape, POPULATION, threads, 10 if seconds > 0.2 else 3, activation, optimizer)
