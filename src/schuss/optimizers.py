"""Optimizers in historical order, each fixing a flaw of the one before.

A function decorated with `optimizer` becomes an `Optimizer`. Its signature defines the rule: `w` are the weights and
`g` the gradient, further positional names are the rule's state (zero at the start), `t` is the step, counted from 1,
and keyword-only names are hyper-parameters. Annotations state their ranges: `Positive`, `NonNegative`, `Fraction` or
`Annotated[float, Range(low, high)]` of `schuss.definitions`. The function returns the new weights and the new state,
in the order of the arguments.

>>> from schuss.definitions import Fraction
>>> from schuss.language.expressions import sign
>>> @optimizer(search=(1e-4, 1e-1))
... def signed(w, g, m, *, lr=0.001, beta: Fraction = 0.9):
...     m = beta * m + (1 - beta) * g
...     return w - lr * sign(m), m
>>> signed.state, signed(lr=0.01)
(('m',), signed(lr=0.01))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from schuss.definitions import (
    Definition,
    Fraction,
    NonNegative,
    Positive,
    description,
    lookup,
    names_of,
    recorded,
    signature,
)
from schuss.errors import FormulaError, InvalidInput, positive_number
from schuss.landscapes import LANDSCAPES, best_descent, find_landscape
from schuss.language import expressions, formulas
from schuss.language.expressions import Expression, sqrt
from schuss.language.programs import Program, compile_program
from schuss.show import charts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Update: TypeAlias = "tuple[Expression, ...] | Expression"


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Optimizer(Definition):
    """A rule that turns a gradient into new weights.

    `updates` holds the new weights, then the new state, as expressions of w, g, the state, t and the hyper-parameters.
    `search` is the range of learning rates, on a log scale, in which `compare` looks for the best one.
    `full_batch` rules take the whole training set as their batch. `adam(lr=0.01)` is a configured copy.
    """

    updates: tuple[Expression, ...]
    state: tuple[str, ...]
    search: tuple[float, float]
    full_batch: bool

    def _key(self) -> tuple[object, ...]:
        return (*super()._key(), self.state, self.search, self.full_batch, *map(id, self.updates))

    @property
    def lr(self) -> float:
        """The learning rate."""
        return dict(self.settings)["lr"]

    def step(
        self, w: NDArray[Any], g: NDArray[Any], state: NDArray[Any], t: int, lr: float
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """One update: weights [n], gradient [n] and state [n_state, n] → new weights and new state, dtype kept."""
        values = {
            **dict(self.settings),
            "lr": lr,
            "t": float(t),
            "w": w,
            "g": g,
            **dict(zip(self.state, state, strict=True)),
        }
        new = [np.broadcast_to(expressions.evaluate(e, values), w.shape).astype(w.dtype) for e in self.updates]
        return new[0], np.stack(new[1:]) if self.state else state

    @cached_property
    def program(self) -> Program:
        """(w, g, *state) → (w, *state) in place, for the native engine; scalars are the hyper-parameters, then t."""
        return _compiled(self.updates, self.state, tuple(name for name, _ in self.settings))

    @property
    def text(self) -> str:
        """The rule in Python's notation: one assignment for each of w and the state."""
        return "; ".join(
            f"{name} = {formulas.text(e)}" for name, e in zip(("w", *self.state), self.updates, strict=True)
        )

    @property
    def latex(self) -> str:
        """The rule as LaTeX: w and each state, as they become."""
        lines = [
            f"{name} \\leftarrow {formulas.latex(e)}" for name, e in zip(("w", *self.state), self.updates, strict=True)
        ]
        return " \\\\ ".join([*lines[1:], lines[0]])

    def plot(self, ax: Axes | None = None, *, landscape: str = "valley") -> Axes:
        """The rule's own descent on a landscape of two weights: "valley", "rosenbrock" or "saddle".

        At the learning rate that was set, else at the one that ends lowest (`schuss.landscapes.best_descent`).
        """
        return charts.descent_path(best_descent(self, find_landscape(landscape)), ax)

    def figure(self) -> Figure:
        """The descent on every landscape, that of plain gradient descent beside it in gray."""
        own, plain = ([best_descent(rule, land) for land in LANDSCAPES.values()] for rule in (self, gd))
        return charts.rule_figure(own, plain)


