"""Results as pictures. Each function returns a matplotlib Figure, without pyplot and without global state.

One color stands for one optimizer (or activation) in every panel of a chart; the color-blind can tell them
apart, and from the ninth on the dashes differ too. A line is the median over seeds, its band reaches from the lowest to
the highest.
"""

# ruff: noqa: D102 (the members of a protocol are what its own docstring speaks of)

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from schuss.shown import CompetitorShown, FlowShown, HistoryShown, RowShown, StudyShown
from schuss.wording import slope_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008), without the yellow that is too light for lines, and one of Paul Tol's.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#882255")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)))
GRAY = "#666666"
PANEL = (3.4, 2.5)  # inches


class ActivationDrawn(Protocol):
    """An activation that can be evaluated on an array."""

    def __call__(self, z: Any, /) -> NDArray[Any]: ...
    def slope(self, z: Any) -> NDArray[Any]: ...


# ---------------------------------------------------------------------------------------------- gradient flow


def flow_chart(flow: FlowShown) -> Figure:
    """One measurement against the layer: δ, the weight gradient, the signal, and saturated and dead units."""
    number = np.arange(1, len(flow.layers) + 1)
    when = "at initialization" if flow.epoch == 0 else f"after epoch {flow.epoch}"
    names = list(dict.fromkeys(str(layer.activation) for layer in flow.layers))
    title = f"{', '.join(names)}, {_count(len(number), 'layer')}, {when}: the gradient {slope_in_words(flow)}"
    figure, (delta, weights, signal, units) = _figure(2, 2, title, panel=(3.8, 2.5))
    _profile(delta, number, {"": flow.relative}, "δ relative to the last hidden layer")
    _profile(weights, number, {"": flow["weight_gradient"]}, "RMS of ∂loss/∂W")
    _profile(signal, number, {"z": flow["z_rms"], "φ(z)": flow["activation_rms"]}, "RMS of the signal")
    units.plot(number, 100 * flow["saturated"], marker="o", markersize=3, color=COLORS[0], label="saturated")
    units.plot(number, 100 * flow["dead"], marker="s", markersize=3, color=COLORS[1], label="dead")
    units.set(ylim=(-4, 104), ylabel="units (%)")
    for panel in (signal, units):
        panel.legend(frameon=False, fontsize=8)
    for panel in (units, signal, weights, delta):
        _layer_axis(panel, len(number))
    return figure


def flows_chart(flows: Mapping[str, FlowShown]) -> Figure:
    """The relative δ against the layer, a line for each activation, the steadiest named first."""
    figure, (panel,) = _figure(1, 1, "How much of the gradient reaches each layer, at initialization", panel=(6.6, 3.8))

    def first(item: tuple[str, FlowShown]) -> float:
        x = float(item[1].relative[0])
        return -math.inf if math.isnan(x) else x

    looks = _looks(list(flows))
    for name, flow in sorted(flows.items(), key=first, reverse=True):
        lost = flow.decades_per_layer
        slope = "" if math.isnan(lost) else f"  {lost:.2f}".replace("-", "−")
        number = np.arange(1, len(flow.layers) + 1)
        panel.plot(number, _drawable(flow.relative), marker="o", markersize=3, label=f"{name}{slope}", **looks[name])
    _log_axis(panel, [flow.relative for flow in flows.values()])
    panel.axhline(1, color=GRAY, linewidth=0.6, zorder=0)
    panel.set_ylabel("δ relative to the last hidden layer")
    _layer_axis(panel, max((len(flow.layers) for flow in flows.values()), default=1))
    _legend_beside(panel, "loses, decades a layer")
    return figure


def flow_history_chart(history: HistoryShown) -> Figure:
    """δ, update ratio and share of saturated units against the epoch, a line a layer, dark for the first."""
    figure, panels = _figure(1, 3, "Gradient flow through training, layer by layer", panel=(3.3, 2.9))
    quantities = ("delta", "update_ratio", "saturated")
    labels = ("δ, the RMS of ∂loss/∂z", "RMS of the last update / RMS of W", "saturated units (%)")
    n = len(history.measurements[0].layers)
    # Measured after epochs 1, 2, 4, …: evenly spaced places are a log axis with a 0.
    at = np.arange(len(history.epochs))
    for panel, quantity, label in zip(panels, quantities, labels, strict=True):
        values = history[quantity]
        is_share = quantity == "saturated"
        for layer in range(n):
            line = 100 * values[:, layer] if is_share else _drawable(values[:, layer])
            panel.plot(at, line, marker="o", markersize=2.5, color=_depth_color(layer, n))
        if is_share:
            panel.set_ylim(-4, 104)
        else:
            _log_axis(panel, [values])
        panel.set_xticks(at, _sparse([str(epoch) for epoch in history.epochs], at_most=8))
        panel.set(xlabel="epoch", ylabel=label)
    _depth_scale(figure, panels, n)
    return figure


