"""Descent on landscapes of two weights: the slopes, the paths, the choice of the learning rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import schuss as sc
from schuss.landscapes import LANDSCAPES, ROSENBROCK, SADDLE, STEPS, VALLEY, Landscape, best_descent, descend

RULES = list(sc.optimizers.OPTIMIZERS.values())


@pytest.mark.parametrize("land", LANDSCAPES.values(), ids=LANDSCAPES)
def test_slopes_are_those_of_the_loss(land: Landscape) -> None:
    for x, y in np.random.default_rng(0).uniform(-1.5, 1.5, (20, 2)):
        h = 1e-6
        numeric = [(land(x + h, y) - land(x - h, y)) / (2 * h), (land(x, y + h) - land(x, y - h)) / (2 * h)]
        np.testing.assert_allclose(land.gradient(np.array([x, y])), numeric, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("land", LANDSCAPES.values(), ids=LANDSCAPES)
def test_minima_are_the_lowest_places_in_view(land: Landscape) -> None:
    x0, x1, y0, y1 = land.view
    x, y = np.meshgrid(np.linspace(x0, x1, 401), np.linspace(y0, y1, 401))
    for minimum in land.minima:
        assert float(land(*map(np.asarray, minimum))) <= land(x, y).min() + 1e-12
        np.testing.assert_allclose(land.gradient(np.array(minimum)), 0, atol=1e-12)
        assert x0 < minimum[0] < x1
        assert y0 < minimum[1] < y1


def test_gd_follows_the_closed_form() -> None:
    path = descend(sc.gd, VALLEY, 0.01).path
    k = np.arange(STEPS + 1)
    np.testing.assert_allclose(path[:, 0], -2 * (1 - 0.01 / 10) ** k, rtol=1e-12)
    np.testing.assert_allclose(path[:, 1], 0.8 * (1 - 0.36) ** k, rtol=1e-12)


def test_adam_follows_the_paper() -> None:
    descent = descend(sc.adam(beta1=0.8), ROSENBROCK, 0.1)
    noise = ROSENBROCK.noise * np.random.default_rng(0).standard_normal((STEPS, 2))
    w, m, v = np.array(ROSENBROCK.start), np.zeros(2), np.zeros(2)
    for t in range(1, 6):
        x, y = w
        g = np.array([(-2 * (1 - x) - 400 * x * (y - x**2)) / 50, 200 * (y - x**2) / 50]) + noise[t - 1]
        m, v = 0.8 * m + 0.2 * g, 0.999 * v + 0.001 * g**2
        w = w - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(descent.path[t], w, rtol=1e-9)


def test_all_but_full_batch_rules_meet_the_same_noise() -> None:
    exact, noisy, again = (descend(rule, SADDLE, 0.1).path for rule in (sc.gd, sc.sgd, sc.sgd))
    np.testing.assert_array_equal(noisy, again)
    assert np.all(exact[:, 1] == 0)
    slope = SADDLE.gradient(noisy[0])
    np.testing.assert_allclose((noisy[0] - noisy[1]) / 0.1 - slope, noise_of(SADDLE)[0], rtol=1e-9)
    m = descend(sc.momentum, SADDLE, 0.1).path
    np.testing.assert_allclose(m[1], noisy[1])  # the first step of momentum is that of sgd


def noise_of(land: Landscape) -> np.ndarray:
    return land.noise * np.random.default_rng(0).standard_normal((STEPS, 2))


def test_what_the_pictures_tell() -> None:
    """Gradient descent crawls along the valley and stops at the saddle; momentum and adam do not."""
    end = {rule.name: best_descent(rule, VALLEY).end for rule in RULES}
    for name in ("momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"):
        assert end[name] < end["gd"] / 10
    for rule in RULES:
        reached = best_descent(rule, SADDLE).end
        assert reached == pytest.approx(0, abs=1e-3) if rule.name == "gd" else reached < -0.24
    assert best_descent(sc.momentum, ROSENBROCK).end < best_descent(sc.gd, ROSENBROCK).end / 10


@pytest.mark.parametrize("land", LANDSCAPES.values(), ids=LANDSCAPES)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_best_descent_does_not_climb_and_stays_in_view(rule: sc.Optimizer, land: Landscape) -> None:
    best = best_descent(rule, land)
    assert not best.climbs
    assert rule.search[0] <= best.learning_rate <= 10 * rule.search[1]
    (x, y), (x0, x1, y0, y1) = best.path.T, land.view
    assert x0 < x.min() <= x.max() < x1
    assert y0 < y.min() <= y.max() < y1


def test_a_learning_rate_that_was_set_is_kept() -> None:
    assert best_descent(sc.adam(lr=0.3), VALLEY).learning_rate == 0.3
    assert best_descent(sc.adam(beta1=0.5), VALLEY).learning_rate != sc.adam.lr


def test_rules_that_are_thrown_out_or_go_nowhere() -> None:
    far = descend(sc.sgd, ROSENBROCK, 100.0)
    assert far.end == math.inf
    assert far.climbs

    @sc.optimizer(search=(3e-3, 4e-3))
    def broken(w: Any, g: Any, *, lr: float = 0.01) -> Any:
        return w - lr * sc.expressions.sqrt(-1 - abs(g))

    lost = best_descent(broken, VALLEY)
    assert lost.end == math.inf
    assert lost.learning_rate == 5e-3  # 1, 2 and 5 times a power of ten, up to ten times the range
