"""A training as a picture: losses and score against the epoch, and the gradient flow through it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schuss.show.charts.flow import flow_map
from schuss.show.charts.style import (
    BLUE,
    COLORS,
    RED,
    drawable,
    empty_page,
    finite,
    heading,
    legend_inside,
    log_axis,
    panel_in,
    say,
    style,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from schuss.training.run import Run

EPOCH = "epoch (pass over the training data)"


def loss_curves(run: Run, ax: Axes | None = None) -> Axes:
    """Training and validation loss against the epoch; a ring marks the lowest validation loss."""
    ax = panel_in(ax)
    epochs, train, valid = (run.history[name] for name in ("epoch", "train_loss", "valid_loss"))
    marker = _marker(epochs)
    ax.plot(epochs, drawable(train), color=BLUE, linewidth=1.6, label="training", **marker)
    ax.plot(epochs, drawable(valid), color=RED, linestyle="--", linewidth=1.6, label="validation", **marker)
    if np.isfinite(valid).any():
        lowest = int(np.nanargmin(finite(valid)))
        ax.plot(
            epochs[lowest], drawable(valid)[lowest], "o", color=RED, markersize=8, markerfacecolor="none",
            markeredgewidth=1.4, label=f"lowest, epoch {epochs[lowest]:.0f}",
        )  # fmt: skip
    log_axis(ax, [train, valid])
    if len(epochs):
        legend_inside(ax)
    ax.set(xlabel=EPOCH, ylabel="loss")
    whole_numbers(ax)
    heading(ax, _result(run))
    return ax


def _marker(epochs: NDArray[np.float64]) -> dict[str, Any]:
    """A single epoch makes no line."""
    return {"marker": "o", "markersize": 3} if len(epochs) == 1 else {}


def _result(run: Run) -> str:
    """What came of it, in a line."""
    epochs, scores = len(run.history["epoch"]), run.history["score"]
    if run.status == "diverged":
        return f"{run.recipe.optimizer}: diverged in epoch {epochs + 1}"
    score = f", validation {run.score_name} {scores[-1]:.3f}" if epochs and math.isfinite(scores[-1]) else ""
    return f"{run.recipe.optimizer}: {run.status} after {epochs} epoch{'s' * (epochs != 1)}{score}"


def training_figure(run: Run) -> Figure:
    """Losses, score and gradient flow of one training, on one page."""
    names = ", ".join(dict.fromkeys(str(layer.activation) for layer in run.flow.measurements[0].layers))
    layers = len(run.flow.measurements[0].layers)
    title = f"{names}, {layers} hidden layer{'s' * (layers != 1)}, {_result(run)}"
    figure = empty_page(5.6, title)
    panels = figure.subplot_mosaic("LS;FF", height_ratios=[1.15, 1])
    loss_curves(run, panels["L"])
    heading(panels["L"], "")  # the page says it
    style(panels["S"])
    _score_curve(run, panels["S"])
    flow_map(run.flow, panels["F"])
    return figure


def _score_curve(run: Run, ax: Axes) -> None:
    epochs, scores = run.history["epoch"], finite(run.history["score"])
    ax.plot(epochs, scores, color=COLORS[2], linewidth=1.6, **_marker(epochs))
    ax.set(xlabel=EPOCH, ylabel=f"validation {run.score_name}")
    whole_numbers(ax)
    known = scores[np.isfinite(scores)]
    if len(known):
        ax.set_ylim(*_at_least(0.2, *score_limits(known)))
    else:
        say(ax, "no score")


def _at_least(span: float, low: float, high: float) -> tuple[float, float]:
    """Limits so far apart that the noise of a score that stands still looks small; downwards, but not below 0."""
    low = min(low, max(high - span, 0.0))
    return low, max(high, low + span)


def score_limits(scores: NDArray[np.float64]) -> tuple[float, float]:
    """A little more than the range of the finite scores; an R² far below 0 is cut at −0.5, where it says enough."""
    known = scores[np.isfinite(scores)]
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    low = max(low, -0.5) if high > -0.4 else low
    margin = max(0.05 * (high - low), 0.01)
    return low - margin, high + margin


def loss_limits(losses: NDArray[np.float64], firsts: NDArray[np.float64]) -> tuple[float, float] | None:
    """Limits of a log axis that holds all losses, but not what is far above all first epochs, nor below a millionth.

    `firsts` are the losses after the first epoch, one a line. None where no loss is a positive number.
    """
    known = losses[np.isfinite(losses) & (losses > 0)]
    if not len(known):
        return None
    started = firsts[np.isfinite(firsts)]
    high = min(float(known.max()), 10 * float(np.median(started)) if len(started) else math.inf)
    low = max(float(known.min()), 1e-6 * high)
    return low / 1.3, high * 1.3