def _sparse(labels: list[str], at_most: int) -> list[str]:
    """Every label, or every second or third counted from the last, so that none overlap; the others are empty."""
    step = math.ceil(len(labels) / at_most)
    return [label if (len(labels) - 1 - i) % step == 0 else "" for i, label in enumerate(labels)]


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _profile(panel: Axes, number: NDArray[np.int64], lines: Mapping[str, NDArray[np.float64]], label: str) -> None:
    """Positive quantities against the layer, on a log axis."""
    for color, (name, values) in zip(COLORS, lines.items(), strict=False):
        panel.plot(number, _drawable(values), marker="o", markersize=3, color=color, label=name)
    _log_axis(panel, list(lines.values()))
    panel.set_ylabel(label)


def _layer_axis(panel: Axes, n: int) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.set_xlabel("layer (1 is next to the input)")
    panel.set_xlim(0.7 if n < 10 else 0, n + (0.3 if n < 10 else 1))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _depth_color(layer: int, n: int) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](0.9 * layer / max(n - 1, 1))


def _depth_scale(figure: Figure, panels: Sequence[Axes], n: int) -> None:
    """Which color is which layer: a legend for few layers, a scale for many."""
    if n <= 6:
        for layer in range(n):
            panels[-1].plot([], [], color=_depth_color(layer, n), label=f"layer {layer + 1}")
        _legend_beside(panels[-1])
        return
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    colors = ListedColormap([_depth_color(layer, n) for layer in range(n)])
    scale = figure.colorbar(ScalarMappable(Normalize(0.5, n + 0.5), colors), ax=list(panels), pad=0.01, label="layer")
    scale.ax.tick_params(labelsize=8)


# ---------------------------------------------------------------------------------------------- comparisons


class _Grid(NamedTuple):
    """Competitors as panels and lines: a panel an activation and a line an optimizer, unless there is one optimizer."""

    panels: list[str]
    lines: list[str]
    is_swapped: bool

    def names(self, of: CompetitorShown) -> tuple[str, str]:
        """The panel and the line that a competitor belongs to."""
        return (of.optimizer, of.activation) if self.is_swapped else (of.activation, of.optimizer)


def _grid(study: StudyShown) -> _Grid:
    activations = list(dict.fromkeys(row.activation for row in study.rows))
    optimizers = list(dict.fromkeys(row.optimizer for row in study.rows))
    is_swapped = len(optimizers) == 1 < len(activations)
    return _Grid(*((optimizers, activations) if is_swapped else (activations, optimizers)), is_swapped)


def loss_chart(study: StudyShown) -> Figure:
    """Training loss against passes over the data, each competitor at its chosen learning rate."""
    from matplotlib.ticker import MaxNLocator

    grid = _grid(study)
    title = f"Training loss on {study.data}, each at its best learning rate"
    figure, panels, looks = _competition(grid, title)
    drawn = []
    for ranked in study.ranking:
        name, line = grid.names(ranked)
        curves = study.curves_of(ranked)
        if not np.isfinite(curves).any():
            continue
        epochs = np.arange(1, curves.shape[1] + 1)
        _band(panels[name], epochs, curves, looks[line])
        drawn.append(curves)
    _loss_limits(list(panels.values()), drawn)
    for panel in panels.values():
        panel.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        if not panel.lines:
            _say(panel, "all diverged")
    _label_outside(list(panels.values()), "epoch (pass over the training data)", "training loss")
    return figure


def learning_rate_chart(study: StudyShown) -> Figure:
    """Validation score against the learning rate; a dot marks the chosen one, a cross one where networks diverged."""
    grid = _grid(study)
    title = f"Sensitivity to the learning rate on {study.data} (• chosen, × diverged)"
    figure, panels, looks = _competition(grid, title)
    by_line: dict[tuple[str, str], dict[float, list[RowShown]]] = {}
    for row in sorted(study.rows, key=lambda row: row.learning_rate):
        by_line.setdefault(grid.names(row), {}).setdefault(row.learning_rate, []).append(row)
    low, high = _score_limits([row.valid_score for row in study.rows])
    chosen = {grid.names(ranked): ranked.learning_rate for ranked in study.ranking}
    for (name, line), by_rate in by_line.items():
        rates = np.array(list(by_rate))
        seeds = max(map(len, by_rate.values()))
        scores = np.full((seeds, len(rates)), math.nan)
        for column, rows in enumerate(by_rate.values()):
            scores[: len(rows), column] = [row.valid_score for row in rows]
        _band(panels[name], rates, scores, looks[line], marker=rates.tolist().index(chosen[name, line]))
        diverged = [rate for rate, rows in by_rate.items() if any(row.status == "diverged" for row in rows)]
        # Crosses of two lines do not coincide.
        height = low + (0.02 + 0.035 * grid.lines.index(line) % 0.4) * (high - low)
        panels[name].plot(diverged, [height] * len(diverged), "x", markersize=4, color=looks[line]["color"])
    for panel in panels.values():
        panel.set(xscale="log", ylim=(low, high))
    _label_outside(list(panels.values()), "learning rate", f"validation {study.score_name}")
    return figure


