"""Schedules against PyTorch's, their ends, and warm-up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from golden_files import golden

from schuss.errors import FormulaError, InvalidInput, UnknownName
from schuss.language.expressions import Expression
from schuss.schedules import SCHEDULES, constant, cosine, exponential, find_schedule, schedule, step

GOLDEN = golden("schedules")
NAMES = sorted(SCHEDULES)


@pytest.mark.parametrize(
    ("chosen", "name"), [(cosine, "cosine"), (step(every=0.25), "step"), (exponential(final=0.01), "exponential")]
)
def test_100_steps_are_pytorchs(chosen: object, name: str) -> None:
    """PyTorch's 101st value is the end, which a training of 100 steps does not use."""
    np.testing.assert_allclose(0.1 * find_schedule(chosen).factors(100), GOLDEN[name][:100], rtol=1e-9)  # type: ignore[arg-type]


def test_constant_is_1() -> None:
    assert constant.factors(5).tolist() == [1.0] * 5


def test_cosine_ends_at_final() -> None:
    factors = cosine(final=0.1).factors(1000)
    assert factors[0] == 1.0
    assert factors[500] == pytest.approx(0.55)
    assert factors[-1] == pytest.approx(0.1, abs=1e-4)


@pytest.mark.parametrize("steps", [3, 6, 7, 9, 30, 999, 1000])
def test_step_falls_after_each_share_however_it_rounds(steps: int) -> None:
    """With thirds: the step k belongs to the part ⌊3k / steps⌋."""
    expected = [0.1 ** (3 * k // steps) for k in range(steps)]
    np.testing.assert_allclose(step.factors(steps), expected, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 3, 17, 1000])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5, 0.99])
def test_every_schedule_has_a_usable_factor_for_every_step(name: str, steps: int, warmup: float) -> None:
    factors = SCHEDULES[name](warmup=warmup).factors(steps)
    assert factors.dtype == np.float64
    assert factors.shape == (steps,)
    assert np.all(factors > 0)
    assert np.all(factors <= 1)


@pytest.mark.parametrize("name", NAMES)
def test_warm_up_rises_linearly_and_then_the_schedule_begins(name: str) -> None:
    factors = SCHEDULES[name](warmup=0.1).factors(100)
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 10, rtol=1e-12)
    assert np.array_equal(factors[10:], SCHEDULES[name].factors(90))


@pytest.mark.parametrize("name", NAMES)
def test_without_warm_up_the_first_factor_is_1(name: str) -> None:
    assert SCHEDULES[name].factors(10)[0] == 1.0
    assert np.all(np.diff(SCHEDULES[name].factors(10)) <= 0)


@pytest.mark.parametrize("warmup", [-0.1, 1.0, 2.0, math.nan, "long"])
def test_warm_up_is_a_share(warmup: float) -> None:
    with pytest.raises(InvalidInput, match="warmup"):
        cosine(warmup=warmup)


def test_a_users_schedule() -> None:
    @schedule
    def linear(p: Expression, *, final: float = 0.0) -> Expression:
        """A straight line."""
        return 1 - (1 - final) * p

    assert linear.factors(4).tolist() == [1.0, 0.75, 0.5, 0.25]
    assert linear(final=1.0).factors(3).tolist() == [1.0, 1.0, 1.0]
    assert linear(warmup=0.5).factors(4).tolist() == [0.5, 1.0, 1.0, 0.5]
    with pytest.raises(FormulaError, match="progress"):

        @schedule
        def two(p: Expression, q: Expression) -> Expression:
            return p * q

    with pytest.raises(FormulaError, match="one expression"):

        @schedule  # type: ignore[arg-type]
        def pair(p: Expression) -> tuple[Expression, Expression]:
            return p, p


def test_names_configured_names_and_objects_are_found() -> None:
    assert find_schedule("cosine") is cosine
    assert find_schedule(cosine) is cosine
    assert find_schedule("cosine(final=0.1, warmup=0.05)") == cosine(final=0.1, warmup=0.05)
    assert str(cosine(final=0.1, warmup=0.05)) == "cosine(final=0.1, warmup=0.05)"
    with pytest.raises(UnknownName, match=r"did you mean.*cosine"):
        find_schedule("cosin")


@pytest.mark.parametrize("wanted", [3, None, "", "cosine(", "cosine(warmup=1)", "step(every=[])"])
def test_anything_else_is_a_clear_error(wanted: object) -> None:
    with pytest.raises(InvalidInput):
        find_schedule(wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["step(every=0)", "exponential(final=-1)"])
def test_settings_without_a_meaning_are_errors_at_the_latest_when_used(text: str) -> None:
    with pytest.raises(InvalidInput):
        find_schedule(text).factors(10)
