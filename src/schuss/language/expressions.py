"""The little language: a function called with symbols instead of numbers records an expression.

Here an expression is evaluated on arrays (`evaluate`), differentiated exactly (`derivative`) and rewritten
(`substitute`); `formulas` writes it as text or LaTeX and reads it back, `programs` compiles it for the native engine.

>>> z = symbol("z")
>>> softplus = maximum(z, 0) + log1p(exp(-abs(z)))
>>> evaluate(softplus, {"z": np.array([0.0, 1e4])}).round(4).tolist()
[0.6931, 10000.0]
>>> evaluate(derivative(softplus, "z"), {"z": np.array([0.0, 1e4])}).tolist()
[0.5, 1.0]

Expressions are interned: equal expressions are one object, so a common sub-expression is computed once everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, overload
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from schuss.errors import FormulaError

Array: TypeAlias = NDArray[Any]
Operand: TypeAlias = "Expression | float"

_interned: WeakValueDictionary[tuple[Any, ...], Expression] = WeakValueDictionary()


class Expression:
    """One node of a recorded formula: an operation with its arguments, a constant, or a symbol.

    Arithmetic (`+ - * / **`), `abs` and comparisons of expressions record new ones; so do NumPy's functions
    (`np.exp(z)`). A comparison is 1 where it holds and 0 elsewhere; combine comparisons with `&` and `|`, choose with
    `where`. Immutable; two equal expressions are the same object.
    """

    __slots__ = ("__weakref__", "arguments", "operation", "value")

    operation: str
    arguments: tuple[Expression, ...]
    value: float | str | None

    def __new__(  # noqa: PYI034 (not an instance of the subclass asked for: expressions are interned)
        cls, operation: str, arguments: tuple[Expression, ...] = (), value: float | str | None = None
    ) -> Expression:
        """The one node with this content."""
        key = (operation, arguments, value)
        found = _interned.get(key)
        if found is None:
            found = object.__new__(cls)
            found.operation, found.arguments, found.value = operation, arguments, value
            found = _interned.setdefault(key, found)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return Expression, (self.operation, self.arguments, self.value)

    def __add__(self, other: Operand) -> Expression:
        return record("add", self, other)

    def __radd__(self, other: Operand) -> Expression:
        return record("add", other, self)

    def __sub__(self, other: Operand) -> Expression:
        return record("sub", self, other)

    def __rsub__(self, other: Operand) -> Expression:
        return record("sub", other, self)

    def __mul__(self, other: Operand) -> Expression:
        return record("mul", self, other)

    def __rmul__(self, other: Operand) -> Expression:
        return record("mul", other, self)

    def __truediv__(self, other: Operand) -> Expression:
        return record("div", self, other)

    def __rtruediv__(self, other: Operand) -> Expression:
        return record("div", other, self)

    def __pow__(self, other: Operand) -> Expression:
        return record("pow", self, other)

    def __rpow__(self, other: Operand) -> Expression:
        return record("pow", other, self)

    def __neg__(self) -> Expression:
        return record("neg", self)

    def __pos__(self) -> Expression:
        return self

    def __abs__(self) -> Expression:
        return record("abs", self)

    def __lt__(self, other: Operand) -> Expression:
        return record("less", self, other)

    def __le__(self, other: Operand) -> Expression:
        return record("less_equal", self, other)

    def __gt__(self, other: Operand) -> Expression:
        return record("less", other, self)

    def __ge__(self, other: Operand) -> Expression:
        return record("less_equal", other, self)

    def __and__(self, other: Operand) -> Expression:
        return record("mul", self, other)

    def __or__(self, other: Operand) -> Expression:
        return record("maximum", self, other)

    def __bool__(self) -> bool:
        raise FormulaError(
            "a recorded formula has no truth value: `if`, `and`, `or` and chained comparisons cannot depend on an "
            "expression. Use where(condition, a, b), and & or | between comparisons."
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Expression:
        operation = _UFUNCS.get(ufunc.__name__)
        if operation is None or method != "__call__" or options:
            raise FormulaError(
                f"np.{ufunc.__name__} is not in the language of formulas, which has {', '.join(FUNCTIONS)}."
            )
        return record(operation, *inputs)

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self.arguments)) if self.arguments else repr(self.value)
        return f"{self.operation}({inside})"


def symbol(name: str) -> Expression:
    """A named unknown, such as the argument z of an activation."""
    return Expression("symbol", (), name)


def constant(value: Any) -> Expression:
    """A finite number inside an expression; FormulaError for anything else."""
    try:
        number = math.nan if isinstance(value, str) else float(value) + 0.0  # + 0.0: zero has no sign in a formula
    except OverflowError:
        raise FormulaError("a formula is made of finite numbers, but contains a whole number beyond 1.8e308.") from None
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise FormulaError(f"a formula is made of finite numbers and expressions, but contains {value!r:.60}.")
    return Expression("constant", (), number)


def record(operation: str, *operands: Operand) -> Expression:
    """The expression `operation(*operands)`, with constants folded and overflowing forms replaced by stable ones."""
    arguments = tuple(x if isinstance(x, Expression) else constant(x) for x in operands)
    if all(x.operation == "constant" for x in arguments):
        folded = evaluate(Expression(operation, arguments), {})
        return constant(float(folded))
    simple = _simplified(operation, arguments)
    return Expression(operation, arguments) if simple is None else simple


_ZERO, _ONE = constant(0.0), constant(1.0)


def _simplified(  # noqa: PLR0911 (one return an identity)
    operation: str, arguments: tuple[Expression, ...]
) -> Expression | None:
    """An equal, simpler expression where the algebra is trivial or the plain form would overflow."""
    a, b = arguments[0], arguments[1] if len(arguments) > 1 else None
    match operation:
        case "neg" if a.operation == "neg":
            return a.arguments[0]
        case "add" if a is _ZERO:
            return b
        case "add" | "sub" if b is _ZERO:
            return a
        case "sub" if a is _ZERO and b is not None:
            return -b
        case "mul" if a is _ZERO or b is _ZERO:
            return _ZERO
        case "mul" if a is _ONE:
            return b
        case "mul" | "div" | "pow" if b is _ONE:
            return a
        case "div" if a is _ZERO:
            return _ZERO
        case "where" if arguments[1] is arguments[2]:
            return arguments[1]
    return _stable(operation, arguments)


def _stable(operation: str, arguments: tuple[Expression, ...]) -> Expression | None:
    """Textbook forms whose exponential overflows (e^z is infinite in float32 from z = 88.8) in their stable writing."""
    if operation == "div" and (u := _one_plus_exp(arguments[1])) is not None:
        if arguments[0] is record("exp", u):
            return sigmoid(u)
        return arguments[0] * sigmoid(-u)
    inner = None
    if operation == "log":
        inner = _one_plus_exp(arguments[0])
    elif operation == "log1p" and arguments[0].operation == "exp":
        inner = arguments[0].arguments[0]
    if inner is None or (inner.operation == "neg" and inner.arguments[0].operation == "abs"):
        return None
    return maximum(inner, 0) + log1p(exp(-abs(inner)))


def _one_plus_exp(expression: Expression) -> Expression | None:
    """The u of an expression 1 + e^u, or None."""
    if expression.operation == "add" and _ONE in expression.arguments:
        other = expression.arguments[1 if expression.arguments[0] is _ONE else 0]
        if other.operation == "exp":
            return other.arguments[0]
    return None


class Function:
    """A function of the language: records on expressions, computes on numbers and arrays."""

    def __init__(self, operation: str, arity: int) -> None:
        self.operation, self.arity = operation, arity

    @overload
    def __call__(self, first: Expression, *rest: Operand) -> Expression: ...
    @overload
    def __call__(self, first: Any, *rest: Any) -> Any: ...
    def __call__(self, first: Any, *rest: Any) -> Any:
        """The recorded expression if any operand is one, else the value."""
        operands = (first, *rest)
        if len(operands) != self.arity:
            raise FormulaError(
                f"{self.operation} takes {self.arity} argument{'s' * (self.arity > 1)}, not {len(operands)}."
            )
        if any(isinstance(x, Expression) for x in operands):
            return record(self.operation, *operands)
        with np.errstate(all="ignore"):
            return _EVALUATE[self.operation](*operands)

    def __repr__(self) -> str:
        return f"<function {self.operation} of the formula language>"


exp, expm1, log, log1p, sqrt = (Function(name, 1) for name in ("exp", "expm1", "log", "log1p", "sqrt"))
tanh, sigmoid, erf, sin, cos = (Function(name, 1) for name in ("tanh", "sigmoid", "erf", "sin", "cos"))
sign, floor = Function("sign", 1), Function("floor", 1)
maximum, minimum, where = Function("maximum", 2), Function("minimum", 2), Function("where", 3)

FUNCTIONS: dict[str, Function] = {
    f.operation: f
    for f in (exp, expm1, log, log1p, sqrt, tanh, sigmoid, erf, sin, cos, sign, floor, maximum, minimum, where)
}

_UFUNCS = {name: name for name in ("exp", "expm1", "log", "log1p", "sqrt", "tanh", "sin", "cos", "sign", "floor")} | {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "power": "pow", "negative": "neg",
    "absolute": "abs", "maximum": "maximum", "minimum": "minimum", "less": "less", "less_equal": "less_equal",
}  # fmt: skip


# ---------------------------------------------------------------------------------------------- evaluate


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))  # never overflows; the two halves of the curve share it
    return np.where(np.asarray(x) >= 0, 1 / (1 + e), e / (1 + e))


def _erf(x: Any) -> Any:
    from scipy.special import erf as scipy_erf

    return scipy_erf(x)


def _mask(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: np.asarray(compare(a, b), dtype=np.result_type(a, b))


def _where(condition: Any, a: Any, b: Any) -> Array:
    # Two plain numbers would make float64 of a float32 condition.
    return np.asarray(np.where(np.asarray(condition) != 0, a, b), dtype=np.result_type(condition, a, b))


_EVALUATE: dict[str, Callable[..., Any]] = {
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "floor": np.floor, "exp": np.exp, "expm1": np.expm1,
    "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt, "tanh": np.tanh, "sigmoid": _sigmoid, "erf": _erf,
    "sin": np.sin, "cos": np.cos, "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "pow": np.power, "maximum": np.maximum, "minimum": np.minimum,
    "less": _mask(np.less), "less_equal": _mask(np.less_equal),
    "where": _where,
}  # fmt: skip


def evaluate(expression: Expression, values: Mapping[str, Any]) -> Any:
    """The value of an expression for arrays or numbers in place of its symbols.

    Parameters
    ----------
    values : one array or number per symbol; arrays broadcast, and their dtype is kept (float32 stays float32).

    Infinities and NaN arise as in IEEE arithmetic, without warnings.

    >>> evaluate(symbol("z") ** 2 + 1, {"z": np.array([0.0, 2.0])}).tolist()
    [1.0, 5.0]
    """
    known: dict[Expression, Any] = {}
    with np.errstate(all="ignore"):
        for e in topological([expression]):
            if e.operation == "constant":
                known[e] = e.value
            elif e.operation == "symbol":
                known[e] = values[str(e.value)]
            else:
                result = _EVALUATE[e.operation](*(known[x] for x in e.arguments))
                # A NumPy scalar would pull float32 arrays up to float64 in the next operation; a Python float does not.
                known[e] = result.item() if np.ndim(result) == 0 else result
    return known[expression]


def topological(outputs: Iterable[Expression]) -> list[Expression]:
    """Every node that the outputs depend on, arguments before what uses them, each once."""
    order: dict[Expression, None] = {}
    stack = [(e, False) for e in reversed(list(outputs))]
    while stack:
        e, ready = stack.pop()
        if e in order:
            continue
        if ready:
            order[e] = None
        else:
            stack.append((e, True))
            stack.extend((x, False) for x in reversed(e.arguments))
    return list(order)


def symbols(expression: Expression) -> set[str]:
    """The names of the symbols that an expression depends on."""
    return {str(e.value) for e in topological([expression]) if e.operation == "symbol"}


def substitute(expression: Expression, values: Mapping[str, Operand]) -> Expression:
    """The expression with symbols replaced by numbers or other expressions.

    >>> substitute(symbol("z") * symbol("slope"), {"slope": 1.0}) is symbol("z")
    True
    """
    replaced: dict[Expression, Expression] = {}
    for e in topological([expression]):
        if e.operation == "symbol" and e.value in values:
            value = values[str(e.value)]
            replaced[e] = value if isinstance(value, Expression) else constant(value)
        elif e.arguments:
            replaced[e] = record(e.operation, *(replaced[x] for x in e.arguments))
        else:
            replaced[e] = e
    return replaced[expression]


# ---------------------------------------------------------------------------------------------- differentiate


def derivative(expression: Expression, name: str) -> Expression:
    """The exact derivative with respect to the symbol `name`, as an expression.

    Kinks follow PyTorch: `where` takes the branch it takes (so relu'(0) = 0), `abs` has slope 0 at 0, and `maximum` and
    `minimum` share the slope equally in a tie.

    >>> z = symbol("z")
    >>> derivative(z * z, "z") is z + z
    True
    """
    slopes: dict[Expression, Expression] = {}
    for e in topological([expression]):
        if e.operation == "symbol":
            slopes[e] = _ONE if e.value == name else _ZERO
        elif all(slopes[x] is _ZERO for x in e.arguments):
            slopes[e] = _ZERO
        else:
            slopes[e] = _CHAIN[e.operation](e, *e.arguments, *(slopes[x] for x in e.arguments))
    return slopes[expression]


def _power_slope(e: Expression, a: Expression, b: Expression, da: Expression, db: Expression) -> Expression:
    slope = b * a ** (b - 1) * da
    return slope if db is _ZERO else slope + e * log(a) * db


# operation → the chain rule: (the node itself, its arguments, the arguments' slopes) → the node's slope
_CHAIN: dict[str, Callable[..., Expression]] = {
    "neg": lambda e, a, da: -da,
    "abs": lambda e, a, da: sign(a) * da,
    "sign": lambda e, a, da: _ZERO,
    "floor": lambda e, a, da: _ZERO,
    "exp": lambda e, a, da: e * da,
    "expm1": lambda e, a, da: exp(a) * da,  # not e + 1, which rounds to 0 for z below -17 in float32
    "log": lambda e, a, da: da / a,
    "log1p": lambda e, a, da: da / (1 + a),
    "sqrt": lambda e, a, da: 0.5 * da / e,
    "tanh": lambda e, a, da: (1 - e * e) * da,
    "sigmoid": lambda e, a, da: e * (1 - e) * da,
    "erf": lambda e, a, da: 2 / math.sqrt(math.pi) * exp(-a * a) * da,
    "sin": lambda e, a, da: cos(a) * da,
    "cos": lambda e, a, da: -sin(a) * da,
    "add": lambda e, a, b, da, db: da + db,
    "sub": lambda e, a, b, da, db: da - db,
    "mul": lambda e, a, b, da, db: da * b + a * db,
    "div": lambda e, a, b, da, db: (da - e * db) / b,  # not (da·b − a·db)/b², whose square overflows early
    "pow": _power_slope,
    "maximum": lambda e, a, b, da, db: _shared(b, a) * da + _shared(a, b) * db,
    "minimum": lambda e, a, b, da, db: _shared(a, b) * da + _shared(b, a) * db,
    "less": lambda e, a, b, da, db: _ZERO,
    "less_equal": lambda e, a, b, da, db: _ZERO,
    "where": lambda e, c, a, b, dc, da, db: where(c, da, db),
}


def _shared(low: Expression, high: Expression) -> Expression:
    """1 where low < high, 1/2 where they are equal, else 0."""
    return 0.5 * ((low < high) + (low <= high))