def _competition(grid: _Grid, title: str) -> tuple[Figure, dict[str, Axes], dict[str, dict[str, Any]]]:
    """A panel for each name with one legend for all, and what each line looks like."""
    from matplotlib.lines import Line2D

    n = len(grid.panels)
    columns = min(n, max(math.ceil(math.sqrt(n)), 3 if n != 4 else 2))
    rows = math.ceil(max(n, 1) / max(columns, 1))
    beside = 0.085 * max(map(len, grid.lines)) + 0.7  # inches of a legend beside the only panel, roughly
    figure, found = _figure(rows, max(columns, 1), title, count=n, panel=PANEL if n > 1 else (4.8 + beside, 3.6))
    for panel, name in zip(found, grid.panels, strict=True):
        panel.set_title(name, fontsize=9, fontweight="bold", loc="left")
    looks = _looks(grid.lines)
    handles = [Line2D([], [], **looks[line]) for line in grid.lines]
    if n > 1:
        width = sum(len(line) + 8 for line in grid.lines) * 0.085  # inches, roughly
        lines = math.ceil(width / figure.get_figwidth())
        in_a_line = math.ceil(len(handles) / lines)
        figure.legend(handles, grid.lines, loc="outside lower center", ncols=in_a_line, frameon=False, fontsize=9)
    else:
        _legend_beside(found[0], handles=handles, labels=grid.lines)
    return figure, dict(zip(grid.panels, found, strict=True)), looks


def _band(
    panel: Axes, x: NDArray[Any], values: NDArray[np.float64], look: dict[str, Any], marker: int | None = None
) -> None:
    """The median of values [seed, x] as a line, and a band from the lowest to the highest."""
    present = np.isfinite(values).any(axis=0)
    if not present.any():
        return
    middle = np.full(len(x), math.nan)
    middle[present] = np.nanmedian(_finite(values[:, present]), axis=0)
    alone = {"marker": "o", "markersize": 3} if np.count_nonzero(present) == 1 else {}
    panel.plot(x, middle, **{**look, **alone})
    if len(values) > 1:
        lowest, highest = (f(_finite(values[:, present]), axis=0) for f in (np.nanmin, np.nanmax))
        panel.fill_between(x[present], lowest, highest, color=look["color"], alpha=0.15, linewidth=0)
    if marker is not None:
        panel.plot(x[marker], middle[marker], "o", markersize=4.5, color=look["color"])


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, math.nan)


def _loss_limits(panels: Sequence[Axes], drawn: Sequence[NDArray[np.float64]]) -> None:
    """A log axis that holds all medians, but not what is far above all first epochs, nor below a millionth."""
    values = np.concatenate([curves.ravel() for curves in drawn]) if drawn else np.ones(1)
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return
    started = np.array([float(np.nanmedian(curves[:, 0])) for curves in drawn if np.isfinite(curves[:, 0]).any()])
    high = min(values.max(), 10 * float(np.median(started)) if len(started) else math.inf)
    low = max(values.min(), 1e-6 * high)
    for panel in panels:
        _log_limits(panel, low / 1.3, high * 1.3)


