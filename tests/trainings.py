"""Small data, small networks and comparisons that the tests of the engines and of training share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from schuss.activations import Activation, find_activation
from schuss.engines import HISTORY, QUANTITIES, Engine, EngineData, EnginePart, Outcome, Plan, State
from schuss.initializers import auto
from schuss.layers import Layer
from schuss.losses import Loss, find_loss
from schuss.optimizers import Optimizer, find_optimizer

Array = NDArray[Any]
SECONDS = HISTORY.index("seconds")
UPDATE_RATIO = QUANTITIES.index("update_ratio")


def data_for(
    loss: str | Loss, inputs: int, outputs: int, rows: Sequence[int] = (90, 40, 40), seed: int = 0
) -> EngineData:
    """A noisy linear teacher: numbers for the losses of regression, classes for the cross-entropies."""
    random = np.random.default_rng(seed)
    teacher = random.standard_normal((inputs, outputs)) / np.sqrt(inputs)
    return EngineData(*(_part(random, find_loss(loss), teacher, n) for n in rows))


def _part(random: Generator, loss: Loss, teacher: Array, n: int) -> EnginePart:
    X = random.standard_normal((n, len(teacher))).astype(np.float32)
    Y = (X @ teacher + 0.3 * random.standard_normal((n, teacher.shape[1]))).astype(np.float32)
    if loss.expression is None:
        labels = Y.argmax(axis=1).astype(np.int32)
        return EnginePart(X, labels[:, None].astype(np.float32), labels)
    if loss.name != "binary_cross_entropy":
        return EnginePart(X, Y, np.zeros(0, np.int32))
    Y = (Y > 0).astype(np.float32)
    labels = Y[:, 0] if Y.shape[1] == 1 else Y.argmax(axis=1)
    return EnginePart(X, Y, labels.astype(np.int32))


def stack(
    sizes: Sequence[int], activation: str | Activation, output: str | Activation = "identity"
) -> tuple[Layer, ...]:
    """Layers of the given sizes, all hidden ones with one activation."""
    phis = [find_activation(activation)] * (len(sizes) - 2) + [find_activation(output)]
    return tuple(Layer("dense", *each) for each in zip(sizes[:-1], sizes[1:], phis, strict=True))


def initial(layers: Sequence[Layer], seed: int = 0) -> NDArray[np.float32]:
    """Weights of the default initializer, and biases, gains, shifts and running statistics near where they start."""
    random = np.random.default_rng(seed)
    reads = find_activation("identity")
    parts: list[Array] = []
    for layer in layers:
        if layer.kind == "dense":
            parts.append(auto.sample(random, (layer.n_in, layer.n_out), reads).ravel())
            parts.append(0.1 * random.standard_normal(layer.n_out).astype(np.float32))
        else:
            near = [1, 0, 0, 1][: len(layer.shapes)]
            parts += [value + random.uniform(-0.2, 0.2, layer.n_out) for value in near]
        reads = layer.activation
    return np.concatenate(parts).astype(np.float32)


def plan_for(
    layers: tuple[Layer, ...],
    loss: str | Loss,
    optimizer: str | Optimizer = "sgd(lr=0.05)",
    *,
    data: EngineData,
    epochs: int = 1,
    batch_size: int = 32,
    seed: int = 0,
    patience: int | None = None,
    clip_norm: float | None = None,
    watch: tuple[int, ...] = (),
    parameters: Array | None = None,
    learning_rates: Array | None = None,
) -> Plan:
    """A plan for data from the start, at a constant learning rate unless `learning_rates` says otherwise."""
    rule = find_optimizer(optimizer)
    start = initial(layers, seed) if parameters is None else parameters
    steps = -(-len(data.train.X) // batch_size) * epochs
    return Plan(
        layers=layers,
        data=data,
        loss=find_loss(loss),
        optimizer=rule,
        learning_rates=np.full(steps, rule.lr) if learning_rates is None else learning_rates,
        batch_size=batch_size,
        epochs=epochs,
        patience=patience,
        clip_norm=clip_norm,
        seed=seed,
        watch=watch,
        start=State(start, np.zeros((len(rule.state), len(start)), np.float32)),
    )


def continued(plan: Plan, state: State) -> Plan:
    """The same plan from a later state."""
    return replace(plan, start=state)


def train(engine: Engine, plan: Plan, data: EngineData) -> Outcome:
    """The outcome of one plan on these data."""
    ((_, outcome),) = engine.train([replace(plan, data=data)])
    return outcome


def distance(a: Array, b: Array) -> float:
    """‖a − b‖ / ‖b‖ in double precision."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def assert_same_bits(a: Outcome, b: Outcome) -> None:
    """Everything equal but the time it took."""
    assert a.status == b.status
    assert (a.diverged_step, a.diverged_layer) == (b.diverged_step, b.diverged_layer)
    assert (a.state.step, a.state.epoch, a.state.best_epoch) == (b.state.step, b.state.epoch, b.state.best_epoch)
    pairs: list[tuple[Array, Array]] = [
        (a.state.parameters, b.state.parameters),
        (a.state.moments, b.state.moments),
        (np.zeros(0) if a.state.best is None else a.state.best, np.zeros(0) if b.state.best is None else b.state.best),
        (np.array([*a.losses, *a.scores, a.state.best_loss]), np.array([*b.losses, *b.scores, b.state.best_loss])),
        (np.delete(a.history, SECONDS, axis=1), np.delete(b.history, SECONDS, axis=1)),
        (a.flow, b.flow),
        (a.watched, b.watched),
    ]
    for x, y in pairs:
        np.testing.assert_array_equal(x, y, strict=True)
