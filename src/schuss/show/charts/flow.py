"""The gradient flow as pictures: against the layer, and through training as a map of layers × measurements."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schuss.show.charts.style import (
    BLUE,
    COLORS,
    GRAY,
    RED,
    drawable,
    figure_of,
    heading,
    layer_axis,
    legend_beside,
    legend_inside,
    log_axis,
    looks,
    page,
    panel_in,
    say,
)
from schuss.show.formatting import slope_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

    from schuss.gradient.flow import FlowHistory, GradientFlow

RELATIVE = "δ relative to the last hidden layer"


# ---------------------------------------------------------------------------------------------- one measurement


def flow_profile(flow: GradientFlow, ax: Axes | None = None) -> Axes:
    """δ relative to the last hidden layer against the layer: markers measured, a line where there is a theory."""
    ax = panel_in(ax)
    number = np.arange(1, len(flow.layers) + 1)
    drawn = [flow.relative]
    if flow.theory is None:
        ax.plot(number, drawable(flow.relative), color=BLUE, marker="o", markersize=4, linewidth=1.2)
    else:
        drawn.append(flow.theory.relative)
        ax.plot(number, drawable(flow.theory.relative), color=RED, linewidth=1.6, label="mean-field theory")
        ax.plot(number, drawable(flow.relative), "o", color=BLUE, markersize=4, label="measured")
        legend_inside(ax)
    ax.axhline(1, color=GRAY, linewidth=0.6, zorder=0)
    log_axis(ax, drawn)
    ax.set_ylabel(RELATIVE)
    layer_axis(ax, len(number))
    heading(ax, f"{_names(flow)}: the gradient {slope_in_words(flow)}")
    return ax


def flow_figure(flow: GradientFlow) -> Figure:
    """One measurement against the layer: δ, the weight gradient, the signal, and saturated and dead units."""
    number = np.arange(1, len(flow.layers) + 1)
    when = "at initialization" if flow.epoch == 0 else f"after epoch {flow.epoch}"
    count = f"{len(number)} layer{'s' * (len(number) != 1)}"
    title = f"{_names(flow)}, {count}, {when}: the gradient {slope_in_words(flow)}"
    figure, (delta, weights, signal, units) = page(2, 2, title, row=2.6)
    flow_profile(flow, delta)
    heading(delta, "")  # the page says it
    _profile(weights, number, {"": flow["weight_gradient"]}, "RMS of ∂loss/∂W")
    _profile(signal, number, {"z": flow["z_rms"], "φ(z)": flow["activation_rms"]}, "RMS of the signal")
    units.plot(number, 100 * flow["saturated"], marker="o", markersize=3, color=BLUE, label="saturated")
    units.plot(number, 100 * flow["dead"], marker="s", markersize=3, color=RED, linestyle="--", label="dead")
    units.set(ylim=(-4, 104), ylabel="units (%)")
    for panel in (signal, units):
        legend_inside(panel)
    for panel in (units, signal, weights):
        layer_axis(panel, len(number))
    return figure


def _names(flow: GradientFlow) -> str:
    return ", ".join(dict.fromkeys(str(layer.activation) for layer in flow.layers))


def _profile(panel: Axes, number: NDArray[np.int64], lines: Mapping[str, NDArray[np.float64]], label: str) -> None:
    """Positive quantities against the layer, on a log axis."""
    for color, marker, dashes, (name, values) in zip(COLORS, "os", ("-", "--"), lines.items(), strict=False):
        panel.plot(number, drawable(values), marker=marker, markersize=3, color=color, linestyle=dashes, label=name)
    log_axis(panel, list(lines.values()))
    panel.set_ylabel(label)


def flow_profiles(flows: Mapping[str, GradientFlow], ax: Axes | None = None) -> Axes:
    """The relative δ against the layer, a line for each activation, the steadiest named first."""
    ax = panel_in(ax, (6.6, 3.8))

    def first(item: tuple[str, GradientFlow]) -> float:
        x = float(item[1].relative[0])
        return -math.inf if math.isnan(x) else x

    line = looks(list(flows))
    for name, flow in sorted(flows.items(), key=first, reverse=True):
        lost = flow.decades_per_layer
        slope = "" if math.isnan(lost) else f"  {lost:.2f}".replace("-", "−")
        number = np.arange(1, len(flow.layers) + 1)
        ax.plot(number, drawable(flow.relative), marker="o", markersize=3, label=f"{name}{slope}", **line[name])
    log_axis(ax, [flow.relative for flow in flows.values()])
    ax.axhline(1, color=GRAY, linewidth=0.6, zorder=0)
    ax.set_ylabel(RELATIVE)
    layer_axis(ax, max((len(flow.layers) for flow in flows.values()), default=1))
    legend_beside(ax, "loses, decades a layer")
    heading(ax, "How much of the gradient reaches each layer, at initialization")
    return ax


# ---------------------------------------------------------------------------------------------- through training


def flow_map(history: FlowHistory, ax: Axes | None = None) -> Axes:
    """δ relative to the last hidden layer as a map of layers × measurements.

    White is steady; the darker blue, the more has vanished; orange and hatched is what explodes.
    """
    ax = panel_in(ax)
    _log_map(ax, history, history["relative"], 1.0, RELATIVE)
    heading(ax, "Gradient flow through training")
    return ax


def flow_history_figure(history: FlowHistory) -> Figure:
    """Relative δ, update ratio and share of saturated units as maps of layers × measurements."""
    layers = len(history.measurements[0].layers)
    figure, (delta, ratio, saturated) = page(
        3, 1, "Gradient flow through training, layer by layer", row=min(1.3 + 0.05 * layers, 2.6)
    )
    _log_map(delta, history, history["relative"], 1.0, "relative δ")
    heading(delta, "δ relative to the last hidden layer (white: steady)")
    _log_map(ratio, history, history["update_ratio"], USUAL_UPDATE, "update / W")
    heading(ratio, "RMS of the last update over RMS of W (white: the usual 1/1000)")
    _share_map(saturated, history, history["saturated"])
    heading(saturated, "Saturated units (%)")
    for panel in (delta, ratio):
        panel.set_xlabel("")
    return figure


USUAL_UPDATE = 1e-3  # a rule of thumb (Karpathy, 2017, CS231n): far less hardly learns, far more forgets
# Brewer's Blues and Oranges, meeting in white.
STEADY = ("#08306b", "#2171b5", "#6baed6", "#c6dbef", "#ffffff", "#fdd0a2", "#fd8d3c", "#d94801", "#7f2704")


def _log_map(ax: Axes, history: FlowHistory, values: NDArray[np.float64], usual: float, label: str) -> None:
    """Positive values on a log scale that is white at the usual one, with as many decades above as below."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    with np.errstate(all="ignore"):
        decades = np.log10(drawable(values) / usual)
    known = decades[np.isfinite(decades)]
    reach = max(math.ceil(np.abs(known).max(initial=0.0)), 3)  # a factor of 10 is pale: the flow counts it as steady
    colors = LinearSegmentedColormap.from_list("steady", STEADY)
    mesh = _map(ax, history, decades, colors, Normalize(-reach, reach))
    if mesh is None:
        return
    _hatch(ax, decades > 1)
    scale = _scale(ax, mesh, label, lambda x: power_of_ten(x + math.log10(usual)))
    if len(known):  # of the scale only what occurs
        scale.ax.set_ylim(math.floor(min(known.min(), -1)), math.ceil(max(known.max(), 1)))


