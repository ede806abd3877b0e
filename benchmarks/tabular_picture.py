"""One picture of the estimators beside their rivals: how many times schuss's loss each one's is, table by table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.intervals import interval
from schuss.show.charts.style import BLUE, GRAY, page

TICKS = (0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2, 3, 5, 7, 10)


def draw(ratios: Mapping[str, Sequence[float]], path: Path) -> None:
    """A row a method: a dot for each table, and the geometric mean with its 95 % bootstrap interval over the tables."""
    title = "Log-loss and RMSE on test rows, as multiples of schuss's: right of 1 is worse"
    figure, (panel,) = page(1, 1, title, row=0.42 * len(ratios) + 0.6)
    for row, values in enumerate(ratios.values()):
        jitter = np.random.default_rng(row).uniform(-0.14, 0.14, len(values))
        panel.scatter(values, row + jitter, s=14, color=BLUE, alpha=0.35, linewidths=0)
        middle, low, high = np.exp(interval(np.log(values)))
        panel.plot([low, high], [row, row], color="black", linewidth=1.6, solid_capstyle="round")
        panel.plot(middle, row, "o", color="black", markersize=5)
        panel.text(1.01, row, f"{middle:.2f} ×", transform=panel.get_yaxis_transform(), va="center", fontsize=8)
    panel.axvline(1, color=GRAY, linewidth=1)
    panel.set_xscale("log")
    lowest, highest = (end(value for values in ratios.values() for value in values) for end in (min, max))
    shown = [tick for tick in TICKS if lowest <= tick <= highest]
    panel.set_xticks(shown, [f"{tick:g}" for tick in shown])
    panel.set_xticks([], minor=True)
    panel.set_yticks(range(len(ratios)), list(ratios))
    panel.invert_yaxis()
    panel.grid(visible=False, axis="y")
    panel.set_xlabel("a dot a table; black: geometric mean, and its 95 % interval over the tables")
    figure.savefig(path)
