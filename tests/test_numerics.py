"""What is recorded is what was written, in every tail and beside every pole; and every network comes back."""

from __future__ import annotations

import math
import operator
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from fuzzing import campaign
from golden_files import golden
from numpy.typing import NDArray
from trainings import data_for, plan_for, stack, train

import schuss as sc
from schuss.activations import ACTIVATIONS, Activation, activation, find_activation
from schuss.definitions import recorded
from schuss.engines.native import NativeEngine
from schuss.engines.native import evaluate as evaluate_natively
from schuss.errors import FormulaError, InvalidInput, SchussWarning
from schuss.language.expressions import Expression, evaluate, exp, floor, symbol, where
from schuss.language.programs import compile_program
from schuss.optimizers import optimizer

Z, W = symbol("z"), symbol("w")
ARRAYS = {"z": np.array([0.3, -1.2, 2.5, 0.0]), "w": np.array([1.5, 0.2, -0.7, 0.0])}


# ---------------------------------------------------------------------------------------------- not another rule

CALLS: list[tuple[Any, ...]] = [(Z,), (Z, W), (Z, 2.0), (2.0, Z), ([Z, W],), (Z, 0), (Z, W, Z), (Z, 0.0, 1.0)]


def functions(module: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public functions of a module, types and what only prints left out."""
    for name in sorted(set(dir(module)) - {"info", "show_config", "show_runtime", "test", "typename"}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function = getattr(module, name)
        if callable(function) and not isinstance(function, type) and not name.startswith("_"):
            yield name, function


def on_arrays(argument: Any) -> Any:
    if isinstance(argument, list):
        return [on_arrays(x) for x in argument]
    return ARRAYS[str(argument.value)] if isinstance(argument, Expression) else argument


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("module", [np, np.linalg, np.fft, np.emath, np.ma, "scipy.special", math], ids=str)
def test_a_function_of_a_library_means_on_a_symbol_what_it_means_on_arrays_or_is_refused(module: Any) -> None:
    """Expressions come from functions that are in the language; nothing else takes a symbol in."""
    module = __import__(module, fromlist=["_"]) if isinstance(module, str) else module
    for name, function in functions(module):
        for arguments in CALLS:
            try:
                result = function(*arguments)
            except (
                FormulaError,
                TypeError,
                ValueError,
                AttributeError,
                IndexError,
                NotImplementedError,
                np.ma.MAError,
            ):
                continue
            assert not _holds_a_symbol(result), f"{name}{arguments} is {result!r}"
            if isinstance(result, Expression):
                expected = function(*map(on_arrays, arguments))
                got = np.broadcast_to(evaluate(result, ARRAYS), np.shape(expected))
                np.testing.assert_allclose(got, np.asarray(expected, float), rtol=1e-14, err_msg=name)


def _holds_a_symbol(result: Any) -> bool:
    is_array = isinstance(result, np.ndarray) and result.dtype == object
    return is_array or (isinstance(result, list | tuple) and any(isinstance(x, Expression) for x in result))


REFUSED: dict[str, Callable[[Any], Any]] = {
    "np.linalg.norm": lambda g: g / np.linalg.norm(g),
    "np.mean": lambda g: np.mean(g**2),
    "np.sum": lambda g: 1.0 * np.sum(g),
    "np.clip": lambda g: np.clip(g, -1, 1),
    "np.array": lambda g: np.array([g, g]).sum(),
    "np.vectorize": lambda g: 1.0 * np.vectorize(lambda x: x + 1)(g),
    "np.frompyfunc": lambda g: 1.0 * np.frompyfunc(lambda x: x + 1, 1, 1)(g),
    "np.add.reduce": lambda g: 1.0 * np.add.reduce(g),
    "np.exp out": lambda g: np.exp(g, out=np.zeros(3)),
    "method mean": lambda g: g - g.mean(),
    "attribute shape": lambda g: g.shape[0] * g,
    "sum": lambda g: 1.0 * sum(g),
    "max": lambda g: 1.0 * max(g, 0),
    "math.exp": lambda g: 1.0 * math.exp(g),
    "float": lambda g: 1.0 * float(g),
    "round": lambda g: 1.0 * round(g),
    "%": lambda g: g % 2,
    "//": lambda g: 1 // g,
    "@": lambda g: g @ g,
    "index": lambda g: g[0],
    "in": lambda g: 1.0 * (g in (1, 2)),
    "if": lambda g: g if g > 0 else -g,
    "chained comparison": lambda g: where(0 < g < 1, g, 0),
    "in place": lambda g: 2.0 * operator.iadd(g, 1),
    "sum of comparisons": lambda g: (g > 0) + (g > 1),
    "difference of comparisons": lambda g: (g > 0) - (g > 1),
    "minus a comparison": lambda g: -(g > 0),
    "& of numbers": lambda g: g & 1,
    "~ of a number": lambda g: ~g,
    "np.exp of a comparison": lambda g: np.exp(g > 0),
    "array of one": lambda g: g * np.array([2.0]),
    "complex": lambda g: g * (-1.0) ** 0.5,
    "division by zero": lambda g: g / 0,
    "constant division by zero": lambda g: g * (1 / 0),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_function_of_one_number_is_refused_when_it_is_defined(what: str) -> None:
    def rule(w: Expression, g: Expression, *, lr: float = 0.1) -> Any:
        return w - lr * REFUSED[what](g)

    with pytest.raises(FormulaError, match="rule cannot be recorded"):
        optimizer(rule)


@pytest.mark.parametrize("name", ["tanh", "sqrt", "floor", "erf", "sign"])
def test_the_sign_of_a_zero_is_kept(name: str) -> None:
    program = compile_program([sc.expressions.FUNCTIONS[name](Z)], ["z"])
    for zero in (0.0, -0.0):
        (values,) = evaluate_natively(program, [np.full(3, zero, np.float32)])
        assert math.copysign(1, values[0]) == math.copysign(1, zero)


def test_the_advice_names_what_there_is() -> None:
    with pytest.raises(FormulaError, match=r"np.norm is not in the language .* has no reductions \(sum, mean, norm\)"):
        recorded(lambda g: g / np.linalg.norm(g))


COMPARED: dict[str, Callable[[Any], Any]] = {
    "==": lambda z: where(z == 0, 1.0, z),
    "!=": lambda z: where(z != 0.3, 1.0, z),
    "&": lambda z: where((z > -1) & (z < 1), 1.0, z),
    "|": lambda z: where((z < -1) | (z > 1), 1.0, z),
    "~": lambda z: where(~(z > 0), 1.0, z),
    "product": lambda z: (z > 0) * (z < 1) * z,
    "np.where": lambda z: np.where(z >= 0, z, 2 * z),
    "np.equal": lambda z: where(np.equal(z, 0), 1.0, z),
    "np.square": lambda z: 1.0 * np.square(z),
    "exp of a comparison": lambda z: exp(z > 0),
    "floor of a comparison": lambda z: floor(z > 0) + z,
    "one times a comparison": lambda z: 1.0 * (z > 0) + (z > 1),
}


@pytest.mark.parametrize("what", COMPARED)
def test_comparisons_mean_what_they_mean_on_arrays(what: str) -> None:
    z = np.array([-2, -1, -0.5, 0, 0.3, 1, 2, np.nan])
    np.testing.assert_array_equal(evaluate(COMPARED[what](Z), {"z": z}), COMPARED[what](z))


def test_zero_times_infinity_is_not_a_number_as_on_arrays() -> None:
    np.testing.assert_array_equal(evaluate(0 * Z, {"z": np.array([1.0, np.inf, np.nan])}), [0, np.nan, np.nan])


# ---------------------------------------------------------------------------------------------- tails


def tails(name: str) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    numbers = golden("tails")
    return numbers[f"{name}_z"], numbers[f"{name}_value"], numbers[f"{name}_slope"]


TAILS = [key.removesuffix("_z") for key in golden("tails") if key.endswith("_z")]


def check(got: NDArray[Any], exact: NDArray[np.float64], z: NDArray[np.float32], name: str) -> None:
    """Within 8 units in the last place; of gelu_tanh, whose exponent -2u is itself rounded, within 2 for each of it."""
    kind = got.dtype.type
    exponent = np.abs(1.6 * (z + 0.044715 * z**3)) if name == "gelu_tanh" else 0.0
    normal = np.abs(exact) > 100 * np.finfo(kind).tiny
    ulps = np.abs(got.astype(np.float64) - exact) / (np.abs(exact) * np.finfo(kind).eps)
    assert (ulps <= np.maximum(8, 2 * exponent))[normal].all(), (z[normal], ulps[normal])
    assert (np.abs(got[~normal]) <= 200 * np.finfo(kind).tiny).all()


@pytest.mark.parametrize("name", TAILS)
def test_tails_are_accurate_in_double_precision(name: str) -> None:
    z, value, slope = tails(name)
    phi = ACTIVATIONS[name]
    check(phi(z.astype(np.float64)), value, z, name)
    check(phi.slope(z.astype(np.float64)), slope, z, name)


@pytest.mark.parametrize("name", TAILS)
def test_tails_are_accurate_in_single_precision(name: str) -> None:
    z, value, slope = tails(name)
    phi = ACTIVATIONS[name]
    check(phi(z), value, z, name)
    check(phi.slope(z), slope, z, name)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", TAILS)
def test_tails_are_accurate_in_the_native_engine(name: str, fused: bool) -> None:
    z, value, slope = tails(name)
    got_value, got_slope = evaluate_natively(ACTIVATIONS[name].program, [z], fused=fused)
    check(got_value, value, z, name)
    check(got_slope, slope, z, name)


def test_a_users_textbook_gelu_is_as_accurate() -> None:
    @activation
    def own(z: Expression) -> Expression:
        return 0.5 * z * (1 + sc.expressions.erf(z / math.sqrt(2)))

    z, value, slope = tails("gelu")
    check(own(z.astype(np.float64)), value, z, "gelu")
    check(own.slope(z.astype(np.float64)), slope, z, "gelu")


TEXTBOOK: dict[str, tuple[Callable[[Any], Any], Callable[[float], float]]] = {
    "1 - tanh(z) ** 2": (lambda z: 1 - sc.expressions.tanh(z) ** 2, lambda x: math.cosh(x) ** -2),
    "1 - tanh(z) * tanh(z)": (lambda z: 1 - np.tanh(z) * np.tanh(z), lambda x: math.cosh(x) ** -2),
    "1 - tanh(z)": (lambda z: 1 - np.tanh(z), lambda x: 2 / (1 + math.exp(2 * x))),
    "1 + tanh(z)": (lambda z: 1 + np.tanh(z), lambda x: 2 / (1 + math.exp(-2 * x))),
    "1 - sigmoid(z)": (lambda z: 1 - sc.expressions.sigmoid(z), lambda x: 1 / (1 + math.exp(x))),
    "1 - erf(z)": (lambda z: 1 - sc.expressions.erf(z), math.erfc),
    "1 + erf(z)": (lambda z: 1 + sc.expressions.erf(z), lambda x: math.erfc(-x)),
    "sigmoid(z) * (1 - sigmoid(z))": (
        lambda z: sc.expressions.sigmoid(z) * (1 - sc.expressions.sigmoid(z)), lambda x: math.cosh(x / 2) ** -2 / 4,
    ),
    "log(1 + exp(z))": (lambda z: np.log(1 + np.exp(z)), lambda x: math.log1p(math.exp(x))),
}  # fmt: skip


@pytest.mark.parametrize("formula", TEXTBOOK)
def test_textbook_formulas_do_not_cancel_in_a_tail(formula: str) -> None:
    recorded, exact = TEXTBOOK[formula]
    for x in (-12.0, -8.0, -5.0, -1.0, 0.5, 5.0, 8.0, 12.0):
        assert evaluate(recorded(Z), {"z": x}) == pytest.approx(exact(x), rel=1e-13, abs=0)


def test_a_saturated_unit_is_as_alive_above_as_below() -> None:
    """e(1 - e) of a sigmoid at 18 is 0 in float32, and the unit would be called dead."""
    z = np.array([-18, 18], np.float32)
    for name in ("sigmoid", "tanh"):
        _, slope = evaluate_natively(ACTIVATIONS[name].program, [z])
        assert slope[0] == slope[1] > 0
        assert ACTIVATIONS[name].slope(z)[0] == ACTIVATIONS[name].slope(z)[1] > 0


# ---------------------------------------------------------------------------------------------- branches and poles

INACTIVE = {
    "sqrt(relu(z))": 0.0,
    "relu(z) ** 0.5": 0.0,
    "exp(-1 / relu(z))": 0.0,
    "tanh(log(relu(z)))": 0.0,
    "minimum(1 / z ** 2, 1)": 0.0,
    "relu(z) * exp(z * z)": 0.0,
    "sqrt(maximum(z, 0))": 0.0,
    "sqrt(where(z > 0, z, 0))": 0.0,
    "relu(z) ** (1 + z * z)": 0.0,
}


@pytest.mark.parametrize("formula", INACTIVE)
def test_an_inactive_branch_has_slope_0(formula: str) -> None:
    """Where the derivative of the outer function is infinite, 0·∞ would be NaN."""
    phi = find_activation(f"mine = {formula}")
    z = np.array([-3, -0.5, -1e-3], np.float32) if "1 / z" not in formula else np.zeros(1, np.float32)
    np.testing.assert_array_equal(phi.slope(z), np.zeros_like(z))
    np.testing.assert_array_equal(evaluate_natively(phi.program, [z])[1], np.zeros_like(z))
    active = np.array([0.5, 2.0])
    h = 1e-6
    np.testing.assert_allclose(phi.slope(active), (phi(active + h) - phi(active - h)) / (2 * h), rtol=1e-6, atol=1e-9)


POLES = [
    "1 / z", "sign(z) * sqrt(abs(z))", "sqrt(abs(z))", "sin(z) / z", "z * log(abs(z))", "z ** 1.5", "1 / (z * z)",
    "log(abs(z))", "sin(z) / cos(z)", "sqrt(-1 - z * z)", "log(z)", "z ** -0.5", "floor(z)", "1 / (z - 0.37)",
    "exp(exp(z))", "z / (z * z - 1)", "where(z > 0, 1 / z, 0)", "exp(z * z)",
]  # fmt: skip


@pytest.mark.parametrize("formula", POLES)
def test_the_slope_that_saturation_is_measured_by_is_finite(formula: str) -> None:
    phi = find_activation(f"mine = {formula}")
    assert 0 <= phi.usual_slope < 1e6
    assert phi.usual_slope == find_activation(f"mine = {formula}").usual_slope


@pytest.mark.parametrize("depth", [1, 3, 20])
@pytest.mark.parametrize("formula", POLES)
def test_flow_has_an_answer_for_every_activation(formula: str, depth: int) -> None:
    """Also where the theory has none; a pole is no reason to call every unit saturated."""
    network = sc.mlp([16] * depth, f"mine = {formula}", "glorot_normal")
    measured = sc.flow(network, "digits")
    assert len(measured.table()) > 0
    assert measured.saturated[0] < 0.5


@pytest.mark.parametrize(
    ("formula", "largest"), [("sqrt(abs(z))", math.inf), ("1 / (z - 0.37)", math.inf), ("log(abs(z))", math.inf),
                             ("sigmoid(1000 * z)", 250), ("sigmoid(1e6 * (z - 0.0005))", 2.5e5), ("abs(z)", 1)]
)  # fmt: skip
def test_the_largest_slope_is_that_of_a_peak_and_infinite_at_a_pole(formula: str, largest: float) -> None:
    assert find_activation(f"mine = {formula}").largest_slope == pytest.approx(largest, rel=1e-3)


# ---------------------------------------------------------------------------------------------- every network returns

COMPANY = """
import schuss as sc
formulas = {formulas!r}
jobs = [sc.Job(sc.mlp([{width}] * 2, f"mine = {{f}}", "glorot_normal"), sc.Recipe(epochs=2), seed)
        for seed in range(3) for f in formulas + ["relu(z)"]]
runs = sc.fit_many(jobs, "iris", threads={threads})
assert len(runs) == len(jobs)
assert all(run.status == "finished" for run in runs if "relu" in str(run.network.hidden[0].activation.text))
print("back", len(runs))
"""


@pytest.mark.parametrize(("width", "threads"), [(8, 1), (8, 2), (16, 2), (17, 2)])
def test_networks_whose_slope_is_not_a_number_come_back_and_starve_nobody(width: int, threads: int) -> None:
    code = COMPANY.format(formulas=POLES, width=width, threads=threads)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == f"back {3 * (len(POLES) + 1)}\n", done.stderr


def test_a_plan_with_a_slope_that_is_not_a_number_is_trained_all_the_same() -> None:
    """Even where Python hands over NaN, two plans of one kind are equal, and their group takes them."""

    class Odd(Activation):
        usual_slope = math.nan

    odd = Odd(name="odd", formula=ACTIVATIONS["tanh"].formula)
    layers = tuple(layer._replace(activation=odd) for layer in stack([5, 4, 3], "tanh"))
    data = data_for("squared_error", 5, 3)
    plans = [replace(plan_for(layers, "squared_error", data=data, epochs=2), seed=seed) for seed in range(5)]
    outcomes = dict(NativeEngine(2).train([replace(plan, data=data) for plan in plans]))
    assert [outcomes[number].status for number in range(5)] == ["finished"] * 5


# ---------------------------------------------------------------------------------------------- sizes


def test_sizes_are_bounded_before_they_are_multiplied() -> None:
    data = sc.load("iris")
    for recipe in (sc.Recipe(epochs=2**31 - 1), sc.Recipe(epochs=2**28, batch_size=8)):
        with pytest.raises(InvalidInput, match="a training has at most 268,435,456 updates, but .* epochs of"):
            sc.fit(None, data, recipe)
    for setting in ({"epochs": 2**62}, {"batch_size": 2**31}, {"patience": 2**63}, {"horizon": 2**40}):
        with pytest.raises(InvalidInput, match="must be a whole number of at most 2,147,483,647"):
            sc.Recipe(**setting)
    with pytest.raises(InvalidInput, match="the number of units must be a whole number of at most 1,048,576"):
        sc.mlp([2**40])
    with pytest.raises(InvalidInput, match=r"this network has [\d,]+ parameters, but there may be at most"):
        sc.mlp([2**20] * 3).layers(4, 2)


@pytest.mark.parametrize(
    "change", [{"epochs": 2**62}, {"epochs": 2**63 - 1}, {"epochs": 2**61, "batch_size": 2**63 - 1}]
)
def test_the_native_engine_refuses_what_would_overflow(change: dict[str, int]) -> None:
    data = data_for("squared_error", 5, 3)
    plan = replace(plan_for(stack([5, 4, 3], "tanh"), "squared_error", data=data, epochs=2), **change)
    with pytest.raises(ValueError, match="learning_rates: expected one for each step of the training"):
        train(NativeEngine(1), plan, data)


def test_a_batch_of_any_size_is_the_whole_part() -> None:
    data = data_for("squared_error", 5, 3)
    plans = [
        replace(plan_for(stack([5, 4, 3], "tanh"), "squared_error", data=data, epochs=2), batch_size=size)
        for size in (len(data.train.X), 2**63 - 1)
    ]
    first, second = (train(NativeEngine(1), plan, data) for plan in plans)
    np.testing.assert_array_equal(first.state.parameters, second.state.parameters)


# ---------------------------------------------------------------------------------------------- horizon


@pytest.mark.parametrize(
    "schedule", ["constant", "cosine", "cosine(warmup=0.3)", "step", "exponential", "constant(warmup=0.5)"]
)
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_with_a_horizon_a_training_may_be_cut_anywhere(schedule: str, engine: Any) -> None:
    whole = sc.Recipe("adam(lr=0.01)", epochs=6, schedule=schedule)
    network = sc.mlp([5], "tanh")
    expected = sc.fit(network, "iris", whole, engine=engine)
    for cut in (1, 3, 5):
        run = sc.fit(network, "iris", replace(whole, epochs=cut, horizon=6), engine=engine)
        run = sc.fit(network, "iris", replace(whole, horizon=6), resume=run, engine=engine)
        np.testing.assert_array_equal(run.parameters, expected.parameters)
        np.testing.assert_array_equal(run.history["valid_loss"], expected.history["valid_loss"])


def test_without_one_the_difference_is_said() -> None:
    short = sc.fit(None, "iris", sc.Recipe(epochs=2, schedule="cosine"))
    with pytest.warns(SchussWarning, match="planned by cosine over 2 epochs, the rest is planned by cosine over 4"):
        sc.fit(None, "iris", sc.Recipe(epochs=4, schedule="cosine"), resume=short)
    plain = sc.fit(None, "iris", sc.Recipe(epochs=2))
    sc.fit(None, "iris", sc.Recipe(epochs=4), resume=plain)  # warnings are errors here


def test_a_horizon_is_no_shorter_than_the_training() -> None:
    with pytest.raises(InvalidInput, match="planned over a horizon of 3 epochs, but 5 are asked for"):
        sc.Recipe(epochs=5, horizon=3)


# ---------------------------------------------------------------------------------------------- random definitions


@pytest.mark.filterwarnings("ignore")
def test_random_definitions_mean_what_they_say_in_both_engines() -> None:
    counts = campaign(range(300))
    assert counts["recorded"] > 600
    assert counts["finished"] > 100
    assert counts["beyond float32"] < 60
