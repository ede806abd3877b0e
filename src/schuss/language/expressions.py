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
import operator
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
    (`np.exp(z)`). A comparison is 1 where it holds and 0 elsewhere; combine comparisons with `&`, `|` and `~`, choose
    with `where`. Immutable; two equal expressions are the same object, which `is` tests: `==` records a comparison.

    Whatever a symbol cannot do exactly as an array would raises FormulaError when it is recorded: reductions, shapes,
    a truth value, a conversion to a number.
    """

    __slots__ = ("__weakref__", "arguments", "operation", "value")
    __hash__ = object.__hash__

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
        if _is_mask(self) and _is_mask(other):
            raise FormulaError("NumPy reads the sum of two comparisons as `or`; write a | b, or where(a, 1, 0) + b.")
        return record("add", self, other)

    def __radd__(self, other: Operand) -> Expression:
        return record("add", other, self)

    def __sub__(self, other: Operand) -> Expression:
        if _is_mask(self) and _is_mask(other):
            raise FormulaError("NumPy cannot subtract two comparisons; write where(a, 1, 0) - b.")
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
        if _is_mask(self):
            raise FormulaError("NumPy cannot negate a comparison; write ~a for `not`, or where(a, -1, 0).")
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

    def __eq__(self, other: Operand) -> Expression:  # type: ignore[override]
        return record("mul", record("less_equal", self, other), record("less_equal", other, self))

    def __ne__(self, other: Operand) -> Expression:  # type: ignore[override]
        return ~(self == other)

    def __and__(self, other: Operand) -> Expression:
        return record("mul", *_masks("&", self, other))

    def __or__(self, other: Operand) -> Expression:
        return record("maximum", *_masks("|", self, other))

    __rand__, __ror__ = __and__, __or__

    def __invert__(self) -> Expression:
        return record("less_equal", *_masks("~", self), 0.0)

    def __bool__(self) -> bool:
        raise FormulaError(
            "a recorded formula has no truth value: `if`, `and`, `or`, `in`, max, min and chained comparisons cannot "
            "depend on an expression. Use where(condition, a, b), maximum, minimum, and & or | between comparisons."
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Expression:
        recorded = _UFUNCS.get(ufunc)
        if recorded is None:
            raise _refused(f"np.{ufunc.__name__}")
        if method != "__call__":
            raise _refused(f"np.{ufunc.__name__}.{method}")
        if options:
            raise _refused(f"np.{ufunc.__name__} with {', '.join(options)}")
        if isinstance(recorded, Function) and any(map(_is_mask, inputs)) and ufunc not in (np.maximum, np.minimum):
            raise FormulaError(
                f"NumPy computes {ufunc.__name__} of a comparison in half precision, or not at all; "
                f"write np.{ufunc.__name__}(where(a > b, 1.0, 0.0))."
            )
        return recorded(*(x if isinstance(x, Expression) else constant(x) for x in inputs))

    def __array_function__(
        self, function: Callable[..., Any], _: object, inputs: tuple[Any, ...], options: Mapping[str, Any]
    ) -> Expression:
        if function is np.where and len(inputs) == 3 and not options:
            return record("where", *inputs)
        raise _refused(f"np.{function.__name__}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # Python and its libraries look for these and expect AttributeError
            raise AttributeError(name)
        raise _refused(f".{name}")

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self.arguments)) if self.arguments else repr(self.value)
        return f"{self.operation}({inside})"


def _refused(what: str) -> FormulaError:
    """The error for what means something else on an array than on the number that a symbol stands for, or nothing."""
    return FormulaError(
        f"{what} is not in the language of formulas. A formula computes one number from the numbers at the same place "
        f"of its arguments: + - * / **, comparisons, and {', '.join(FUNCTIONS)}, from sc.expressions or NumPy. It "
        "has no reductions (sum, mean, norm), shapes or conversions."
    )


def _refuse(operation: str, what: str) -> None:
    """Let Python's own operation on an expression raise FormulaError, so that no library makes another rule of it."""

    def refuse(*_: object, **__: object) -> Any:
        raise _refused(what)

    setattr(Expression, f"__{operation}__", refuse)


