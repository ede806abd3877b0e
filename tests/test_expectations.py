"""Means over a normal distribution against closed forms, with corners and jumps wherever they may be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from schuss.activations import formula_activation, hard_tanh, relu, tanh
from schuss.language.expectations import gaussian_mean, gaussian_means, moments


@pytest.mark.parametrize(
    ("formula", "mean"),
    [
        ("1 + 0 * z", 1.0),
        ("z", 0.0),
        ("z ** 2", 1.0),
        ("z ** 4", 3.0),
        ("z ** 8", 105.0),
        ("abs(z)", math.sqrt(2 / math.pi)),
        ("maximum(z, 0) ** 2", 0.5),
        ("exp(z)", math.exp(0.5)),
        ("cos(z)", math.exp(-0.5)),
        ("sigmoid(z)", 0.5),
        ("z > 1", 0.5 * math.erfc(1 / math.sqrt(2))),
        ("where(z > 0, z, 0.01 * z) ** 2", (1 + 1e-4) / 2),
        ("z * erf(z)", 2 / math.sqrt(3 * math.pi)),
    ],
)
def test_gaussian_means_are_the_closed_forms(formula: str, mean: float) -> None:
    assert gaussian_mean(formula_activation(formula, "f").expression) == pytest.approx(mean, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("seed", range(40))
def test_a_jump_is_found_wherever_it_is(seed: int) -> None:
    """Next to an end or in the middle of an interval, two rules may agree on a wrong number."""
    random = np.random.default_rng(seed)
    scale = 10 ** random.uniform(-1.5, 1.5, 5)
    at = float(random.uniform(-2.5, 2.5) * scale[0])
    share = gaussian_means(lambda z: (z > at)[None].astype(float), scale)[0]
    expected = np.array([0.5 * math.erfc(at / s / math.sqrt(2)) for s in scale])
    np.testing.assert_allclose(share, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 37.3, 1e3])
def test_slopes_that_only_few_z_meet_are_seen(scale: float) -> None:
    got = moments(hard_tanh.expression, hard_tanh.derivative, [scale])
    assert got.slope_power[0] == pytest.approx(math.erf(1 / scale / math.sqrt(2)), rel=1e-9)


def test_scales_are_computed_side_by_side_as_alone() -> None:
    scales = np.array([0.0, 0.3, 1.0, 20.0])
    together = moments(tanh.expression, tanh.derivative, scales)
    for i, scale in enumerate(scales):
        alone = moments(tanh.expression, tanh.derivative, [scale])
        np.testing.assert_allclose([each[i] for each in together], [each[0] for each in alone], rtol=1e-9, atol=1e-15)
    assert [each[0] for each in together] == pytest.approx([0, 0, 1])


def test_a_mean_and_an_offset() -> None:
    """E[max(z, 0)] for z ~ N(1, 4) is 2·(φ(½) + ½·Φ(½))."""
    got = moments(relu.expression, relu.derivative, [2.0], mean=1.0, offset=0.25)
    density, below = math.exp(-1 / 8) / math.sqrt(2 * math.pi), 0.5 * (1 + math.erf(0.5 / math.sqrt(2)))
    assert got.mean[0] == pytest.approx(2 * density + below - 0.25, rel=1e-12)
    assert got.slope_power[0] == pytest.approx(below, rel=1e-12)


@pytest.mark.parametrize(
    "formula", ["log(z)", "1 / z", "1 / (z - 0.3)", "1 / (z + 2) ** 2", "1 / abs(z)", "sin(1e5 * z)"]
)
def test_what_has_no_mean_is_said_to_have_none(formula: str) -> None:
    assert math.isnan(gaussian_mean(formula_activation(formula, "f").expression))


def test_what_is_infinite_in_one_place_may_have_a_mean() -> None:
    """E[log|z|] = −(γ + log 2)/2, E|z|^−½ = 2^−¼·Γ(¼)/√π."""
    log = formula_activation("log(abs(z - 0.0))", "f").expression
    assert gaussian_mean(log) == pytest.approx(-(np.euler_gamma + math.log(2)) / 2, rel=1e-9)
    root = formula_activation("1 / sqrt(abs(z))", "f").expression
    assert gaussian_mean(root) == pytest.approx(2**-0.25 * math.gamma(0.25) / math.sqrt(math.pi), rel=1e-5)