def _score_limits(scores: Sequence[float]) -> tuple[float, float]:
    """A little more than the range of the scores; an R² far below 0 is cut at −0.5, where it says enough."""
    finite = [score for score in scores if math.isfinite(score)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    low = max(low, -0.5) if high > -0.4 else low
    margin = max(0.05 * (high - low), 0.01)
    return low - margin, high + margin


# ---------------------------------------------------------------------------------------------- activations


def activation_chart(activations: Sequence[ActivationDrawn]) -> Figure:
    """φ and φ′ of each activation against z."""
    columns = min(len(activations), 5)
    rows = math.ceil(len(activations) / columns)
    size = (2.1, 1.8) if len(activations) > 1 else (5.0, 3.4)
    title = "φ and its slope φ′ (dashed)" if len(activations) > 1 else f"{activations[0]} and its slope"
    figure, panels = _figure(rows, columns, title, count=len(activations), panel=size)
    z = np.linspace(-4, 4, 801)
    for panel, phi in zip(panels, activations, strict=True):
        panel.plot(z, phi(z), color=COLORS[0], label="φ(z)")
        panel.plot(z, phi.slope(z), color=COLORS[1], linestyle=DASHES[1], linewidth=1.2, label="φ′(z)")
        if len(activations) > 1:
            panel.set_title(str(phi), fontsize=9, fontweight="bold", loc="left")
        panel.axhline(0, color=GRAY, linewidth=0.6, zorder=0)
        panel.axvline(0, color=GRAY, linewidth=0.6, zorder=0)
        panel.set(ylim=(-1.6, 3.2), xlim=(-4, 4))
    if len(activations) == 1:
        panels[0].legend(frameon=False, fontsize=9)
    _label_outside(panels, "z", "")
    return figure


# ---------------------------------------------------------------------------------------------- house style


def _figure(
    rows: int, columns: int, title: str, *, panel: tuple[float, float] = PANEL, count: int | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of panels [rows, columns] that share their axes where there are more than one of a kind (`count`)."""
    from matplotlib.figure import Figure

    # It warns of every font that a stale cache names and the machine lacks, though it has its own to fall back on.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    size = (panel[0] * columns + 0.4, panel[1] * rows + 0.7)
    figure = Figure(figsize=size, layout="constrained", dpi=150)
    shared = count is not None
    grid = figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared)
    panels: list[Axes] = list(grid.ravel())
    for extra in panels[count:] if count is not None else []:
        extra.remove()
    chosen = panels[:count]
    for each in chosen:
        _plain_axes(each)
    figure.suptitle(_folded(title, size[0]), fontsize=11, x=0.01, ha="left")
    return figure, chosen


def _plain_axes(panel: Axes) -> None:
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    panel.grid(visible=True, which="major", color="#e6e6e6", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.tick_params(which="both", labelsize=8)
    panel.xaxis.label.set_fontsize(9)
    panel.yaxis.label.set_fontsize(9)


def _folded(title: str, width: float) -> str:
    """The title in lines that fit a figure of so many inches."""
    import textwrap

    return "\n".join(textwrap.wrap(title, max(int(width * 11.5), 20)))


def _looks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Color and dashes of each line, in the order given."""
    return {
        name: {"color": COLORS[i % len(COLORS)], "linestyle": DASHES[i // len(COLORS) % len(DASHES)], "linewidth": 1.4}
        for i, name in enumerate(names)
    }


def _drawable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values for a log axis: what is not positive, or so far off that ticks would overflow, is a gap."""
    return np.where((values > 1e-200) & (values < 1e200), values, math.nan)


def _log_axis(panel: Axes, values: Sequence[NDArray[np.float64]]) -> None:
    """A log axis that spans at least one power of ten, so that a steady line looks steady."""
    together = np.concatenate([_drawable(v).ravel() for v in values]) if values else np.zeros(0)
    together = together[np.isfinite(together)]
    if not len(together):
        panel.set_yscale("log")
        _say(panel, "nothing above 0")
        return
    low, high = float(together.min()), float(together.max())
    middle, reach = math.sqrt(low) * math.sqrt(high), max((high / low) ** 0.55, math.sqrt(10))
    _log_limits(panel, middle / reach, middle * reach)


def _log_limits(panel: Axes, low: float, high: float) -> None:
    """Limits of a log axis, with plain numbers at 1, 2 and 5 where it spans less than two powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    panel.set_yscale("log")
    panel.set_ylim(low, high)
    if high < 100 * low:
        plain = FuncFormatter(lambda y, _: f"{y:g}".replace("e+", "e"))
        panel.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        panel.yaxis.set_major_formatter(plain)
        panel.yaxis.set_minor_formatter(plain)


def _say(panel: Axes, text: str) -> None:
    """Words in place of lines."""
    panel.text(0.5, 0.5, text, transform=panel.transAxes, ha="center", color=GRAY, fontsize=9)


def _legend_beside(panel: Axes, title: str = "", **entries: Any) -> None:
    entries |= {"bbox_to_anchor": (1.01, 1.0), "frameon": False, "fontsize": 8, "title": title or None}
    legend = panel.legend(loc="upper left", **entries)
    legend.get_title().set_fontsize(8)


def _label_outside(panels: Sequence[Axes], x: str, y: str) -> None:
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
