"""Make training.npz: whole trainings of small networks by PyTorch in float64.

Run it where PyTorch is installed (the tests themselves read only the file):

    python tests/golden/make_training_golden.py

A case has the arrays ":X", ":Y", ":labels" of the training part, ":weights" of its rows (none: empty), ":start"
(initial parameters), ":parameters" (after every epoch), ":losses" (mean of an epoch's batch losses by their rows,
before the updates), and ":flow", the gradient flow of all rows after the last epoch: [layer, quantity] in the order of
`QUANTITIES`. Parameters are one vector, W [n_in, n_out] by rows, then b, layer by layer. The order of the rows is the
counter-based shuffle of the engines, here in Python's whole numbers; "order:<seed>:<epoch>:<n>" holds some of its
values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Array = NDArray[Any]

FOLDER = Path(__file__).parent
ROWS, EPOCHS = 26, 5  # with batches of 8: 20 steps, and a last batch of 2 rows in every epoch

CASES: dict[str, dict[str, Any]] = {
    "tanh-adam": {
        "sizes": [5, 8, 6, 3], "activation": "tanh", "loss": "softmax_cross_entropy", "optimizer": "adam(lr=0.03)",
        "batch_size": 8, "clip_norm": None, "seed": 1,
    },
    "relu-momentum": {
        "sizes": [4, 7, 7, 2], "activation": "relu", "loss": "squared_error", "optimizer": "momentum(lr=0.05)",
        "batch_size": 8, "clip_norm": None, "seed": 2,
    },
    "sigmoid-clipped": {
        "sizes": [4, 6, 6, 1], "activation": "sigmoid", "loss": "binary_cross_entropy", "optimizer": "sgd(lr=2.0)",
        "batch_size": 8, "clip_norm": 0.2, "seed": 3,
    },
    "weighted-numbers": {
        "sizes": [4, 7, 2], "activation": "tanh", "loss": "squared_error", "optimizer": "momentum(lr=0.05)",
        "batch_size": 8, "clip_norm": None, "seed": 4, "weighted": True,
    },
    "weighted-smooth-classes": {
        "sizes": [5, 8, 3], "activation": "tanh", "loss": "softmax_cross_entropy(smoothing=0.1)",
        "optimizer": "adam(lr=0.03)", "batch_size": 8, "clip_norm": 0.5, "seed": 5, "weighted": True,
    },
    "weighted-two-classes": {
        "sizes": [4, 6, 1], "activation": "sigmoid", "loss": "binary_cross_entropy", "optimizer": "sgd(lr=2.0)",
        "batch_size": 8, "clip_norm": None, "seed": 6, "weighted": True,
    },
    "smooth-two-classes": {
        "sizes": [4, 6, 1], "activation": "tanh", "loss": "binary_cross_entropy(smoothing=0.2)",
        "optimizer": "adam(lr=0.03)", "batch_size": 8, "clip_norm": None, "seed": 7,
    },
}  # fmt: skip

PHI: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}
LOSS: dict[str, Callable[..., Tensor]] = {
    "softmax_cross_entropy": functional.cross_entropy,
    "softmax_cross_entropy(smoothing=0.1)": partial(functional.cross_entropy, label_smoothing=0.1),
    "squared_error": functional.mse_loss,
    "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
    "binary_cross_entropy(smoothing=0.2)": lambda p, y: functional.binary_cross_entropy_with_logits(p, 0.8 * y + 0.1),
}
OPTIMIZER: dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
    "adam(lr=0.03)": lambda parameters: torch.optim.Adam(parameters, 0.03),
    "momentum(lr=0.05)": lambda parameters: torch.optim.SGD(parameters, 0.05, momentum=0.9),
    "sgd(lr=2.0)": lambda parameters: torch.optim.SGD(parameters, 2.0),
}

# --------------------------------------------------------------------------------------------------------------------
# The order of the rows
# --------------------------------------------------------------------------------------------------------------------

MASK, GOLDEN = 2**64 - 1, 0x9E3779B97F4A7C15


def mix(x: int) -> int:
    """The finalizer of SplitMix64."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def order(seed: int, epoch: int, n: int) -> list[int]:
    """Fisher and Yates' shuffle, from the last place to the first."""
    key = mix((mix((seed + GOLDEN) & MASK) + epoch) & MASK)
    rows = list(range(n))
    for i in range(n - 1, 0, -1):
        random = mix((key + (i + 1) * GOLDEN) & MASK)
        j = (random >> 32) * (i + 1) >> 32
        rows[i], rows[j] = rows[j], rows[i]
    return rows


# --------------------------------------------------------------------------------------------------------------------
# Training
# --------------------------------------------------------------------------------------------------------------------


def problem(case: dict[str, Any]) -> tuple[Array, Array, Array]:
    """Inputs X, targets Y and class numbers (none for regression) in float32, which float64 holds exactly."""
    random = np.random.default_rng(case["seed"])
    n_in, n_out = case["sizes"][0], case["sizes"][-1]
    X = random.standard_normal((ROWS, n_in)).astype(np.float32)
    Y = (X @ random.standard_normal((n_in, n_out)) + 0.3 * random.standard_normal((ROWS, n_out))).astype(np.float32)
    if case["loss"] == "squared_error":
        return X, Y, np.zeros(0, np.int32)
    labels = (Y.argmax(axis=1) if n_out > 1 else Y[:, 0] > 0).astype(np.int32)
    return X, labels[:, None].astype(np.float32), labels


