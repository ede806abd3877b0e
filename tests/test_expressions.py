"""The language: recording, evaluating, differentiating, substituting."""

from __future__ import annotations

import copy
import math
import pickle
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from formula_strategies import formulas, is_tame
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schuss.errors import FormulaError
from schuss.language.expressions import (
    FUNCTIONS,
    Expression,
    constant,
    cos,
    derivative,
    erf,
    evaluate,
    exp,
    expm1,
    floor,
    log,
    log1p,
    maximum,
    minimum,
    sigmoid,
    sign,
    sin,
    sqrt,
    substitute,
    symbol,
    symbols,
    tanh,
    topological,
    where,
)

Z = symbol("z")
W = symbol("w")


def value(expression: Expression, z: float) -> float:
    """The expression at one number."""
    return float(evaluate(expression, {"z": z}))


# ------------------------------------------------------------------------------------------------------------- record


def test_equal_expressions_are_one_object() -> None:
    assert Z * Z + 1 is symbol("z") * symbol("z") + 1.0
    assert exp(Z) is not exp(W)


def test_zero_has_no_sign() -> None:
    """Or z + 0 would simplify and z + −0 would not."""
    assert constant(-0.0) is constant(0.0)
    assert Z + -0.0 is Z


def test_copies_and_pickles_are_the_same_object() -> None:
    e = sigmoid(1.7 * Z) * Z
    assert copy.deepcopy(e) is e
    assert pickle.loads(pickle.dumps(e)) is e


@pytest.mark.parametrize(
    ("recorded", "simple"),
    [
        (Z + 0, Z),
        (0 + Z, Z),
        (Z - 0, Z),
        (Z * 1, Z),
        (1 * Z, Z),
        (Z / 1, Z),
        (Z**1, Z),
        (-(-Z), Z),
        (+Z, Z),
        (where(Z > 0, W, W), W),
        (exp(constant(0)) * Z, Z),
    ],
)
def test_trivial_algebra_leaves_no_operations(recorded: Expression, simple: Expression) -> None:
    assert recorded is simple


def test_constants_fold_in_double_precision() -> None:
    assert (constant(2) / 3) is constant(2 / 3)
    assert sqrt(constant(2)) is constant(math.sqrt(2))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, "1", None, 1j, 10**400])
def test_only_finite_numbers_enter_a_formula(bad: object) -> None:
    with pytest.raises(FormulaError, match="finite"):
        Z + bad  # type: ignore[operator]


@pytest.mark.parametrize("fold", [lambda: constant(1) / 0, lambda: log(constant(-1)), lambda: constant(10) ** 1000])
def test_constants_that_fold_to_no_number_are_errors(fold: Callable[[], Expression]) -> None:
    with pytest.raises(FormulaError, match="finite"):
        fold()


@pytest.mark.parametrize(
    "use",
    [
        lambda: Z if Z > 0 else -Z,
        lambda: Z > 0 and Z < 1,
        lambda: 0 < Z < 1,
        lambda: not Z,
        lambda: max(Z, 0),
    ],
)
def test_python_branches_on_formulas_explain_where(use: Callable[[], object]) -> None:
    with pytest.raises(FormulaError, match="where"):
        use()


def test_numpy_functions_record_too() -> None:
    assert np.exp(Z) is exp(Z)
    assert np.maximum(Z, 0.0) is maximum(Z, 0.0)
    assert np.float64(2.0) * Z is 2.0 * Z


@pytest.mark.parametrize("function", [np.arctan, np.sinh, np.cbrt, np.isnan])
def test_numpy_functions_outside_the_language_are_named(function: np.ufunc) -> None:
    with pytest.raises(FormulaError, match=function.__name__):
        function(Z)


def test_an_array_is_not_part_of_a_formula() -> None:
    with pytest.raises(FormulaError):
        Z + np.ones(3)


# ----------------------------------------------------------------------------------------------------------- evaluate

PYTHON_FUNCTIONS: dict[str, Callable[..., float]] = {
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "erf": math.erf,
    "sech2": lambda x: math.cosh(x) ** -2,
    "logistic_pdf": lambda x: math.cosh(x / 2) ** -2 / 4,
    "normal_cdf": statistics.NormalDist().cdf,
    "normal_pdf": statistics.NormalDist().pdf,
    "hypot": math.hypot,
    "sin": math.sin,
    "cos": math.cos,
    "sign": lambda x: math.copysign(1.0, x) if x else 0.0,
    "floor": lambda x: float(math.floor(x)),
    "maximum": max,
    "minimum": min,
    "where": lambda c, a, b: a if c else b,
}
OPERANDS = {"maximum": 2, "minimum": 2, "hypot": 2, "where": 3}


