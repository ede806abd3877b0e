"""A comparison as pictures.

One color with its dashes stands for one optimizer (or activation) in every panel of a chart. A line is the median over
seeds, its band reaches from the lowest to the highest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schuss.show.charts.style import (
    finite,
    heading,
    label_outside,
    legend_below,
    legend_beside,
    log_limits,
    looks,
    page,
    panel_in,
    say,
    whole_numbers,
)
from schuss.show.charts.training import EPOCH, loss_limits, score_limits
from schuss.show.formatting import MISSING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from schuss.comparison.study.ranking import Ranked
    from schuss.comparison.study.records import Row
    from schuss.comparison.study.study import Study

# ---------------------------------------------------------------------------------------------- the scores


def score_table(study: Study, ax: Axes | None = None) -> Axes:
    """Test scores as a table of activations × optimizers, each at its chosen learning rate; the best is framed."""
    from matplotlib import colormaps

    activations, optimizers = _names(study)
    ax = panel_in(ax, (1.6 + 0.8 * max(len(optimizers), 4), 0.9 + 0.42 * max(len(activations), 2)))
    scores = np.full((len(activations), len(optimizers)), math.nan)
    lost = np.zeros(scores.shape, dtype=bool)  # a cell without a score may also be empty, or not judged yet
    for ranked in study.ranking:
        at = activations.index(ranked.activation), optimizers.index(ranked.optimizer)
        scores[at], lost[at] = ranked.test_score, math.isnan(ranked.test_score) and not math.isnan(ranked.rank)
    low, high = _shades(scores)
    ax.imshow(finite(scores), cmap=colormaps["Blues"], vmin=low, vmax=high, aspect="auto")
    for (row, column), score in np.ndenumerate(scores):
        known = math.isfinite(score)
        color = "white" if known and score - low > 0.6 * (high - low) else "black"
        text = f"{score:.3f}" if known else "diverged" if lost[row, column] else MISSING
        ax.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
    if np.isfinite(scores).any():
        row, column = np.unravel_index(int(np.nanargmax(finite(scores))), scores.shape)
        ax.add_patch(_frame(int(column), int(row)))
    ax.grid(visible=False)
    ax.set_xticks(range(len(optimizers)), optimizers)
    ax.set_yticks(range(len(activations)), activations)
    ax.tick_params(length=0)
    heading(ax, f"Test {study.score_name} on {study.data}, each at its best learning rate")
    return ax


def _names(study: Study) -> tuple[list[str], list[str]]:
    """The activations and the optimizers that took part, in the order in which they came."""
    activations = dict.fromkeys(row.activation for row in study.rows)
    optimizers = dict.fromkeys(row.optimizer for row in study.rows)
    return list(activations), list(optimizers)


def _shades(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Scores of the lightest and the darkest shade: those far below most are all as light, so that others differ."""
    known = scores[np.isfinite(scores)]
    if not len(known):
        return 0.0, 1.0
    high, middle = float(known.max()), float(np.median(known))
    low = max(float(known.min()), high - 5 * (high - middle))
    return low - 0.1 * (high - low) - 1e-3, high + 0.15 * (high - low) + 1e-3


def _frame(column: int, row: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.47, row - 0.44), 0.94, 0.88, fill=False, edgecolor="black", linewidth=2)


# ---------------------------------------------------------------------------------------------- curves


class _Grid(NamedTuple):
    """Competitors as panels and lines: a panel an activation and a line an optimizer, unless there is one optimizer."""

    panels: list[str]
    lines: list[str]
    is_swapped: bool

    def names(self, of: Row | Ranked) -> tuple[str, str]:
        """The panel and the line that a competitor belongs to."""
        return (of.optimizer, of.activation) if self.is_swapped else (of.activation, of.optimizer)


def _grid(study: Study) -> _Grid:
    activations, optimizers = _names(study)
    is_swapped = len(optimizers) == 1 < len(activations)
    return _Grid(*((optimizers, activations) if is_swapped else (activations, optimizers)), is_swapped)


def loss_figure(study: Study) -> Figure:
    """Training loss against passes over the data, each competitor at its chosen learning rate."""
    grid = _grid(study)
    title = f"Training loss on {study.data}, each at its best learning rate"
    figure, panels, line_looks = _competition(grid, title)
    drawn = []
    for ranked in study.ranking:
        name, line = grid.names(ranked)
        curves = study.curves_of(ranked)
        if not np.isfinite(curves).any():
            continue
        epochs = np.arange(1, curves.shape[1] + 1)
        _band(panels[name], epochs, curves, line_looks[line])
        drawn.append(curves)
    _loss_limits(list(panels.values()), drawn)
    for panel in panels.values():
        whole_numbers(panel)
        if not panel.lines:
            say(panel, "all diverged")
    label_outside(list(panels.values()), EPOCH if len(panels) <= 4 else "epoch", "training loss")
    return figure


