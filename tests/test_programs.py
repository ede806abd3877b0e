"""Compiled programs: a small interpreter, run tile by tile and in place, gives what `evaluate` gives."""

from __future__ import annotations

import numpy as np
import pytest
from formula_strategies import formulas, is_tame
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from program_interpreter import MEANING, Array, check_form, run

from schuss.errors import FormulaError
from schuss.language.expressions import Expression, constant, derivative, evaluate, exp, sigmoid, sqrt, symbol, where
from schuss.language.programs import OPERATIONS, compile_program

Z, W, G, V, LR, T = (symbol(name) for name in ("z", "w", "g", "v", "lr", "t"))


def test_the_operations_are_the_engines_in_its_order() -> None:
    """The index of an operation is its code in C++."""
    unary, binary, ternary = "move … cos", "add … less_equal", "where fma"
    groups = [OPERATIONS[:19], OPERATIONS[19:29], OPERATIONS[29:]]
    ends = [f"{group[0]} … {group[-1]}" for group in groups[:2]] + [" ".join(groups[2])]
    assert ends == [unary, binary, ternary]
    assert set(MEANING) == set(OPERATIONS)


def close(got: Array, expected: object, scale: float = 1e3) -> None:
    """Equal but for the roundings of intermediate results up to `scale`; where no number is expected, any will do."""
    wanted = np.broadcast_to(np.asarray(expected, dtype=np.float64), got.shape)
    finite = np.isfinite(wanted)
    np.testing.assert_allclose(got[finite], wanted[finite], rtol=1e-9, atol=1e-12 * scale)


@settings(max_examples=300)
@given(formulas(names=("z", "w")), st.integers(0, 1000), st.integers(1, 9))
def test_a_program_computes_what_evaluate_computes(expression: Expression, seed: int, tile: int) -> None:
    z, w = np.random.default_rng(seed).uniform(-3, 3, (2, 8))
    values = {"z": z, "w": w}
    assume(is_tame(expression, values))
    program = compile_program([expression], ["z", "w"])
    check_form(program)
    (got,) = run(program, [z, w], tile=tile)
    close(got, evaluate(expression, values))


@settings(max_examples=300)
@given(formulas(max_leaves=8), st.integers(0, 1000))
def test_value_and_derivative_in_place_of_the_argument(expression: Expression, seed: int) -> None:
    """As the engine runs activations: the derivative overwrites z."""
    z = np.random.default_rng(seed).uniform(-3, 3, 8)
    assume(is_tame(expression, {"z": z}))  # first: a division by the constant 0 has no slope that could be written down
    slope = derivative(expression, "z")
    assume(is_tame(slope, {"z": z}))
    program = compile_program([expression, slope], ["z"], aliases={1: 0})
    check_form(program, {1: 0})
    got = run(program, [z], aliases={1: 0})
    close(got[0], evaluate(expression, {"z": z}))
    close(got[1], evaluate(slope, {"z": z}))


ARRAYS = ("w", "g", "m", "v")


@settings(max_examples=300)
@given(
    st.lists(formulas(names=(*ARRAYS, "lr", "t"), max_leaves=5), min_size=1, max_size=4),
    st.permutations(range(4)),
    st.integers(0, 15),
    st.integers(0, 1000),
)
def test_outputs_overwrite_inputs_safely(outputs: list[Expression], order: list[int], aliased: int, seed: int) -> None:
    """As the engine runs optimizers: new weights and state overwrite the old ones, in any pairing."""
    aliases = {k: order[k] for k in range(len(outputs)) if aliased >> k & 1}
    arrays = np.random.default_rng(seed).uniform(-2, 2, (4, 5))
    values: dict[str, object] = {**dict(zip(ARRAYS, arrays, strict=True)), "lr": 0.1, "t": 3.0}
    assume(all(is_tame(e, values) for e in outputs))  # type: ignore[arg-type]
    program = compile_program(outputs, ARRAYS, ["lr", "t"], aliases)
    check_form(program, aliases)
    for tile in (2, 5):
        for got, expression in zip(run(program, list(arrays), [0.1, 3.0], aliases, tile), outputs, strict=True):
            close(got, evaluate(expression, values))


