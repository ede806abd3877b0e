"""Mean-field theory beside the measurement: the table and the picture of docs/mean-field.md.

    python -m benchmarks.mean_field

Thirty layers of 512 units on digits, ten seeds. What is compared is the mean over the seeds of log10 δ (relative to the
last hidden layer), and the RMS of z and of φ(z), layer by layer.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import schuss as sc

WIDTH, DEPTH, SEEDS = 512, 30, 10
TOLERANCE = (0.15, 0.05)  # decades, or share of the decades, whichever is larger
CASES = {  # activation → initializer
    "sigmoid": "glorot_normal",
    "tanh": "lecun",
    "relu": "auto",
    "gelu": "auto",
    "selu": "auto",
    "wave = sin(2 * z) + 0.5 * z": "auto",
    "steps = where(z > 0.4, z, 0.3 * tanh(3 * z))": "auto",
    "tailor(sigmoid, depth=30)": "auto",
}
PICTURE = Path(__file__).parent.parent / "docs" / "images" / "mean-field.png"


class Agreement(NamedTuple):
    """One activation: log10 δ of every layer, measured [seed, layer] and predicted, and how far signals are apart."""

    name: str
    measured: NDArray[np.float64]
    predicted: NDArray[np.float64]
    chi: float
    signal: float  # the largest deviation of RMS z or RMS φ(z) in any layer, as a share

    @property
    def apart(self) -> float:
        """The largest distance in any layer, decades."""
        return float(np.abs(self.measured.mean(axis=0) - self.predicted).max())

    @property
    def holds(self) -> bool:
        """Whether every layer is within the tolerance."""
        distance = np.abs(self.measured.mean(axis=0) - self.predicted)
        return bool(np.all(distance <= np.maximum(TOLERANCE[0], TOLERANCE[1] * np.abs(self.predicted))))


def compared(activation: str, init: str, width: int = WIDTH, depth: int = DEPTH, seeds: int = SEEDS) -> Agreement:
    data = sc.load("digits")
    network = sc.mlp([width] * depth, activation, init)
    flows = [sc.flow(network, data, seed=seed) for seed in range(seeds)]
    theories = [flow.theory for flow in flows if flow.theory is not None]
    signal = 0.0
    for quantity in ("z_rms", "activation_rms"):
        measured = np.mean([flow[quantity] for flow in flows], axis=0)
        predicted = np.mean([getattr(theory, quantity) for theory in theories], axis=0)
        signal = max(signal, float(np.abs(measured / predicted - 1).max()))
    return Agreement(
        str(network.hidden[0].activation),
        np.log10([flow.relative for flow in flows]),
        np.log10([theory.relative for theory in theories]).mean(axis=0),
        float(np.mean([theory.chi_star or math.nan for theory in theories])),
        signal,
    )


def draw(found: list[Agreement], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.6), layout="constrained", dpi=150)
    panels = figure.subplots(2, 4, sharex=True)
    for panel, each in zip(panels.ravel(), found, strict=True):
        _panel(panel, each)
    for panel in panels[:, 0]:
        panel.set_ylabel("δ, powers of ten")
    for panel in panels[-1]:
        panel.set_xlabel("layer, from the input on")
    figure.suptitle(
        f"Theory (line) and measurement (dots, {SEEDS} seeds): {DEPTH} layers of {WIDTH} units on digits",
        fontsize=11, x=0.01, ha="left",
    )  # fmt: skip
    figure.savefig(path)


def _panel(panel: Any, each: Agreement) -> None:
    layers = np.arange(1, len(each.predicted) + 1)
    for row in each.measured:
        panel.plot(layers, row, ".", color="#0072B2", markersize=2, alpha=0.35)
    panel.plot(layers, each.measured.mean(axis=0), "o", color="#0072B2", markersize=2.6, label="measured")
    panel.plot(layers, each.predicted, color="#D55E00", linewidth=1.3, label="theory")
    panel.set_title(each.name, fontsize=9, loc="left")
    middle, reach = 0.5 * (each.predicted.min() + each.predicted.max()), max(0.6 * np.ptp(each.predicted), 1)
    panel.set_ylim(middle - reach, middle + reach)  # at least two powers of ten, so that a steady line looks steady
    panel.text(0.5, 0.04, f"χ* = {each.chi:.3g}", transform=panel.transAxes, ha="center", fontsize=8, color="#666666")
    panel.grid(visible=True, color="#e6e6e6", linewidth=0.6)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)


def main() -> None:
    found = []
    print("| activation | weights | χ* | δ of layer 1: theory | measured | apart, at most | signal apart | holds |")
    print("|---|---|---:|---:|---:|---:|---:|---|")
    for activation, init in CASES.items():
        each = compared(activation, init)
        found.append(each)
        first = (10 ** each.predicted[0], 10 ** each.measured[:, 0].mean())
        print(
            f"| {each.name} | {init} | {each.chi:.3g} | {first[0]:.2g} | {first[1]:.2g} | {each.apart:.3f} decades "
            f"| {100 * each.signal:.1f} % | {'yes' if each.holds else 'NO'} |",
            flush=True,
        )
    draw(found, PICTURE)
    print(f"picture: {PICTURE}")


if __name__ == "__main__":
    main()
