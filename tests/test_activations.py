"""Activations against PyTorch's numbers in float64, finite differences, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from golden_files import golden
from numpy.typing import NDArray

from schuss.activations import (
    ACTIVATIONS,
    Activation,
    activation,
    celu,
    elu,
    find_activation,
    formula_activation,
    identity,
    leaky_relu,
    relu,
    sigmoid,
    softplus,
    tanh,
)
from schuss.errors import FormulaError, InvalidInput, UnknownName
from schuss.language import expressions
from schuss.language.expressions import Expression, exp

GOLDEN = golden("activations")
GRID = GOLDEN["z"]
CASES = sorted(key.removesuffix(":value") for key in GOLDEN if key.endswith(":value"))
KINKS = np.array([-3.0, -1.0, 0.0, 1.0, 3.0, 6.0])
NAMES = sorted(ACTIVATIONS)


def close(got: NDArray[np.floating], expected: NDArray[np.floating], digits: float) -> None:
    """Equal to `digits` relative to the largest of 1, |z| and the result: what cancels in z cannot be better."""
    error = np.abs(got - expected)
    allowed = digits * np.maximum(np.maximum(1, np.abs(GRID)), np.abs(expected))
    assert np.all(error <= allowed), f"off by {error.max():.1e}, first at z = {GRID[error > allowed][0]}"


# ------------------------------------------------------------------------------------------------------------ numbers


def test_every_registered_activation_has_golden_numbers() -> None:
    assert {case.partition("(")[0] for case in CASES} == set(ACTIVATIONS)


def test_the_golden_grid_holds_the_hard_places() -> None:
    assert set(KINKS) <= set(GRID)
    assert {-1e4, -100.0, -20.0, 20.0, 100.0, 1e4, 1e-8, -1e-8} <= set(GRID)


@pytest.mark.parametrize("case", CASES)
def test_value_and_derivative_are_pytorchs(case: str) -> None:
    phi = find_activation(case)
    close(phi(GRID), GOLDEN[f"{case}:value"], 1e-14)
    close(phi.slope(GRID), GOLDEN[f"{case}:derivative"], 1e-14)


@pytest.mark.parametrize("case", CASES)
def test_float32_stays_float32_finite_and_near(case: str) -> None:
    phi, z = find_activation(case), GRID.astype(np.float32)
    for got, kind in ((phi(z), "value"), (phi.slope(z), "derivative")):
        assert got.dtype == np.float32
        assert np.all(np.isfinite(got))
        exact = {"value": phi, "derivative": phi.slope}[kind](z.astype(np.float64))
        close(got, exact, 1e-6)


@pytest.mark.parametrize("case", CASES)
def test_derivative_is_the_finite_difference(case: str) -> None:
    phi = find_activation(case)
    z = np.random.default_rng(0).uniform(-8, 8, 400)
    z = z[np.abs(z[:, None] - KINKS).min(axis=1) > 1e-3]
    step = 1e-5
    difference = (phi(z + step) - phi(z - step)) / (2 * step)
    np.testing.assert_allclose(phi.slope(z), difference, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_nan(name: str) -> None:
    """Or a network that diverges would look healthy behind a ReLU."""
    assert np.isnan(ACTIVATIONS[name](np.array([np.nan]))[0])


@pytest.mark.parametrize("name", NAMES)
def test_infinity_gives_no_warning(name: str) -> None:
    ACTIVATIONS[name](np.array([-np.inf, np.inf]))
    ACTIVATIONS[name].slope(np.array([-np.inf, np.inf]))


# -------------------------------------------------------------------------------------------------------------- facts

INF = math.inf
SELU_EDGE = 1.0507009873554805 * 1.6732632423543772
GELU_STEEPEST = 0.5 * (1 + math.erf(1)) + math.sqrt(2) * math.exp(-1) / math.sqrt(2 * math.pi)  # at z = √2
FACTS: dict[str, tuple[float, float, float]] = {  # infimum, supremum, largest slope
    "identity": (-INF, INF, 1),
    "sigmoid": (0, 1, 0.25),
    "tanh": (-1, 1, 1),
    "relu": (0, INF, 1),
    "softplus": (0, INF, 1),
    "leaky_relu": (-INF, INF, 1),
    "elu": (-1, INF, 1),
    "celu": (-1, INF, 1),
    "selu": (-SELU_EDGE, INF, SELU_EDGE),
    "gelu": (-0.16997120747, INF, GELU_STEEPEST),
    "gelu_tanh": (-0.170040751, INF, 1.128993069),
    "silu": (-0.2784645428, INF, 1.099839320),
    "mish": (-0.308843413, INF, 1.088498161),
    "softsign": (-1, 1, 1),
    "relu6": (0, 6, 1),
    "hard_tanh": (-1, 1, 1),
    "hard_sigmoid": (0, 1, 1 / 6),
    "hard_silu": (-0.375, INF, 1.5),
    "squareplus": (0, INF, 1),
    "squared_relu": (0, INF, INF),
    "log_sigmoid": (-INF, 0, 1),
    "tanh_shrink": (-INF, INF, 1),
}


def test_every_registered_activation_has_its_facts_here() -> None:
    assert set(FACTS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_range_and_largest_slope_are_the_known_ones(name: str) -> None:
    low, high, steepest = FACTS[name]
    phi = ACTIVATIONS[name]
    assert phi.range == pytest.approx((low, high), rel=1e-6, abs=1e-6)
    assert phi.largest_slope == pytest.approx(steepest, rel=1e-6)


def test_the_largest_slope_of_sigmoid_is_exactly_a_quarter() -> None:
    assert sigmoid.largest_slope == 0.25
    assert sigmoid.slope(np.zeros(1))[0] == 0.25


def test_facts_follow_the_hyper_parameters() -> None:
    assert elu(alpha=2.0).range == pytest.approx((-2.0, INF))
    assert elu(alpha=2.0).largest_slope == pytest.approx(2.0)
    assert celu(alpha=2.0).largest_slope == pytest.approx(1.0)
    assert leaky_relu(slope=3.0).largest_slope == 3.0


@pytest.mark.parametrize(
    ("formula", "low", "high", "steepest"),
    [
        ("sin(5 * z)", -1, 1, 5),  # a wave ends somewhere else at 1e8 than at 5e7, and does not grow
        ("cos(z)", -1, 1, 1),
        ("where(z > 0, z, sin(5 * z))", -1, INF, 5),
        ("sin(z) + z", -INF, INF, 2),
        ("sin(z * z)", -1, 1, INF),
        ("exp(z)", 0, INF, INF),
        ("log(z)", -INF, INF, INF),  # where it is a number
        ("3 + 0 * z", 3, 3, 0),
    ],
)
def test_range_and_largest_slope_of_a_formula(formula: str, low: float, high: float, steepest: float) -> None:
    phi = find_activation(f"mine = {formula}")
    assert phi.range == pytest.approx((low, high), rel=2e-3)
    assert phi.largest_slope == pytest.approx(steepest, rel=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_usual_slope_is_finite_and_not_larger(name: str) -> None:
    phi = ACTIVATIONS[name]
    assert 0 < phi.usual_slope <= phi.largest_slope
    assert math.isfinite(phi.usual_slope)


@pytest.mark.parametrize("name", NAMES)
def test_formula_and_reference_are_given(name: str) -> None:
    phi = ACTIVATIONS[name]
    assert "z" in phi.latex
    assert "z" in phi.text
    assert any(word in phi.description for word in ("19", "20", "PyTorch", "itself"))


@pytest.mark.parametrize("case", CASES)
def test_the_printed_formula_is_read_back(case: str) -> None:
    phi = find_activation(case)
    assert formula_activation(phi.text, "again").expression is phi.expression


# ---------------------------------------------------------------------------------------------------------------- use


def test_any_shape_and_integers_too() -> None:
    assert relu(np.arange(-3, 3).reshape(2, 3)).tolist() == [[0, 0, 0], [0, 1, 2]]
    assert float(relu(-2.0)) == 0.0
    assert identity(np.zeros((0, 3))).shape == (0, 3)


def test_a_constant_slope_has_the_shape_of_the_argument() -> None:
    assert identity.slope(np.zeros((2, 3), dtype=np.float32)).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_the_result_is_the_callers_own_array() -> None:
    z = np.ones(3)
    result = identity(z)
    result[0] = 7
    assert z[0] == 1
    identity.slope(z)[0] = 7


def test_activations_use_one_another() -> None:
    @activation
    def twice(z: Expression) -> Expression:
        return 2 * softplus(z)

    z = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(twice(z), 2 * softplus(z), rtol=1e-15)
    np.testing.assert_allclose(twice.slope(z), 2 * sigmoid(z), rtol=1e-14)


def test_the_argument_may_have_any_name() -> None:
    @activation
    def half(x: Expression) -> Expression:
        return x / 2

    assert half(np.ones(1))[0] == 0.5
    assert half == half()
    assert half.text == "z / 2"


def test_numpy_functions_may_be_used() -> None:
    @activation
    def bump(z: Expression) -> Expression:
        return np.exp(-(z**2))  # type: ignore[no-any-return]

    assert bump.slope(np.array([1.0]))[0] == pytest.approx(-2 / math.e)


def test_configured_copies() -> None:
    steep = leaky_relu(slope=0.1)
    assert steep(np.array([-1.0]))[0] == -0.1
    assert leaky_relu(np.array([-1.0]))[0] == -0.01
    assert str(steep) == "leaky_relu(slope=0.1)"
    assert steep != leaky_relu
    assert leaky_relu(slope=0.01) == leaky_relu
    assert leaky_relu(np.array([-1.0]), slope=0.5)[0] == -0.5


@pytest.mark.parametrize("changes", [{"slop": 0.1}, {"slope": math.nan}, {"slope": math.inf}, {"slope": "steep"}])
def test_bad_hyper_parameters_are_named(changes: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="slop"):
        leaky_relu(**changes)


def test_names_configured_names_formulas_and_objects_are_found() -> None:
    assert find_activation("relu") is relu
    assert find_activation(tanh) is tanh
    assert find_activation("leaky_relu(slope=0.1)") == leaky_relu(slope=0.1)
    mine = find_activation("mine = z * sigmoid(1.7 * z)")
    assert mine.name == str(mine) == "mine"
    assert mine(np.zeros(1))[0] == 0
    assert find_activation("mine=relu(z) + softsign(z)")(np.ones(1))[0] == 1.5


@pytest.mark.parametrize(
    "wanted",
    [
        *("rellu", "", "relu(", "relu(slope=0.1)", "leaky_relu(0.1)", "relu; tanh", "leaky_relu(slope=open('x'))"),
        *("mine = z.real", "mine = q", "= z", "m m = z", "mine = ", "z == 1", "mine = open('x')", 3, None),
        *("leaky_relu(slope=1e999)", "leaky_relu(slope=-'1')", "leaky_relu(**{'slope': 1})", "leaky_relu" + "(" * 5000),
    ],
)
def test_anything_else_is_a_clear_error(wanted: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        find_activation(wanted)  # type: ignore[arg-type]
    assert 10 < len(str(caught.value)) < 600


def test_an_error_quotes_the_formula_without_the_spaces_around_it() -> None:
    with pytest.raises(FormulaError, match=r"^in 'z \* q': unknown name 'q'"):
        find_activation("mine =  z * q ")


def test_near_names_are_suggested() -> None:
    with pytest.raises(UnknownName, match=r"did you mean.*softplus"):
        find_activation("softpluss")


def test_functions_that_are_no_activation_are_explained() -> None:
    def branches(z: Expression) -> Expression:
        return z if z > 0 else 0 * z  # type: ignore[operator]

    def two_arguments(z: Expression, y: Expression) -> Expression:
        return z + y

    def two_results(z: Expression) -> tuple[Expression, Expression]:
        return z, z

    def text(z: Expression) -> str:
        return "z"

    def no_default(z: Expression, *, slope: float) -> Expression:
        return slope * z

    def math_function(z: Expression) -> float:
        return math.exp(z)  # type: ignore[arg-type]

    def several(*z: Expression) -> Expression:
        return z[0]

    def nothing(z: Expression) -> None:
        return None

    def z_twice(x: Expression, *, z: float = 1.0) -> Expression:
        return x * z

    def exp_of_two(z: Expression) -> Expression:
        return exp(z, z)

    wrong = (branches, two_arguments, two_results, text, no_default, math_function, several, nothing)
    for bad in (*wrong, z_twice, exp_of_two):
        with pytest.raises(FormulaError):
            activation(bad)  # type: ignore[arg-type]


def test_the_expression_is_of_z_alone() -> None:
    for name in NAMES:
        assert expressions.symbols(ACTIVATIONS[name].expression) == {"z"}


def test_the_chapters_four_come_first_after_identity() -> None:
    assert list(ACTIVATIONS)[:5] == ["identity", "sigmoid", "tanh", "relu", "softplus"]
    assert all(isinstance(phi, Activation) for phi in ACTIVATIONS.values())
