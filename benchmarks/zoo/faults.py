"""The faults, each with the ranges it is drawn from: how its healthy twin is chosen, and how the twin is spoiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from benchmarks.zoo.halves import Half
from benchmarks.zoo.problems import Spoil, dataset
from benchmarks.zoo.setups import Setup
from schuss.optimizers import OPTIMIZERS

HEALTHY = "healthy"


class Fault(NamedTuple):
    """`twin` draws a network whose learning rate is still open; `spoil` puts the fault into it once it is healthy."""

    cause: str
    twin: Callable[[Generator, Half], Setup]
    spoil: Callable[[Generator, Half, Setup], Setup]


FAULTS: dict[str, Fault] = {}


def _fault(
    twin: Callable[[Generator, Half], Setup],
) -> Callable[[Callable[[Generator, Half, Setup], Setup]], Callable[[Generator, Half, Setup], Setup]]:
    def register(
        spoil: Callable[[Generator, Half, Setup], Setup],
    ) -> Callable[[Generator, Half, Setup], Setup]:
        FAULTS[spoil.__name__] = Fault(spoil.__name__, twin, spoil)
        return spoil

    return register


# ---------------------------------------------------------------------------------------------- twins


def one_of(random: Generator, names: tuple[str, ...]) -> str:
    return names[int(random.integers(len(names)))]


def between(random: Generator, low: float, high: float) -> float:
    """Uniform on a log scale."""
    return float(f"{np.exp(random.uniform(np.log(low), np.log(high))):.3g}")


def twin(
    random: Generator,
    half: Half,
    depths: tuple[int, int] = (2, 60),
    problems: tuple[str, ...] = (),
    activations: tuple[str, ...] = (),
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS),
) -> Setup:
    """Any network of the half: depth on a log scale, 500 to 2000 updates, batches of 16 to 64, widths of 16 to 64."""
    problem = one_of(random, problems or half.problems)
    optimizer = one_of(random, optimizers)
    batch, updates = int(random.choice([16, 32, 64])), between(random, 500, 2000)
    if optimizer == "gd":
        epochs = int(between(random, 200, 500))  # an epoch is one update
    else:
        epochs = max(10, round(updates * batch / len(dataset(problem).train)))
    return Setup(
        problem,
        one_of(random, activations or half.activations),
        depth=round(between(random, *depths)),
        width=int(random.choice([16, 32, 64])),
        optimizer=optimizer,
        batch_size=batch,
        epochs=epochs,
        seed=int(random.integers(1_000_000)),
    )


def shallow(random: Generator, half: Half) -> Setup:
    return twin(random, half, depths=(2, 12))


def deep(random: Generator, half: Half) -> Setup:
    """At depth 8 to 60 only activations that carry the gradient are healthy."""
    carrying = tuple(name for name in half.activations if name not in half.shrinking)
    return twin(random, half, depths=(8, 60), activations=carrying)


def healthy(random: Generator, half: Half) -> Setup:
    """Half of them shallow, half of any depth, so that the deep ones, which pass more seldom, are not too few."""
    return twin(random, half) if random.random() < 0.5 else deep(random, half)


# ---------------------------------------------------------------------------------------------- spoiled


@_fault(deep)
def vanishing_gradient(random: Generator, half: Half, setup: Setup) -> Setup:
    """Weights too small by 0.05 to 0.5, or an activation whose slope loses the gradient, under Glorot's weights."""
    if random.random() < 0.5:
        return replace(setup, init=f"glorot_normal(gain={between(random, 0.05, 0.5)})")
    return replace(setup, activation=one_of(random, half.shrinking), init="glorot_normal")


@_fault(lambda random, half: twin(random, half, depths=(5, 40), activations=half.growing))
def exploding_gradient(random: Generator, half: Half, setup: Setup) -> Setup:
    """Weights too large by 1.5 to 5 in each of 5 to 40 layers of an activation without an upper limit."""
    return replace(setup, init=f"he_normal(gain={round(np.sqrt(2) * between(random, 1.5, 5), 3)})")


