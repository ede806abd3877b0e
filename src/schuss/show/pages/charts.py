"""Vega-Lite specifications of the panels of a chart.

Colors are names of CSS variables, so that light, dark and print are the style sheet's business alone. Names that users
chose are values of data and of domains, never parts of an expression.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from schuss.show.charts.style import COLORS, looks

Spec: TypeAlias = dict[str, Any]
Values: TypeAlias = NDArray[np.float64]

SHADES = (0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99)  # of the way from guessing to the best: where the next shade begins
ROW = 18  # pixels of a line of names
_INK, _PAPER, _QUIET = "var(--ink)", "var(--paper)", "var(--quiet)"
_FOCUSED = {"test": "!focus || datum.line === focus", "value": 1}


class Axis(NamedTuple):
    """What is along an axis, and from where to where; None leaves that to the data."""

    title: str
    domain: tuple[float, float] | None = None
    is_log: bool = False
    whole: bool = False

    @property
    def short(self) -> str:
        """The title without what stands in brackets."""
        return self.title.partition(" (")[0]

    def encoding(self, field: str) -> Spec:
        """The axis as the encoding of a field."""
        scale: Spec = {"type": "log"} if self.is_log else {"type": "linear", "zero": False}
        scale["nice"] = False
        if self.domain is not None:
            scale["domain"] = list(self.domain)
        axis: Spec = {"format": "~g", "labelOverlap": "greedy"} if self.is_log else {"tickCount": 5}
        if self.is_log and self.domain is not None:
            axis["values"] = _ticks(*self.domain)
        if self.whole:
            axis |= {"tickMinStep": 1, "format": "d"}
        return {"field": field, "type": "quantitative", "title": self.title, "scale": scale, "axis": axis}


class Line(NamedTuple):
    """A line of a panel: y over x, and where there is one a band from `low` to `high`.

    label : what it is called where it stands alone, at the pointer.
    dots : the numbers of points that are marked; crosses : values of x at which something was lost.
    settings : for each point what else belongs to it, or "".
    """

    name: str
    label: str
    x: Values
    y: Values
    low: Values | None = None
    high: Values | None = None
    dots: Sequence[int] = ()
    crosses: Sequence[float] = ()
    settings: Sequence[str] = ()


class Interval(NamedTuple):
    """A value of a competitor with its interval, which may be open below; `is_best` ones are in color."""

    name: str
    value: float
    low: float
    high: float
    is_best: bool
    said: str
    trial: str


class Cell(NamedTuple):
    """A cell of a map, from `start` to `end` in the row of a name; a share of NaN is a network that diverged."""

    name: str
    label: str
    start: float
    end: float
    share: float
    said: Mapping[str, str]


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten, so many that they can be read; also their doubles and fives where there are less than two.

    >>> _ticks(0.05, 3.0), _ticks(1e-9, 1.0)
    ([0.05, 0.1, 0.2, 0.5, 1.0, 2.0], [1e-09, 1e-07, 1e-05, 0.001, 0.1])
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if high < 100 * low:
        near = [float(f"{digit}e{power}") for power in range(first, last + 1) for digit in (1, 2, 5)]
        return [x for x in near if low * 0.999 <= x <= high * 1.001]
    powers = [power for power in range(first, last + 1) if low <= 10.0**power <= high]
    return [float(f"1e{power}") for power in powers[:: math.ceil(len(powers) / 8)]]


def colors_of(names: Sequence[str]) -> list[Spec]:
    """For each name its color, as a CSS variable, and its dashes: those of the pictures."""
    return [
        {"color": f"var(--c{COLORS.index(look['color'])})", "dash": _dash(look["linestyle"])}
        for look in looks(names).values()
    ]


def _dash(style: Any) -> list[float]:
    return [1, 0] if style == "-" else [1.8 * length for length in style[1]]


def number(x: float) -> float | None:
    """A number for a chart, with as many digits as can be seen; None where there is none."""
    return float(f"{x:.5g}") if math.isfinite(x) else None


def _at_pointer(names: Mapping[str, str], fields: Mapping[str, str]) -> Spec:
    """For the page's script: what a datum is called, and which of its fields are said, under which names."""
    return {"names": dict(names), "say": list(fields.items())}


