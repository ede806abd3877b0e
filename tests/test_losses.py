"""Losses against PyTorch's numbers in float64 and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from golden_files import golden
from numpy.typing import NDArray

from schuss.errors import FormulaError, InvalidInput, UnknownName
from schuss.language.expressions import Expression, maximum
from schuss.losses import (
    LOSSES,
    Loss,
    absolute_error,
    binary_cross_entropy,
    find_loss,
    huber,
    loss,
    softmax_cross_entropy,
    squared_error,
)

GOLDEN = golden("losses")
CASES = sorted(key.removesuffix(":mean") for key in GOLDEN if key.endswith(":mean"))


def arrays(case: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predictions and targets of a golden case."""
    return GOLDEN[f"{case}:prediction"], GOLDEN[f"{case}:target"]


def test_every_registered_loss_has_golden_numbers() -> None:
    assert {case.partition("(")[0] for case in CASES} == set(LOSSES)


@pytest.mark.parametrize("case", CASES)
def test_values_mean_and_gradient_are_pytorchs(case: str) -> None:
    chosen = find_loss(case)
    prediction, target = arrays(case)
    values, slopes = chosen.values(prediction, target), chosen.slopes(prediction, target)
    np.testing.assert_allclose(values, GOLDEN[f"{case}:values"], rtol=1e-13, atol=1e-15)
    assert chosen(prediction, target) == pytest.approx(float(GOLDEN[f"{case}:mean"]), rel=1e-13)
    np.testing.assert_allclose(slopes / values.size, GOLDEN[f"{case}:gradient"], rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("case", CASES)
def test_float32_stays_float32_finite_and_near(case: str) -> None:
    chosen = find_loss(case)
    prediction = arrays(case)[0].astype(np.float32)
    target = arrays(case)[1] if case.startswith("softmax") else arrays(case)[1].astype(np.float32)
    for function in (chosen.values, chosen.slopes):
        got = function(prediction, target)
        assert got.dtype == np.float32
        assert np.all(np.isfinite(got))
        np.testing.assert_allclose(got, function(prediction.astype(np.float64), target), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_slopes_are_finite_differences(case: str) -> None:
    chosen = find_loss(case)
    random = np.random.default_rng(0)
    prediction = 2 * random.standard_normal((20, 4))
    target = random.integers(0, 4, 20) if case.startswith("softmax") else random.uniform(0, 1, (20, 4))
    step = 1e-6
    for k in range(4):
        shift = step * (np.arange(4) == k)
        up, down = (chosen.values(prediction + s, target) for s in (shift, -shift))
        difference = (up - down) / (2 * step)
        got = chosen.slopes(prediction, target)[:, k]
        np.testing.assert_allclose(got, difference if difference.ndim == 1 else difference[:, k], atol=1e-8)


def test_numbers_done_by_hand() -> None:
    one, zero = np.array([[1.0]]), np.array([[0.0]])
    assert squared_error(3 * one, one) == 4.0
    assert absolute_error(3 * one, one) == 2.0
    assert huber(3 * one, one) == 1.5
    assert huber(delta=0.5)(3 * one, one) == 0.5 * (2 - 0.25)
    assert binary_cross_entropy(zero, one) == pytest.approx(math.log(2))
    assert softmax_cross_entropy(np.zeros((1, 4)), np.array([2])) == pytest.approx(math.log(4))


def test_a_tie_pulls_nowhere() -> None:
    tie = np.zeros((1, 1))
    for chosen in (squared_error, absolute_error, huber):
        assert chosen.slopes(tie, tie)[0, 0] == 0


def test_softmax_takes_class_numbers_as_a_column_too() -> None:
    """An engine keeps targets as [n, 1] in float32."""
    logits = np.random.default_rng(0).standard_normal((5, 3))
    classes = np.array([0, 2, 1, 1, 0])
    column = classes[:, None].astype(np.float32)
    assert softmax_cross_entropy(logits, column) == softmax_cross_entropy(logits, classes)
    assert np.array_equal(softmax_cross_entropy.slopes(logits, column), softmax_cross_entropy.slopes(logits, classes))


@pytest.mark.parametrize("chosen", [softmax_cross_entropy, binary_cross_entropy])
def test_smoothing_is_a_share_and_off_by_default(chosen: Loss) -> None:
    assert (chosen.smoothing, chosen(smoothing=0.3).smoothing, squared_error.smoothing) == (0, 0.3, 0)
    assert chosen(smoothing=0) == chosen
    for wrong in (-0.1, 1.1):
        with pytest.raises(InvalidInput, match=f"smoothing of {chosen.name} must be at least 0 and at most 1, but is"):
            chosen(smoothing=wrong)


def test_a_wholly_smoothed_target_knows_no_class() -> None:
    logits = np.array([[1.0, 2.0, 3.0]])
    values = [softmax_cross_entropy(smoothing=1)(logits, np.array([label])) for label in range(3)]
    assert values == pytest.approx([np.log(np.exp(logits).sum()) - 2] * 3)


def test_two_classes_are_smoothed_alike() -> None:
    z, y = np.array([[0.7], [-2.0]]), np.array([[1.0], [0.0]])
    both = np.hstack([np.zeros_like(z), z])  # σ(z) is the softmax of (0, z)
    smooth = softmax_cross_entropy(smoothing=0.2)(both, y)
    assert binary_cross_entropy(smoothing=0.2)(z, y) == pytest.approx(smooth, rel=1e-14)


def test_softmax_leaves_its_arguments_alone() -> None:
    logits = np.random.default_rng(0).standard_normal((5, 3))
    before = logits.copy()
    softmax_cross_entropy.slopes(logits, np.zeros(5, dtype=int))
    assert np.array_equal(logits, before)
    with pytest.raises(FormulaError, match="elementwise"):
        _ = softmax_cross_entropy.derivative


def test_losses_on_logits_decide_at_zero() -> None:
    assert binary_cross_entropy.threshold == 0.0
    assert squared_error.threshold == 0.5


def test_a_users_loss_may_name_its_arguments() -> None:
    @loss
    def quartic(p: Expression, y: Expression, *, scale: float = 2.0) -> Expression:
        """The fourth power."""
        return scale * (p - y) ** 4

    assert quartic(np.array([[3.0]]), np.array([[1.0]])) == 32.0
    assert quartic(scale=1.0)(np.array([[3.0]]), np.array([[1.0]])) == 16.0
    assert quartic.slopes(np.array([[3.0]]), np.array([[1.0]]))[0, 0] == 64.0


def test_a_users_loss_on_logits_decides_at_zero_too() -> None:
    @loss(threshold=0.0)
    def hinge(p: Expression, y: Expression) -> Expression:
        return maximum(1 - (2 * y - 1) * p, 0)

    assert hinge.threshold == 0
    assert hinge(np.array([3.0, -0.5]), np.array([1.0, 1.0])) == 0.75


def test_configured_copies_keep_everything_else() -> None:
    copy = huber(delta=0.5)
    assert copy.description == huber.description
    assert copy != huber
    assert huber(delta=1.0) == huber
    assert str(copy) == "huber(delta=0.5)"


def test_names_configured_names_and_objects_are_found() -> None:
    assert find_loss("huber") is huber
    assert find_loss(huber) is huber
    assert find_loss("huber(delta=0.5)") == huber(delta=0.5)
    with pytest.raises(UnknownName, match=r"did you mean.*squared_error"):
        find_loss("square_error")


@pytest.mark.parametrize("wanted", [3, None, "", "huber(", "huber(0.5)", "huber(beta=1)", "huber(delta=1e999)"])
def test_anything_else_is_a_clear_error(wanted: object) -> None:
    with pytest.raises(InvalidInput):
        find_loss(wanted)  # type: ignore[arg-type]


def test_functions_that_are_no_loss_are_explained() -> None:
    with pytest.raises(FormulaError, match="prediction and target"):

        @loss
        def one_argument(p: Expression) -> Expression:
            return p

    with pytest.raises(FormulaError, match="one expression"):

        @loss  # type: ignore[arg-type]
        def two_results(p: Expression, y: Expression) -> tuple[Expression, Expression]:
            return p, y
