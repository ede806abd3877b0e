"""Make layers.npz: trainings with norms, dropout and residual blocks by PyTorch in float64.

Run it where PyTorch is installed (the tests themselves read only the file):

    python tests/golden/make_layers_golden.py

The stacks of the cases are nested lists, which this file walks on its own; norms are PyTorch's modules. A case has the
arrays of training.npz (make_training_golden.py) and, from the start and on all rows, ":outputs" and ":gradient" in
training without dropout, and ":predictions", the outputs with running statistics after the last epoch. Parameters are
one vector, layer by layer: W [n_in, n_out] by rows, b; or gain, shift, running mean, running variance, as many of them
as the norm has. Which units dropout keeps is counter-based, here in Python's whole numbers;
"kept:<seed>:<step>:<layer>:<rate>:<rows>:<units>" holds some of its values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from make_training_golden import FOLDER, GOLDEN, LOSS, MASK, PHI, ROWS, Array, mix, order, problem, rms
from torch import Tensor, nn

EPOCHS = 4

CASES: dict[str, dict[str, Any]] = {
    "batch-adamw": {
        "hidden": [["dense", 8, "identity"], ["batch", "tanh"], ["dense", 6, "identity"], ["batch", "relu"]],
        "sizes": [5, 3], "loss": "softmax_cross_entropy", "optimizer": "adamw(lr=0.03, weight_decay=0.1)",
        "batch_size": 8, "clip_norm": None, "seed": 1,
    },
    "layer-momentum": {
        "hidden": [
            ["dense", 7, "tanh"], ["residual", [["layer", "identity"], ["dense", 7, "tanh"]]],
            ["residual", [["dense", 9, "identity"], ["layer", "relu"], ["dense", 7, "identity"]]], ["layer", "tanh"],
        ],
        "sizes": [4, 2], "loss": "squared_error", "optimizer": "momentum(lr=0.05)", "batch_size": 8,
        "clip_norm": None, "seed": 2,
    },
    "rms-clipped": {
        "hidden": [
            ["rms", "identity"],
            ["residual", [
                ["dense", 6, "identity"], ["rms", "tanh"],
                ["residual", [["dense", 5, "sigmoid"], ["dense", 6, "identity"]]], ["dense", 4, "identity"],
            ]],
            ["dense", 5, "identity"], ["rms", "sigmoid"],
        ],
        "sizes": [4, 1], "loss": "binary_cross_entropy", "optimizer": "sgd(lr=0.5)", "batch_size": 8,
        "clip_norm": 0.3, "seed": 3,
    },
    "dropped": {
        "hidden": [
            ["dense", 8, "relu"], ["dropout", 0.3],
            ["residual", [["dense", 8, "identity"], ["batch", "tanh"], ["dropout", 0.5], ["dense", 8, "tanh"],
                          ["dropout", 0.1]]],
            ["batch", "tanh"], ["dropout", 0.2],
        ],
        "sizes": [5, 3], "loss": "softmax_cross_entropy", "optimizer": "momentum(lr=0.1)", "batch_size": 8,
        "clip_norm": 1.0, "seed": 2**63 - 5,
    },
}  # fmt: skip

OPTIMIZER = {
    "adamw(lr=0.03, weight_decay=0.1)": lambda parameters: torch.optim.AdamW(parameters, 0.03, weight_decay=0.1),
    "momentum(lr=0.05)": lambda parameters: torch.optim.SGD(parameters, 0.05, momentum=0.9),
    "momentum(lr=0.1)": lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9),
    "sgd(lr=0.5)": lambda parameters: torch.optim.SGD(parameters, 0.5),
}
NORM = {
    "batch": lambda n: nn.BatchNorm1d(n, dtype=torch.float64),
    "layer": lambda n: nn.LayerNorm(n, dtype=torch.float64),
    "rms": lambda n: nn.RMSNorm(n, eps=1e-5, dtype=torch.float64),
}

# --------------------------------------------------------------------------------------------------------------------
# Dropout
# --------------------------------------------------------------------------------------------------------------------


def hashed(x: int) -> int:
    """A hash of 32 bits."""
    x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32
    x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
    return x ^ (x >> 16)


def kept(seed: int, step: int, layer: int, rate: float, rows: int, units: int) -> Array:
    """Which units of which rows are kept, [rows, units]."""
    key = mix((mix((mix((seed + 2 * GOLDEN) & MASK) + step) & MASK) + layer) & MASK)
    low, high = key % 2**32, key >> 32
    values = [hashed((hashed((r * units + u) ^ low) + high) % 2**32) for r in range(rows) for u in range(units)]
    return (np.array(values) >= math.floor(rate * 2**32)).reshape(rows, units)


# --------------------------------------------------------------------------------------------------------------------
# Stacks
# --------------------------------------------------------------------------------------------------------------------


class Stack:
    """The layers of a case with their parameters; a forward pass leaves z and a of every layer in `z` and `a`."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.random = np.random.default_rng(100 + case["seed"])
        n_in, n_out = case["sizes"]
        self.parts: list[Any] = []  # (W, b), or a norm
        self.items, _ = self.build([*case["hidden"], ["dense", n_out, "identity"]], n_in)
        self.z: list[Tensor] = []
        self.a: list[Tensor] = []

    def draw(self, *shape: int, scale: float = 0.1, around: float = 0.0) -> Tensor:
        values = around + scale * self.random.standard_normal(shape)
        return torch.tensor(values.astype(np.float32).astype(np.float64), requires_grad=True)

    def build(self, hidden: list[Any], width: int) -> tuple[list[Any], int]:
        items = []
        for kind, *rest in hidden:
            if kind == "dense":
                units, phi = rest
                W = self.draw(width, units, scale=math.sqrt(2 / (width + units)))
                self.parts.append((W, self.draw(units)))
                items.append((kind, self.parts[-1], phi))
                width = units
            elif kind == "dropout":
                items.append((kind, rest[0], len(self.parts) - 1))
            elif kind == "residual":
                items.append((kind, *self.build(rest[0], width)))
            else:
                norm = NORM[kind](width)
                norm.weight.data = self.draw(width, around=1).detach()
                if kind != "rms":
                    norm.bias.data = self.draw(width).detach()
                self.parts.append(norm)
                items.append((kind, norm, rest[0]))
        return items, width

    def trained(self) -> list[Tensor]:
        return [p for part in self.parts for p in (part if isinstance(part, tuple) else part.parameters())]

    def vector(self) -> Array:
        """All parameters and running statistics, one after the other."""
        arrays = []
        for part in self.parts:
            values = list(part) if isinstance(part, tuple) else list(part.parameters())
            if isinstance(part, nn.BatchNorm1d):
                values += [part.running_mean, part.running_var]
            arrays += [v.detach().numpy().ravel() for v in values]
        return np.concatenate(arrays).copy()

    def gradient(self) -> Array:
        arrays = []
        for part in self.parts:
            values = list(part) if isinstance(part, tuple) else list(part.parameters())
            arrays += [v.grad.numpy().ravel() for v in values]
            if isinstance(part, nn.BatchNorm1d):
                arrays.append(np.zeros(2 * part.num_features))
        return np.concatenate(arrays).copy()

    def forward(self, X: Tensor, drop: tuple[int, int] | None = None) -> Tensor:
        self.z, self.a = [], []
        return self.through(self.items, X, drop)

    def through(self, items: list[Any], x: Tensor, drop: tuple[int, int] | None) -> Tensor:
        for kind, what, more in items:
            if kind == "residual":
                x = x + self.through(what, x, drop)
            elif kind == "dropout":
                if drop is not None:
                    mask = torch.tensor(kept(*drop, more, what, *x.shape))
                    x = x * mask * float(np.float32(1 / (1 - what)))
            else:
                z = x @ what[0] + what[1] if kind == "dense" else what(x)
                if z.requires_grad:
                    z.retain_grad()
                x = z if more == "identity" else PHI[more](z)
                self.z.append(z)
                self.a.append(x)
        return x

    def training(self, wanted: bool, momentum: float = 0.1) -> None:
        """Whether norms take the statistics of the batch; a momentum of 0 leaves the running ones as they are."""
        for part in self.parts:
            if isinstance(part, nn.BatchNorm1d):
                part.train(wanted)
                part.momentum = momentum

    def phis(self) -> list[str]:
        def of(items: list[Any]) -> Iterator[str]:
            for kind, what, more in items:
                if kind == "residual":
                    yield from of(what)
                elif kind != "dropout":
                    yield more

        return list(of(self.items))


