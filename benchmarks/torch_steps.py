"""PyTorch: eager mode with the fused Adam, and many networks at once as batched products."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.shapes import POPULATION, ROWS, Shape, random_rows
from benchmarks.workers import Timer, seconds_per_call


def timer(variant: str, shape: Shape, threads: int, seconds: float) -> Timer:
    torch.set_num_threads(threads)
    step = {"eager": eager_step, "baddbmm": population_step}[variant](shape)
    networks = 1 if variant == "eager" else POPULATION
    seconds_per_call(step, seconds / 2)  # warm-up
    return lambda: seconds_per_call(step, seconds) / networks


def _tensors(shape: Shape) -> tuple[Tensor, Tensor]:
    X, y = random_rows(shape)
    return torch.from_numpy(X), torch.from_numpy(y)


def eager_step(shape: Shape) -> Callable[[], None]:
    """One step of one network, as everyone writes it."""
    X, y = _tensors(shape)
    layers: list[nn.Module] = []
    for n_in, n_out in zip(shape.sizes[:-1], shape.sizes[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        rows = torch.randint(0, ROWS, (shape.batch,))
        optimizer.zero_grad()
        functional.cross_entropy(network(X[rows]), y[rows]).backward()
        optimizer.step()

    return step


def population_step(shape: Shape) -> Callable[[], None]:
    """One step of every network of a population: weights [networks, n_in, n_out], one product for all of them."""
    X, y = _tensors(shape)
    pairs = list(zip(shape.sizes[:-1], shape.sizes[1:], strict=True))
    weights = [(torch.randn(POPULATION, a, b) * (2 / a) ** 0.5).requires_grad_() for a, b in pairs]
    biases = [torch.zeros(POPULATION, 1, b, requires_grad=True) for _, b in pairs]
    optimizer = torch.optim.Adam([*weights, *biases], lr=1e-3, fused=True)

    def step() -> None:
        rows = torch.randint(0, ROWS, (POPULATION, shape.batch))
        h = X[rows]
        for W, b in zip(weights[:-1], biases[:-1], strict=True):
            h = torch.relu(torch.baddbmm(b, h, W))
        z = torch.baddbmm(biases[-1], h, weights[-1])
        optimizer.zero_grad()
        loss = functional.cross_entropy(z.reshape(-1, shape.outputs), y[rows].reshape(-1))
        (loss * POPULATION).backward()  # each network's own mean
        optimizer.step()

    return step
