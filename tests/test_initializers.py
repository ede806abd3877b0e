"""Initializers: their variance in large samples, orthogonality, and the gain that `auto` finds."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from numpy.typing import NDArray

from schuss.activations import ACTIVATIONS, activation, find_activation, identity, relu, selu, tanh
from schuss.errors import FormulaError, InvalidInput, UnknownName
from schuss.initializers import (
    INITIALIZERS,
    Initializer,
    auto,
    auto_gain,
    constant,
    find_initializer,
    glorot_normal,
    he_normal,
    initializer,
    lecun,
    normal,
    orthogonal,
    uniform,
    zeros,
)
from schuss.language.expressions import Expression, cos

NAMES = sorted(INITIALIZERS)
SHAPE = (300, 800)


def draw(chosen: Initializer, shape: tuple[int, int] = SHAPE, seed: int = 0) -> NDArray[np.float32]:
    """Weights for a layer behind a ReLU."""
    return chosen.sample(np.random.default_rng(seed), shape, relu)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 5), (64, 1), (1, 64)])
def test_any_shape_in_float32_again_the_same(name: str, shape: tuple[int, int]) -> None:
    weights = draw(INITIALIZERS[name], shape)
    assert weights.shape == shape
    assert weights.dtype == np.float32
    assert np.all(np.isfinite(weights))
    assert np.array_equal(weights, draw(INITIALIZERS[name], shape))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"zeros", "constant"}))
def test_another_seed_gives_other_weights(name: str) -> None:
    assert not np.array_equal(draw(INITIALIZERS[name], (30, 80), seed=0), draw(INITIALIZERS[name], (30, 80), seed=1))


VARIANCES: dict[str, float] = {  # for 300 inputs and 800 outputs behind a ReLU
    "normal": 0.01**2,
    "normal(std=0.5)": 0.25,
    "uniform": 0.05**2 / 3,
    "uniform(limit=2)": 4 / 3,
    "glorot_normal": 2 / 1100,
    "glorot_normal(gain=3)": 18 / 1100,
    "glorot_uniform": 2 / 1100,
    "glorot_uniform(gain=3)": 18 / 1100,
    "he_normal": 2 / 300,
    "he_normal(gain=1)": 1 / 300,
    "he_uniform": 2 / 300,
    "he_uniform(gain=1)": 1 / 300,
    "lecun": 1 / 300,
    "lecun(gain=2)": 4 / 300,
    "orthogonal": 1 / 800,
    "orthogonal(gain=2)": 4 / 800,
    "auto": 2 / 300,
}


def test_every_random_initializer_has_its_variance_here() -> None:
    assert {name.partition("(")[0] for name in VARIANCES} == set(INITIALIZERS) - {"zeros", "constant"}


@pytest.mark.parametrize("name", VARIANCES)
def test_mean_and_variance_in_a_large_sample(name: str) -> None:
    weights = draw(find_initializer(name)).astype(np.float64)
    std = math.sqrt(VARIANCES[name])
    assert abs(weights.mean()) < 5 * std / math.sqrt(weights.size)
    assert weights.std() == pytest.approx(std, rel=5 / math.sqrt(2 * weights.size))


@pytest.mark.parametrize(
    ("name", "kurtosis"), [("normal", 3.0), ("he_normal", 3.0), ("uniform", 1.8), ("he_uniform", 1.8)]
)
def test_the_shape_of_the_distribution(name: str, kurtosis: float) -> None:
    weights = draw(INITIALIZERS[name]).astype(np.float64)
    assert np.mean(weights**4) / np.mean(weights**2) ** 2 == pytest.approx(kurtosis, rel=0.02)


def test_uniform_stays_within_its_limit() -> None:
    weights = draw(uniform(limit=0.3))
    assert 0.299 < np.abs(weights).max() <= np.float32(0.3)


def test_zeros_and_constant() -> None:
    assert not draw(zeros).any()
    assert np.all(draw(constant(value=0.25)) == 0.25)
    assert np.all(draw(constant) == np.float32(0.1))


@pytest.mark.parametrize("shape", [(40, 40), (60, 20), (20, 60), (1, 7), (7, 1)])
@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_orthogonal_rows_or_columns(shape: tuple[int, int], gain: float) -> None:
    weights = draw(orthogonal(gain=gain), shape).astype(np.float64)
    small = weights.T @ weights if shape[0] >= shape[1] else weights @ weights.T
    np.testing.assert_allclose(small, gain**2 * np.eye(min(shape)), atol=1e-5)


def test_orthogonal_matrices_have_no_preferred_signs() -> None:
    """Without a correction LAPACK's QR would fix the sign of every first entry."""
    first = [draw(orthogonal, (4, 4), seed)[0, 0] > 0 for seed in range(200)]
    assert 70 < sum(first) < 130


# --------------------------------------------------------------------------------------------------------------- auto