# ---------------------------------------------------------------------------------------------- lines


def line_panel(
    lines: Sequence[Line],
    names: Sequence[str],
    x: Axis,
    y: Axis,
    *,
    is_stepped: bool = False,
    is_joined: bool = True,
) -> Spec:
    """Lines over a common x; `names` are all lines of the chart, which decide the colors."""
    style = colors_of(names)
    color: Spec = {"field": "line", "type": "nominal", "legend": None}
    color["scale"] = {"domain": list(names), "range": [each["color"] for each in style]}
    dash = color | {"scale": {"domain": list(names), "range": [each["dash"] for each in style]}}
    at = {"x": x.encoding("x"), "y": y.encoding("y")}
    layers: list[Spec] = []
    if any(line.low is not None for line in lines):
        band = {"y": y.encoding("low"), "y2": {"field": "high"}, "opacity": _opacity(0.16, 0.03)}
        layers.append({"mark": {"type": "area", "clip": True}, "encoding": at | band | {"color": color}})
    if is_joined:
        course = "step-after" if is_stepped else "linear"
        mark = {"type": "line", "clip": True, "strokeWidth": 1.8, "interpolate": course}
        encoding = at | {"color": color, "strokeDash": dash, "opacity": _opacity(1, 0.12)}
        layers.append({"mark": mark, "encoding": encoding})
    points = list(_points(lines, names, y))
    layers += _marks(points, at, color, is_visible=not is_joined)
    said = _at_pointer({line.name: line.label for line in lines}, {x.short: "x", y.short: "y", "settings": "settings"})
    return {"height": 190, "data": {"values": points}, "layer": layers, "usermeta": said}


def _opacity(shown: float, faded: float) -> Spec:
    return {"condition": _FOCUSED | {"value": shown}, "value": faded}


def _points(lines: Sequence[Line], names: Sequence[str], y: Axis) -> Iterator[Spec]:
    low, high = y.domain or (0.0, 1.0)
    for line in lines:
        dots = set(line.dots)
        for i, (at, height) in enumerate(zip(line.x.tolist(), line.y.tolist(), strict=True)):
            point: Spec = {"line": line.name, "x": number(at), "y": number(height)}
            if line.low is not None and line.high is not None:
                point |= {"low": number(line.low[i]), "high": number(line.high[i])}
            if i in dots:
                point["dot"] = 1
            if line.settings and line.settings[i]:
                point["settings"] = line.settings[i]
            yield point
        foot = low + (high - low) * (0.03 + 0.05 * (names.index(line.name) % 8))  # crosses of two lines do not coincide
        for at in line.crosses:
            yield {"line": line.name, "x": number(at), "foot": number(foot)}


def _marks(points: Sequence[Spec], at: Spec, color: Spec, *, is_visible: bool) -> Iterator[Spec]:
    """Points that say their numbers, chosen ones visible, and crosses along the lower edge."""
    said = {"color": color, "tooltip": {"value": ""}}
    shown = said | {"opacity": _opacity(1, 0.12)}
    yield {
        "mark": {"type": "point", "filled": True, "clip": True, "size": 18 if is_visible else 90},
        "transform": [{"filter": "isValid(datum.y)"}],
        "encoding": at | (shown if is_visible else said | {"opacity": {"value": 0}}),
    }
    if any("dot" in point for point in points):
        yield {
            "mark": {"type": "point", "filled": True, "clip": True, "size": 55, "stroke": _PAPER, "strokeWidth": 1},
            "transform": [{"filter": "datum.dot"}],
            "encoding": at | shown,
        }
    if any("foot" in point for point in points):
        yield {
            "mark": {"type": "point", "shape": "M-1,-1L1,1M1,-1L-1,1", "size": 45, "strokeWidth": 1.6},
            "transform": [{"filter": "isValid(datum.foot)"}],
            "encoding": at | {"y": at["y"] | {"field": "foot"}} | shown,
        }


# ---------------------------------------------------------------------------------------------- intervals