def test_every_function_has_an_independent_oracle() -> None:
    assert set(PYTHON_FUNCTIONS) == set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_match_pythons_math(name: str) -> None:
    random = np.random.default_rng(0)
    names = ("a", "b", "c")[: OPERANDS.get(name, 1)]
    expression = FUNCTIONS[name](*map(symbol, names))
    for row in random.uniform(0.01, 4, (50, len(names))) * random.choice([1, -1], (50, len(names))):
        arguments = np.abs(row) if name in ("log", "log1p", "sqrt") else row
        got = evaluate(expression, dict(zip(names, arguments.tolist(), strict=True)))
        assert got == pytest.approx(PYTHON_FUNCTIONS[name](*arguments.tolist()), rel=1e-14)
        assert FUNCTIONS[name](*arguments.tolist()) == pytest.approx(got, rel=1e-15)


def test_operators_mean_what_they_mean_in_python() -> None:
    z, w = 1.5, -0.25
    expressions = {
        Z + W: z + w,
        Z - W: z - w,
        Z * W: z * w,
        Z / W: z / w,
        Z**2: z**2,
        2**Z: 2**z,
        2 - Z: 2 - z,
        2 / Z: 2 / z,
        -Z: -z,
        abs(W): abs(w),
        Z < W: 0.0,
        Z <= Z: 1.0,
        Z > W: 1.0,
        W >= Z: 0.0,
        (Z > 0) & (W > 0): 0.0,
        (Z > 0) | (W > 0): 1.0,
    }
    for expression, expected in expressions.items():
        assert evaluate(expression, {"z": z, "w": w}) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "expression",
    [
        Z + 0.1,
        sigmoid(Z),
        erf(Z),
        Z < 0.1,
        where(Z > 0, 1, 0),
        where(Z > 0, Z, 0.1),
        sign(Z) * 0.1,
        sqrt(constant(2)) * Z,
        Z**2,
        Z**0.5,
        maximum(Z, 0.1),
        (Z > 0) * 0.1,
        floor(Z),
    ],
)
def test_arrays_keep_their_dtype_and_shape(expression: Expression, dtype: type[np.floating]) -> None:
    z = np.linspace(-2, 2, 12, dtype=dtype).reshape(3, 4)
    result = evaluate(expression, {"z": z})
    assert result.dtype == dtype
    assert result.shape == z.shape


def test_infinities_and_nan_arise_without_warnings() -> None:
    z = np.array([-1e4, -1.0, 0.0, 1e4])
    assert np.isinf(evaluate(exp(Z), {"z": z})[-1])
    assert np.isnan(evaluate(log(Z), {"z": z})[1])
    assert np.isneginf(evaluate(log(Z), {"z": z})[2])
    assert np.isnan(evaluate(maximum(Z, 0), {"z": np.array([np.nan])}))[0]


TEXTBOOK: dict[str, tuple[Expression, Expression]] = {
    "sigmoid": (1 / (1 + exp(-Z)), sigmoid(Z)),
    "sigmoid, other writing": (exp(Z) / (1 + exp(Z)), sigmoid(Z)),
    "softplus": (log(1 + exp(Z)), maximum(Z, 0) + log1p(exp(-abs(Z)))),
    "softplus, log1p": (log1p(exp(Z)), maximum(Z, 0) + log1p(exp(-abs(Z)))),
    "silu": (Z / (1 + exp(-Z)), Z * sigmoid(Z)),
}


@pytest.mark.parametrize("name", TEXTBOOK)
def test_textbook_forms_do_not_overflow(name: str) -> None:
    textbook, stable = TEXTBOOK[name]
    for dtype in (np.float32, np.float64):
        z = np.array([-1e4, -100, -1, 0, 1, 100, 1e4], dtype=dtype)
        for e, expected in ((textbook, stable), (derivative(textbook, "z"), derivative(stable, "z"))):
            got = evaluate(e, {"z": z})
            assert np.all(np.isfinite(got))
            np.testing.assert_allclose(got, evaluate(expected, {"z": z}), rtol=1e-6, atol=1e-30)


# ------------------------------------------------------------------------------------------------------ differentiate

DERIVATIVES: list[tuple[Expression, Callable[[float], float]]] = [
    (constant(3), lambda z: 0.0),
    (W * W, lambda z: 0.0),
    (Z, lambda z: 1.0),
    (Z**3, lambda z: 3 * z**2),
    (Z**-1, lambda z: -1 / z**2),
    (2**Z, lambda z: math.log(2) * 2**z),
    (Z**Z, lambda z: z**z * (math.log(z) + 1)),
    (1 / Z, lambda z: -1 / z**2),
    (Z / (1 + Z), lambda z: 1 / (1 + z) ** 2),
    (exp(2 * Z), lambda z: 2 * math.exp(2 * z)),
    (expm1(Z), math.exp),
    (log(Z), lambda z: 1 / z),
    (log1p(Z), lambda z: 1 / (1 + z)),
    (sqrt(Z), lambda z: 0.5 / math.sqrt(z)),
    (tanh(Z), lambda z: 1 / math.cosh(z) ** 2),
    (sigmoid(Z), lambda z: math.exp(-z) / (1 + math.exp(-z)) ** 2),
    (erf(Z), lambda z: 2 / math.sqrt(math.pi) * math.exp(-z * z)),
    (sin(Z), math.cos),
    (cos(Z), lambda z: -math.sin(z)),
    (abs(Z), lambda z: 1.0),
    (sign(Z) * Z, lambda z: 1.0),
    (floor(Z) * Z, lambda z: float(math.floor(z))),
    ((Z > 0) * Z, lambda z: 1.0),
    (maximum(Z, 1), lambda z: float(z > 1)),
    (minimum(Z, 1), lambda z: float(z < 1)),
    (where(Z > 1, Z**2, Z), lambda z: 2 * z if z > 1 else 1.0),
]


