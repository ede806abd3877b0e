"""Values and slopes of smooth activations far from 0, by mpmath with 400 digits: `python make_tails_golden.py`.

There the textbook forms cancel, overflow or lose what they multiply: 1 + erf(z/√2), 1 − tanh(z)², z + √(z² + 4).
"""

from __future__ import annotations

from pathlib import Path

import mpmath as mp
import numpy as np

mp.mp.dps = 400


def sigmoid(z: mp.mpf) -> mp.mpf:
    return 1 / (1 + mp.exp(-z))


def softplus(z: mp.mpf) -> mp.mpf:
    return mp.log1p(mp.exp(z))


ACTIVATIONS = {
    "sigmoid": sigmoid,
    "tanh": mp.tanh,
    "softplus": softplus,
    "log_sigmoid": lambda z: -softplus(-z),
    "gelu": lambda z: z * mp.ncdf(z),
    "gelu_tanh": lambda z: z / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (z + mp.mpf("0.044715") * z**3))),
    "silu": lambda z: z * sigmoid(z),
    "mish": lambda z: z * mp.tanh(softplus(z)),
    "elu": lambda z: z if z > 0 else mp.expm1(z),
    "softsign": lambda z: z / (1 + abs(z)),
    "squareplus": lambda z: (z + mp.sqrt(z * z + 4)) / 2,
}
NEAR = [2, 2.5, 3, 4, 5, 5.5, 6, 7, 8, 9, 10, 12]
FAR = {
    "sigmoid": [18, 30, 60, 85], "tanh": [18, 30, 42], "softplus": [30, 85], "log_sigmoid": [30, 85],
    "silu": [30, 80], "mish": [30, 80], "elu": [18, 60, 85], "softsign": [100, 1e4],
    "squareplus": [1e2, 1e3, 1e6, 1e12, 2e19],
}  # fmt: skip


def main() -> None:
    arrays = {}
    for name, phi in ACTIVATIONS.items():
        size = np.array(NEAR + FAR.get(name, []), np.float32)
        z = np.concatenate([-size, size])
        exact = [mp.mpf(float(x)) for x in z]
        arrays[f"{name}_z"] = z
        arrays[f"{name}_value"] = np.array([float(phi(x)) for x in exact])
        arrays[f"{name}_slope"] = np.array([float(mp.diff(phi, x)) for x in exact])
    np.savez(Path(__file__).with_name("tails.npz"), **arrays)


if __name__ == "__main__":
    main()
