"""Descent as a picture: contour lines of a landscape, and the path of each rule on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schuss.show.charts.style import BLUE, GRAY, heading, looks, page, panel_in, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from schuss.landscapes import Descent, Landscape

LEVELS = 14
MAP = ("#f7fbff", "#dbe7f3")  # from the heights to the lowest places: light enough for lines and dots of any color


def descent_path(descent: Descent, ax: Axes | None = None, *, beside: Descent | None = None, color: str = BLUE) -> Axes:
    """The path on its landscape, a dot each step, from the ring to a cross; `beside` it another one in gray."""
    ax = panel_in(ax, (5.0, 3.2))
    land = descent.landscape
    _contours(ax, land)
    if beside is not None:
        _path(ax, beside.path, GRAY, linewidth=0.8, markersize=1.5)
    _path(ax, descent.path, color)
    for x, y in land.minima:
        ax.plot(x, y, "x", color="black", markersize=7, markeredgewidth=1.5, zorder=5)
    ax.plot(*land.start, "o", color="black", markersize=6.5, markerfacecolor="white", markeredgewidth=1.4, zorder=5)
    x0, x1, y0, y1 = land.view
    ax.set(xlim=(x0, x1), ylim=(y0, y1), xticks=(), yticks=())
    for side in ax.spines.values():
        side.set(visible=True, color="#b8b8b8", linewidth=0.6)
    if not math.isfinite(descent.end):
        say(ax, "diverged")
    heading(ax, f"{descent.rule}, η = {_rate(descent)}")
    return ax


def _rate(descent: Descent) -> str:
    return f"{descent.learning_rate:g}"


def _contours(ax: Axes, land: Landscape) -> None:
    """Lines and shades, the denser the lower, so that the floor of a valley is seen."""
    from matplotlib.colors import LinearSegmentedColormap

    x0, x1, y0, y1 = land.view
    x, y = np.meshgrid(np.linspace(x0, x1, 201), np.linspace(y0, y1, 201))
    height = land(x, y)
    low = float(height.min())
    levels = low + (float(height.max()) - low) * (np.arange(LEVELS + 1) / LEVELS) ** 3
    ax.contourf(x, y, height, levels, cmap=LinearSegmentedColormap.from_list("map", MAP[::-1]), zorder=0)
    ax.contour(x, y, height, levels[1:-1], colors="#b4bcc6", linewidths=0.6, linestyles="solid", zorder=1)


def _path(ax: Axes, path: NDArray[np.float64], color: str, linewidth: float = 1.1, markersize: float = 2.2) -> None:
    shown = np.where(np.abs(path) < 1e6, path, math.nan)  # far out of view, and beyond what can be drawn
    ax.plot(*shown.T, "-o", color=color, linewidth=linewidth, markersize=markersize, markeredgewidth=0)


# ---------------------------------------------------------------------------------------------- pages


def descents_figure(descents: Sequence[Descent]) -> Figure:
    """Many rules on one landscape, a panel each, and in the last how much of the loss is left."""
    n = len(descents) + 1
    columns = n if n < 4 else 2 if n == 4 else min((3, 4), key=lambda c: (-n % c, c))
    title = f"Descent on {descents[0].landscape.title}: {_caption(descents)}"
    figure, panels = page(math.ceil(n / columns), columns, title, row=1.75 if columns > 2 else 2.5)
    color = [look["color"] for look in looks(list(map(str, range(len(descents))))).values()]
    for panel, descent, own in zip(panels, descents, color, strict=False):
        descent_path(descent, panel, color=own)
    _left(panels[len(descents)], [str(descent.rule) for descent in descents], descents, color)
    for extra in panels[n:]:
        extra.remove()
    return figure


def rule_figure(descents: Sequence[Descent], beside: Sequence[Descent]) -> Figure:
    """One rule on several landscapes, with the paths `beside` it in gray, and how much of the loss is left."""
    rule, other_rule = descents[0].rule, beside[0].rule
    title = f"{rule}, and in gray {other_rule}: {_caption(descents)}"
    figure, panels = page(math.ceil((len(descents) + 1) / 2), 2, title, row=2.4)
    for panel, descent, other in zip(panels, descents, beside, strict=False):
        descent_path(descent, panel, beside=other)
        heading(panel, f"{descent.landscape.name}, η = {_rate(descent)} ({other_rule} {_rate(other)})")
    last = panels[len(descents)]
    names = [descent.landscape.name for descent in descents]
    _left(last, names, descents, [BLUE] * len(descents))
    _left(last, names, beside, [GRAY] * len(beside), marker="D", size=12)
    last.set_xlim(*_decades([*descents, *beside]))
    return figure


def _caption(descents: Sequence[Descent]) -> str:
    return (
        f"{len(descents[0].path) - 1} steps from ○ toward ×, each rule at its best learning rate η. "
        "All but full-batch rules (gd) see the slope with noise."
    )


def _left(
    ax: Axes, names: Sequence[str], descents: Sequence[Descent], colors: Sequence[str], marker: str = "o",
    size: float = 24,
) -> None:  # fmt: skip
    """The loss above the lowest place at the end of each descent, on a log axis."""
    from matplotlib.ticker import NullFormatter

    left, place = _losses_left(descents), np.arange(len(names))
    ax.scatter(left, place, c=list(colors), s=size, marker=marker, zorder=3)
    for where in place[np.isnan(left)]:
        ax.text(0.5, where, "diverged", transform=ax.get_yaxis_transform(), ha="center", va="center", fontsize=7.5)
    ax.set(xscale="log", xlim=_decades(descents), ylim=(len(names) - 0.4, -0.6))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(place, names)
    ax.yaxis.tick_right()
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    heading(ax, "loss left at the end")


def _losses_left(descents: Sequence[Descent]) -> NDArray[np.float64]:
    """NaN where a rule diverged, and a millionth where less is left."""
    ends = np.array([descent.end - _lowest(descent.landscape) for descent in descents])
    return np.where(np.isfinite(ends), np.maximum(ends, 1e-6), math.nan)


def _decades(descents: Sequence[Descent]) -> tuple[float, float]:
    """Whole powers of ten that hold what is left."""
    left = np.log10(_losses_left(descents))
    known = left[np.isfinite(left)]
    if not len(known):
        return 1e-3, 1.0
    return 10.0 ** math.floor(known.min() - 0.1), 10.0 ** math.ceil(known.max() + 0.1)


def _lowest(land: Landscape) -> float:
    return min(float(land(x, y)) for x, y in land.minima)
