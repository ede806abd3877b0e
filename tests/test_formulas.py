"""Formulas as text and LaTeX, and text back into formulas: nothing but a formula or a FormulaError ever comes out."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from formula_strategies import formulas
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schuss.errors import FormulaError
from schuss.language.expressions import (
    FUNCTIONS,
    Expression,
    derivative,
    evaluate,
    exp,
    maximum,
    minimum,
    sigmoid,
    symbol,
    topological,
    where,
)
from schuss.language.formulas import MAX_DEPTH, MAX_EXPONENT, MAX_LENGTH, latex, parse, text

Z = symbol("z")
W = symbol("w")


def depth(expression: Expression) -> int:
    """The number of nested operations."""
    levels: dict[Expression, int] = {}
    for e in topological([expression]):
        levels[e] = 1 + max((levels[a] for a in e.arguments), default=0)
    return levels[expression]


# -------------------------------------------------------------------------------------------------------------- parse


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("z", Z),
        ("  z * sigmoid(1.7 * z)  ", Z * sigmoid(1.7 * Z)),
        ("z*sigmoid(1.7*z)", Z * sigmoid(1.7 * Z)),
        ("z + 2 * z ** 2", Z + 2 * Z**2),
        ("-z ** 2", -(Z**2)),
        ("(-z) ** 2", (-Z) ** 2),
        ("2 ** z ** 2", 2 ** (Z**2)),
        ("z - 1 - 2", Z - 1 - 2),
        ("z / 2 / z", Z / 2 / Z),
        ("+z", Z),
        ("1e-3 * z", 1e-3 * Z),
        (".5*z", 0.5 * Z),
        ("0x10 * z", 16 * Z),
        ("1_000 * z", 1000 * Z),
        ("abs(z)", abs(Z)),
        ("max(z, 0)", maximum(Z, 0)),
        ("minimum(z, 1)", minimum(Z, 1)),
        ("where(z > 0, z, 0.1 * z)", where(Z > 0, Z, 0.1 * Z)),
        ("z <= 0", Z <= 0),
        ("(z >= 0) * exp(z)", (Z >= 0) * exp(Z)),
        ("(z\n + 1)", Z + 1),
    ],
)
def test_formulas_read_like_python(source: str, expected: Expression) -> None:
    assert parse(source, ["z"]) is expected


def test_several_names_may_be_known() -> None:
    assert parse("z * w", ["z", "w"]) is Z * W


def test_more_functions_may_be_known() -> None:
    double: Callable[[Expression], Expression] = lambda x: 2 * x  # noqa: E731
    assert parse("double(z) + 1", ["z"], {"double": double}) is 2 * Z + 1


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_of_the_language_is_read(name: str) -> None:
    operands = {"maximum": "z, 1", "minimum": "z, 1", "hypot": "z, 1", "where": "z, 1, 2"}.get(name, "z")
    assert parse(f"{name}({operands})", ["z"]).operation == name


HOSTILE = {
    "attribute": "z.__class__",
    "attribute of a call": "exp(z).real",
    "method": "z.sum()",
    "call of an attribute": "np.exp(z)",
    "call of a call": "exp(z)(z)",
    "call of a number": "1(z)",
    "call of the argument": "z(1)",
    "import": "__import__('os').system('true')",
    "builtin": "eval(z)",
    "builtin without call": "print",
    "dunder": "__builtins__",
    "lambda": "lambda: z",
    "lambda called": "(lambda x: x)(z)",
    "walrus": "(y := z)",
    "f-string": "f'{z}'",
    "string": "'z'",
    "bytes": "b'z'",
    "string argument": "exp('z')",
    "comprehension": "[z for z in z]",
    "generator": "exp(z for z in z)",
    "list": "[z]",
    "tuple": "z, z",
    "set": "{z}",
    "dict": "{z: z}",
    "subscript": "z[0]",
    "slice": "z[:]",
    "starred": "exp(*z)",
    "keyword": "exp(z=z)",
    "double star": "exp(**z)",
    "conditional": "z if z else z",
    "and": "z and z",
    "not": "not z",
    "invert": "~z",
    "floor division": "z // 2",
    "modulo": "z % 2",
    "matrix product": "z @ z",
    "shift": "z << 2",
    "equality": "z == 0",
    "in": "z in z",
    "is": "z is z",
    "chained comparison": "0 < z < 1",
    "await": "await z",
    "yield": "(yield z)",
    "statement": "import os",
    "assignment": "z = 1",
    "two lines": "z\nz",
    "semicolon": "z; z",
    "comment only": "# z",
    "empty": "",
    "blank": " \t\n",
    "unknown name": "x + 1",
    "unknown function": "sigmod(z)",
    "function without call": "exp",
    "no argument": "exp()",
    "too many arguments": "exp(z, z)",
    "too few arguments": "where(z, 1)",
    "True": "True",
    "None": "None * z",
    "ellipsis": "...",
    "complex": "2j * z",
    "infinite": "1e999",
    "infinite negative": "-1e999 * z",
    "huge integer": "9" * 1000,
    "huge hexadecimal": "0x" + "f" * 1500,
    "huge integer, as long as allowed": "9" * MAX_LENGTH,
    "huge hexadecimal, as long as allowed": "0x" + "f" * (MAX_LENGTH - 2),
    "huge power": "z**99999",
    "huge negative power": "z**-99999",
    "huge power by folding": "z**(60*60)",
    "power tower": "9**9**9**9**9**9",
    "division by zero": "1/0",
    "zero to the minus one": "z * 0**-1",
    "logarithm of a negative": "log(-1) + z",
    "open parenthesis": "(z",
    "closed parenthesis": "z)",
    "10,000 parentheses": "(" * 10_000 + "z" + ")" * 10_000,
    "900 parentheses": "(" * 900 + "z" + ")" * 900,
    "nested functions": "sin(" * (MAX_DEPTH + 1) + "z" + ")" * (MAX_DEPTH + 1),
    "minus signs": "-" * (MAX_DEPTH + 1) + "z",
    "minus signs, as long as allowed": "-" * (MAX_LENGTH - 1) + "z",
    "100,000 minus signs": "-" * 100_000 + "z",
    "sums, as long as allowed": "z" + "+z" * (MAX_LENGTH // 2 - 1),
    "powers, as long as allowed": "z" + "**z" * (MAX_LENGTH // 3 - 1),
    "lists, as long as allowed": "[" * (MAX_LENGTH // 2) + "]" * (MAX_LENGTH // 2),
    "too long": "z + " * (MAX_LENGTH // 4) + "z",
    "null byte": "z\0",
    "surrogate": "\ud800",
    "unicode identifier": "ζ",
    "unicode operator": "z × 2",
    "unicode minus": "z − 1",
    "bidirectional mark": "z\u202e",
    "bad escape": r"'\d'",
    "octal": "012 * z",
    "number and keyword": "1if z else 0",
    "number and or": "0or z",
    "type comment": "z # type: ignore",
}
ACCEPTABLE = {"type comment"}  # a comment after a formula is harmless


@pytest.mark.parametrize("kind", HOSTILE)
def test_anything_else_is_a_short_clear_error(kind: str) -> None:
    if kind in ACCEPTABLE:
        assert parse(HOSTILE[kind], ["z"]) is Z
        return
    with pytest.raises(FormulaError) as caught:
        parse(HOSTILE[kind], ["z"])
    assert 10 < len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", HOSTILE)
def test_reading_prints_no_warnings(kind: str) -> None:
    """Python's own grammar warns about some texts, which the user would see beside the error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(FormulaError):
            parse(HOSTILE[kind], ["z"])
    assert not caught


