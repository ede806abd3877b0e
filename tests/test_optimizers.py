"""Optimizers against PyTorch: 100 steps in float64 on three problems, with the gradients of PyTorch's run."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from golden_files import golden
from numpy.typing import NDArray
from program_interpreter import check_form, run

from schuss.errors import FormulaError, InvalidInput, UnknownName
from schuss.language.expressions import Expression
from schuss.optimizers import OPTIMIZERS, Optimizer, adam, adamw, find_optimizer, gd, momentum, optimizer, sgd

GOLDEN = golden("optimizers")
CASES = json.loads(str(GOLDEN["cases"]))
NAMES = sorted(OPTIMIZERS)
Array = NDArray[np.float64]


def gradients(case: str) -> Array:
    """The gradients that PyTorch's run of a case met."""
    return GOLDEN["noise:gradients"] if CASES[case]["problem"] == "noise" else GOLDEN[f"{case}:gradients"]


def trajectory(rule: Optimizer, start: Array, given: Array) -> Array:
    """The weights of every step, the start first, for a sequence of gradients."""
    w, state = start, np.zeros((len(rule.state), len(start)), dtype=start.dtype)
    weights = [w]
    for t, g in enumerate(given, start=1):
        w, state = rule.step(w, g, state, t, rule.lr)
        weights.append(w)
    return np.array(weights)


def test_every_registered_optimizer_has_golden_numbers() -> None:
    assert {case["optimizer"] for case in CASES.values()} == set(OPTIMIZERS)
    for name in NAMES:
        assert len([c for c in CASES.values() if c["optimizer"] == name]) == 6  # two settings on three problems


