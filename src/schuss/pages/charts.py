"""Vega-Lite specifications of the panels of a chart.

Colors are names of CSS variables, so that light, dark and print are the style sheet's business alone. Names that users
chose are values of data and of domains, never parts of an expression.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from schuss.charts.style import looks

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

    dots : the numbers of points that are marked; crosses : values of x at which something was lost.
    words : for each point what is said of it, by its label.
    """

    name: str
    x: Values
    y: Values
    low: Values | None = None
    high: Values | None = None
    dots: Sequence[int] = ()
    crosses: Sequence[float] = ()
    words: Sequence[dict[str, str]] = ()


class Interval(NamedTuple):
    """A value of a competitor with its interval, which may be open below; `is_best` ones are in color."""

    name: str
    value: float
    low: float
    high: float
    is_best: bool
    words: dict[str, str]


class Cell(NamedTuple):
    """A cell of a map, from `start` to `end` in the row of a name; a share of NaN is a network that diverged."""

    name: str
    start: float
    end: float
    share: float
    words: dict[str, str]


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
    from schuss.charts.style import COLORS

    return [
        {"color": f"var(--c{COLORS.index(look['color'])})", "dash": _dash(look["linestyle"])}
        for look in looks(names).values()
    ]


def _dash(style: Any) -> list[float]:
    return [1, 0] if style == "-" else [1.8 * length for length in style[1]]


def number(x: float) -> float | None:
    """A number for a chart, with as many digits as can be seen; None where there is none."""
    return float(f"{x:.5g}") if math.isfinite(x) else None


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
        mark = {
            "type": "line",
            "clip": True,
            "strokeWidth": 1.8,
            "interpolate": "step-after" if is_stepped else "linear",
        }
        layers.append(
            {"mark": mark, "encoding": at | {"color": color, "strokeDash": dash, "opacity": _opacity(1, 0.12)}}
        )
    points = list(_points(lines, names, y))
    layers += _marks(points, at, color, is_visible=not is_joined)
    return {"height": 190, "data": {"values": points}, "layer": layers}


def _opacity(shown: float, faded: float) -> Spec:
    return {"condition": _FOCUSED | {"value": shown}, "value": faded}


def _points(lines: Sequence[Line], names: Sequence[str], y: Axis) -> Iterator[Spec]:
    low, high = y.domain or (0.0, 1.0)
    for line in lines:
        dots = set(line.dots)
        foot = low + (high - low) * (0.03 + 0.05 * (names.index(line.name) % 8))  # crosses of two lines do not coincide
        for i, (at, height) in enumerate(zip(line.x.tolist(), line.y.tolist(), strict=True)):
            point: Spec = {"line": line.name, "x": number(at), "y": number(height)}
            if line.low is not None and line.high is not None:
                point |= {"low": number(line.low[i]), "high": number(line.high[i])}
            if i in dots:
                point["dot"] = 1
            yield point | ({"words": line.words[i]} if line.words else {})
        for x in line.crosses:
            yield {"line": line.name, "cross": number(x), "foot": number(foot), "words": {"": f"{line.name}: diverged"}}


def _marks(points: Sequence[Spec], at: Spec, color: Spec, *, is_visible: bool) -> Iterator[Spec]:
    """Points that say their numbers, chosen ones visible, and crosses along the lower edge."""
    faded = {"opacity": _opacity(1, 0.12)}
    if any("words" in point and "cross" not in point for point in points):
        yield {
            "mark": {"type": "point", "filled": True, "clip": True, "size": 18 if is_visible else 90},
            "transform": [{"filter": "isValid(datum.y)"}],
            "encoding": at
            | {
                "color": color,
                "tooltip": {"field": "words"},
                "opacity": _opacity(0.8, 0.1) if is_visible else {"value": 0},
            },
        }
    if any("dot" in point for point in points):
        yield {
            "mark": {"type": "point", "filled": True, "clip": True, "size": 55, "stroke": _PAPER, "strokeWidth": 1},
            "transform": [{"filter": "datum.dot"}],
            "encoding": at | {"color": color, "tooltip": {"field": "words"}} | faded,
        }
    if any("cross" in point for point in points):
        place = {channel: at[channel] | {"field": field} for channel, field in (("x", "cross"), ("y", "foot"))}
        yield {
            "mark": {"type": "point", "shape": "M-1,-1L1,1M1,-1L-1,1", "size": 45, "strokeWidth": 1.6},
            "transform": [{"filter": "isValid(datum.cross)"}],
            "encoding": place | {"color": color, "tooltip": {"field": "words"}} | faded,
        }