def test_errors_suggest_near_names() -> None:
    with pytest.raises(FormulaError, match=r"did you mean sigmoid\b"):
        parse("sigmod(z)", ["z"])
    with pytest.raises(FormulaError, match=r"did you mean.*target"):
        parse("targt - 1", ["prediction", "target"])


def test_the_bounds_are_inclusive() -> None:
    assert parse(f"z ** {MAX_EXPONENT}", ["z"]) is Z**MAX_EXPONENT
    assert parse(f"z ** -{MAX_EXPONENT}", ["z"]) is Z**-MAX_EXPONENT
    assert parse("z".ljust(MAX_LENGTH), ["z"]) is Z
    assert parse("-" * MAX_DEPTH + "z", ["z"]) is Z
    for beyond in (f"z ** {MAX_EXPONENT + 1}", "z".ljust(MAX_LENGTH + 1), "-" * (MAX_DEPTH + 1) + "z"):
        with pytest.raises(FormulaError):
            parse(beyond, ["z"])


FRAGMENTS = st.sampled_from(
    [
        *"zw()+-*/, <.[]:='\"\\\n",
        *["**", ">="],
        *["1", "0", "1e999", "0.5", "j", "e", "_", "lambda ", "if ", " else ", " for ", " in ", "f'{", "}'", "{", "}"],
        *["exp(", "log(", "where(", "max(", "abs(", "eval(", "__class__", "z.real", "not ", "@", "~", ":=", "#", "\0"],
    ]
)
ANY_TEXT = st.one_of(st.text(max_size=60), st.lists(FRAGMENTS, max_size=20).map("".join))