def initial(case: dict[str, Any]) -> list[Tensor]:
    """W, b, W, b, …: Glorot's weights and small biases."""
    random = np.random.default_rng(100 + case["seed"])
    parameters = []
    for n_in, n_out in zip(case["sizes"][:-1], case["sizes"][1:], strict=True):
        W = math.sqrt(2 / (n_in + n_out)) * random.standard_normal((n_in, n_out))
        for values in (W, 0.1 * random.standard_normal(n_out)):
            exact = values.astype(np.float32).astype(np.float64)
            parameters.append(torch.tensor(exact, requires_grad=True))
    return parameters


def forward(case: dict[str, Any], parameters: list[Tensor], X: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """z and a of every layer."""
    zs, activations = [], []
    a = X
    for layer, (W, b) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
        z = a @ W + b
        z.retain_grad()
        a = PHI[case["activation"]](z) if layer < len(case["sizes"]) - 2 else z
        zs.append(z)
        activations.append(a)
    return zs, activations


def vector(parameters: list[Tensor]) -> Array:
    """All parameters, one after the other."""
    return np.concatenate([p.detach().numpy().ravel() for p in parameters])


def rms(x: Tensor) -> float:
    """Root mean square."""
    return float(torch.sqrt(torch.mean(x.detach() ** 2)))


def mean_loss(case: dict[str, Any], outputs: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """The mean over rows and outputs, each row times its weight if there are weights."""
    if not len(weights):
        return LOSS[case["loss"]](outputs, target)
    return (LOSS[case["loss"]](outputs, target, reduction="none").reshape(len(weights), -1) * weights[:, None]).mean()


def flow(
    case: dict[str, Any], parameters: list[Tensor], before: list[Tensor], X: Tensor, target: Tensor, weights: Tensor
) -> Array:
    """Every quantity of the gradient flow by automatic differentiation."""
    for p in parameters:
        p.grad = None
    zs, activations = forward(case, parameters, X)
    mean_loss(case, activations[-1], target, weights).backward()
    rows = []
    for layer, (z, a) in enumerate(zip(zs, activations, strict=True)):
        W, W_before = parameters[2 * layer], before[2 * layer]
        points = z.detach().clone().requires_grad_()
        hidden = layer < len(zs) - 1
        (PHI[case["activation"]](points) if hidden else 1.0 * points).sum().backward()
        slopes = points.grad.abs()
        largest = 0.25 if hidden and case["activation"] == "sigmoid" else 1.0
        rows.append([
            rms(z.grad) * len(X), rms(W.grad), float(z.detach().mean()), rms(z), float(a.detach().mean()), rms(a),
            float((slopes < 0.01 * largest).double().mean()),
            float((slopes == 0).all(dim=0).double().mean()),
            rms(W - W_before) / rms(W_before),
        ])  # fmt: skip
    return np.array(rows)


def training(name: str, case: dict[str, Any]) -> Iterator[tuple[str, Array]]:
    """The arrays of one case."""
    X, Y, labels = problem(case)
    yield from ((f"{name}:X", X), (f"{name}:Y", Y), (f"{name}:labels", labels))
    inputs = torch.tensor(X.astype(np.float64))
    is_softmax = case["loss"].startswith("softmax_cross_entropy")
    target = torch.tensor(labels.astype(np.int64)) if is_softmax else torch.tensor(Y.astype(np.float64))
    counts = np.zeros(0, np.float32)
    if case.get("weighted"):
        counts = np.random.default_rng(case["seed"]).gamma(1.0, size=ROWS).astype(np.float32)
        counts[::7] = 0
    yield f"{name}:weights", counts
    weights = torch.tensor(counts.astype(np.float64))
    parameters = initial(case)
    yield f"{name}:start", vector(parameters)
    optimizer = OPTIMIZER[case["optimizer"]](parameters)
    before, after, losses = parameters, [], []
    for epoch in range(EPOCHS):
        rows, total = order(case["seed"], epoch, ROWS), 0.0
        for start in range(0, ROWS, case["batch_size"]):
            batch = rows[start : start + case["batch_size"]]
            optimizer.zero_grad()
            outputs = forward(case, parameters, inputs[batch])[1][-1]
            loss = mean_loss(case, outputs, target[batch], weights[batch] if len(weights) else weights)
            loss.backward()
            if case["clip_norm"]:
                torch.nn.utils.clip_grad_norm_(parameters, case["clip_norm"])
            before = [p.detach().clone() for p in parameters]
            optimizer.step()
            total += len(batch) * float(loss.detach())
        after.append(vector(parameters))
        losses.append(total / ROWS)
    yield from ((f"{name}:parameters", np.array(after)), (f"{name}:losses", np.array(losses)))
    yield f"{name}:flow", flow(case, parameters, before, inputs, target, weights)


def main() -> None:
    """Write training.npz."""
    arrays: dict[str, Array] = {"cases": np.array(json.dumps(CASES))}
    for name, case in CASES.items():
        arrays |= training(name, case)
    for seed, epoch, n in [(0, 0, 10), (0, 1, 10), (1, 0, 10), (2**63 - 1, 3, 33), (7, 2**31, 100), (5, 5, 1)]:
        arrays[f"order:{seed}:{epoch}:{n}"] = np.array(order(seed, epoch, n))
    path = FOLDER / "training.npz"
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
