"""A training in schuss through its front door: `fit_many`, from the call to the runs in hand.

Unlike the peers' steps it includes everything around them: initial weights, shuffling, the history of the losses, the
gradient flow at the default cadence and the evaluation after every epoch and at the end. A large network alone is timed
from its first epoch's end to its last's, by its own history: to draw 13 million initial weights takes as long as some
steps, and the peers draw theirs before the clock starts, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import schuss as sc
from benchmarks.shapes import POPULATION, ROWS, Shape, random_rows
from benchmarks.workers import Timer
from schuss.engines import Outcome, Plan
from schuss.engines.native import NativeEngine

FEW = 160  # rows to validate and to test on, together


class Unwatched(NativeEngine):
    """An engine that does not measure the gradient flow."""

    def train(self, plans: Iterable[Plan], tick: Callable[[], None] = lambda: None) -> Iterator[tuple[int, Outcome]]:
        return super().train((replace(plan, watch=()) for plan in plans), tick)


def dataset(shape: Shape) -> sc.Dataset:
    """Random rows with exactly `ROWS` of them to train on: a multiple of every batch size."""
    X, y = random_rows(shape, ROWS + FEW + shape.outputs)
    share = FEW / 2 / len(X)
    data = sc.load((X, y), task="classification", valid=share, test=share, standardize=False)
    return replace(data, train=sc.Part(data.train.X[:ROWS], data.train.y[:ROWS]))


def training_timer(
    shape: Shape, networks: int, engine: NativeEngine, epochs: int, activation: sc.Activation, optimizer: sc.Optimizer
) -> Timer:
    """Seconds of a training, divided by the updates of all networks."""
    data = dataset(shape)
    network = sc.mlp([shape.width] * shape.depth, activation)
    # Two classes would otherwise get one output and a binary cross-entropy, which no peer is asked for.
    recipe = sc.Recipe(optimizer(lr=1e-3), "softmax_cross_entropy", batch_size=shape.batch, epochs=epochs)
    jobs = [sc.Job(network, recipe, seed) for seed in range(networks)]
    sc.fit_many(jobs[:1], data, engine=engine)

    def measure() -> float:
        began = time.perf_counter()
        runs = sc.fit_many(jobs, data, engine=engine)
        if not shape.is_small:
            return _after_the_first_epoch(runs[0])
        return (time.perf_counter() - began) / sum(run.outcome.state.step for run in runs)

    return measure


def _after_the_first_epoch(run: sc.Run) -> float:
    """Seconds a step, with the evaluation after every epoch and the gradient flow."""
    seconds, steps = run.history["seconds"], run.history["step"]
    return float((seconds[-1] - seconds[0]) / (steps[-1] - steps[0]))


def timer(variant: str, shape: Shape, threads: int, seconds: float) -> Timer:
    """`one` network, or a `population` that may also be `unwatched` or trained by the `avx2` build.

    Trainings are as long as their shape says, a quarter of it in a quick run.
    """
    networks = 1 if variant == "one" else POPULATION
    instruction_set = "avx2" if variant == "avx2" else None
    engine = (Unwatched if variant == "unwatched" else NativeEngine)(threads, instruction_set)
    epochs = shape.epochs if seconds > 0.2 else shape.epochs // 4
    # One small network would be timed too briefly: the same number of updates as a population of 8.
    longer = 8 if networks == 1 and shape.is_small else 1
    return training_timer(shape, networks, engine, epochs * longer, sc.relu, sc.adam)