# ---------------------------------------------------------------------------------------------- intervals


def interval_panel(intervals: Sequence[Interval], x: Axis) -> Spec:
    """A row a competitor: a dot with its interval; what lies below the axis is said in words at its edge."""
    low = x.domain[0] if x.domain else -math.inf
    rows = [
        {
            "name": each.name, "value": number(each.value), "low": number(max(each.low, low)),
            "high": number(each.high), "best": each.is_best, "words": each.words,
        }
        for each in intervals if each.value >= low
    ]  # fmt: skip
    outside = [
        {"name": each.name, "said": f"◂ {each.value:.3f}" if math.isfinite(each.value) else "× diverged"}
        for each in intervals
        if not each.value >= low
    ]
    names: Spec = {"field": "name", "type": "nominal", "title": None}
    names["scale"] = {"domain": [each.name for each in intervals]}
    names["axis"] = {"grid": True, "domain": False, "labelLimit": 170}
    color = {"condition": {"test": "datum.best", "value": "var(--c0)"}, "value": _QUIET}
    encoding = {"y": names, "color": color, "tooltip": {"field": "words"}}
    dot = {"type": "point", "filled": True, "size": 55, "opacity": 1}
    return {
        "height": ROW * max(len(intervals), 1),
        "layer": [
            {
                "data": {"values": rows},
                "mark": {"type": "rule", "strokeWidth": 2.4, "opacity": 0.55},
                "encoding": encoding | {"x": x.encoding("low"), "x2": {"field": "high"}},
            },
            {"data": {"values": rows}, "mark": dot, "encoding": encoding | {"x": x.encoding("value")}},
            {
                "data": {"values": outside},
                "mark": {"type": "text", "align": "left", "fontSize": 11, "color": _QUIET, "dx": 4},
                "encoding": {"y": names, "x": {"value": 0}, "text": {"field": "said"}},
            },
        ],
    }


# ---------------------------------------------------------------------------------------------- maps


def heat_panel(cells: Sequence[Cell], edges: Iterable[tuple[str, float]], names: Sequence[str], x: Axis) -> Spec:
    """A row a name, colored along x by the share of the way; thick ticks where learning ends."""
    rows = [
        {
            "name": cell.name, "start": number(cell.start), "end": number(cell.end), "words": cell.words,
            "shade": "lost" if math.isnan(cell.share) else str(shade_of(cell.share)),
        }
        for cell in cells
    ]  # fmt: skip
    y: Spec = {
        "field": "name",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(names), "paddingInner": 0.12},
    }
    y["axis"] = {"grid": False, "domain": False, "labelLimit": 130}
    shades = ["lost", *map(str, range(len(SHADES) + 1))]
    fill: Spec = {"field": "shade", "type": "nominal", "legend": None}
    fill["scale"] = {"domain": shades, "range": ["var(--lost)", *(f"var(--s{i})" for i in range(len(SHADES) + 1))]}
    start, end = x.encoding("start"), {"field": "end"}
    return {
        "height": (ROW + 4) * len(names),
        "layer": [
            {
                "data": {"values": rows},
                "mark": {"type": "rect", "stroke": _PAPER, "strokeWidth": 0.5},
                "encoding": {"x": start, "x2": end, "y": y, "fill": fill, "tooltip": {"field": "words"}},
            },
            {
                "data": {"values": [row for row in rows if row["shade"] == "lost"]},
                "transform": [{"calculate": "sqrt(datum.start * datum.end)", "as": "middle"}],
                "mark": {"type": "text", "text": "×", "fontSize": 11, "color": _QUIET},
                "encoding": {"x": x.encoding("middle"), "y": y, "tooltip": {"field": "words"}},
            },
            {
                "data": {"values": [{"name": name, "start": number(at)} for name, at in edges]},
                "mark": {"type": "tick", "orient": "vertical", "size": ROW + 4, "thickness": 3, "color": _INK},
                "encoding": {"x": start, "y": y},
            },
        ],
    }


def shade_of(share: float) -> int:
    """The number of the shade of a share of the way from guessing to the best.

    >>> shade_of(-0.1), shade_of(0.5), shade_of(1.0)
    (0, 2, 7)
    """
    return sum(share >= bound for bound in SHADES)
