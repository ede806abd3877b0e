r"""Expressions as text and as LaTeX, and text safely back into expressions.

`parse` reads arithmetic, numbers, known names and known functions, bounded in length, depth and exponent. The text goes
through Python's own grammar into a syntax tree of which only those few node types are taken; nothing is ever executed.

>>> from schuss.language.expressions import symbol
>>> parse("z * sigmoid(1.7 * z)", ["z"]) is parse(text(parse("z*sigmoid(1.7*z)", ["z"])), ["z"])
True
>>> latex(parse("z / (1 + abs(z))", ["z"]))
'\\frac{z}{1 + \\left|z\\right|}'
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from schuss.errors import FormulaError, unknown_name
from schuss.language.expressions import FUNCTIONS, Expression, constant, record, symbol, topological

MAX_LENGTH = 10_000
MAX_DEPTH = 150
MAX_EXPONENT = 64

_COMPARISON, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(6)  # how tightly an operation binds its operands
_INFIX = {
    "add": ("+", _SUM), "sub": ("-", _SUM), "mul": ("*", _PRODUCT), "div": ("/", _PRODUCT),
    "less": ("<", _COMPARISON), "less_equal": ("<=", _COMPARISON),
}  # fmt: skip


def text(expression: Expression) -> str:
    """The expression in Python's notation, which `parse` reads back as the same expression.

    FormulaError if it is too long to be read back.
    """
    size: dict[Expression, int] = {}
    for e in topological([expression]):  # counted before written: shared parts can make the text exponentially long
        size[e] = 1 + sum(size[x] for x in e.arguments)
    if size[expression] > MAX_LENGTH or len(written := _text(expression)[0]) > MAX_LENGTH:
        raise FormulaError(f"this expression written out has more than {MAX_LENGTH:,} characters.")
    return written


def _text(e: Expression) -> tuple[str, int]:
    """The text of an expression and how tightly its outermost operation binds."""
    if e.operation == "symbol":
        return str(e.value), _ATOM
    if e.operation == "constant":
        return _number(float(e.value or 0)), _ATOM if str(e.value)[0] != "-" else _SIGN
    if e.operation == "neg":
        return "-" + _wrapped(e.arguments[0], _SIGN + 1), _SIGN
    if e.operation == "pow":
        return f"{_wrapped(e.arguments[0], _ATOM)} ** {_wrapped(e.arguments[1], _POWER)}", _POWER
    if e.operation in _INFIX:
        sign, level = _INFIX[e.operation]
        left, right = e.arguments
        # Comparisons do not chain, and a - (b - c) is not a - b - c: the right operand binds one step tighter.
        return f"{_wrapped(left, level + (level == _COMPARISON))} {sign} {_wrapped(right, level + 1)}", level
    return f"{e.operation}({', '.join(_text(x)[0] for x in e.arguments)})", _ATOM


def _wrapped(e: Expression, level: int) -> str:
    inside, binds = _text(e)
    return inside if binds >= level else f"({inside})"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


# ---------------------------------------------------------------------------------------------- LaTeX

_LATEX_FUNCTIONS = {"log": "\\ln", "tanh": "\\tanh", "sin": "\\sin", "cos": "\\cos", "sigmoid": "\\sigma",
                    "normal_cdf": "\\Phi", "normal_pdf": "\\varphi", "maximum": "\\max",
                    "minimum": "\\min"}  # fmt: skip
_LATEX_SYMBOLS = {"beta1": "\\beta_1", "beta2": "\\beta_2", "lr": "\\eta", "epsilon": "\\epsilon", "momentum": "\\mu",
                  "alpha": "\\alpha", "slope": "\\alpha", "gamma": "\\gamma", "mu": "\\mu",
                  "weight_decay": "\\lambda"}  # fmt: skip


def latex(expression: Expression) -> str:
    """The expression as LaTeX mathematics, without dollar signs."""
    return _latex(expression)[0]


def _latex(e: Expression) -> tuple[str, int]:
    if e.operation == "symbol":
        name = str(e.value)
        upright = "\\mathrm{" + name.replace("_", "\\_") + "}"
        return _LATEX_SYMBOLS.get(name, name if len(name) == 1 else upright), _ATOM
    if e.operation == "constant":
        number, level = f"{float(e.value or 0):.6g}", _ATOM
        if "e" in number:
            mantissa, exponent = number.split("e")
            number, level = f"{mantissa} \\cdot 10^{{{int(exponent)}}}", _PRODUCT
        return number, level if number[0] != "-" else min(level, _SIGN)
    return _LATEX.get(e.operation, _latex_call)(e, *e.arguments)


def _grouped(e: Expression, level: int) -> str:
    inside, binds = _latex(e)
    return inside if binds >= level else f"\\left({inside}\\right)"


def _right(e: Expression, level: int) -> str:
    """A right operand: also in brackets where it starts with a minus, since a − −b and a −b mislead."""
    inside, binds = _latex(e)
    return inside if binds >= level and inside[0] != "-" else f"\\left({inside}\\right)"


def _latex_call(e: Expression, *arguments: Expression) -> tuple[str, int]:
    name = _LATEX_FUNCTIONS.get(e.operation, f"\\operatorname{{{e.operation}}}")
    return f"{name}\\left({', '.join(map(latex, arguments))}\\right)", _ATOM


def _latex_where(_: Expression, condition: Expression, a: Expression, b: Expression) -> tuple[str, int]:
    rows = f"{latex(a)} & \\text{{if }} {latex(condition)} \\\\ {latex(b)} & \\text{{otherwise}}"
    return f"\\begin{{cases}} {rows} \\end{{cases}}", _ATOM


_LATEX: dict[str, Callable[..., tuple[str, int]]] = {
    "neg": lambda e, a: (f"-{_grouped(a, _PRODUCT)}", _SIGN),
    "abs": lambda e, a: (f"\\left|{latex(a)}\\right|", _ATOM),
    "exp": lambda e, a: (f"e^{{{latex(a)}}}", _POWER),
    "expm1": lambda e, a: (f"e^{{{latex(a)}}} - 1", _SUM),
    "log1p": lambda e, a: (f"\\ln\\left(1 + {latex(a)}\\right)", _ATOM),
    "sqrt": lambda e, a: (f"\\sqrt{{{latex(a)}}}", _ATOM),
    "hypot": lambda e, a, b: (f"\\sqrt{{{_grouped(a, _ATOM)}^2 + {_grouped(b, _ATOM)}^2}}", _ATOM),
    "add": lambda e, a, b: (f"{_grouped(a, _SUM)} + {_right(b, _PRODUCT)}", _SUM),
    "sub": lambda e, a, b: (f"{_grouped(a, _SUM)} - {_right(b, _PRODUCT)}", _SUM),
    "mul": lambda e, a, b: (f"{_grouped(a, _PRODUCT)} \\, {_right(b, _PRODUCT)}", _PRODUCT),
    "div": lambda e, a, b: (f"\\frac{{{latex(a)}}}{{{latex(b)}}}", _ATOM),
    "pow": lambda e, a, b: (f"{_grouped(a, _ATOM)}^{{{latex(b)}}}", _POWER),
    "less": lambda e, a, b: (f"{_grouped(a, _SUM)} < {_grouped(b, _SUM)}", _COMPARISON),
    "less_equal": lambda e, a, b: (f"{_grouped(a, _SUM)} \\le {_grouped(b, _SUM)}", _COMPARISON),
    "where": _latex_where,
}


# ---------------------------------------------------------------------------------------------- parse

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], tuple[str, bool]] = {  # operation, whether the operands change places
    ast.Lt: ("less", False), ast.LtE: ("less_equal", False), ast.Gt: ("less", True), ast.GtE: ("less_equal", True)
}  # fmt: skip


def parse(source: str, names: Iterable[str], functions: Mapping[str, Callable[..., Any]] | None = None) -> Expression:
    """Read a formula.

    Parameters
    ----------
    source : such as "z * sigmoid(1.7 * z)".
    names : the symbols that may occur.
    functions : more functions by name, each taking and returning expressions; the language's own are always known.

    Raises
    ------
    FormulaError
        For anything but arithmetic, comparisons, finite numbers, the given names and known functions; for a text of
        more than 10,000 characters, nesting deeper than 150, or an exponent outside -64 … 64.
    """
    if len(source) > MAX_LENGTH:
        raise FormulaError(f"a formula may have at most {MAX_LENGTH:,} characters; this one has {len(source):,}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's warnings about "1if" or a stray backslash; our error says enough
            tree = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormulaError(f"cannot read the formula {_shortened(source)}: {getattr(error, 'msg', error)}.") from None
    known: dict[str, Callable[..., Any]] = {
        **FUNCTIONS,
        "abs": abs,
        "max": FUNCTIONS["maximum"],
        "min": FUNCTIONS["minimum"],
        **(functions or {}),
    }
    return _Parser(source, frozenset(names), known).read(tree, 0)


class _Parser:
    def __init__(self, source: str, names: frozenset[str], functions: Mapping[str, Callable[..., Any]]) -> None:
        self.source, self.names, self.functions = source, names, functions

    def read(self, node: ast.expr, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise FormulaError(f"the formula {_shortened(self.source)} nests deeper than {MAX_DEPTH} levels.")
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return constant(value)
            case ast.Name(id=name) if name in self.names:
                return symbol(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.read(operand, depth + 1)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.read(operand, depth + 1)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
                return self.binary(_BINARY[type(operator)], self.read(left, depth + 1), self.read(right, depth + 1))
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _COMPARE:
                operation, exchanged = _COMPARE[type(operator)]
                a, b = self.read(left, depth + 1), self.read(right, depth + 1)
                return record(operation, b, a) if exchanged else record(operation, a, b)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self.call(name, [self.read(x, depth + 1) for x in arguments])
            case ast.Name(id=name):
                raise FormulaError(
                    f"in {_shortened(self.source)}: {unknown_name('name', name, self.names | set(self.functions))}"
                )
        raise FormulaError(
            f"in {_shortened(self.source)}: {type(node).__name__.lower()} is not allowed in a formula, which has only "
            f"+ - * / **, one comparison at a time, numbers, {', '.join(sorted(self.names))} and functions like exp(z)."
        )

    def binary(self, operation: str, a: Expression, b: Expression) -> Expression:
        if operation == "pow" and b.operation == "constant" and abs(float(b.value or 0)) > MAX_EXPONENT:
            raise FormulaError(
                f"in {_shortened(self.source)}: an exponent must lie within -{MAX_EXPONENT} … {MAX_EXPONENT}."
            )
        return record(operation, a, b)

    def call(self, name: str, arguments: list[Expression]) -> Expression:
        if name not in self.functions:
            raise FormulaError(f"in {_shortened(self.source)}: {unknown_name('function', name, self.functions)}")
        expected = getattr(self.functions[name], "arity", 1)  # abs and activations take one
        if len(arguments) != expected:
            raise FormulaError(
                f"in {_shortened(self.source)}: {name} takes {expected} argument{'s' * (expected > 1)}, "
                f"not {len(arguments)}."
            )
        result = self.functions[name](*arguments)
        return result if isinstance(result, Expression) else constant(result)


def _shortened(source: str) -> str:
    return repr(source if len(source) <= 60 else source[:57] + "...")