@lru_cache(maxsize=256)
def _compiled(updates: tuple[Expression, ...], state: tuple[str, ...], settings: tuple[str, ...]) -> Program:
    """Once for all copies of a rule, however they are configured: a search has thousands."""
    aliases = {0: 0} | {k: k + 1 for k in range(1, len(updates))}
    return compile_program(updates, ["w", "g", *state], [*settings, "t"], aliases)


@overload
def optimizer(function: Callable[..., Update], /) -> Optimizer: ...
@overload
def optimizer(
    *, search: tuple[float, float] = ..., full_batch: bool = ...
) -> Callable[[Callable[..., Update]], Optimizer]: ...
def optimizer(
    function: Callable[..., Update] | None = None,
    *,
    search: tuple[float, float] = (1e-4, 1.0),
    full_batch: bool = False,
) -> Any:
    """Turn an update rule into an Optimizer; used as `@optimizer` or as `@optimizer(search=(1e-4, 1e-1))`.

    Parameters
    ----------
    search : the lowest and the highest learning rate that `compare` tries.
    full_batch : whether every step takes the whole training set, as gradient descent does.

    FormulaError if the rule lacks w, g or the hyper-parameter lr, or does not return w and each state.
    """
    if function is None:
        return lambda rule: _recorded_rule(rule, search, full_batch)
    return _recorded_rule(function, search, full_batch)


def _recorded_rule(function: Callable[..., Update], search: Any, full_batch: bool) -> Optimizer:
    """Read the signature of an update rule and record it."""
    called = signature(function, own=["lr"])
    positional, settings = called.positional, called.settings
    if positional[:2] != ("w", "g"):
        raise FormulaError(f"an optimizer's first arguments are w and g, but {function.__name__} has {positional}.")
    if "lr" not in dict(settings):
        raise FormulaError(
            f"an optimizer has a learning rate: give {function.__name__} a keyword-only lr with a default."
        )
    state = tuple(name for name in positional[2:] if name != "t")
    updates = recorded(function)
    if len(updates) != 1 + len(state):
        raise FormulaError(
            f"{function.__name__} keeps {len(state)} state arrays {state}, so it must return {1 + len(state)} values "
            f"(the new w, then each state), but it returns {len(updates)}."
        )
    if not isinstance(search, tuple | list) or len(search) != 2:
        raise InvalidInput(f"search is the lowest and the highest learning rate, (1e-4, 1e-1), but is {search!r:.60}.")
    low, high = (positive_number("a learning rate to search from or to", rate) for rate in search)
    return Optimizer(
        name=function.__name__, updates=updates, state=state, description=description(function), search=(low, high),
        full_batch=full_batch, **called.hyperparameters,
    )  # fmt: skip


def find_optimizer(wanted: str | Optimizer) -> Optimizer:
    """An optimizer from itself, its name, or a configured name such as "adam(lr=0.01, beta1=0.8)".

    >>> find_optimizer("momentum(lr=0.1)")
    momentum(lr=0.1)
    """
    if isinstance(wanted, Optimizer):
        return wanted
    return lookup("optimizer", wanted, OPTIMIZERS)


@optimizer(search=(1e-2, 10.0), full_batch=True)
def gd(w: Expression, g: Expression, *, lr: Positive = 0.1) -> Update:
    """Gradient descent: the exact gradient of the whole training set for every step (Cauchy, 1847)."""
    return w - lr * g


