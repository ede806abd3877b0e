"""Descent as a picture: contour lines of a landscape, and the path of each rule on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schuss.charts.style import (
    BLUE,
    GRAY,
    finite,
    heading,
    legend_inside,
    looks,
    page,
    panel_in,
    say,
)
from schuss.shown import DescentShown, LandscapeShown
from schuss.wording import rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = 14


def descent_path(
    descent: DescentShown, ax: Axes | None = None, *, beside: DescentShown | None = None, color: str = BLUE
) -> Axes:
    """The path on its landscape, a dot each step, from the ring to a cross; `beside` it another one in gray."""
    ax = panel_in(ax, (5.0, 3.2))
    land = descent.landscape
    _contours(ax, land)
    if beside is not None:
        _path(ax, beside.path, GRAY, linewidth=0.8, markersize=1.5)
    _path(ax, descent.path, color)
    for x, y in land.minima:
        ax.plot(x, y, "x", color="black", markersize=8, markeredgewidth=1.6, zorder=5)
    ax.plot(*land.start, "o", color="black", markersize=7, markerfacecolor="white", markeredgewidth=1.4, zorder=5)
    x0, x1, y0, y1 = land.view
    ax.set(xlim=(x0, x1), ylim=(y0, y1))
    ax.grid(visible=False)
    if not math.isfinite(descent.end):
        say(ax, "thrown out")
    heading(ax, f"{descent.rule}, η = {rate(descent.learning_rate)}")
    return ax


def _contours(ax: Axes, land: LandscapeShown) -> None:
    """Lines at losses whose roots are evenly spaced: on a round valley they would be evenly spaced circles."""
    x0, x1, y0, y1 = land.view
    x, y = np.meshgrid(np.linspace(x0, x1, 161), np.linspace(y0, y1, 121))
    height = land(x, y)
    low = float(height.min())
    levels = low + (float(height.max()) - low) * (np.arange(1, LEVELS) / LEVELS) ** 2
    ax.contour(x, y, height, levels, colors="#b8b8b8", linewidths=0.6)


def _path(ax: Axes, path: NDArray[np.float64], color: str, linewidth: float = 1.1, markersize: float = 2.2) -> None:
    shown = np.where(np.abs(path) < 1e6, path, math.nan)  # far out of view, and beyond what can be drawn
    ax.plot(*shown.T, "-o", color=color, linewidth=linewidth, markersize=markersize, markeredgewidth=0)


def descents_figure(descents: Sequence[DescentShown]) -> Figure:
    """Many rules on one landscape, a panel each, and their losses in the last."""
    n = len(descents) + 1
    columns = next(c for c in (1, 2, 3, 4) if c * c >= n or c == 4)
    land = descents[0].landscape
    title = f"Descent on {land.title}: {len(descents[0].path) - 1} steps from ○ toward ×"
    figure, panels = page(math.ceil(n / columns), columns, title, row=1.9)
    line = looks([str(descent.rule) for descent in descents])
    for panel, descent in zip(panels, descents, strict=False):
        descent_path(descent, panel, color=line[str(descent.rule)]["color"])
        panel.tick_params(labelbottom=False, labelleft=False, length=0)
    losses = panels[len(descents)]
    _losses(losses, {str(descent.rule): descent for descent in descents})
    for extra in panels[n:]:
        extra.remove()
    return figure


def _losses(ax: Axes, descents: Mapping[str, DescentShown]) -> None:
    """The loss above the lowest place against the step, on a log axis."""
    line = looks(list(descents))
    for name, descent in descents.items():
        ax.plot(above_the_lowest(descent), **{**line[name], "linewidth": 1.1}, label=name)
    ax.set(yscale="log", ylim=(1e-5, None))
    ax.tick_params(labelsize=7)
    heading(ax, "loss against the step")


def above_the_lowest(descent: DescentShown) -> NDArray[np.float64]:
    """The loss at each step less that of the lowest place; NaN once the rule was thrown out."""
    lowest = min(float(descent.landscape(np.float64(x), np.float64(y))) for x, y in descent.landscape.minima)
    return finite(descent.losses) - lowest


def rule_figure(descents: Sequence[DescentShown], beside: Sequence[DescentShown]) -> Figure:
    """One rule on several landscapes, with the paths `beside` it in gray, and its losses in the last panel."""
    rule = descents[0].rule
    title = f"{rule}: {len(descents[0].path) - 1} steps from ○ toward ×; gray: {beside[0].rule}"
    figure, panels = page(math.ceil((len(descents) + 1) / 2), 2, title, row=2.5)
    for panel, descent, other in zip(panels, descents, beside, strict=False):
        descent_path(descent, panel, beside=other)
        heading(panel, f"{descent.landscape.name}, η = {rate(descent.learning_rate)} ({rate(other.learning_rate)})")
        panel.tick_params(labelbottom=False, labelleft=False, length=0)
    losses = panels[len(descents)]
    _losses(losses, {descent.landscape.name: descent for descent in descents})
    legend_inside(losses)
    return figure