@_fault(lambda random, half: twin(random, half, depths=(2, 12), activations=half.rectifiers))
def dead_units(random: Generator, half: Half, setup: Setup) -> Setup:
    """A bias of −4 to −20 in one hidden layer or in all: z stays below 0 on every row."""
    layer = int(random.integers(setup.depth))
    biased = (layer, layer + 1) if random.random() < 0.5 else (0, setup.depth)
    return replace(setup, bias=-between(random, 4, 20), biased=biased)


@_fault(lambda random, half: twin(random, half, depths=(2, 8), activations=half.bounded))
def saturated_units(random: Generator, half: Half, setup: Setup) -> Setup:
    """Weights too large by 10 to 200 under a bounded activation."""
    return replace(setup, init=f"lecun(gain={between(random, 10, 200)})")


@_fault(shallow)
def symmetric_weights(random: Generator, half: Half, setup: Setup) -> Setup:
    """All weights zero, or all the same number of 0.01 to 1."""
    value = between(random, 0.01, 1)
    return replace(setup, init="zeros" if random.random() < 0.4 else f"constant(value={value})")


@_fault(lambda random, half: twin(random, half, depths=(2, 12), problems=half.nonlinear))
def no_nonlinearity(random: Generator, half: Half, setup: Setup) -> Setup:
    """The identity as activation, on a table that no linear model learns, at whatever rate."""
    return replace(setup, activation="identity")


@_fault(shallow)
def unscaled_inputs(random: Generator, half: Half, setup: Setup) -> Setup:
    """Inputs in units from 10^−s to 10^s, s from 2 to 4, not standardized."""
    return replace(setup, spoil=Spoil("scales", round(random.uniform(2, 4), 2), int(random.integers(1_000_000))))


@_fault(lambda random, half: twin(random, half, depths=(2, 12), problems=half.regressions))
def unscaled_target(random: Generator, half: Half, setup: Setup) -> Setup:
    """A target 30 to 3000 standard deviations away from 0, or in a unit 100 to 100,000 times smaller."""
    if random.random() < 0.5:
        return replace(setup, spoil=Spoil("offset", between(random, 30, 3000)))
    return replace(setup, spoil=Spoil("unit", between(random, 100, 1e5)))


@_fault(healthy)
def learning_rate_too_high(random: Generator, half: Half, setup: Setup) -> Setup:
    """10 to 1000 times the best rate."""
    return setup.at_rate(setup.rate * between(random, 10, 1000))


@_fault(healthy)
def learning_rate_too_low(random: Generator, half: Half, setup: Setup) -> Setup:
    """The best rate divided by 30 to 10,000."""
    return setup.at_rate(setup.rate / between(random, 30, 10_000))


@_fault(lambda random, half: twin(random, half, depths=(2, 12), optimizers=("sgd",)))
def plateau_of_full_batch(random: Generator, half: Half, setup: Setup) -> Setup:
    """Gradient descent for as many epochs: one update an epoch, no noise. At no rate does it keep up."""
    return replace(setup, optimizer="gd").at_rate(setup.rate)


@_fault(lambda random, half: twin(random, half, depths=(2, 6)))
def overfitting(random: Generator, half: Half, setup: Setup) -> Setup:
    """20 to 60 training rows, a fifth of them with a wrong target, and five times the epochs."""
    rows = int(between(random, 20, 60)) / sum(map(len, (setup.data.train, setup.data.valid, setup.data.test)))
    epochs = setup.epochs if setup.optimizer.startswith("gd") else 60
    return replace(setup, width=64, epochs=5 * epochs, spoil=Spoil("rows", round(rows, 4), setup.seed))


@_fault(healthy)
def nothing_to_learn(random: Generator, half: Half, setup: Setup) -> Setup:
    """The targets dealt out anew among the rows."""
    return replace(setup, spoil=Spoil("shuffled", 0, int(random.integers(1_000_000))))