def learning_rate_figure(study: Study) -> Figure:
    """Validation score against the learning rate; a dot marks the chosen one, a cross one where networks diverged."""
    grid = _grid(study)
    title = f"Sensitivity to the learning rate on {study.data} (• chosen, × diverged)"
    figure, panels, line_looks = _competition(grid, title)
    by_line: dict[tuple[str, str], dict[float, list[Row]]] = {}
    for row in sorted(study.rows, key=lambda row: row.learning_rate):
        by_line.setdefault(grid.names(row), {}).setdefault(row.learning_rate, []).append(row)
    low, high = score_limits(np.array([row.valid_score for row in study.rows]))
    chosen = {grid.names(ranked): ranked.learning_rate for ranked in study.ranking}
    for (name, line), by_rate in by_line.items():
        rates = np.array(list(by_rate))
        seeds = max(map(len, by_rate.values()))
        scores = np.full((seeds, len(rates)), math.nan)
        for column, rows in enumerate(by_rate.values()):
            scores[: len(rows), column] = [row.valid_score for row in rows]
        _band(panels[name], rates, scores, line_looks[line], marker=rates.tolist().index(chosen[name, line]))
        diverged = [rate for rate, rows in by_rate.items() if any(row.status == "diverged" for row in rows)]
        # Crosses of two lines do not coincide.
        height = low + (0.02 + 0.035 * grid.lines.index(line) % 0.4) * (high - low)
        panels[name].plot(diverged, [height] * len(diverged), "x", markersize=4, color=line_looks[line]["color"])
    for panel in panels.values():
        panel.set(xscale="log", ylim=(low, high))
    label_outside(list(panels.values()), "learning rate", f"validation {study.score_name}")
    return figure


def _competition(grid: _Grid, title: str) -> tuple[Figure, dict[str, Axes], dict[str, dict[str, Any]]]:
    """A panel for each name with one legend for all, and what each line looks like."""
    from matplotlib.lines import Line2D

    n = len(grid.panels)
    columns = min(n, max(math.ceil(math.sqrt(n)), 3 if n != 4 else 2))
    rows = math.ceil(max(n, 1) / max(columns, 1))
    height = {0: 3.4, 1: 3.4, 2: 2.6, 3: 2.1}.get(columns, 1.7)
    figure, found = page(rows, max(columns, 1), title, count=n, row=height)
    for panel, name in zip(found, grid.panels, strict=True):
        panel.set_title(name, fontsize=9, fontweight="bold", loc="left")
    line_looks = looks(grid.lines)
    if n == 1:
        legend_beside(found[0], handles=[Line2D([], [], **look) for look in line_looks.values()], labels=grid.lines)
    else:
        legend_below(figure, line_looks)
    return figure, dict(zip(grid.panels, found, strict=True)), line_looks


def _band(
    panel: Axes, x: NDArray[Any], values: NDArray[np.float64], look: dict[str, Any], marker: int | None = None
) -> None:
    """The median of values [seed, x] as a line, and a band from the lowest to the highest."""
    present = np.isfinite(values).any(axis=0)
    if not present.any():
        return
    middle = np.full(len(x), math.nan)
    middle[present] = np.nanmedian(finite(values[:, present]), axis=0)
    alone = {"marker": "o", "markersize": 3} if np.count_nonzero(present) == 1 else {}
    panel.plot(x, middle, **{**look, **alone})
    if len(values) > 1:
        lowest, highest = (f(finite(values[:, present]), axis=0) for f in (np.nanmin, np.nanmax))
        panel.fill_between(x[present], lowest, highest, color=look["color"], alpha=0.15, linewidth=0)
    if marker is not None:
        panel.plot(x[marker], middle[marker], "o", markersize=4.5, color=look["color"])


def _loss_limits(panels: Sequence[Axes], drawn: Sequence[NDArray[np.float64]]) -> None:
    """One axis for the losses of all panels; `drawn` are curves [seed, epoch]."""
    losses = np.concatenate([curves.ravel() for curves in drawn]) if drawn else np.ones(1)
    firsts = [float(np.nanmedian(curves[:, 0])) for curves in drawn if np.isfinite(curves[:, 0]).any()]
    limits = loss_limits(losses, np.array(firsts))
    if limits is None:
        return
    for panel in panels:
        log_limits(panel, *limits)