def flow(stack: Stack, before: list[Tensor], X: Tensor, target: Tensor) -> Array:
    """Every quantity of the gradient flow by automatic differentiation; of a norm's parameters the gain counts."""
    stack.training(True, momentum=0.0)
    for p in stack.trained():
        p.grad = None
    LOSS[stack.case["loss"]](stack.forward(X), target).backward()
    rows = []
    for part, W_before, z, a, phi in zip(stack.parts, before, stack.z, stack.a, stack.phis(), strict=True):
        W = part[0] if isinstance(part, tuple) else part.weight
        points = z.detach().clone().requires_grad_()
        (points * 1.0 if phi == "identity" else PHI[phi](points)).sum().backward()
        slopes = points.grad.abs()
        rows.append([
            rms(z.grad) * len(X), rms(W.grad), float(z.detach().mean()), rms(z), float(a.detach().mean()), rms(a),
            float((slopes < 0.01 * (0.25 if phi == "sigmoid" else 1.0)).double().mean()),
            float((slopes == 0).all(dim=0).double().mean()),
            rms(W - W_before) / rms(W_before),
        ])  # fmt: skip
    return np.array(rows)


# --------------------------------------------------------------------------------------------------------------------
# Training
# --------------------------------------------------------------------------------------------------------------------


def training(name: str, case: dict[str, Any]) -> Iterator[tuple[str, Array]]:
    """The arrays of one case."""
    X, Y, labels = problem(case)
    yield from ((f"{name}:X", X), (f"{name}:Y", Y), (f"{name}:labels", labels))
    inputs = torch.tensor(X.astype(np.float64))
    is_softmax = case["loss"] == "softmax_cross_entropy"
    target = torch.tensor(labels.astype(np.int64)) if is_softmax else torch.tensor(Y.astype(np.float64))
    stack, loss_of = Stack(case), LOSS[case["loss"]]
    yield f"{name}:start", stack.vector()
    stack.training(True, momentum=0.0)
    outputs = stack.forward(inputs)
    loss_of(outputs, target).backward()
    yield from ((f"{name}:outputs", outputs.detach().numpy()), (f"{name}:gradient", stack.gradient()))

    optimizer = OPTIMIZER[case["optimizer"]](stack.trained())
    before, after, losses, step = stack.trained(), [], [], 0
    stack.training(True)
    for epoch in range(EPOCHS):
        rows, total = order(case["seed"], epoch, ROWS), 0.0
        for start in range(0, ROWS, case["batch_size"]):
            batch = rows[start : start + case["batch_size"]]
            optimizer.zero_grad()
            loss = loss_of(stack.forward(inputs[batch], (case["seed"], step)), target[batch])
            loss.backward()
            if case["clip_norm"]:
                nn.utils.clip_grad_norm_(stack.trained(), case["clip_norm"])
            before = [(part[0] if isinstance(part, tuple) else part.weight).detach().clone() for part in stack.parts]
            optimizer.step()
            step += 1
            total += len(batch) * float(loss.detach())
        after.append(stack.vector())
        losses.append(total / ROWS)
    yield from ((f"{name}:parameters", np.array(after)), (f"{name}:losses", np.array(losses)))
    yield f"{name}:flow", flow(stack, before, inputs, target)
    stack.training(False)
    yield f"{name}:predictions", stack.forward(inputs).detach().numpy()


def main() -> None:
    """Write layers.npz."""
    arrays: dict[str, Array] = {"cases": np.array(json.dumps(CASES))}
    for name, case in CASES.items():
        arrays |= training(name, case)
    for numbers in [(0, 0, 0, 0.5, 9, 7), (1, 0, 0, 0.5, 9, 7), (0, 1, 0, 0.5, 9, 7), (0, 0, 1, 0.5, 9, 7),
                    (2**63 - 1, 2**31, 59, 0.1, 5, 33), (5, 3, 2, 0.999, 20, 50)]:  # fmt: skip
        arrays["kept:" + ":".join(map(str, numbers))] = kept(*numbers)
    path = FOLDER / "layers.npz"
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