for _operation, _what in {
    "iter": "iterating over an expression, as Python's sum does,", "len": "len", "getitem": "indexing",
    "contains": "in", "array": "making an array of an expression", "int": "int", "complex": "complex",
    "float": "making a float of an expression, as math.exp does,", "index": "an expression as an index",
    "round": "round", "trunc": "math.trunc", "floor": "math.floor", "ceil": "math.ceil", "mod": "%", "rmod": "%",
    "floordiv": "//", "rfloordiv": "//", "divmod": "divmod", "rdivmod": "divmod", "matmul": "@", "rmatmul": "@",
    "xor": "^", "rxor": "^", "lshift": "<<", "rlshift": "<<", "rshift": ">>", "rrshift": ">>",
    # In place they change what other names of the array hold, too: write a = a + b.
    "iadd": "+=", "isub": "-=", "imul": "*=", "itruediv": "/=", "ipow": "**=", "iand": "&=", "ior": "|=",
}.items():  # fmt: skip
    _refuse(_operation, _what)


def _is_mask(operand: object) -> bool:
    """Whether an operand is 1 where something holds and 0 elsewhere, as NumPy's arrays of booleans are."""
    if not isinstance(operand, Expression):
        return isinstance(operand, bool | np.bool_)
    if operand.operation in {"mul", "maximum", "minimum"}:
        return all(map(_is_mask, operand.arguments))
    return operand.operation in {"less", "less_equal"}


def _masks(sign: str, *operands: Operand) -> tuple[Operand, ...]:
    """The operands of a logical operation, which takes comparisons only: NumPy has none for floating-point numbers."""
    if not all(map(_is_mask, operands)):
        raise FormulaError(f"{sign} takes comparisons, such as (z > 0) & (z < 1), not numbers.")
    return operands


def symbol(name: str) -> Expression:
    """A named unknown, such as the argument z of an activation."""
    return Expression("symbol", (), name)


def constant(value: Any) -> Expression:
    """A finite number inside an expression; FormulaError for anything else."""
    try:
        is_number = not (isinstance(value, str) or np.iscomplexobj(value)) and np.ndim(value) == 0
        number = float(value) + 0.0 if is_number else math.nan  # + 0.0: zero has no sign in a formula
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
    if operation == "div" and arguments[1] is _ZERO:
        raise FormulaError("a formula is made of finite numbers, but divides by zero.")
    simple = _simplified(operation, arguments)
    return Expression(operation, arguments) if simple is None else simple


_ZERO, _ONE = constant(0.0), constant(1.0)


def _simplified(operation: str, arguments: tuple[Expression, ...]) -> Expression | None:
    """An equal, simpler expression where the algebra is trivial or the plain form is inaccurate.

    0·x stays: it is NaN where x is infinite, as it is on arrays.
    """
    a, b = arguments[0], arguments[1] if len(arguments) > 1 else None
    match operation:
        case "neg" if a.operation == "neg":
            return a.arguments[0]
        case "add" if a is _ZERO:
            return b
        case "add" | "sub" if b is _ZERO:
            return a
        case "sub" if a is _ZERO and b is not None:
            return record("neg", b)
        case "mul" if a is _ONE and not _is_mask(b):
            return b
        case "mul" | "div" | "pow" if b is _ONE and not _is_mask(a):
            return a
        case "where" if arguments[1] is arguments[2]:
            return arguments[1]
    return _stable(operation, arguments)


def _stable(  # noqa: PLR0911 (one return a form)
    operation: str, arguments: tuple[Expression, ...]
) -> Expression | None:
    """The accurate writing of textbook forms that overflow or cancel in a tail.

    e^z is infinite in float32 from z = 88.8, and 1 + tanh(z) is 0 below z = -9: all that is left of a gelu by tanh.
    """
    match operation, arguments:
        case "div", (a, b) if (u := _one_plus_exp(b)) is not None:
            return sigmoid(u) if a is record("exp", u) else a * sigmoid(-u)
        case "log", (a,) if (u := _one_plus_exp(a)) is not None and not _is_decaying(u):
            return maximum(u, 0) + log1p(exp(-abs(u)))
        case "log1p", (Expression(operation="exp", arguments=(u,)),) if not _is_decaying(u):
            return maximum(u, 0) + log1p(exp(-abs(u)))
        case "add", (a, b) if b is _ONE:
            return _one_plus(a)
        case "add", (a, b) if a is _ONE:
            return _one_plus(b)
        case "sub", (a, Expression(operation="sigmoid", arguments=(u,))) if a is _ONE:
            return sigmoid(-u)
        case "sub", (a, Expression(operation="tanh" | "erf" as odd, arguments=(u,))) if a is _ONE:
            return _one_plus(record(odd, -u))
        case "sub", (a, square) if a is _ONE and (u := _squared_tanh(square)) is not None:
            return sech2(u)
    return None


