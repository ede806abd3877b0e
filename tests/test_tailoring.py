"""Tailored activations: what they promise by an independent quadrature, where there are none, and that they train."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formula_strategies import formulas
from hypothesis import given, settings
from scipy.integrate import quad

import schuss as sc
from schuss.activations import ACTIVATIONS, Activation, activation, find_activation, formula_activation, tailor
from schuss.engines.native import evaluate
from schuss.errors import FormulaError, InvalidInput, UnknownName
from schuss.language.expressions import Expression, sigmoid, where

CANNOT = {"identity", "relu6", "squared_relu"}  # at any depth from 3 on
SHALLOW = {"selu": 32}  # the deepest that can
FORMULAS = {
    "wave = sin(3 * z) + 0.3 * z": [],
    "bend = where(z > 0.4, z, 0.4 + 0.5 * (z - 0.4))": [0.4],
    "hook = z * sigmoid(1.7 * z) - 0.1 * abs(z - 1) + 0.2 * z": [1.0],
    "growth = exp(0.8 * z)": [],
    "cubic = z + 0.1 * z ** 3": [],
}
KINKS = [-3.0, -1.0, 0.0, 1.0, 3.0]


def normal_mean(f: Any, corners: list[float]) -> float:
    """E[f(z)] by QUADPACK."""
    points = [c for c in corners if abs(c) < 11]
    density = 1 / math.sqrt(2 * math.pi)
    return float(
        quad(
            lambda z: float(f(np.array([z]))[0]) * math.exp(-0.5 * z * z) * density,
            -11, 11, points=points or None, limit=400, epsabs=1e-11, epsrel=1e-11,
        )[0]
    )  # fmt: skip


def check_promises(phi: Activation, depth: int, kinks: list[float]) -> None:
    alpha = dict(phi.settings).get("alpha", 1.0)
    corners = [kink / alpha for kink in kinks]
    assert normal_mean(phi, corners) == pytest.approx(0, abs=1e-6)
    assert normal_mean(lambda z: phi(z) ** 2, corners) == pytest.approx(1, abs=1e-6)
    assert normal_mean(lambda z: phi.slope(z) ** 2, corners) == pytest.approx(1 + 1 / depth, abs=1e-6)


@pytest.mark.parametrize("depth", [5, 50])
@pytest.mark.parametrize("name", sorted(ACTIVATIONS.keys() - CANNOT))
def test_mean_variance_and_gain_are_as_promised(name: str, depth: int) -> None:
    if depth > SHALLOW.get(name, depth):
        with pytest.raises(FormulaError, match="depths from 3 to 32"):
            tailor(name, depth)
    else:
        check_promises(tailor(name, depth), depth, KINKS)


@pytest.mark.parametrize("formula", FORMULAS)
def test_so_they_are_for_a_users_formula(formula: str) -> None:
    check_promises(tailor(formula, 20 if "bend" not in formula else 15), 20 if "bend" not in formula else 15,
                   FORMULAS[formula])  # fmt: skip


GRID = np.linspace(-9, 9, 400_001)
DENSITY = np.exp(-0.5 * GRID**2) / math.sqrt(2 * math.pi) * (GRID[1] - GRID[0])


@settings(max_examples=40)
@given(formulas())
def test_any_formula_at_all_is_tailored_or_refused(formula: Expression) -> None:
    try:
        phi = tailor(Activation(name="f", formula=formula), 20)
    except FormulaError:
        return
    value, slope = phi(GRID), phi.slope(GRID)
    got = [np.sum(value * DENSITY), np.sum(value**2 * DENSITY), np.sum(slope**2 * DENSITY)]
    np.testing.assert_allclose(got, [0, 1, 1.05], atol=1e-3)


def test_of_several_scales_the_nearest_to_one_is_taken() -> None:
    """The gain of sin(3z) + 0.3z rises above 1.05, falls back where 0.3z is all that is left, and is 1 at both ends."""
    assert dict(tailor("wave = sin(3 * z) + 0.3 * z", 20).settings)["alpha"] == pytest.approx(0.223, abs=0.01)
    assert dict(tailor("tanh_shrink", 50).settings)["alpha"] > 10  # bent around 0, straight far away


def test_a_relu_becomes_the_leaky_relu_of_that_depth() -> None:
    tailored = tailor("relu", 50)
    slope = dict(tailored.settings)["slope"]
    assert (1 - slope) ** 2 / (1 + slope**2) == pytest.approx(math.pi / 51, rel=1e-12)
    assert tailored.slope(np.array([-1.0, 1.0])).tolist() == pytest.approx([slope * 1.1715, 1.1715], rel=1e-3)
    assert tailor("leaky_relu(slope=0.3)", 50).settings == tailored.settings
    slopes = [dict(tailor("relu", depth).settings)["slope"] for depth in (3, 10, 100, 10_000)]
    assert slopes == sorted(slopes)
    check_promises(tailored, 50, [0.0])
    check_promises(tailor("relu", 2), 2, [0.0])


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("identity", "it is linear"),
        ("line = 3 - 2 * z", "it is linear"),
        ("squared_relu", "χ is 1.6 for every α.*leaky ReLU"),
        ("vee = abs(z)", "χ is 2.752 for every α"),
        ("mine = maximum(z, 0)", "χ is 1.467 for every α.*tailor\\(relu, depth=50\\)"),
        ("relu6", "between 1.467 and .* which suits depths from 1 to 2"),
        ("even = cos(z)", "between 2 and [^,]* for all α\\. Take"),
        ("step = sign(z)", "jumps"),
        ("jump = where(z > 0.3, z, -0.5 * z)", "jumps"),
        ("flat = 3 + 0 * z", "is constant"),
        ("half = log(z)", "no mean and variance"),
        ("pole = 1 / z", "no mean and variance"),
    ],
)
def test_where_there_is_none_it_is_said_why(wanted: str, why: str) -> None:
    with pytest.raises(FormulaError, match=f"cannot be tailored to depth 50: .*{why}"):
        tailor(wanted, 50)


def test_its_name_makes_it_again() -> None:
    for text in (
        "tailor(sigmoid, depth=50)",
        "tailor(leaky_relu(slope=0.3), depth=7)",
        "tailor(elu(alpha=0.5), depth=9)",
    ):
        found = find_activation(text)
        assert str(found) == text
        assert find_activation(str(found)) == found
    assert find_activation(" tailor( tanh ,depth = 50 ) ") == find_activation("tailor(tanh, 50)") == tailor("tanh", 50)
    assert tailor("tanh", 50) != tailor("tanh", 49)
    assert str(find_activation("tailor(mine = z * sigmoid(1.7 * z), depth=50)")) == "tailor(mine, depth=50)"


@pytest.mark.parametrize("text", ["tailor(sigmoid)", "tailor(tanh, depth=x)", "tailor(, depth=3)",
                                  "tailor(tailor(tanh, depth=3), depth=3)", "tailor(tanh, depth=3"])  # fmt: skip
def test_a_text_that_is_none_says_how_to_write_it(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"tailor\(sigmoid, depth=50\)"):
        find_activation(text)


def test_depth_and_name_are_checked() -> None:
    with pytest.raises(InvalidInput, match="depth must be a whole number of at least 1"):
        tailor("tanh", 0)
    with pytest.raises(UnknownName, match="did you mean.*sigmoid"):
        find_activation("tailor(sigmiod, depth=3)")


def test_a_users_own_function_with_settings_is_tailored_as_it_is_set() -> None:
    @activation
    def alpha_curve(z: Expression, *, alpha: float = 2.0, mu: float = 1.0) -> Expression:
        return where(z > 0, mu * z, sigmoid(alpha * z) - 0.5)  # with names that tailoring uses, too

    tailored = tailor(alpha_curve(alpha=4.0), 10)
    assert str(tailored) == "tailor(alpha_curve(alpha=4), depth=10)"
    check_promises(tailored, 10, [0.0])
    z = np.linspace(-3, 3, 7)
    s = dict(tailored.settings)
    np.testing.assert_allclose(tailored(z), s["gamma"] * (alpha_curve(alpha=4.0)(s["alpha"] * z) - s["mu"]), rtol=1e-12)


def test_it_is_an_activation_like_any_other(tmp_path: Path) -> None:
    phi = tailor("gelu", 50)
    assert pickle.loads(pickle.dumps(phi)) == phi
    z = np.linspace(-4, 4, 101).astype(np.float32)
    value, slope = evaluate(phi.program, [z])
    np.testing.assert_allclose(value, phi(z.astype(float)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(slope, phi.slope(z.astype(float)), rtol=1e-5, atol=1e-5)
    assert "\\gamma" in phi.latex
    assert formula_activation(phi.text, "again").expression is phi.expression
    run = sc.fit(sc.mlp([8], phi), "iris", sc.Recipe(epochs=2))
    run.save(tmp_path / "run.schuss")
    assert sc.load_run(tmp_path / "run.schuss").network == run.network


def test_fifty_layers_of_tailored_sigmoids_learn_where_plain_ones_do_not() -> None:
    recipe = sc.Recipe("adam(lr=5e-4)", epochs=20, schedule="cosine(warmup=0.1)", clip_norm=1.0)
    data = sc.load("digits")

    def mean_score(phi: str) -> float:
        jobs = [sc.Job(sc.mlp([64] * 50, phi), recipe, seed) for seed in range(5)]
        return float(np.mean([run.score(data.test) for run in sc.fit_many(jobs, data)]))

    plain, tailored = map(mean_score, ("sigmoid", "tailor(sigmoid, depth=50)"))
    assert plain < 0.15
    assert tailored >= 0.94
