"""Activations as pictures: φ with its slope φ′, and where on the curve the layers of a network live."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schuss.show.charts.style import (
    BLUE,
    GRAY,
    LIGHT,
    RED,
    empty_page,
    heading,
    label_outside,
    legend_inside,
    page,
    panel_in,
    style,
)
from schuss.show.formatting import significant
from schuss.show.formatting import slope as slope_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from schuss.activations import Activation

HEIGHT = (-1.6, 3.2)
REACH = 4.0  # the curves are drawn for |z| up to this: 99.99 % of a standard normal z
NORMAL = "density of z ~ N(0, 1)"


# ---------------------------------------------------------------------------------------------- the curves


def activation_curves(phi: Activation, ax: Axes | None = None, *, z: NDArray[Any] | None = None) -> Axes:
    """φ, its slope φ′ (dashed) and the density of z: that of the values given, or else a standard normal one."""
    ax = panel_in(ax)
    grid, density = _normal_density() if z is None else _density(z, _reach([z]))
    ax.fill_between(grid, density, color="#d9d9d9", linewidth=0, label=NORMAL if z is None else "density of z")
    _curves(ax, phi, float(grid[-1]))
    _own_height(ax, phi, float(grid[-1]))
    legend_inside(ax)
    ax.set_xlabel("z")
    heading(ax, f"{phi}: slope at most {slope_text(phi.largest_slope)}")
    return ax


def _curves(ax: Axes, phi: Activation, reach: float, linewidth: float = 1.8) -> None:
    z = np.linspace(-reach, reach, 801)
    ax.axhline(0, color=GRAY, linewidth=0.6, zorder=1)
    ax.axvline(0, color=GRAY, linewidth=0.6, zorder=1)
    ax.plot(z, phi(z), color=BLUE, linewidth=linewidth, label="φ(z)")
    ax.plot(z, phi.slope(z), color=RED, linestyle=(0, (4, 1.5)), linewidth=0.8 * linewidth, label="φ′(z), its slope")
    ax.set(xlim=(-reach, reach), ylim=HEIGHT)


def _own_height(ax: Axes, phi: Activation, reach: float) -> None:
    """Limits that hold φ and φ′ where they are not far off: a sigmoid, between 0 and 1, fills the panel."""
    z = np.linspace(-reach, reach, 801)
    seen = np.clip(np.concatenate([phi(z), phi.slope(z), [0.0, 0.42]]), *HEIGHT)
    margin = 0.06 * float(seen.max() - seen.min())
    ax.set_ylim(float(seen.min()) - margin, float(seen.max()) + margin)


def gallery_figure(activations: Sequence[Activation]) -> Figure:
    """φ and φ′ of each activation against z, on the same axes, so that they compare."""
    columns = min(len(activations), 6 if len(activations) > 8 else 4)
    rows = math.ceil(len(activations) / columns)
    title = "Activations φ and their slopes φ′ (dashed); gray: where a standard normal z lies"
    figure, panels = page(rows, columns, title, row=1.25 if columns == 6 else 1.9, count=len(activations))
    for panel, phi in zip(panels, activations, strict=True):
        panel.fill_between(*_normal_density(), color="#d9d9d9", linewidth=0)
        _curves(panel, phi, REACH, linewidth=1.4)
        heading(panel, str(phi))
        panel.set(xticks=(-4, -2, 0, 2, 4), yticks=(-1, 0, 1, 2, 3))
        panel.tick_params(labelsize=7)
    label_outside(panels, "", "")
    figure.supxlabel("z", fontsize=9)
    return figure


# ---------------------------------------------------------------------------------------------- where the layers live


def layers_figure(activations: Sequence[Activation], z: Sequence[NDArray[Any]], title: str) -> Figure:
    """Above φ and φ′, below the density of z in each layer, dark where φ is steep there and the gradient passes.

    Activations that differ have a column each, with the layers that use them. To the right of a density stands the root
    mean square of φ′, the factor by which the layer passes a gradient on.
    """
    distinct = list(dict.fromkeys(activations))
    shown = _chosen(len(z))
    tall = 0.24 * len(shown) + 0.3  # inches
    figure = empty_page(2.5 + tall, title)
    reach = _reach(z)
    panels = figure.subplots(2, len(distinct), squeeze=False, sharex=True, height_ratios=[1.5, tall])
    for column, phi in enumerate(distinct):
        curves, ridges = panels[:, column]
        style(curves)
        style(ridges)
        _curves(curves, phi, reach)
        _own_height(curves, phi, reach)
        heading(curves, str(phi))
        legend_inside(curves)
        own = [number for number in shown if activations[number] == phi]
        _ridges(ridges, phi, {number: z[number] for number in own}, shown, reach)
    panels[1, 0].set_ylabel("layer")
    return figure


MOST = 24  # densities in one picture; of more layers, so many at even distances


def _chosen(n: int) -> list[int]:
    return sorted({round(k) for k in np.linspace(0, n - 1, min(n, MOST))})


def _reach(z: Sequence[NDArray[Any]]) -> float:
    """How far the picture goes to both sides: it holds 99 % of most layers, and the bend of every activation."""
    each = [float(np.quantile(np.abs(known), 0.99)) for values in z if len(known := _known(values))]
    return min(max(float(np.median(each)) if each else 0.0, REACH), 10.0)


def _known(values: NDArray[Any]) -> NDArray[np.float64]:
    flat = np.asarray(values, dtype=np.float64).ravel()
    return flat[np.isfinite(flat)]


def _normal_density() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    grid = np.linspace(-REACH, REACH, 201)
    return grid, np.exp(-0.5 * grid * grid) / math.sqrt(2 * math.pi)


BINS = 240


def _density(values: NDArray[Any], reach: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A smooth histogram between −reach and reach; 0 everywhere where there are no numbers."""
    step, beyond, known = 2 * reach / BINS, 8, _known(values)  # bins out of view, so that the edges are smooth, too
    edges = np.linspace(-reach - beyond * step, reach + beyond * step, BINS + 2 * beyond + 1)
    counts, _ = np.histogram(known, edges)
    bell = np.exp(-0.5 * (np.arange(-beyond, beyond + 1) / 2.5) ** 2)
    smooth = np.convolve(counts, bell / bell.sum(), mode="valid")
    middle = (edges[:-1] + edges[1:])[beyond : BINS + beyond] / 2
    return middle, smooth / max(len(known) * step, 1e-300)