@settings(max_examples=1500)
@given(ANY_TEXT)
@example("z\x0c")
@example("\ufeffz")
@example("ｚ + 1")
def test_any_text_is_a_formula_or_a_formula_error(source: str) -> None:
    try:
        expression = parse(source, ["z"])
    except FormulaError:
        return
    assert isinstance(expression, Expression)
    values = evaluate(expression, {"z": np.linspace(-2, 2, 5)})
    assert np.ndim(values) <= 1


@settings(max_examples=300)
@given(formulas(names=("z", "w")), st.data())
def test_a_damaged_formula_is_a_formula_or_a_formula_error(expression: Expression, data: st.DataObject) -> None:
    source = text(expression)
    start = data.draw(st.integers(0, len(source)))
    stop = data.draw(st.integers(start, len(source)))
    with contextlib.suppress(FormulaError):
        parse(source[:start] + data.draw(FRAGMENTS) + source[stop:], ["z", "w"])


# -------------------------------------------------------------------------------------------------------------- print


@settings(max_examples=500)
@given(formulas(names=("z", "w")))
def test_parse_undoes_print(expression: Expression) -> None:
    assert parse(text(expression), ["z", "w"]) is expression


@settings(max_examples=200)
@given(formulas(max_leaves=5))
def test_parse_undoes_print_for_derivatives(expression: Expression) -> None:
    slope = derivative(expression, "z")
    printed = text(slope)
    if len(printed) <= MAX_LENGTH and depth(slope) <= MAX_DEPTH // 2 and "**" not in printed:
        assert parse(printed, ["z"]) is slope


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(-0.0)
@example(5e-324)
@example(1e22)
@example(1.7976931348623157e308)
def test_numbers_survive_printing_exactly(number: float) -> None:
    assert parse(text(Z + number), ["z"]) is Z + number
    assert parse(text(number * Z), ["z"]) is number * Z


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        (Z * sigmoid(1.7 * Z), "z * sigmoid(1.7 * z)"),
        (Z - (W - 1), "z - (w - 1)"),
        (Z / (W * 2), "z / (w * 2)"),
        ((Z**2) ** W, "(z ** 2) ** w"),
        ((-Z) ** 2, "(-z) ** 2"),
        (-(Z**2), "-z ** 2"),
        (1000 * Z, "1000 * z"),
        (1e-3 * Z, "0.001 * z"),
        ((Z < W) < 1, "(z < w) < 1"),
    ],
)
def test_text_is_what_one_would_write(expression: Expression, printed: str) -> None:
    assert text(expression) == printed


# -------------------------------------------------------------------------------------------------------------- LaTeX


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        (Z / (1 + abs(Z)), r"\frac{z}{1 + \left|z\right|}"),
        (exp(-(Z**2)), r"e^{-z^{2}}"),
        ((Z + 1) ** 2, r"\left(z + 1\right)^{2}"),
        ((Z + 1) * Z, r"\left(z + 1\right) \, z"),
        (Z - (W - 1), r"z - \left(w - 1\right)"),
        (-(Z + W), r"-\left(z + w\right)"),
        (symbol("beta1") * Z, r"\beta_1 \, z"),
        (symbol("my_slope") * Z, r"\mathrm{my\_slope} \, z"),
        (1e-8 * Z, r"1 \cdot 10^{-8} \, z"),
        (where(Z > 0, Z, 0), r"\begin{cases} z & \text{if } 0 < z \\ 0 & \text{otherwise} \end{cases}"),
    ],
)
def test_latex_is_what_one_would_write(expression: Expression, printed: str) -> None:
    assert latex(expression) == printed


@settings(max_examples=200)
@given(formulas(names=("z", "w")))
def test_latex_is_balanced(expression: Expression) -> None:
    printed = latex(expression)
    assert printed
    assert printed.count("{") == printed.count("}")
    assert printed.count(r"\left") == printed.count(r"\right")
    assert printed.count(r"\begin") == printed.count(r"\end")


@pytest.mark.parametrize("expression", [Z * -2, Z - (-2 * Z), Z * -W, Z + -W, Z - -W * Z, Z + W * -2])
def test_a_right_operand_with_a_minus_stands_in_brackets(expression: Expression) -> None:
    """z · −2 without brackets reads as z − 2."""
    printed = latex(expression)
    assert not any(pair in printed for pair in ("- -", "+ -", r"\, -"))