@pytest.mark.parametrize("case", CASES)
def test_100_steps_are_pytorchs(case: str) -> None:
    rule = OPTIMIZERS[CASES[case]["optimizer"]](**CASES[case]["settings"])
    expected = GOLDEN[f"{case}:weights"]
    got = trajectory(rule, expected[0], gradients(case))
    assert len(got) == 101
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_the_program_of_the_engines_takes_the_same_100_steps(case: str) -> None:
    """In place, with the numbers of a step computed beforehand: 1 − β₂ᵗ and the like."""
    rule = OPTIMIZERS[CASES[case]["optimizer"]](**CASES[case]["settings"])
    expected = GOLDEN[f"{case}:weights"]
    aliases = {0: 0} | {k: k + 1 for k in range(1, len(rule.state) + 1)}
    check_form(rule.program, aliases)
    assert rule.program.inputs == ("w", "g", *rule.state)
    assert rule.program.scalar_inputs == (*dict(rule.settings), "t")
    arrays = [expected[0], *np.zeros((len(rule.state), expected.shape[1]))]
    for t, g in enumerate(gradients(case), start=1):
        scalars = [*dict(rule.settings).values(), float(t)]
        arrays = run(rule.program, [arrays[0], g, *arrays[1:]], scalars, aliases)
    np.testing.assert_allclose(arrays[0], expected[-1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", [case for case in CASES if case.endswith("quadratic")])
def test_float32_stays_float32_and_near(case: str) -> None:
    rule = OPTIMIZERS[CASES[case]["optimizer"]](**CASES[case]["settings"])
    expected = GOLDEN[f"{case}:weights"]
    got = trajectory(rule, expected[0].astype(np.float32), gradients(case).astype(np.float32))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_pytorchs_but_for_the_learning_rate(name: str) -> None:
    """SGD and gradient descent need a larger one here; every other default is the first golden setting."""
    expected = CASES[f"{name}-0-noise"]["settings"]
    got = dict(OPTIMIZERS[name].settings)
    assert {k: v for k, v in got.items() if k != "lr"} == {k: v for k, v in expected.items() if k != "lr"}


@pytest.mark.parametrize("name", NAMES)
def test_no_gradient_no_step(name: str) -> None:
    w, state = np.array([0.5, -2.0]), np.zeros((len(OPTIMIZERS[name].state), 2))
    after, _ = OPTIMIZERS[name].step(w, np.zeros(2), state, 1, 0.1)
    decay = dict(OPTIMIZERS[name].settings).get("weight_decay", 0.0)
    np.testing.assert_allclose(after, w * (1 - 0.1 * decay), rtol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_step_goes_downhill(name: str) -> None:
    g = np.array([3.0, -0.1])
    rule = OPTIMIZERS[name]
    after, state = rule.step(np.zeros(2), g, np.zeros((len(rule.state), 2)), 1, 0.1)
    assert np.all(after * g < 0)
    assert state.shape == (len(rule.state), 2)


def test_the_learning_rate_of_a_step_comes_from_outside() -> None:
    """A schedule changes it; the configured one is only where it starts."""
    w, _ = sgd(lr=123.0).step(np.zeros(1), np.ones(1), np.zeros((0, 1)), 1, 0.5)
    assert w[0] == -0.5


def test_adams_first_step_is_the_learning_rate() -> None:
    for g in (1e-3, 1.0, 1e3):
        w, _ = adam.step(np.zeros(1), np.full(1, g), np.zeros((2, 1)), 1, 0.01)
        assert w[0] == pytest.approx(-0.01, rel=1e-4)


def test_adamw_decays_beside_the_gradient() -> None:
    w = np.array([2.0])
    plain, _ = adam.step(w, np.ones(1), np.zeros((2, 1)), 1, 0.1)
    decayed, _ = adamw(weight_decay=0.5).step(w, np.ones(1), np.zeros((2, 1)), 1, 0.1)
    assert plain[0] - decayed[0] == pytest.approx(0.1 * 0.5 * 2.0)


def test_gd_is_sgd_on_the_full_batch() -> None:
    assert gd.full_batch
    assert gd.updates == sgd.updates
    assert [name for name in NAMES if OPTIMIZERS[name].full_batch] == ["gd"]


def test_they_come_in_the_order_history_found_them() -> None:
    assert list(OPTIMIZERS) == ["gd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]


@pytest.mark.parametrize("name", NAMES)
def test_the_search_range_surrounds_the_default(name: str) -> None:
    low, high = OPTIMIZERS[name].search
    assert 0 < low <= OPTIMIZERS[name].lr <= high


def test_the_signature_says_everything() -> None:
    @optimizer(search=(1e-3, 1e-1))
    def averaged(
        w: Expression, g: Expression, slow: Expression, t: Expression, *, lr: float = 0.1, mix: float = 0.5
    ) -> tuple[Expression, Expression]:
        """Steps that shrink like 1/t, averaged."""
        fast = w - lr / t * g
        return fast, slow + mix * (fast - slow)

    assert averaged.state == ("slow",)
    assert dict(averaged.settings) == {"lr": 0.1, "mix": 0.5}
    assert averaged.search == (1e-3, 1e-1)
    w, state = averaged.step(np.ones(2), np.ones(2), np.zeros((1, 2)), 2, 0.5)
    assert w.tolist() == [0.75, 0.75]
    assert state.tolist() == [[0.375, 0.375]]
    assert averaged(mix=1.0) != averaged
    assert averaged(mix=0.5) == averaged


def test_configured_copies_keep_everything_else() -> None:
    copy = gd(lr=0.3)
    assert (copy.lr, copy.full_batch, copy.search, copy.updates) == (0.3, True, gd.search, gd.updates)
    assert str(copy) == "gd(lr=0.3)"
    assert str(adam(beta1=0.8, lr=0.01)) == "adam(lr=0.01, beta1=0.8)"


@pytest.mark.parametrize("lr", [0.0, -1.0, math.nan, math.inf, "fast", None])
def test_a_learning_rate_is_positive(lr: float) -> None:
    with pytest.raises(InvalidInput, match="lr"):
        momentum(lr=lr)


def test_unknown_hyper_parameters_suggest_near_ones() -> None:
    with pytest.raises(UnknownName, match=r"did you mean.*beta1"):
        adam(beta=0.9)


def test_names_configured_names_and_objects_are_found() -> None:
    assert find_optimizer("adam") is adam
    assert find_optimizer(adam) is adam
    assert find_optimizer("adam(lr=0.01, beta1=0.8)") == adam(lr=0.01, beta1=0.8)
    with pytest.raises(UnknownName, match=r"did you mean.*adam"):
        find_optimizer("adm")


@pytest.mark.parametrize("wanted", [3, None, "", "adam(", "adam(0.1)", "adam(lr=0)", "adam(lr=nan)", "adam(lr=[])"])
def test_anything_else_is_a_clear_error(wanted: object) -> None:
    with pytest.raises(InvalidInput):
        find_optimizer(wanted)  # type: ignore[arg-type]


def test_functions_that_are_no_optimizer_are_explained() -> None:
    def without_gradient(w: Expression, *, lr: float = 0.1) -> Expression:
        return w * lr

    def without_rate(w: Expression, g: Expression) -> Expression:
        return w - g

    def state_forgotten(w: Expression, g: Expression, v: Expression, *, lr: float = 0.1) -> Expression:
        return w - lr * (g + v)

    def too_many(w: Expression, g: Expression, *, lr: float = 0.1) -> tuple[Expression, Expression]:
        return w - lr * g, g

    def bad_rate(w: Expression, g: Expression, *, lr: float = 0.0) -> Expression:
        return w - lr * g

    for bad in (without_gradient, without_rate, state_forgotten, too_many, bad_rate):
        with pytest.raises(InvalidInput):
            optimizer(bad)
    with pytest.raises(InvalidInput, match="search from or to must be greater than 0"):
        optimizer(search=(0.0, 1.0))(lambda w, g, *, lr=0.1: w - lr * g)
    with pytest.raises(FormulaError, match="must return 2"):
        optimizer(state_forgotten)