def _one_plus(term: Expression) -> Expression | None:
    """1 + tanh(u) = 2 sigmoid(2u) and 1 + erf(u) = 2 normal_cdf(sqrt(2) u), which keep their digits for u < 0."""
    if term.operation == "tanh":
        return 2 * sigmoid(2 * term.arguments[0])
    if term.operation == "erf":
        return 2 * normal_cdf(_times_root_2(term.arguments[0]))
    return None


def _squared_tanh(square: Expression) -> Expression | None:
    """The u of tanh(u)², written as a power or as a product, or None."""
    match square.operation, square.arguments:
        case ("pow", (Expression(operation="tanh", arguments=(u,)), Expression(operation="constant", value=2.0))):
            return u
        case ("mul", (Expression(operation="tanh", arguments=(u,)) as a, b)) if a is b:
            return u
    return None


def _times_root_2(u: Expression) -> Expression:
    """sqrt(2) u, where u = x / sqrt(2) without the rounding, which the tail of a normal distribution multiplies."""
    if u.operation == "neg":
        return -_times_root_2(u.arguments[0])
    is_half = u.operation == "div" and u.arguments[1] is constant(math.sqrt(2))
    return u.arguments[0] if is_half else math.sqrt(2) * u


def _is_decaying(u: Expression) -> bool:
    """Whether u is -|x|, whose exponential cannot overflow."""
    return u.operation == "neg" and u.arguments[0].operation == "abs"


def _one_plus_exp(expression: Expression) -> Expression | None:
    """The u of an expression 1 + e^u, or None."""
    if expression.operation == "add" and any(x is _ONE for x in expression.arguments):
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
        # NumPy's functions of booleans are half precise, or missing; a comparison is 0.0 or 1.0 here.
        numbers = [x.astype(np.float64) if getattr(x, "dtype", None) == np.bool_ else x for x in operands]
        with np.errstate(all="ignore"):
            return _EVALUATE[self.operation](*numbers)

    def __repr__(self) -> str:
        return f"<function {self.operation} of the formula language>"


exp, expm1, log, log1p, sqrt = (Function(name, 1) for name in ("exp", "expm1", "log", "log1p", "sqrt"))
tanh, sigmoid, erf, sin, cos = (Function(name, 1) for name in ("tanh", "sigmoid", "erf", "sin", "cos"))
sech2, logistic_pdf = Function("sech2", 1), Function("logistic_pdf", 1)  # the slopes of tanh and sigmoid
normal_cdf, normal_pdf = Function("normal_cdf", 1), Function("normal_pdf", 1)
sign, floor = Function("sign", 1), Function("floor", 1)
maximum, minimum, hypot, where = (
    Function("maximum", 2), Function("minimum", 2), Function("hypot", 2), Function("where", 3)
)  # fmt: skip

FUNCTIONS: dict[str, Function] = {
    f.operation: f
    for f in (
        exp, expm1, log, log1p, sqrt, tanh, sech2, sigmoid, logistic_pdf, erf, normal_cdf, normal_pdf, sin, cos, sign,
        floor, maximum, minimum, hypot, where,
    )
}  # fmt: skip