@pytest.mark.parametrize("number", range(len(DERIVATIVES)))
def test_derivatives_match_calculus(number: int) -> None:
    expression, expected = DERIVATIVES[number]
    for z in (0.3, 0.9, 1.4, 2.6):
        assert value(derivative(expression, "z"), z) == pytest.approx(expected(z), rel=1e-14)


def test_kinks_take_pytorchs_slopes() -> None:
    slopes = {
        where(Z > 0, Z, 0): 0.0,  # relu
        where(Z >= 0, Z, 0): 1.0,
        abs(Z): 0.0,
        maximum(Z, 0): 0.5,  # torch.maximum shares a tie equally
        minimum(Z, 0): 0.5,
        maximum(Z, Z): 1.0,
        sign(Z): 0.0,
    }
    for expression, slope in slopes.items():
        assert value(derivative(expression, "z"), 0.0) == slope


def test_the_derivative_is_with_respect_to_one_symbol() -> None:
    assert derivative(Z * W, "z") is W
    assert derivative(Z * W, "w") is Z


def richardson(expression: Expression, z: NDArray[np.float64], step: float = 1e-3) -> NDArray[np.float64]:
    """The slope from four points with an error of order step⁴, NaN where the points show a kink, a jump or a pole."""
    values = [evaluate(expression, {"z": z + k * step}) * np.ones_like(z) for k in (-2, -1, 0, 1, 2)]
    left, right = (values[2] - values[1]) / step, (values[3] - values[2]) / step
    far_left, far_right = (values[1] - values[0]) / step, (values[4] - values[3]) / step
    slope = (8 * (values[3] - values[1]) - (values[4] - values[0])) / (12 * step)
    bends = np.abs(np.diff([far_left, left, right, far_right], axis=0))
    return np.where(np.max(bends, axis=0) < 1e-2 * np.maximum(1, np.abs(slope)), slope, np.nan)


@settings(max_examples=500)
@given(formulas(max_leaves=10), st.integers(0, 1000))
def test_derivative_of_random_formulas_is_the_finite_difference(expression: Expression, seed: int) -> None:
    z = np.random.default_rng(seed).uniform(-3, 3, 16)
    assume(is_tame(expression, {"z": z}))
    expected = richardson(expression, z)
    got = evaluate(derivative(expression, "z"), {"z": z}) * np.ones_like(z)
    smooth = np.isfinite(expected) & np.isfinite(got)
    assume(smooth.any())
    np.testing.assert_allclose(got[smooth], expected[smooth], rtol=1e-4, atol=1e-4)


@settings(max_examples=200)
@given(formulas(names=("z", "w")))
def test_derivatives_of_random_formulas_add_up_along_a_line(expression: Expression) -> None:
    """d/ds f(s, s) = ∂f/∂z + ∂f/∂w at z = w = s: substitution and differentiation agree."""
    s = np.linspace(-2.9, 2.9, 7)
    line = substitute(expression, {"w": Z})
    assume(is_tame(line, {"z": s}))
    both = {"z": s, "w": s}
    total = evaluate(derivative(line, "z"), {"z": s}) * np.ones_like(s)
    parts = evaluate(derivative(expression, "z"), both) + evaluate(derivative(expression, "w"), both) * np.ones_like(s)
    finite = np.isfinite(total) & np.isfinite(parts)
    np.testing.assert_allclose(total[finite], parts[finite], rtol=1e-9, atol=1e-9)


# --------------------------------------------------------------------------------------------- substitute, inspection


def test_substitution_simplifies() -> None:
    assert substitute(Z + W * 2, {"w": 0}) is Z
    assert substitute(Z * W, {"w": Z}) is Z * Z
    assert substitute(Z, {"absent": 1.0}) is Z


def test_substitution_is_simultaneous() -> None:
    assert substitute(Z - W, {"z": W, "w": Z}) is W - Z


def test_symbols_are_found() -> None:
    assert symbols(Z * exp(W) + 1) == {"z", "w"}
    assert symbols(constant(1)) == set()


@given(formulas(names=("z", "w")))
def test_topological_order_puts_arguments_first_and_each_node_once(expression: Expression) -> None:
    order = topological([expression])
    assert len(set(order)) == len(order)
    position = {e: i for i, e in enumerate(order)}
    assert all(position[a] < position[e] for e in order for a in e.arguments)
    assert order[-1] is expression


def test_long_formulas_need_no_recursion() -> None:
    e = Z
    for _ in range(5000):
        e = sin(e) + 0.5
    assert np.isfinite(value(e, 1.0))
    assert np.isfinite(value(derivative(e, "z"), 1.0))
    assert symbols(substitute(e, {"z": W})) == {"w"}
