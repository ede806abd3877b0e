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
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Self, TypeAlias, get_args, overload

import numpy as np
from numpy.typing import NDArray

from schuss.definitions import Definition, Positive, Range, description, formula_of, lookup, names_of
from schuss.errors import FormulaError
from schuss.language import expressions
from schuss.language.expressions import Expression, exp, log1p, maximum, where
from schuss.language.programs import Program, compile_program

Smoothing: TypeAlias = Annotated[float, Range(0, 1)]  # a share of the target


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Loss(Definition):
    """The price of a prediction p where y was right.

    `formula` is an expression of `prediction`, `target` and hyper-parameters; None marks softmax cross-entropy, whose
    targets are class numbers. A hyper-parameter `smoothing` is a share of the target. `threshold` is the prediction
    above which a single output means the second class: 0 for losses on logits, 0.5 for losses on probabilities.
    """

    formula: Expression | None
    threshold: float = 0.5
    expression: Expression | None = field(init=False)

    def __post_init__(self) -> None:
        fixed = None if self.formula is None else expressions.substitute(self.formula, dict(self.settings))
        object.__setattr__(self, "expression", fixed)

    def _key(self) -> tuple[object, ...]:
        return (*super()._key(), self.threshold, id(self.expression))

    @property
    def smoothing(self) -> float:
        """The share of the target that is spread evenly over all classes, in losses that have this hyper-parameter."""
        return dict(self.settings).get("smoothing", 0.0)

    @overload
    def __call__(self, prediction: NDArray[Any], target: NDArray[Any], /) -> float: ...
    @overload
    def __call__(self, /, **hyperparameters: float) -> Self: ...
    def __call__(self, prediction: Any = None, target: Any = None, /, **hyperparameters: float) -> Any:
        """The mean loss of predictions [n, k] for targets [n, k] (softmax: class numbers [n]), or a configured copy."""
        chosen = super().__call__(**hyperparameters) if hyperparameters else self
        if prediction is None:
            return chosen
        return float(np.mean(chosen.values(np.asarray(prediction), np.asarray(target))))

    def values(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
        """The loss of every row and output [n, k]; softmax: of every row [n]."""
        if self.expression is None:
            shifted = prediction - prediction.max(axis=1, keepdims=True)
            expected = np.take_along_axis(shifted, _column(target), axis=1)[:, 0]
            if self.smoothing:
                expected = (1 - self.smoothing) * expected + self.smoothing * shifted.mean(axis=1)
            return np.asarray(np.log(np.exp(shifted).sum(axis=1)) - expected)
        return np.asarray(expressions.evaluate(self.expression, {"prediction": prediction, "target": target}))

    def slopes(self, prediction: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
        """∂(loss of one row and output) / ∂prediction [n, k]; softmax: of one row."""
        if self.expression is None:
            e = np.exp(prediction - prediction.max(axis=1, keepdims=True))
            p = e / e.sum(axis=1, keepdims=True)
            rest = np.take_along_axis(p, _column(target), axis=1) - (1 - self.smoothing)
            np.put_along_axis(p, _column(target), rest, axis=1)
            return np.asarray(p - self.smoothing / p.shape[1])
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


def _column(target: NDArray[Any]) -> NDArray[np.int64]:
    return target.reshape(-1, 1).astype(np.int64)


@overload
def loss(function: Callable[..., Expression], /) -> Loss: ...
@overload
def loss(*, threshold: float = ...) -> Callable[[Callable[..., Expression]], Loss]: ...
def loss(function: Callable[..., Expression] | None = None, *, threshold: float = 0.5) -> Any:
    """Turn a function of (prediction, target) into a Loss; used as `@loss` or as `@loss(threshold=0)`.

    Keyword-only arguments become hyper-parameters. FormulaError if the function cannot be recorded.
    """
    if function is None:
        return lambda price: replace(loss(price), threshold=threshold)
    formula, called = formula_of("a loss", function, ["prediction", "target"])
    new = Loss(name=function.__name__, formula=formula, description=description(function), **called.hyperparameters)
    new.derivative  # noqa: B018 (a FormulaError comes now, not in the middle of a population)
    return new


def find_loss(wanted: str | Loss) -> Loss:
    """A loss from itself, its name, or a configured name such as "huber(delta=0.5)"."""
    if isinstance(wanted, Loss):
        return wanted
    return lookup("loss", wanted, LOSSES)


@loss
def squared_error(prediction: Expression, target: Expression) -> Expression:
    """(p − y)², PyTorch's MSELoss (Legendre, 1805)."""
    return (prediction - target) ** 2


@loss
def absolute_error(prediction: Expression, target: Expression) -> Expression:
    """|p − y|, PyTorch's L1Loss: outliers pull no harder than others (Laplace, 1774)."""
    return abs(prediction - target)


@loss
def huber(prediction: Expression, target: Expression, *, delta: Positive = 1.0) -> Expression:
    """Quadratic within δ, linear beyond, PyTorch's HuberLoss (Huber, 1964)."""
    error = abs(prediction - target)
    return where(error <= delta, 0.5 * error * error, delta * (error - 0.5 * delta))


@loss(threshold=0.0)
def binary_cross_entropy(prediction: Expression, target: Expression, *, smoothing: Smoothing = 0.0) -> Expression:
    """−y log σ(p) − (1 − y) log(1 − σ(p)) from the logit p, PyTorch's BCEWithLogitsLoss; y in 0 … 1.

    With a smoothing s the target is (1 − s)·y + s/2, as of `softmax_cross_entropy` with two classes.
    """
    y = (1 - smoothing) * target + smoothing / 2
    return maximum(prediction, 0) - prediction * y + log1p(exp(-abs(prediction)))


softmax_cross_entropy = Loss(
    name="softmax_cross_entropy",
    formula=None,
    settings=(("smoothing", 0.0),),
    defaults=(("smoothing", 0.0),),
    ranges=get_args(Smoothing)[1:],
    description="""−log softmax(p)_y from the logits p of all classes, PyTorch's CrossEntropyLoss; y is a class number.

With a smoothing s it is −Σ t_j log softmax(p)_j, the target t being 1 − s at y and, besides, s/k for each of the
k classes, PyTorch's label_smoothing: no logit is driven to infinity (Szegedy et al., 2016).""",
)

LOSSES: dict[str, Loss] = names_of([squared_error, absolute_error, huber, binary_cross_entropy, softmax_cross_entropy])