# What NumPy's own functions record: those that mean exactly the same on arrays.
_UFUNCS: dict[np.ufunc, Callable[..., Expression]] = {
    np.exp: exp, np.expm1: expm1, np.log: log, np.log1p: log1p, np.sqrt: sqrt, np.tanh: tanh, np.sin: sin, np.cos: cos,
    np.sign: sign, np.floor: floor, np.maximum: maximum, np.minimum: minimum, np.hypot: hypot, np.absolute: abs,
    np.fabs: abs, np.positive: operator.pos, np.negative: operator.neg, np.add: operator.add,
    np.subtract: operator.sub, np.multiply: operator.mul, np.divide: operator.truediv, np.power: operator.pow,
    np.square: lambda a: a * a,
    np.less: operator.lt, np.less_equal: operator.le, np.greater: operator.gt, np.greater_equal: operator.ge,
    np.equal: operator.eq, np.not_equal: operator.ne, np.bitwise_and: operator.and_, np.bitwise_or: operator.or_,
    np.invert: operator.invert,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------- evaluate


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))  # never overflows; the two halves of the curve share it
    return np.where(np.asarray(x) >= 0, 1 / (1 + e), e / (1 + e))


def _logistic_pdf(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.minimum(e / (1 + e) / (1 + e), 0.25)  # its largest value, which roundings would exceed


def _sech2(x: Any) -> Any:
    return 4 * _logistic_pdf(2 * x)


def _erf(x: Any) -> Any:
    from scipy.special import erf as scipy_erf

    return scipy_erf(x)


def _normal_pdf(x: Any) -> Any:
    """e^(-x²/2) / sqrt(2π), with x² = h² + (x - h)(x + h) for an h of half the digits, so that h² is exact.

    Rounded, x² is off by up to x²/2 ulps, and so is its exponential: 700 at the end of the tail.
    """
    t = np.minimum(np.abs(np.asarray(x, dtype=np.float64)), 40.0)  # e^-800 is 0
    h = t * 134217729.0  # 2^27 + 1 (Dekker, 1971)
    h = h - (h - t)
    density = np.exp(-0.5 * h * h) * np.exp(-0.5 * (t - h) * (t + h)) * 0.3989422804014327
    return density.astype(np.result_type(x, np.float32)) if isinstance(x, np.ndarray) else density


def _normal_cdf(x: Any) -> Any:
    """Φ(x), by Φ(-t) = φ(t)·sqrt(π/2)·erfcx(t / sqrt(2)) in both tails."""
    from scipy.special import erfcx

    exact = np.asarray(x, dtype=np.float64)
    t = np.abs(exact)
    tail = _normal_pdf(t) * (1.2533141373155003 * erfcx(t * 0.7071067811865476))
    share = np.where(exact > 0, 1 - tail, tail)
    return share.astype(np.result_type(x, np.float32)) if isinstance(x, np.ndarray) else share


def _mask(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: np.asarray(compare(a, b), dtype=np.result_type(a, b))


def _where(condition: Any, a: Any, b: Any) -> Array:
    # Two plain numbers would make float64 of a float32 condition.
    return np.asarray(np.where(np.asarray(condition) != 0, a, b), dtype=np.result_type(condition, a, b))


_EVALUATE: dict[str, Callable[..., Any]] = {
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "floor": np.floor, "exp": np.exp, "expm1": np.expm1,
    "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt, "tanh": np.tanh, "sech2": _sech2,
    "sigmoid": _sigmoid, "logistic_pdf": _logistic_pdf, "erf": _erf,
    "normal_cdf": _normal_cdf, "normal_pdf": _normal_pdf, "sin": np.sin, "cos": np.cos, "add": np.add,
    "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power, "maximum": np.maximum,
    "minimum": np.minimum, "hypot": np.hypot,
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
    `minimum` share the slope equally in a tie. Unlike there, what a branch leaves out has no slope even where the
    function around it has a pole: sqrt(relu(z)) has slope 0 below zero, not 0·∞.

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


def _product(a: Expression, b: Expression) -> Expression:
    """a·b in a chain rule: 0 where either is exactly 0, even if the other is infinite there."""
    if a is _ZERO or b is _ZERO:
        return _ZERO
    product = a * b
    for switch, other in ((a, b), (b, a)):
        if _is_switched(switch) and _has_poles(other):
            product = where(switch, product, 0)
    return product


def _quotient(a: Expression, b: Expression) -> Expression:
    """a / b in a chain rule, with the same convention."""
    if a is _ZERO:
        return _ZERO
    return where(a, a / b, 0) if _is_switched(a) and b.operation != "constant" else a / b


def _is_switched(slope: Expression) -> bool:
    """Whether a slope may be 0 in an interval, because a branch left something out."""
    return any(e.operation in {"where", "less", "less_equal"} for e in topological([slope]))


def _has_poles(expression: Expression) -> bool:
    """Whether an expression may be infinite at finite arguments."""
    return any(
        e.operation in {"exp", "expm1", "log", "log1p"}
        or (e.operation == "div" and e.arguments[1].operation != "constant")
        or (e.operation == "pow" and not _is_natural(e.arguments[1]))
        for e in topological([expression])
    )


def _is_natural(exponent: Expression) -> bool:
    return exponent.operation == "constant" and float(exponent.value or 0) >= 0


def _quotient_slope(e: Expression, a: Expression, b: Expression, da: Expression, db: Expression) -> Expression:
    """(da - e·db) / b, not over b², which overflows early.

    For b = c + t with a number c, as of softsign, that is 1 - |z| / (1 + |z|), which cancels: there da·t - a·db is 0.
    """
    number = next((x for x in b.arguments if x.operation == "constant"), None) if b.operation == "add" else None
    if number is None:
        return _quotient(da - _product(e, db), b)
    t = b.arguments[0] if b.arguments[1] is number else b.arguments[1]
    rest = record("sub", _product(da, t), _product(a, db))
    return _quotient(_quotient(record("add", _product(number, da), rest), b), b)


def _power_slope(e: Expression, a: Expression, b: Expression, da: Expression, db: Expression) -> Expression:
    slope = _product(_product(b, a ** (b - 1)), da)
    # a^b log a goes to 0 with a, where its factors are 0 and -∞.
    return slope if db is _ZERO else slope + where(e, e * log(a), 0) * db


# operation → the chain rule: (the node itself, its arguments, the arguments' slopes) → the node's slope
_CHAIN: dict[str, Callable[..., Expression]] = {
    "neg": lambda e, a, da: record("neg", da),
    "abs": lambda e, a, da: _product(sign(a), da),
    "sign": lambda e, a, da: _ZERO,
    "floor": lambda e, a, da: _ZERO,
    "exp": lambda e, a, da: _product(e, da),
    "expm1": lambda e, a, da: _product(exp(a), da),  # not e + 1, which rounds to 0 for z below -17 in float32
    "log": lambda e, a, da: _quotient(da, a),
    "log1p": lambda e, a, da: _quotient(da, 1 + a),
    "sqrt": lambda e, a, da: _quotient(0.5 * da, e),
    # Not 1 - e² and e(1 - e), which are 0 for z above 9 and 17 in float32: a unit is as alive at +18 as at -18.
    "tanh": lambda e, a, da: _product(sech2(a), da),
    "sech2": lambda e, a, da: _product(-2 * tanh(a) * e, da),
    "sigmoid": lambda e, a, da: _product(logistic_pdf(a), da),
    "logistic_pdf": lambda e, a, da: _product(-tanh(0.5 * a) * e, da),
    "erf": lambda e, a, da: _product(2 / math.sqrt(math.pi) * exp(-a * a), da),
    "normal_cdf": lambda e, a, da: _product(normal_pdf(a), da),
    "normal_pdf": lambda e, a, da: _product(-a * e, da),
    "sin": lambda e, a, da: _product(cos(a), da),
    "cos": lambda e, a, da: _product(-sin(a), da),
    "add": lambda e, a, b, da, db: record("add", da, db),
    "sub": lambda e, a, b, da, db: record("sub", da, db),
    "mul": lambda e, a, b, da, db: _product(da, b) + _product(a, db),
    "div": _quotient_slope,
    "pow": _power_slope,
    "maximum": lambda e, a, b, da, db: _product(_shared(b, a), da) + _product(_shared(a, b), db),
    "minimum": lambda e, a, b, da, db: _product(_shared(a, b), da) + _product(_shared(b, a), db),
    "hypot": lambda e, a, b, da, db: _quotient(_product(a, da) + _product(b, db), e),
    "less": lambda e, a, b, da, db: _ZERO,
    "less_equal": lambda e, a, b, da, db: _ZERO,
    "where": lambda e, c, a, b, dc, da, db: where(c, da, db),
}


def _shared(low: Expression, high: Expression) -> Expression:
    """1 where low < high, 1/2 where they are equal, else 0."""
    return 0.5 * record("add", low < high, low <= high)
