"""Draw the pictures of the README and the docs again: `python docs/make_images.py [NAME ...]`.

The numbers behind them depend on the seeds alone, so that a picture changes only where something did.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

import schuss as sc

IMAGES = Path(__file__).parent / "images"
CLASSIC = ["gd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam"]
DEEP = sc.mlp([256] * 20, "sigmoid", init="glorot_normal")


def loss() -> Figure:
    """`schuss compare digits --plot`."""
    return sc.compare("digits").loss_figure()


def flow_maps() -> Figure:
    """The same depth with two activations, side by side: what plot(ax=) is for."""
    figure = Figure(figsize=(8, 2.7), dpi=200, layout="constrained")
    for ax, activation in zip(figure.subplots(1, 2), ("sigmoid", "relu"), strict=True):
        run = sc.fit(sc.mlp([64] * 20, activation), "digits", sc.Recipe("sgd(lr=0.03)", epochs=32))
        run.flow.plot(ax)
        reached = f"test accuracy {run.outcome.scores[2]:.2f}"
        ax.set_title(f"20 layers of {activation}, sgd: {reached}", fontsize=9, loc="left")
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "activations": sc.activations.figure,
    "descent": lambda: sc.optimizers.figure(CLASSIC),
    "saddle": lambda: sc.optimizers.figure(CLASSIC, landscape="saddle"),
    "rosenbrock": lambda: sc.optimizers.figure(CLASSIC, landscape="rosenbrock"),
    "flow": lambda: sc.flow(DEEP, "digits").figure(),
    "flow-maps": flow_maps,
    "layers": lambda: sc.preactivations(sc.mlp([64] * 8, "tanh", init="normal(std=0.4)"), "digits").figure(),
    "training": lambda: sc.fit(sc.mlp([64] * 4), "digits", sc.Recipe(epochs=40)).figure(),
    "loss": loss,
}


def main() -> None:
    """All of them, or those named."""
    for name in sys.argv[1:] or PICTURES:
        raw = io.BytesIO()
        PICTURES[name]().savefig(raw, format="png")
        Image.open(raw).convert("RGB").quantize(256).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