AWKWARD: dict[str, tuple[list[Expression], dict[int, int]]] = {
    "exchange": ([G, W], {0: 0, 1: 1}),
    "rotate": ([G, V, W], {0: 0, 1: 1, 2: 2}),
    "keep": ([W, G], {0: 0, 1: 1}),
    "same twice": ([W * G, W * G], {0: 0, 1: 1}),
    "same twice, no alias": ([W * G, W * G], {}),
    "copy of the old": ([W - G, W], {0: 0, 1: 1}),
    "old needed late": ([W - G, (W - G) * W], {0: 0, 1: 1}),
    "crossed": ([W + G, W - G], {0: 1, 1: 0}),
    "number": ([constant(1), LR * 2], {0: 0, 1: 1}),
    "number and old": ([constant(1), W], {0: 0, 1: 1}),
    "value of an output": ([W + G, exp(W + G)], {0: 0, 1: 1}),
    "value of an output, other order": ([exp(W + G), W + G], {0: 0, 1: 1}),
    "plain copy": ([W], {}),
    "numbers gathered": ([LR * (2 * W) / LR - LR * (G / LR), (W * LR) * 3 - LR * V], {0: 0, 1: 1}),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_aliases(name: str) -> None:
    outputs, aliases = AWKWARD[name]
    arrays = np.random.default_rng(0).uniform(0.5, 2, (3, 7))
    program = compile_program(outputs, ["w", "g", "v"], ["lr"], aliases)
    check_form(program, aliases)
    values = {**dict(zip(("w", "g", "v"), arrays, strict=True)), "lr": 0.1}
    for got, expression in zip(run(program, list(arrays), [0.1], aliases), outputs, strict=True):
        close(got, evaluate(expression, values))


def test_common_parts_are_computed_once() -> None:
    program = compile_program([sigmoid(Z) * Z, sigmoid(Z) * (2 - sigmoid(Z))], ["z"])
    assert [i.operation for i in program.code].count("sigmoid") == 1


def test_numbers_are_computed_once_a_step_in_double() -> None:
    beta = symbol("beta2")
    program = compile_program([V / (1 - beta**T)], ["v"], ["beta2", "t"])
    assert {i.operation for i in program.scalar_code} >= {"pow", "sub"}
    assert [i.operation for i in program.code] == ["mul"]
    (got,) = run(program, [np.ones(1)], [0.999, 1.0])
    assert got[0] == pytest.approx(1 / (1 - 0.999), rel=1e-15)


def test_small_powers_are_products() -> None:
    for n in (2, 3, 5, 64, -1, -3):
        program = compile_program([Z**n], ["z"])
        assert "pow" not in {i.operation for i in program.code}
        (got,) = run(program, [np.array([1.1, -0.9])])
        np.testing.assert_allclose(got, np.array([1.1, -0.9]) ** n, rtol=1e-14)
    assert [i.operation for i in compile_program([Z**0.5], ["z"]).code] == ["sqrt"]


def test_sums_of_products_are_fused() -> None:
    program = compile_program([W * G + V], ["w", "g", "v"])
    assert [i.operation for i in program.code] == ["fma"]


def test_a_product_that_is_needed_anyway_is_not_computed_twice() -> None:
    program = compile_program([W * G + V, W * G], ["w", "g", "v"])
    assert sorted(i.operation for i in program.code) == ["add", "mul"]


def test_temporaries_are_reused() -> None:
    expression = Z
    for _ in range(30):
        expression = sqrt(exp(expression) + 1)
    assert compile_program([expression], ["z"]).n_temporaries <= 2


def test_an_activation_needs_few_temporaries() -> None:
    softplus = where(Z > 0, Z, 0) + sigmoid(-abs(Z))
    assert compile_program([softplus, derivative(softplus, "z")], ["z"], aliases={1: 0}).n_temporaries <= 8


def test_an_unknown_symbol_is_named() -> None:
    with pytest.raises(FormulaError, match="'q'"):
        compile_program([Z + symbol("q")], ["z"])