def _hatch(ax: Axes, cells: NDArray[np.bool_]) -> None:
    """Hatch cells [measurement, layer]: in gray print orange is as dark as blue."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    found = [Rectangle((x - 0.5, y + 0.5), 1, 1) for x, y in zip(*np.nonzero(cells), strict=True)]
    if found:
        ax.add_collection(PatchCollection(found, facecolor="none", edgecolor="#00000066", hatch="////", linewidth=0))


def _share_map(ax: Axes, history: FlowHistory, values: NDArray[np.float64]) -> None:
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    mesh = _map(ax, history, 100 * values, LinearSegmentedColormap.from_list("share", STEADY[4::-1]), Normalize(0, 100))
    if mesh is not None:
        _scale(ax, mesh, "units (%)", "{:.0f}".format)


def _map(
    ax: Axes, history: FlowHistory, values: NDArray[np.float64], colors: Colormap, norm: Normalize
) -> QuadMesh | None:
    """Values [measurement, layer] as a map, dotted where there is none; None where nothing was measured."""
    from matplotlib.ticker import MaxNLocator

    ax.grid(visible=False)
    ax.patch.set(facecolor="#f2f2f2", hatch="..", edgecolor="#bdbdbd")
    ax.set(xlabel="epoch", ylabel="layer")
    if not values.size:
        say(ax, "nothing measured")
        return None
    # Measured after epochs 1, 2, 4, …: columns of one width are a log axis with a 0.
    count, layers = values.shape
    edges = np.arange(count + 1) - 0.5, np.arange(layers + 1) + 0.5
    mesh = ax.pcolormesh(*edges, np.ma.masked_invalid(values.T), cmap=colors, norm=norm)
    ax.set_xticks(np.arange(count), _sparse([str(epoch) for epoch in history.epochs], at_most=10))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    return mesh


def _scale(ax: Axes, mesh: QuadMesh, label: str, tick: Callable[[float], str]) -> Colorbar:
    """Which color is which value, beside the map."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    scale = figure_of(ax).colorbar(mesh, ax=ax, pad=0.02, aspect=15)
    scale.set_label(label, fontsize=9)
    scale.ax.tick_params(labelsize=8)
    scale.locator = MaxNLocator(nbins=5, integer=True)
    scale.formatter = FuncFormatter(lambda x, _: tick(x))
    scale.update_ticks()
    return scale


def _sparse(labels: list[str], at_most: int) -> list[str]:
    """Every label, or every second or third counted from the last, so that none overlap; the others are empty."""
    step = math.ceil(len(labels) / at_most)
    return [label if (len(labels) - 1 - i) % step == 0 else "" for i, label in enumerate(labels)]


def power_of_ten(x: float) -> str:
    """A logarithm as the power it stands for.

    >>> power_of_ten(-3.0), power_of_ten(0.0)
    ('$10^{-3}$', '1')
    """
    return "1" if x == 0 else f"$10^{{{x:g}}}$"