def _ridges(ax: Axes, phi: Activation, z: Mapping[int, NDArray[Any]], shown: Sequence[int], reach: float) -> None:
    """The densities one above the other, the first layer lowest, each as high as the others."""
    for place, number in enumerate(shown):
        ax.axhline(place, color=LIGHT, linewidth=0.6, zorder=0)
        if number in z:
            _ridge(ax, phi, z[number], place, reach)
    ax.grid(visible=False, axis="y")
    ax.axvline(0, color=GRAY, linewidth=0.6, zorder=1)
    ax.set(xlim=(-reach, reach), ylim=(-0.15, len(shown) - 1 + 1.1), xlabel="z")
    ax.set_yticks(range(len(shown)), [str(number + 1) for number in shown])
    ax.text(1.01, len(shown), "RMS φ′", transform=ax.get_yaxis_transform(), fontsize=7.5, va="bottom")
    ax.tick_params(axis="y", length=0)


def _ridge(ax: Axes, phi: Activation, values: NDArray[Any], place: int, reach: float) -> None:
    """One density, colored by |φ′|, with the root mean square of φ′ beside it and what lies out of view."""
    from matplotlib import colormaps

    known = _known(values)
    grid, density = _density(values, reach)
    words: dict[str, Any] = {"fontsize": 7.5, "va": "bottom", "color": "black", "zorder": 5}
    if not len(known):
        ax.text(0, place, "not a number", ha="center", **words)
        return
    height = place + 0.9 * density / max(float(density.max()), 1e-300)
    outline = ax.fill_between(grid, place, height, facecolor="none", linewidth=0)
    ax.plot(grid, height, color="#333333", linewidth=0.7, zorder=4)
    steep = np.abs(phi.slope(grid)) / max(phi.usual_slope, 1e-300)
    image = ax.imshow(
        steep[None, :], extent=(-reach, reach, place, place + 1), origin="lower", aspect="auto", zorder=3,
        cmap=colormaps["Blues"], vmin=-0.12, vmax=1.15, interpolation="bilinear",
    )  # fmt: skip
    image.set_clip_path(outline.get_paths()[0], transform=ax.transData)
    passed = float(np.sqrt(np.mean(np.square(phi.slope(known)))))
    ax.text(1.01, place, significant(passed), transform=ax.get_yaxis_transform(), **words)
    for side, share in ((-1, np.mean(known < -reach)), (1, np.mean(known > reach))):
        if share >= 0.005:
            text = f"◂ {100 * share:.0f} %" if side < 0 else f"{100 * share:.0f} % ▸"
            plate = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}
            ax.text(side * 0.99 * reach, place + 0.1, text, ha="left" if side < 0 else "right", bbox=plate, **words)