def interval_panel(intervals: Sequence[Interval], x: Axis) -> Spec:
    """A row a competitor: a dot with its interval; what lies below the axis is said in words at its edge."""
    lowest = x.domain[0] if x.domain else -math.inf
    inside = [
        {
            "line": each.name, "value": number(each.value), "low": number(max(each.low, lowest)),
            "high": number(each.high), "best": each.is_best, "said": each.said, "trial": each.trial,
        }
        for each in intervals if each.value >= lowest
    ]  # fmt: skip
    outside = [
        {"line": each.name, "text": f"◂ {each.value:.3f}" if math.isfinite(each.value) else "× diverged"}
        for each in intervals
        if not each.value >= lowest
    ]
    names: Spec = {"field": "line", "type": "nominal", "title": None}
    names["scale"] = {"domain": [each.name for each in intervals]}
    names["axis"] = {"grid": True, "domain": False, "labelLimit": 170}
    color = {"condition": {"test": "datum.best", "value": "var(--c0)"}, "value": _QUIET}
    shown = {"y": names, "color": color, "tooltip": {"value": ""}}
    bar = shown | {"x": x.encoding("low"), "x2": {"field": "high"}}
    text = {"y": names, "x": {"value": 0}, "text": {"field": "text"}}
    layers: list[Spec] = [
        {
            "data": {"values": inside},
            "mark": {"type": "rule", "strokeWidth": 2.4, "opacity": 0.55},
            "encoding": bar,
        },
        {
            "data": {"values": inside},
            "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
            "encoding": shown | {"x": x.encoding("value")},
        },
        {
            "data": {"values": outside},
            "mark": {"type": "text", "align": "left", "fontSize": 11, "color": _QUIET, "dx": 4},
            "encoding": text,
        },
    ]
    said = _at_pointer({}, {x.short: "said", "trial": "trial"})
    return {"height": ROW * max(len(intervals), 1), "layer": layers, "usermeta": said}


# ---------------------------------------------------------------------------------------------- maps


def heat_panel(cells: Sequence[Cell], edges: Iterable[tuple[str, float]], names: Sequence[str], x: Axis) -> Spec:
    """A row a name, colored along x by the share of the way; thick ticks where learning ends."""
    rows: list[Spec] = [
        {
            "line": cell.name, "start": number(cell.start), "end": number(cell.end), **cell.said,
            "shade": "lost" if math.isnan(cell.share) else str(shade_of(cell.share)),
        }
        for cell in cells
    ]  # fmt: skip
    lost = [row | {"middle": number(math.sqrt(row["start"] * row["end"]))} for row in rows if row["shade"] == "lost"]
    y: Spec = {"field": "line", "type": "nominal", "title": None}
    y["scale"] = {"domain": list(names), "paddingInner": 0.12}
    y["axis"] = {"grid": False, "domain": False, "labelLimit": 130}
    shades = [str(number) for number in range(len(SHADES) + 1)]
    fill: Spec = {"field": "shade", "type": "nominal", "legend": None}
    fill["scale"] = {"domain": ["lost", *shades], "range": ["var(--lost)", *(f"var(--s{shade})" for shade in shades)]}
    start, tooltip = x.encoding("start"), {"value": ""}
    layers: list[Spec] = [
        {
            "data": {"values": rows},
            "mark": {"type": "rect", "stroke": _PAPER, "strokeWidth": 0.5},
            "encoding": {"x": start, "x2": {"field": "end"}, "y": y, "fill": fill, "tooltip": tooltip},
        },
        {
            "data": {"values": lost},
            "mark": {"type": "text", "text": "×", "fontSize": 11, "color": _QUIET},
            "encoding": {"x": x.encoding("middle"), "y": y, "tooltip": tooltip},
        },
        {
            "data": {"values": [{"line": name, "start": number(at)} for name, at in edges]},
            "mark": {"type": "tick", "orient": "vertical", "size": ROW + 4, "thickness": 3, "color": _INK},
            "encoding": {"x": start, "y": y},
        },
    ]
    fields = dict.fromkeys(field for cell in cells for field in cell.said)
    said = _at_pointer({cell.name: cell.label for cell in cells}, {field: field for field in fields})
    return {"height": (ROW + 4) * len(names), "layer": layers, "usermeta": said}


def shade_of(share: float) -> int:
    """The number of the shade of a share of the way from guessing to the best.

    >>> shade_of(-0.1), shade_of(0.5), shade_of(1.0)
    (0, 2, 7)
    """
    return sum(share >= bound for bound in SHADES)
