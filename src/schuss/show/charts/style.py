"""The house style: what all pictures have in common.

Every picture reads in a README (800 pixels wide), on a slide, for the color-blind, and in gray print, where dashes,
markers and lightness tell lines apart.
"""

from __future__ import annotations

import logging
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schuss.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008), without the yellow that is too light for lines, and one of Paul Tol's. Four dashes go round with
# the eight colors, which are so ordered that two lines with the same dashes differ in lightness.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#882255", "#56B4E9", "#E69F00", "#000000", "#CC79A7")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
BLUE, RED = COLORS[:2]
GRAY = "#666666"
LIGHT = "#e6e6e6"

WIDTH = 8.0  # inches of a whole page: 100 a README's pixels, so that its 8-point labels are 11 pixels high there
DPI = 200
PANEL = (5.4, 3.4)  # inches of a panel in a figure of its own


# ---------------------------------------------------------------------------------------------- figures and panels


def panel_in(ax: Axes | None, size: tuple[float, float] = PANEL) -> Axes:
    """The given axes, or those of a new figure, in house style."""
    if ax is None:
        ax = _new_figure(size).add_subplot()
    style(ax)
    return ax


def page(
    rows: int, columns: int, title: str, *, row: float, count: int | None = None, width: float = WIDTH
) -> tuple[Figure, list[Axes]]:
    """A figure of panels [rows, columns], each row so many inches high.

    With a `count` there are so many panels, and all share their axes.
    """
    figure = _new_figure((width, row * rows + 0.5))
    shared = count is not None
    grid = figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared)
    panels: list[Axes] = list(grid.ravel())
    for extra in panels[count:] if count is not None else []:
        extra.remove()
    chosen = panels[:count]
    for each in chosen:
        style(each)
    headline(figure, title)
    return figure, chosen


def empty_page(height: float, title: str, width: float = WIDTH) -> Figure:
    """A figure without panels yet."""
    figure = _new_figure((width, height))
    headline(figure, title)
    return figure


def _new_figure(size: tuple[float, float]) -> Figure:
    """A figure without pyplot, and so without global state."""
    from matplotlib.figure import Figure

    # It warns of every font that a stale cache names and the machine lacks, though it has its own to fall back on.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    return Figure(figsize=size, layout="constrained", dpi=DPI)


def figure_of(drawn: Axes | Figure) -> Figure:
    """The whole figure that axes belong to, also where they lie in a part of it."""
    figure = drawn.get_figure(root=True)
    if figure is None:
        raise InvalidInput("these axes have no figure: they were removed from theirs. Give others.")
    return figure


def headline(figure: Figure, text: str) -> None:
    """The title of a whole page, in as many lines as it needs."""
    figure.suptitle(folded(text, figure.get_figwidth(), 11), fontsize=11, x=0.01, ha="left")


def heading(ax: Axes, text: str) -> None:
    """The title of a panel, in as many lines as its width needs: that of the axes before the layout, a little less."""
    width = ax.get_window_extent().width / figure_of(ax).dpi
    ax.set_title(folded(text, width, 9), fontsize=9, loc="left")