@pytest.mark.parametrize(
    ("reads", "gain"),
    [
        ("identity", 1.0),
        ("relu", math.sqrt(2)),
        ("selu", 1.0),
        ("leaky_relu(slope=0.1)", math.sqrt(2 / 1.01)),
        ("leaky_relu(slope=1)", 1.0),
        ("leaky_relu(slope=-1)", 1.0),
        ("squared_relu", math.sqrt(2 / 3)),
        ("mine = cos(z)", math.sqrt(2 / (1 + math.exp(-2)))),
        ("mine = 3 * z", 1 / 3),
        ("mine = erf(z)", math.sqrt(math.pi / 2 / math.asin(2 / 3))),
    ],
)
def test_the_gain_is_the_closed_form(reads: str, gain: float) -> None:
    assert auto_gain(find_activation(reads)) == pytest.approx(gain, rel=1e-9)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_the_gain_keeps_the_variance_for_every_activation(name: str) -> None:
    x = np.random.default_rng(0).standard_normal(1_000_000)
    power = float(np.mean(ACTIVATIONS[name](x) ** 2))
    assert auto_gain(ACTIVATIONS[name]) ** 2 * power == pytest.approx(1.0, abs=0.01)


def test_a_users_activation_is_served_without_being_told_anything() -> None:
    @activation
    def ripple(z: Expression) -> Expression:
        return z + 0.5 * cos(3 * z)

    random = np.random.default_rng(0)
    z = random.standard_normal((2000, 400))
    for _ in range(5):
        z = ripple(z) @ auto.sample(random, (400, 400), ripple)
    assert z.std() == pytest.approx(1.0, abs=0.06)


def test_each_activation_has_its_own_gain() -> None:
    by_relu, by_tanh = (auto.sample(np.random.default_rng(0), (50, 50), reads) for reads in (relu, tanh))
    np.testing.assert_allclose(by_tanh / by_relu, auto_gain(tanh) / math.sqrt(2), rtol=1e-6)
    assert np.array_equal(auto.sample(np.random.default_rng(0), (50, 50), selu), draw(lecun, (50, 50))) or math.isclose(
        auto_gain(selu), 1, rel_tol=1e-9
    )


def test_the_activation_that_is_read_defaults_to_none() -> None:
    """The first layer reads the data, which have variance 1."""
    random = (np.random.default_rng(3) for _ in range(2))
    assert np.array_equal(auto.sample(next(random), (9, 9)), auto.sample(next(random), (9, 9), identity))


@pytest.mark.parametrize("formula", ["mine = 0 * z", "mine = log(z)", "mine = 1e200 * z", "mine = exp(z ** 4)"])
def test_no_scale_is_an_error_that_names_another_initializer(formula: str) -> None:
    with pytest.raises(InvalidInput, match="glorot_normal"):
        auto_gain(find_activation(formula))


# ---------------------------------------------------------------------------------------------------------------- use


def test_a_users_initializer() -> None:
    @initializer
    def ones(
        random: np.random.Generator, shape: tuple[int, int], reads: object, *, value: float = 1.0
    ) -> NDArray[np.floating]:
        """All the same."""
        return np.full(shape, value)

    assert np.all(draw(ones(value=2.0)) == 2)
    assert ones(value=2.0) != ones
    with pytest.raises(FormulaError, match="shape"):

        @initializer
        def wrong(shape: tuple[int, int]) -> NDArray[np.floating]:
            return np.zeros(shape)


def test_weights_of_another_shape_are_refused() -> None:
    @initializer
    def transposed(random: np.random.Generator, shape: tuple[int, int], reads: object) -> NDArray[np.floating]:
        return np.zeros(shape[::-1])

    with pytest.raises(InvalidInput, match=r"transposed must give weights of shape \[3, 2\], but gave \[2, 3\]"):
        transposed.sample(np.random.default_rng(0), (3, 2))


@pytest.mark.parametrize("wanted", [*INITIALIZERS.values(), normal(std=0.3)], ids=str)
def test_copies_and_pickles_are_equal(wanted: Initializer) -> None:
    assert pickle.loads(pickle.dumps(wanted)) == copy.deepcopy(wanted) == wanted
    assert pickle.loads(pickle.dumps(wanted)).rule is wanted.rule


def test_a_local_initializer_can_be_copied() -> None:
    @initializer
    def ones(random: np.random.Generator, shape: tuple[int, int], reads: object) -> NDArray[np.floating]:
        return np.ones(shape)

    assert copy.deepcopy(ones).sample(np.random.default_rng(0), (2, 1)).tolist() == [[1], [1]]


def test_configured_copies_names_and_objects() -> None:
    assert find_initializer("he_normal") is he_normal
    assert find_initializer(normal) is normal
    assert find_initializer("normal(std=0.05)") == normal(std=0.05)
    assert str(glorot_normal(gain=0.5)) == "glorot_normal(gain=0.5)"
    with pytest.raises(UnknownName, match=r"did you mean.*glorot"):
        find_initializer("glorot")


@pytest.mark.parametrize("wanted", [3, None, "", "normal(", "normal(0.1)", "normal(std=1e999)", "normal(sd=1)"])
def test_anything_else_is_a_clear_error(wanted: object) -> None:
    with pytest.raises(InvalidInput):
        find_initializer(wanted)  # type: ignore[arg-type]
