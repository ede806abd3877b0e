"""The names that other libraries give to definitions of schuss: scikit-learn, Keras, PyTorch, JAX.

>>> known_name("activation", "Leaky-ReLU", ["leaky_relu"]), ALIASES["activation"]["swish"]
('leaky_relu', 'silu')
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping

from schuss.errors import SchussWarning

# By kind; compared in lower case, without - and _ (so that LeakyReLU, leaky-relu and leakyrelu are leaky_relu).
ALIASES: Mapping[str, Mapping[str, str]] = {
    "activation": {
        "logistic": "sigmoid", "expit": "sigmoid", "swish": "silu", "hardswish": "hard_silu", "linear": "identity",
        "none": "identity", "rectifier": "relu", "lrelu": "leaky_relu", "relu2": "squared_relu",
        "hardsigmoid": "hard_sigmoid", "hardtanh": "hard_tanh", "geluapproximate": "gelu_tanh", "gelunew": "gelu_tanh",
    },
    "optimizer": {
        "gradientdescent": "gd", "batchgradientdescent": "gd", "stochasticgradientdescent": "sgd",
        "heavyball": "momentum", "sgdmomentum": "momentum", "nag": "nesterov",
    },
    "loss": {
        "mse": "squared_error", "mseloss": "squared_error", "meansquarederror": "squared_error", "l2": "squared_error",
        "mae": "absolute_error", "l1": "absolute_error", "l1loss": "absolute_error",
        "meanabsoluteerror": "absolute_error", "huberloss": "huber", "bce": "binary_cross_entropy",
        "binarycrossentropy": "binary_cross_entropy", "bcewithlogitsloss": "binary_cross_entropy",
        "crossentropy": "softmax_cross_entropy", "crossentropyloss": "softmax_cross_entropy",
        "categoricalcrossentropy": "softmax_cross_entropy", "logloss": "softmax_cross_entropy",
    },
    "initializer": {
        "xavieruniform": "glorot_uniform", "xaviernormal": "glorot_normal", "kaiminguniform": "he_uniform",
        "kaimingnormal": "he_normal", "lecunnormal": "lecun", "randomnormal": "normal", "randomuniform": "uniform",
    },
    "schedule": {
        "cosineannealing": "cosine", "cosineannealinglr": "cosine", "cosinedecay": "cosine", "steplr": "step",
        "exponentiallr": "exponential", "exponentialdecay": "exponential",
    },
}  # fmt: skip


def known_name(kind: str, name: str, known: Collection[str]) -> str:
    """The name by which schuss knows a definition; a SchussWarning says where another library's name was read.

    Spellings that differ only in capitals, - and _ are read without one. What is not known comes back as it is.
    """
    if name in known:
        return name
    plain = _plain(name)
    spelled = {_plain(own): own for own in known}
    if plain in spelled:
        return spelled[plain]
    own = ALIASES.get(kind, {}).get(plain)
    if own is None or own not in known:
        return name
    warnings.warn(f"the {kind} '{name}' is '{own}' in schuss.", SchussWarning, stacklevel=4)
    return own


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")