def style(ax: Axes) -> None:
    """Open to the top and the right, a light grid behind, small labels."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(visible=True, which="major", color=LIGHT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(which="both", labelsize=8)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(9)


def folded(text: str, width: float, size: float) -> str:
    """Text in lines that fit so many inches at a size in points."""
    return "\n".join(textwrap.wrap(text, max(int(width * 130 / size), 20)))


# ---------------------------------------------------------------------------------------------- lines


def looks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Color and dashes of each line, in the order given; the first 32 differ from one another."""
    return {
        name: {
            "color": COLORS[i % len(COLORS)],
            "linestyle": DASHES[(i + i // len(COLORS)) % len(DASHES)],
            "linewidth": 1.4,
        }
        for i, name in enumerate(names)
    }


def drawable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values for a log axis: what is not positive, or so far off that ticks would overflow, is a gap."""
    return np.where((values > 1e-200) & (values < 1e200), values, math.nan)


def finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values, NaN where they are not finite."""
    return np.where(np.isfinite(values), values, math.nan)


# ---------------------------------------------------------------------------------------------- axes


def log_axis(ax: Axes, values: Sequence[NDArray[np.float64]]) -> None:
    """A log axis that spans at least one power of ten, so that a steady line looks steady."""
    together = np.concatenate([drawable(v).ravel() for v in values]) if values else np.zeros(0)
    together = together[np.isfinite(together)]
    if not len(together):
        ax.set_yscale("log")
        say(ax, "nothing above 0")
        return
    low, high = float(together.min()), float(together.max())
    middle, reach = math.sqrt(low) * math.sqrt(high), max((high / low) ** 0.55, math.sqrt(10))
    log_limits(ax, middle / reach, middle * reach)


def log_limits(ax: Axes, low: float, high: float) -> None:
    """Limits of a log axis, with plain numbers at 1, 2 and 5 where it spans less than two powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    ax.set_yscale("log")
    ax.set_ylim(low, high)
    if high < 100 * low:
        plain = FuncFormatter(lambda y, _: f"{y:g}".replace("e+", "e"))
        ax.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        ax.yaxis.set_major_formatter(plain)
        ax.yaxis.set_minor_formatter(plain)


def whole_numbers(ax: Axes) -> None:
    """Ticks at whole numbers only: epochs and layers have no halves."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def layer_axis(ax: Axes, n: int) -> None:
    """Layers 1 … n from left to right."""
    ax.set_xlabel("layer (1 is next to the input)")
    ax.set_xlim(0.7 if n < 10 else 0, n + (0.3 if n < 10 else 1))
    whole_numbers(ax)


# ---------------------------------------------------------------------------------------------- words


def say(ax: Axes, text: str) -> None:
    """Words in place of lines."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", color=GRAY, fontsize=9)


def legend_inside(ax: Axes, **entries: Any) -> None:
    """Where the lines leave most room."""
    ax.legend(fontsize=8, framealpha=0.85, edgecolor="none", **entries)


def legend_beside(ax: Axes, title: str = "", **entries: Any) -> None:
    """To the right of the panel."""
    entries |= {"bbox_to_anchor": (1.01, 1.0), "frameon": False, "fontsize": 8, "title": title or None}
    legend = ax.legend(loc="upper left", handlelength=2.6, **entries)
    legend.get_title().set_fontsize(8)


def legend_below(figure: Figure, lines: Mapping[str, Mapping[str, Any]]) -> None:
    """One legend for all panels, in as many lines as it needs, filled evenly."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **look) for look in lines.values()]
    width = sum(len(name) + 8 for name in lines) * 0.085  # inches, roughly
    columns = math.ceil(len(lines) / math.ceil(width / figure.get_figwidth()))
    figure.legend(
        handles, list(lines), loc="outside lower center", ncols=columns, frameon=False, fontsize=9, handlelength=2.6
    )


def label_outside(panels: Sequence[Axes], x: str, y: str) -> None:
    """Labels at the outer panels only, and tick labels where there is no panel below."""
    for panel, is_lowest, is_first in _places(panels):
        panel.tick_params(labelbottom=is_lowest)
        if is_lowest:
            panel.set_xlabel(x)
        if is_first:
            panel.set_ylabel(y)


def _places(panels: Sequence[Axes]) -> Iterator[tuple[Axes, bool, bool]]:
    """Each panel with whether none is below it, and whether it is the first of its row."""
    columns = max((_column(panel) for panel in panels), default=0) + 1
    for i, panel in enumerate(panels):
        yield panel, i + columns >= len(panels), _column(panel) == 0


def _column(panel: Axes) -> int:
    place = panel.get_subplotspec()
    return 0 if place is None else int(place.colspan.start)
