"""Numbers and words as they are shown."""

from __future__ import annotations

import math

import numpy as np
import pytest

from schuss.show.formatting import mean_and_spread, rate, reference, significant, tendency


@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (0.0, "0"), (1.0, "1.0"), (0.974, "0.97"), (0.0999, "0.10"), (0.05, "5e-2"), (3e-10, "3e-10"), (-0.5, "-0.50"),
        (999.6, "1e3"), (42.0, "42"), (1.5e20, "1.5e20"), (math.nan, "–"), (math.inf, "∞"), (-math.inf, "−∞"),
    ],
)  # fmt: skip
def test_significant(x: float, shown: str) -> None:
    assert significant(x) == shown


@pytest.mark.parametrize("x", 10.0 ** np.arange(-30, 30, 1.7))
def test_significant_means_the_number(x: float) -> None:
    assert float(significant(x, 3)) == pytest.approx(x, rel=5e-3)


@pytest.mark.parametrize(("x", "shown"), [(1e-3, "1e-3"), (0.0316, "3.2e-2"), (0.1, "0.1"), (1.0, "1"), (10.0, "10")])
def test_rate(x: float, shown: str) -> None:
    assert rate(x) == shown


@pytest.mark.parametrize(
    ("mean", "spread", "shown"),
    [(0.97412, 0.006, "0.974 ± 0.006"), (0.5, math.nan, "0.500"), (math.nan, math.nan, "–"), (-3e7, 2e7, "-3e7 ± 2e7")],
)
def test_mean_and_spread(mean: float, spread: float, shown: str) -> None:
    assert mean_and_spread(mean, spread) == shown


@pytest.mark.parametrize(
    ("first", "word"),
    [(1e-9, "vanishes"), (1e-2, "shrinks"), (0.3, "steady"), (4.0, "steady"), (50.0, "grows"), (1e6, "explodes"),
     (0.0, "vanishes"), (math.inf, "explodes"), (math.nan, "unknown")],
)  # fmt: skip
def test_tendency(first: float, word: str) -> None:
    assert tendency(np.array([first, 1.0])) == word


def test_reference_is_the_citation_and_not_another_bracket() -> None:
    assert reference("SGD (Polyak, 1964), in PyTorch's form: v ← μv") == "Polyak, 1964"
    assert reference("log(1 + e^z), smooth") == ""
