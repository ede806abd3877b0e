"""Activation functions, simplest first: each is one Python expression, from which everything else is derived.

A function decorated with `activation` becomes an `Activation`: it evaluates on arrays, knows its exact derivative, its
formula, its range and its largest slope, and runs natively. User-defined activations have the same capabilities.

>>> @activation
... def mine(z, *, sharpness=1.7):
...     return z * sigmoid(sharpness * z)
>>> mine(np.array([0.0, 1.0])).round(4).tolist()
[0.0, 0.8455]
>>> mine(sharpness=1.0)
mine(sharpness=1)
>>> float(sigmoid.largest_slope)
0.25
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from schuss.definitions import Definition, NonNegative, Positive, Range, description, formula_of, lookup, names_of
from schuss.errors import InvalidInput, positive_integer
from schuss.language import expressions, formulas
from schuss.language.expressions import (
    Expression,
    Operand,
    exp,
    expm1,
    hypot,
    log1p,
    maximum,
    minimum,
    normal_cdf,
    sqrt,
    where,
)
from schuss.language.programs import Program, compile_program
from schuss.show import charts
from schuss.tailoring import tailored_numbers, tailored_slope

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Activation(Definition):
    """A function φ(z) applied to every unit of a layer.

    `phi(x)` evaluates on an array of any shape and keeps its dtype; `phi(slope=0.1)` is a configured copy; applied to
    an expression it records, so definitions can use one another.
    """

    formula: Expression  # of z and the hyper-parameters' symbols
    expression: Expression = field(init=False)  # of z alone

    def __post_init__(self) -> None:
        object.__setattr__(self, "expression", expressions.substitute(self.formula, dict(self.settings)))

    def _key(self) -> tuple[object, ...]:
        return (*super()._key(), id(self.expression))

    @overload
    def __call__(self, z: Expression, /) -> Expression: ...
    @overload
    def __call__(self, z: Any, /) -> NDArray[Any]: ...
    @overload
    def __call__(self, /, **hyperparameters: float) -> Self: ...
    def __call__(self, z: Any = None, /, **hyperparameters: float) -> Any:
        """φ of an array or an expression, or a configured copy."""
        chosen = super().__call__(**hyperparameters) if hyperparameters else self
        if z is None:
            return chosen
        if isinstance(z, Expression):
            return expressions.substitute(chosen.expression, {"z": z})
        return _on_array(chosen.expression, z)

    def slope(self, z: Any) -> NDArray[Any]:
        """φ′(z), elementwise.

        >>> relu.slope(np.array([-1.0, 0.0, 2.0])).tolist()
        [0.0, 0.0, 1.0]
        """
        return _on_array(self.derivative, z)

    @cached_property
    def derivative(self) -> Expression:
        """φ′ as an expression of z."""
        return expressions.derivative(self.expression, "z")

    @cached_property
    def program(self) -> Program:
        """z → (φ(z), φ′(z)) for the native engine; φ′ may overwrite z."""
        return compile_program([self.expression, self.derivative], inputs=["z"], aliases={1: 0})

    @property
    def text(self) -> str:
        """The formula in Python's notation, with the hyper-parameters' values."""
        return formulas.text(self.expression)

    @property
    def latex(self) -> str:
        """The formula as LaTeX mathematics."""
        return formulas.latex(self.formula)

    @cached_property
    def range(self) -> tuple[float, float]:
        """The infimum and the supremum of φ on a grid of |z| ≤ 1e8; infinite at a pole, or where φ still grows."""
        return 0.0 - _supremum(lambda z: -self(z)), _supremum(self)  # 0 − 0 is 0, where −0 would be shown as −0

    @cached_property
    def largest_slope(self) -> float:
        """The supremum of |φ′|; infinite at a pole (√|z|), or where it still grows at |z| = 1e8 (squared_relu)."""
        return _supremum(lambda z: np.abs(self.slope(z)))

    @cached_property
    def usual_slope(self) -> float:
        """The largest |φ′| for |z| ≤ 10, always finite: a unit whose slope is below 1 % of it counts as saturated.

        Beside a pole of φ′ every unit would be saturated: where it has one, the median. Beside e^10, the slope of an
        exponential, too: where φ′ grows on and on, and a hundredfold from |z| = 1 to 10, the largest for |z| ≤ 1.
        """
        grid = _GRID[np.abs(_GRID) <= 10]
        slopes = np.abs(self.slope(grid))
        finite = np.isfinite(slopes)
        peak = _peak(lambda z: np.abs(self.slope(z)), grid)
        if not math.isfinite(peak):
            return float(np.median(slopes[finite])) if finite.any() else 0.0
        near = slopes[finite & (np.abs(grid) <= 1)].max(initial=0.0)
        return float(near) if 0 < near < 0.01 * peak and self.largest_slope == math.inf else peak

    def plot(self, ax: Axes | None = None, *, z: NDArray[Any] | None = None) -> Axes:
        """φ, φ′ and the density of z: that of the values `z` (of any shape), else of a standard normal z."""
        return charts.activation_curves(self, ax, z=z)


_KINKS = np.arange(-20.0, 21.0)  # where corners are usually put: looked at from just below and just above
_GRID = np.unique(
    np.concatenate(
        [np.linspace(-20, 20, 40_001), _KINKS - 1e-9, _KINKS + 1e-9, np.logspace(1, 8, 200), -np.logspace(1, 8, 200)]
    )
)
_FAR = np.geomspace(2.5e7, 5e7, 2000)  # many and at uneven distances, so that a wave is met in all its phases


def _supremum(f: Callable[[NDArray[np.float64]], NDArray[Any]]) -> float:
    """The largest value of f where it has one, for all |z| ≤ 1e8; infinite at a pole or where f still grows there."""
    near, far = (float(np.fmax.reduce(f(np.concatenate([-z, z])))) for z in (_FAR, 2 * _FAR))
    grows = far > near + 0.01 or far == math.inf
    return math.inf if grows else _peak(f, _GRID)


def _peak(f: Callable[[NDArray[np.float64]], NDArray[Any]], grid: NDArray[np.float64]) -> float:
    """The largest value of f on a grid; infinite at a pole, that is where f grows on however near one comes."""
    values = f(grid)
    largest = float(np.fmax.reduce(values))
    if not math.isfinite(largest):
        return largest
    at = float(grid[np.nanargmax(values)])
    for reach in 10.0 ** -np.arange(3.0, 17, 2):  # down to the spacing of double precision
        closer = at + reach * np.linspace(-1, 1, 201)
        at = float(closer[np.nanargmax(f(closer))])
    top, near, far = (float(np.fmax.reduce(f(np.array([at - d, at + d])))) for d in (0.0, 1e-13, 1e-10))
    if top - near > 0.5 * (near - far) > 0.01 * abs(far) + 1e-9:  # at a corner or a cusp the growth dies out instead
        return math.inf
    return top if top > 1.01 * largest > 0 else largest  # a peak too narrow for the grid


def _on_array(expression: Expression, z: Any) -> NDArray[Any]:
    try:
        array = np.asarray(z)
    except ValueError as error:
        raise InvalidInput(f"z is an array of numbers, but is {z!r:.60}.") from error
    if array.dtype.kind not in "buif":
        raise InvalidInput(f"z is an array of numbers, but is {z!r:.60}.")
    array = array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)
    value = expressions.evaluate(expression, {"z": array})
    return np.broadcast_to(np.asarray(value, dtype=array.dtype), array.shape).copy()


def activation(function: Callable[..., Expression]) -> Activation:
    """Turn a function of one argument z, written with arithmetic and `schuss.language.expressions`, into an Activation.

    Keyword-only arguments become hyper-parameters. FormulaError if the function cannot be recorded.
    """
    formula, called = formula_of("an activation", function, ["z"])
    return _differentiable(
        Activation(name=function.__name__, formula=formula, description=description(function), **called.hyperparameters)
    )


def _differentiable(phi: Activation) -> Activation:
    """The activation, whose slope exists: a FormulaError comes now, not in the middle of a population."""
    phi.derivative  # noqa: B018
    return phi


def find_activation(wanted: str | Activation) -> Activation:
    """An activation from itself, its name, a configured name ("leaky_relu(slope=0.1)"), a formula, or one to tailor.

    >>> find_activation("mine = z * sigmoid(1.7 * z)")
    mine
    >>> find_activation("tailor(mine = z * sigmoid(1.7 * z), depth=50)")
    tailor(mine, depth=50)
    """
    if isinstance(wanted, Activation):
        return wanted
    if isinstance(wanted, str):
        if wanted.strip().startswith("tailor("):
            return _tailored(wanted.strip())
        name, equals, formula = wanted.partition("=")
        if equals and name.strip().isidentifier():
            return formula_activation(formula, name.strip())
    return lookup("activation", wanted, ACTIVATIONS)


def formula_activation(formula: str, name: str) -> Activation:
    """An activation from a formula of z, such as "z * sigmoid(1.7 * z)"; built-in activations may be used by name."""
    known: dict[str, Callable[..., Any]] = {**ACTIVATIONS, **expressions.FUNCTIONS}
    parsed = formulas.parse(formula.strip(), ["z"], known)
    return _differentiable(Activation(name=name, formula=parsed, description=f"{name} = {formula.strip()}"))


# ---------------------------------------------------------------------------------------------- tailored activations


def tailor(wanted: str | Activation, depth: int) -> Activation:
    """φ̂(z) = γ(φ(αz) − μ): the same activation, but such that a stack of `depth` layers of it can be trained.

    For z ~ N(0, 1) it has mean 0 and variance 1, so that the default weights, of variance 1 / fan_in, keep z at N(0, 1)
    in every layer; and its gradient gain a layer is χ = E[φ̂′(z)²] = 1 + 1/depth, so that a gradient that goes back
    through all of them grows by e^½ at most. The smaller α, the straighter is φ where z lies; at χ = 1 it would be
    linear. Where several α do, the one nearest to 1 is taken.

    A ReLU looks the same at every scale, and χ is 1.47 whatever α; what can be chosen is its slope below zero.
    `tailor(relu, depth)` and `tailor(leaky_relu, depth)` therefore are the leaky ReLU whose slope gives the same
    mean, variance and χ.

    A simple member of the family of Martens et al. (2021, "Deep Kernel Shaping"), who shift z as well and set the gain
    of the whole stack. Zhang et al. (2022, "Tailored Activation Transformations") choose the slope of leaky ReLUs by
    depth, too, but leave the mean in and set how alike two orthogonal inputs have become at the end of the stack.

    Parameters
    ----------
    wanted : by name, formula or itself.
    depth : how many layers of it are stacked.

    Returns
    -------
    Activation with the settings `alpha` (`slope` for a leaky ReLU), `mu` and `gamma`. Its name is what makes it again,
    as `find_activation` and the command line read it.

    Raises
    ------
    FormulaError
        If no α does: for a linear function, one that looks the same at every scale, or one with jumps.

    >>> straight = tailor(sigmoid, depth=50)
    >>> straight
    tailor(sigmoid, depth=50)
    >>> {name: round(value, 3) for name, value in straight.settings}
    {'alpha': 0.835, 'mu': 0.5, 'gamma': 5.494}
    >>> dict(tailor(relu, depth=50).settings)["slope"]
    0.697...
    """
    phi, depth = find_activation(wanted), positive_integer("depth", depth)
    z = expressions.symbol("z")
    if phi.formula is relu.formula or phi.formula is leaky_relu.formula:
        numbers, inner, first = tailored_slope(depth), leaky_relu.formula, "slope"
    else:
        numbers = tailored_numbers(str(phi), phi.expression, phi.derivative, depth)
        inner, first = expressions.substitute(phi.expression, {"z": expressions.symbol("alpha") * z}), "alpha"
    settings = tuple(zip((first, "mu", "gamma"), numbers, strict=True))
    what = f"γ(φ(αz) − μ) of {phi}, as it" if first == "alpha" else "γ(φ(z) − μ) of the leaky ReLU whose slope α"
    return Activation(
        name=f"tailor({phi}, depth={depth})",
        formula=expressions.symbol("gamma") * (inner - expressions.symbol("mu")),
        settings=settings,
        defaults=settings,
        ranges=(Range(),) * len(settings),
        description=f"{what} suits stacks of {depth} layers (Martens et al., 2021; Zhang et al., 2022).",
    )


def _tailored(text: str) -> Activation:
    found = re.fullmatch(r"tailor\((?!\s*tailor\()(.+),\s*(?:depth\s*=\s*)?(\d{1,9})\s*\)", text, re.DOTALL)
    if found is None:
        raise InvalidInput(
            f"cannot read the activation {text[:60]!r}; write tailor(sigmoid, depth=50): what is tailored, and for how "
            "many layers."
        )
    return tailor(found[1], int(found[2]))


# ---------------------------------------------------------------------------------------------- the activations


@activation
def identity(z: Expression) -> Expression:
    """z itself: a stack of these is one linear map, however deep."""
    return z


@activation
def sigmoid(z: Expression) -> Expression:
    """1 / (1 + e^−z), the smooth step; its slope is at most 0.25 (Rumelhart et al., 1986)."""
    return 1 / (1 + exp(-z))


@activation
def tanh(z: Expression) -> Expression:
    """The sigmoid stretched to −1 … 1, slope 1 at the center (LeCun et al., 1998)."""
    return expressions.tanh(z)


@activation
def relu(z: Expression) -> Expression:
    """0 below zero, z above, where its slope is 1 at any depth (Nair and Hinton, 2010)."""
    return where(z <= 0, 0, z)  # this way round NaN stays NaN, so that a divergence is seen


@activation
def softplus(z: Expression) -> Expression:
    """log(1 + e^z), a ReLU with its corner rounded (Dugas et al., 2001)."""
    return maximum(z, 0) + log1p(exp(-abs(z)))


@activation
def leaky_relu(z: Expression, *, slope: float = 0.01) -> Expression:
    """A ReLU that keeps a small slope below zero, so that no unit dies (Maas et al., 2013)."""
    return where(z > 0, z, slope * z)


@activation
def elu(z: Expression, *, alpha: NonNegative = 1.0) -> Expression:
    """z above zero, α(e^z − 1) below: a mean nearer to zero (Clevert et al., 2016)."""
    return where(z > 0, z, alpha * expm1(z))


@activation
def celu(z: Expression, *, alpha: Positive = 1.0) -> Expression:
    """ELU with a continuous slope for every α (Barron, 2017)."""
    return where(z > 0, z, alpha * expm1(z / alpha))


@activation
def selu(z: Expression) -> Expression:
    """ELU scaled so that mean 0 and variance 1 are a fixed point (Klambauer et al., 2017)."""
    return 1.0507009873554805 * where(z > 0, z, 1.6732632423543772 * expm1(z))


@activation
def gelu(z: Expression) -> Expression:
    """z times the normal distribution function at z (Hendrycks and Gimpel, 2016)."""
    return z * normal_cdf(z)


@activation
def gelu_tanh(z: Expression) -> Expression:
    """GELU by its tanh approximation (Hendrycks and Gimpel, 2016)."""
    return z * sigmoid(math.sqrt(8 / math.pi) * (z + 0.044715 * z**3))  # (1 + tanh u) / 2 is 0 below z = -5.5


@activation
def silu(z: Expression) -> Expression:
    """z times its sigmoid, also called swish (Elfwing et al., 2018; Ramachandran et al., 2017)."""
    return z * sigmoid(z)


@activation
def mish(z: Expression) -> Expression:
    """z·tanh(softplus(z)) (Misra, 2019)."""
    return z * expressions.tanh(softplus(z))


@activation
def softsign(z: Expression) -> Expression:
    """z / (1 + |z|): like tanh, but it saturates slowly (Bergstra et al., 2009)."""
    return z / (1 + abs(z))


def _clipped(z: Expression, low: Operand, high: Operand) -> Expression:
    return where(z <= low, low, where(z >= high, high, z))  # slope 0 on both corners, as in PyTorch


@activation
def relu6(z: Expression) -> Expression:
    """A ReLU cut off at 6 (Krizhevsky, 2010)."""
    return _clipped(z, 0, 6)


@activation
def hard_tanh(z: Expression) -> Expression:
    """z cut off at −1 and 1 (Collobert, 2004)."""
    return _clipped(z, -1, 1)


@activation
def hard_sigmoid(z: Expression) -> Expression:
    """A sigmoid of three straight lines, z/6 + 1/2 between −3 and 3 (Courbariaux et al., 2015).

    The slope is PyTorch's and Keras 3's; the paper has (z + 1)/2, cut off at −1 and 1.
    """
    return where(z <= -3, 0, where(z >= 3, 1, z / 6 + 0.5))


@activation
def hard_silu(z: Expression) -> Expression:
    """z times its hard sigmoid, also called hard swish (Howard et al., 2019)."""
    return where(z <= -3, 0, where(z >= 3, z, z * (z / 6 + 0.5)))


@activation
def squareplus(z: Expression, *, b: Positive = 4.0) -> Expression:
    """(z + √(z² + b)) / 2, a softplus without exponentials (Barron, 2021)."""
    width: Operand = sqrt(b)
    return maximum(z, 0) + b / 2 / (hypot(z, width) + abs(z))  # so that no digits cancel where z is negative


@activation
def squared_relu(z: Expression) -> Expression:
    """The square of a ReLU (So et al., 2021)."""
    return relu(z) ** 2


@activation
def log_sigmoid(z: Expression) -> Expression:
    """The logarithm of the sigmoid, −softplus(−z) (PyTorch's LogSigmoid)."""
    return minimum(z, 0) - log1p(exp(-abs(z)))


@activation
def tanh_shrink(z: Expression) -> Expression:
    """z − tanh(z): flat at zero, linear far away (PyTorch's Tanhshrink)."""
    return z - expressions.tanh(z)


ACTIVATIONS: dict[str, Activation] = names_of(
    [identity, sigmoid, tanh, relu, softplus, leaky_relu, elu, celu, selu, gelu, gelu_tanh, silu, mish, softsign, relu6,
     hard_tanh, hard_sigmoid, hard_silu, squareplus, squared_relu, log_sigmoid, tanh_shrink]
)  # fmt: skip


def figure(chosen: Sequence[str | Activation] | None = None) -> Figure:
    """Activations beside one another, φ with φ′, a panel each; all built-in ones unless some are named."""
    if not isinstance(chosen, Iterable | None):
        raise InvalidInput(f"the activations to draw are a list of names, but are {chosen!r:.60}.")
    shown = list(map(find_activation, ACTIVATIONS if chosen is None else chosen))
    if not shown:
        raise InvalidInput("there is nothing to draw; name at least one activation, such as 'relu'.")
    return charts.gallery_figure(shown)
