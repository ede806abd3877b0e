"""What a user writes against the same built-in definition: both must train natively, and about as fast.

The definitions are built-in ones with their factors and terms swapped: the same work in other code, which therefore
runs on the elementwise machine instead of in the kernel of the built-in.
"""

from __future__ import annotations

import schuss as sc
from benchmarks.figures import TIMES, Figure
from benchmarks.schuss_steps import training_timer
from benchmarks.shapes import POPULATION, SHAPES, Shape
from benchmarks.workers import Setting, Timer, Workers, thread_counts
from schuss.engines.native import NativeEngine
from schuss.language.expressions import Expression, sigmoid, sqrt


@sc.activation
def my_silu(z: Expression) -> Expression:
    """A user's activation."""
    return sigmoid(z) * z


@sc.optimizer
def my_adam(
    w: Expression, g: Expression, m: Expression, v: Expression, t: Expression,
    *, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8,
) -> tuple[Expression, ...]:  # fmt: skip
    """A user's optimizer."""
    m = (1 - beta1) * g + beta1 * m
    v = (1 - beta2) * g * g + beta2 * v
    return w - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + epsilon), m, v


VARIANTS = {
    "silu": (sc.silu, sc.adam),
    "my_silu": (my_silu, sc.adam),
    "adam": (sc.relu, sc.adam),
    "my_adam": (sc.relu, my_adam),
}


def timer(variant: str, shape: Shape, threads: int, seconds: float) -> Timer:
    activation, optimizer = VARIANTS[variant]
    epochs = 10 if seconds > 0.2 else 3
    return training_timer(shape, POPULATION, NativeEngine(threads), epochs, activation, optimizer)


def measure(workers: Workers, repeats: int, seconds: float) -> list[Figure]:
    """How many times the built-in's time a user's definition takes, on S."""

    def ratio(users: str, built_in: str) -> float:
        mine, theirs = (Setting("users", name, thread_counts()[-1], seconds) for name in (users, built_in))
        return workers.ratio(mine, theirs, SHAPES["S"], repeats)

    return [
        Figure("S, a user's activation against silu", ratio("my_silu", "silu"), TIMES, at_most=1.3),
        Figure("S, a user's optimizer against adam", ratio("my_adam", "adam"), TIMES, at_most=1.3),
    ]