@optimizer(search=(1e-3, 1.0))
def sgd(w: Expression, g: Expression, *, lr: Positive = 0.01) -> Update:
    """Stochastic gradient descent: the same rule on random parts of the data (Robbins and Monro, 1951)."""
    return w - lr * g


@optimizer(search=(1e-4, 1.0))
def momentum(w: Expression, g: Expression, v: Expression, *, lr: Positive = 0.01, momentum: Fraction = 0.9) -> Update:
    """SGD with momentum (Polyak, 1964), in PyTorch's form: v ← μv + g, w ← w − lr·v; it zigzags less.

    Keras keeps lr·v instead, which differs only while the learning rate changes.
    """
    v = momentum * v + g
    return w - lr * v, v


@optimizer(search=(1e-4, 1.0))
def nesterov(w: Expression, g: Expression, v: Expression, *, lr: Positive = 0.01, momentum: Fraction = 0.9) -> Update:
    """Momentum that looks one step ahead (Nesterov, 1983), in PyTorch's form: w ← w − lr·(g + μv)."""
    v = momentum * v + g
    return w - lr * (g + momentum * v), v


@optimizer(search=(1e-3, 1.0))
def adagrad(
    w: Expression, g: Expression, s: Expression, *, lr: Positive = 0.01, epsilon: NonNegative = 1e-10
) -> Update:
    """A step size of its own for each weight, smaller the more it has moved (Duchi et al., 2011).

    ε stands outside the root and s starts at 0, as in PyTorch; Keras has √(s + ε), and s starts at 0.1.
    """
    s = s + g * g
    return w - lr * g / (sqrt(s) + epsilon), s


@optimizer(search=(1e-4, 1e-1))
def rmsprop(
    w: Expression,
    g: Expression,
    s: Expression,
    *,
    lr: Positive = 0.01,
    decay: Fraction = 0.99,
    epsilon: NonNegative = 1e-8,
) -> Update:
    """Adagrad that forgets, so that its steps do not die out (Hinton, 2012); `decay` is PyTorch's alpha.

    ε stands outside the root, as in PyTorch; Keras has √(s + ε), and 0.9 for the decay.
    """
    s = decay * s + (1 - decay) * g * g
    return w - lr * g / (sqrt(s) + epsilon), s


@optimizer(search=(1e-4, 1e-1))
def adam(
    w: Expression, g: Expression, m: Expression, v: Expression, t: Expression,
    *, lr: Positive = 1e-3, beta1: Fraction = 0.9, beta2: Fraction = 0.999, epsilon: NonNegative = 1e-8,
) -> Update:  # fmt: skip
    """Momentum and RMSProp together, both corrected for their start at zero (Kingma and Ba, 2015).

    Algorithm 1 of the paper, as in PyTorch; Keras adds ε before the correction of v, and takes 1e-7.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    return w - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + epsilon), m, v


@optimizer(search=(1e-4, 1e-1))
def adamw(
    w: Expression, g: Expression, m: Expression, v: Expression, t: Expression,
    *, lr: Positive = 1e-3, beta1: Fraction = 0.9, beta2: Fraction = 0.999, epsilon: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.01,
) -> Update:  # fmt: skip
    """Adam with weight decay beside the gradient, not inside it (Loshchilov and Hutter, 2019)."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    w = w * (1 - lr * weight_decay)
    return w - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + epsilon), m, v


OPTIMIZERS: dict[str, Optimizer] = names_of([gd, sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw])


def figure(chosen: Sequence[str | Optimizer] | None = None, *, landscape: str = "valley") -> Figure:
    """Optimizers on one landscape, a panel each, and their losses; all built-in ones unless some are named."""
    rules = list(map(find_optimizer, OPTIMIZERS if chosen is None else chosen))
    land = find_landscape(landscape)
    if not rules:
        raise InvalidInput("there is nothing to draw; name at least one optimizer, such as 'adam'.")
    return charts.descents_figure([best_descent(rule, land) for rule in rules])
