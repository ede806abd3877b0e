"""How well the statistics of a comparison do what they promise: `python -m benchmarks.judgement`, some minutes.

Simulated scores with a known truth; the tables of docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from schuss.comparison.statistics.groups import groups
from schuss.comparison.statistics.intervals import (
    Estimate,
    bootstrap_interval,
    iqm,
    paired_difference,
    probability_of_improvement,
)

Floats = NDArray[np.float64]
Shape = tuple[int, ...]

draw = np.random.default_rng(2025)

SCORES: dict[str, Callable[[Shape], Floats]] = {
    "normal": lambda shape: draw.normal(size=shape),
    "uniform": lambda shape: draw.uniform(size=shape),
    "heavy-tailed": lambda shape: draw.standard_t(4, size=shape),
    "skewed": lambda shape: -np.exp(0.5 * draw.normal(size=shape)),
    "more skewed": lambda shape: -draw.exponential(size=shape),
    "of 360 rows": lambda shape: draw.binomial(360, 0.97, size=shape) / 360,
    "of 30 rows": lambda shape: draw.binomial(30, 0.95, size=shape) / 30,
    "with outliers": lambda shape: np.where(draw.uniform(size=shape) < 0.1, -10.0, 0.0) + draw.normal(size=shape),
    "bimodal": lambda shape: np.where(draw.uniform(size=shape) < 0.4, -4.0, 0.0) + draw.normal(size=shape),
}


def covered(found: Estimate, truth: float) -> str:
    return f"{100 * ((found.low <= truth + 1e-12) & (truth <= found.high + 1e-12)).mean():.1f} %"


def show_coverage(studies: int = 8000) -> None:
    print("Intervals that hold the truth: interquartile mean; difference of two equals")
    for seeds in (3, 5, 10, 15):
        for name, scores in SCORES.items():
            truth = float(iqm(scores((50 * studies, 1, seeds))).mean())
            mean = covered(bootstrap_interval(scores((studies, 1, seeds))), truth)
            luck = draw.normal(size=(studies, 1, seeds))
            a, b = (luck + scores((studies, 1, seeds)) for _ in range(2))
            print(f"{seeds:3} seeds  {name:14} {mean:>8} {covered(paired_difference(a, b), 0.0):>8}")
    print("Probability of improvement, 10 seeds")
    for truth in (0.5, 0.6, 0.7, 0.8, 0.9, 0.97):
        a, b = draw.normal(size=(2, studies, 1, 10))
        found = probability_of_improvement(a + np.sqrt(2) * norm.ppf(truth), b)
        print(f"{truth:5.2f} {covered(found, truth):>8}")


def told_apart(scores: Floats) -> NDArray[np.bool_]:
    """Which pairs [competitor, competitor] are, in the order of the scores [competitor, data set, seed]."""
    found = groups({str(i): each for i, each in enumerate(scores)})
    place = np.argsort([int(name) for name in found.names])
    return (found.p <= found.level)[np.ix_(place, place)]


def show_errors(studies: int = 300) -> None:
    print("Studies of equals in which any two are told apart")
    for seeds in (10, 20):
        for competitors in (2, 7, 28):
            for name, scores in SCORES.items():
                wrong = np.mean([told_apart(scores((competitors, 1, seeds))).any() for _ in range(studies)])
                print(f"{seeds:3} seeds {competitors:3} competitors  {name:14} {100 * wrong:5.1f} %")


def show_power(studies: int = 200) -> None:
    print("Pairs told apart whose normal scores differ by so many standard deviations")
    differences = np.array([1.0, 1.2, 1.5, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0])
    print(" " * 26 + "".join(f"{d:8.1f}" for d in differences))
    for seeds in (10, 20):
        for competitors in (2, 7, 28):
            half = competitors // 2
            level = np.repeat([1.0, 0.0], [half, competitors - half])[:, None, None]
            found = [
                np.mean(
                    [
                        told_apart(d * level + draw.normal(size=(competitors, 1, seeds)))[:half, half:].mean()
                        for _ in range(studies if competitors < 28 else studies // 4)
                    ]
                )
                for d in differences
            ]
            print(f"{seeds:3} seeds {competitors:3} competitors" + "".join(f"{100 * p:6.0f} %" for p in found))


if __name__ == "__main__":
    show_coverage()
    show_errors()
    show_power()
