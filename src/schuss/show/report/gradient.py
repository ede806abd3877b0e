"""Whether the gradient reaches the first layers, before and after the training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from schuss.show import formatting
from schuss.show.pages import Axis, Chart, Line, Panel, Section, Table, line_panel
from schuss.show.report import words
from schuss.show.report.parts import Part

if TYPE_CHECKING:
    from schuss.gradient.flow import GradientFlow

Flows: TypeAlias = "Mapping[str, GradientFlow]"

DRAWN = 10  # kinds of networks at most


def flow_section(parts: Sequence[Part]) -> Section:
    """How much of the gradient reaches each layer."""
    found = [(part, dict(list(part.study.flows.items())[:DRAWN])) for part in parts if part.study.flows]
    charts = [_chart(part, at_first) for part, at_first in found]
    tables = [_table(part, at_first) for part, at_first in found]
    finding = words.flows_in_words(found[0][1]) if found else ""
    return Section("flow", "Does the gradient reach the first layers?", finding, [*charts, *tables])


def _chart(part: Part, at_first: Flows) -> Chart:
    names = list(at_first)
    at_last = {name: flow for name, flow in part.study.last_flows.items() if name in at_first}
    drawn = {"before training": at_first, "after training, with the best optimizer": at_last}
    values = np.concatenate([_drawable(flow) for flows in drawn.values() for flow in flows.values()])
    low, high = (float(f(values)) for f in (np.nanmin, np.nanmax)) if np.isfinite(values).any() else (0.1, 1.0)
    y = Axis("δ relative to the last layer", (min(low, 1 / 3) / 1.3, max(high, 3) * 1.3), is_log=True)
    depth = max(len(flow.layers) for flow in at_first.values())
    x = Axis("hidden layer (1 is next to the input)", (0.8, depth + 0.2), whole=True)
    panels = [
        Panel(when, line_panel([_line(*each) for each in flows.items()], names, x, y), f"Gradient flow {when}")
        for when, flows in drawn.items()
        if flows
    ]
    note = (
        "δ is the size of the gradient that arrives at a layer. Read from the right, as it travels: a line that falls "
        "to the left is a gradient that vanishes on its way back, one that rises is one that explodes; level is "
        "healthy."
    )
    return Chart(part.title, note, panels, names)


def _drawable(flow: GradientFlow) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    relative = flow.relative
    return np.where((relative > 1e-200) & (relative < 1e200), relative, math.nan)


def _line(name: str, flow: GradientFlow) -> Line:
    shown = _drawable(flow)
    return Line(name, name, np.arange(1.0, len(shown) + 1), shown, dots=range(len(shown)))


def _table(part: Part, flows: Flows) -> Table:
    rows = [
        [
            name,
            formatting.tendency(flow.relative),
            formatting.significant(float(flow.relative[0])),
            formatting.signed(flow.decades_per_layer),
            formatting.share(float(np.max(flow["saturated"]))),
            formatting.share(float(np.max(flow["dead"]))),
        ]
        for name, flow in flows.items()
    ]
    header = ["network", "the gradient", "δ in layer 1", "decades lost a layer", "saturated", "dead"]
    note = (
        "Saturated units hardly answer to their input, dead ones to no row at all: shares in the worst layer, before "
        "training."
    )
    return Table(part.title, header, rows, numbers=2, note=note)
