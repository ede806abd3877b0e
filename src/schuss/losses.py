"""Loss functions: one expression of prediction and target, with its derivative; softmax is the one special.

A loss is the mean over rows and outputs (PyTorch's "mean"), so its size does not depend on the batch.

>>> @loss
... def log_cosh(prediction, target):
...     e = abs(prediction - target)
...     return e + log1p(exp(-2 * e)) - 0.6931471805599453
>>> round(log_cosh(np.array([1.0]), np.array([0.0])), 4)
0.4338
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from schuss import expressions
from schuss.definitions import Settings, configured, label, lookup, names_of, recorded, signature
from schuss.errors import FormulaError
from schuss.expressions import Expression, exp, log1p, maximum, where
from schuss.programs import Program, compile_program


@dataclass(frozen=True, repr=False)
class Loss:
    """The price of a prediction p where y was right.

    `formula` is an expression of `prediction`, `target` and hyper-parameters; None marks softmax cross-entropy, whose
    targets are class numbers. `threshold` is the prediction above which a single output means the second class: 0 for
    losses on logits, 0.5 for losses on probabilities.
    """

    name: str
    formula: Expression | None = field(compare=False)
    settings: Settings = ()
    defaults: Settings = field(default=(), compare=False)
    description: str = field(default="", compare=False)
    threshold: float = 0.5
    expression: Expression | None = field(init=False)

    def __post_init__(self) -> None:
        fixed = None if self.formula is None else expressions.substitute(self.formula, dict(self.settings))
        object.__setattr__(self, "expression", fixed)

    @overload
    def __call__(self, prediction: NDArray[Any], target: NDArray[Any], /) -> float: ...
    @overload
    def __call__(self, /, **hyperparameters: float) -> Loss: ...
    def __call__(self, prediction: Any = None, target: Any = None, /, **hyperparameters: float) -> Any:
        """The mean loss of predictions [n, k] for targets [n, k] (softmax: class numbers [n]), or a configured copy."""
        if prediction is None:
            settings = configured(self.name, self.settings, hyperparameters)
            return Loss(self.name, self.formula, settings, self.defaults, self.description, self.threshold)
        return float(np.mean(self.values(np.asarray(prediction), np.asarray(target))))

    def values(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
        """The loss of every row and output [n, k]; softmax: of every row [n]."""
        if self.expression is None:
            shifted = prediction - prediction.max(axis=1, keepdims=True)
            chosen = np.take_along_axis(shifted, _column(target), axis=1)[:, 0]
            return np.asarray(np.log(np.exp(shifted).sum(axis=1)) - chosen)
        return np.asarray(expressions.evaluate(self.expression, {"prediction": prediction, "target": target}))

    def slopes(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
        """∂(loss of one row and output) / ∂prediction [n, k]; softmax: of one row."""
        if self.expression is None:
            e = np.exp(prediction - prediction.max(axis=1, keepdims=True))
            p = e / e.sum(axis=1, keepdims=True)
            np.put_along_axis(p, _column(target), np.take_along_axis(p, _column(target), axis=1) - 1, axis=1)
            return np.asarray(p)
        return np.asarray(expressions.evaluate(self.derivative, {"prediction": prediction, "target": target}))

    @cached_property
    def derivative(self) -> Expression:
        """∂loss/∂prediction as an expression of prediction and target."""
        if self.expression is None:
            raise FormulaError(
                "softmax cross-entropy is not elementwise; its slope is softmax(prediction) − one-hot(target)."
            )
        return expressions.derivative(self.expression, "prediction")

    @cached_property
    def program(self) -> Program | None:
        """(prediction, target) → (loss, slope) for the native engine, or None for softmax cross-entropy."""
        if self.expression is None:
            return None
        return compile_program([self.expression, self.derivative], inputs=["prediction", "target"])

    def __str__(self) -> str:
        return label(self.name, self.settings, self.defaults)

    __repr__ = __str__


def _column(target: NDArray[Any]) -> NDArray[np.int64]:
    return target.reshape(-1, 1).astype(np.int64)


def loss(function: Callable[..., Expression]) -> Loss:
    """Turn a function of (prediction, target) into a Loss; keyword-only arguments become hyper-parameters."""
    positional, settings = signature(function)
    if len(positional) != 2:
        raise FormulaError(
            f"a loss is a function of prediction and target, but {function.__name__} has {len(positional)} arguments."
        )
    results = recorded(function)
    if len(results) != 1:
        raise FormulaError(f"a loss returns one expression, but {function.__name__} returns {len(results)}.")
    renamed = {positional[0]: expressions.symbol("prediction"), positional[1]: expressions.symbol("target")}
    formula = expressions.substitute(results[0], renamed)
    return Loss(function.__name__, formula, settings, settings, (function.__doc__ or "").strip())


def find_loss(wanted: str | Loss) -> Loss:
    """A loss from itself, its name, or a configured name such as "huber(delta=0.5)"."""
    if isinstance(wanted, Loss):
        return wanted
    return lookup("loss", wanted, LOSSES, lambda found, **changes: found(**changes))


@loss
def squared_error(prediction: Expression, target: Expression) -> Expression:
    """(p − y)², PyTorch's MSELoss (Legendre, 1805)."""
    return (prediction - target) ** 2


@loss
def absolute_error(prediction: Expression, target: Expression) -> Expression:
    """|p − y|, PyTorch's L1Loss: outliers pull no harder than others (Laplace, 1774)."""
    return abs(prediction - target)


@loss
def huber(prediction: Expression, target: Expression, *, delta: float = 1.0) -> Expression:
    """Quadratic within δ, linear beyond, PyTorch's HuberLoss (Huber, 1964)."""
    error = abs(prediction - target)
    return where(error <= delta, 0.5 * error * error, delta * (error - 0.5 * delta))


def _binary_cross_entropy(prediction: Expression, target: Expression) -> Expression:
    """−y log σ(p) − (1 − y) log(1 − σ(p)) from the logit p, PyTorch's BCEWithLogitsLoss; y in 0 … 1."""
    return maximum(prediction, 0) - prediction * target + log1p(exp(-abs(prediction)))


_prediction, _target = expressions.symbol("prediction"), expressions.symbol("target")
binary_cross_entropy = Loss(
    "binary_cross_entropy",
    _binary_cross_entropy(_prediction, _target),
    description=_binary_cross_entropy.__doc__ or "",
    threshold=0.0,
)

softmax_cross_entropy = Loss(
    "softmax_cross_entropy",
    None,
    description="−log softmax(p)_y from the logits p of all classes, PyTorch's CrossEntropyLoss; y is a class number.",
)

LOSSES: dict[str, Loss] = names_of([squared_error, absolute_error, huber, binary_cross_entropy, softmax_cross_entropy])
