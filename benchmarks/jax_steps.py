"""JAX: many steps compiled into one `scan`, of one network or, with `vmap`, of a population."""

from __future__ import annotations

import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.shapes import POPULATION, ROWS, Shape, random_rows
from benchmarks.workers import Timer, seconds_per_call

Parameters = list[tuple[Array, Array]]  # W and b of every layer
State = tuple[Parameters, Parameters, Parameters, Array]  # weights, both moments of Adam, steps done


def timer(variant: str, shape: Shape, threads: int, seconds: float) -> Timer:
    if threads == 1:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # XLA takes as many threads as it sees cores
    steps = max(2, min(100, round(2e9 / shape.flops)))
    networks = 1 if variant == "scan" else POPULATION
    run = _runner(shape, steps, networks)
    seconds_per_call(run, seconds / 2)  # compiles, then warms up
    return lambda: seconds_per_call(run, seconds) / steps / networks


def _runner(shape: Shape, steps: int, networks: int) -> Callable[[], None]:
    """What trains every network `steps` steps further; its rows are drawn before the steps, all at once."""
    X, y = map(jnp.asarray, random_rows(shape))

    def train(state: State, key: Array) -> State:
        rows = jax.random.randint(key, (steps, shape.batch), 0, ROWS)
        return jax.lax.scan(lambda state, row: (adam_step(state, X[row], y[row]), None), state, rows)[0]

    keys = jax.random.split(jax.random.key(0), networks)
    if networks == 1:
        compiled, state, key = jax.jit(train), fresh_state(shape, keys[0]), keys[0]
    else:
        compiled, state, key = jax.jit(jax.vmap(train)), jax.vmap(lambda k: fresh_state(shape, k))(keys), keys

    def run() -> None:
        nonlocal state
        state = jax.block_until_ready(compiled(state, key))

    return run


def fresh_state(shape: Shape, key: Array) -> State:
    pairs = list(zip(shape.sizes[:-1], shape.sizes[1:], strict=True))
    keys = jax.random.split(key, len(pairs))
    weights = [
        (jax.random.normal(k, (a, b)) * (2 / a) ** 0.5, jnp.zeros(b)) for k, (a, b) in zip(keys, pairs, strict=True)
    ]
    zeros = jax.tree.map(jnp.zeros_like, weights)
    return weights, zeros, zeros, jnp.zeros(())


def mean_loss(parameters: Parameters, X: Array, y: Array) -> Array:
    h = X
    for W, b in parameters[:-1]:
        h = jax.nn.relu(h @ W + b)
    W, b = parameters[-1]
    return -jnp.take_along_axis(jax.nn.log_softmax(h @ W + b), y[:, None], axis=1).mean()


def adam_step(state: State, X: Array, y: Array) -> State:
    weights, first, second, t = state
    t = t + 1
    gradient = jax.grad(mean_loss)(weights, X, y)
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
    rate, scale = 1e-3 / (1 - 0.9**t), 1 / (1 - 0.999**t)
    weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v * scale) + 1e-8), weights, first, second)
    return weights, first, second, t
