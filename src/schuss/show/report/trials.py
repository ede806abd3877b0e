"""What the trials show: the map of what learns, the learning rates, and what tuning buys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from schuss.show import formatting
from schuss.show.charts.training import score_limits
from schuss.show.pages import Axis, Cell, Chart, Line, Section, Spec, heat_panel, line_panel
from schuss.show.report import words
from schuss.show.report.findings import EDGE, Strip, strip
from schuss.show.report.parts import Part

if TYPE_CHECKING:
    from schuss.comparison.competitors import Competitor

RATE = "learning rate"


def map_section(parts: Sequence[Part]) -> Section:
    """The map activation × optimizer × learning rate, with the edge between learning and not."""
    strips = [{who: strip(rows, part.scale) for who, rows in part.trials.items()} for part in parts]
    charts = [chart for part, mine in zip(parts, strips, strict=True) for chart in _map(part, mine)]
    learned = {part.label(who): each.decades for part, mine in _alone(parts, strips) for who, each in mine.items()}
    learning = sum(sum(each.learns) for mine in strips for each in mine.values())
    rows = [row for part in parts for mine in part.trials.values() for row in mine]
    lost = sum(row.status == "diverged" for row in rows)
    finding = words.map_in_words(learned, len(rows), lost, learning) if rows else ""
    return Section("map", "Where does it learn at all?", finding, charts)


def _alone(
    parts: Sequence[Part], strips: Sequence[Mapping[Competitor, Strip]]
) -> list[tuple[Part, Mapping[Competitor, Strip]]]:
    """What can be said in one sentence is said of one data set; of several, the charts say it."""
    return list(zip(parts, strips, strict=True)) if len(parts) == 1 else []


def _map(part: Part, strips: Mapping[Competitor, Strip]) -> list[Chart]:
    span = _span([x for each in strips.values() for x in each.bounds.tolist()])
    if span is None:
        return []

    def panel(mine: Sequence[Competitor]) -> Spec | None:
        drawn = {part.places[who].line: strips[who] for who in mine if who in strips}
        cells = [cell for line, each in drawn.items() for cell in _cells(part, line, each)]
        edges = [(line, rate) for line, each in drawn.items() for rate in each.edges]
        return heat_panel(cells, edges, list(drawn), Axis(RATE, span, is_log=True)) if drawn else None

    note = (
        f"A cell is a trial; its color says how far its validation {part.study.score_name} came on the way from "
        f"guessing ({part.scale.guess:.2f}) to the best trial of this comparison ({part.scale.best:.3f}). "
        f"Beyond a thick edge a network does not make {100 * EDGE:.0f} % of that way."
    )
    charts = part.charts("", note, panel, "Map of what learns at which learning rate")
    return [chart._replace(lines=(), is_map=True) for chart in charts]


def _span(values: Sequence[float]) -> tuple[float, float] | None:
    return (min(values), max(values)) if values else None


def _cells(part: Part, line: str, each: Strip) -> Iterator[Cell]:
    score = f"validation {part.study.score_name}"
    for row, start, end in zip(each.rows, each.bounds[:-1].tolist(), each.bounds[1:].tolist(), strict=True):
        said = {RATE: formatting.rate(row.learning_rate), score: formatting.mean_and_spread(row.valid_score, math.nan)}
        settings = {"settings": formatting.short_formula(row.settings)} if row.settings else {}
        yield Cell(line, part.label(row.competitor), start, end, part.scale.share(row.valid_score), said | settings)


# ---------------------------------------------------------------------------------------------- learning rates


def rates_section(parts: Sequence[Part]) -> Section:
    """Validation score against the learning rate."""
    widths = parts[0].of_competitors(parts[0].study.sensitivity()) if len(parts) == 1 and parts[0].trials else {}
    charts = [chart for part in parts for chart in _rates(part)]
    return Section("rates", "How much does the learning rate matter?", words.forgiving_in_words(widths), charts)


def _rates(part: Part) -> list[Chart]:
    rows = [row for mine in part.trials.values() for row in mine]
    span = _span([row.learning_rate for row in rows])
    if span is None:
        return []
    x = Axis(RATE, (span[0] / 1.3, span[1] * 1.3), is_log=True)
    y = Axis(f"validation {part.study.score_name}", score_limits(np.array([row.valid_score for row in rows])))
    is_joined = not any(row.settings for row in rows)

    def panel(mine: Sequence[Competitor]) -> Spec | None:
        lines = [_line(part, who) for who in mine if who in part.trials]
        return line_panel(lines, part.lines, x, y, is_joined=is_joined) if lines else None

    note = (
        "The dot is the trial that was chosen, a cross near the bottom one that diverged. A wide hilltop forgives a "
        "badly chosen rate; a narrow one must be met."
    )
    return part.charts("", note, panel, "Validation score against the learning rate")


def _line(part: Part, who: Competitor) -> Line:
    rows = sorted(part.trials[who], key=lambda row: row.learning_rate)
    chosen = (part.ranked[who].learning_rate, part.ranked[who].settings)
    return Line(
        part.places[who].line,
        part.label(who),
        np.array([row.learning_rate for row in rows]),
        np.array([row.valid_score for row in rows]),
        dots=[number for number, row in enumerate(rows) if (row.learning_rate, row.settings) == chosen],
        crosses=[row.learning_rate for row in rows if row.status == "diverged"],
        settings=[formatting.short_formula(row.settings) for row in rows],
    )


# ---------------------------------------------------------------------------------------------- tuning


def tuning_section(parts: Sequence[Part]) -> Section:
    """What is to be expected of the best of k trials."""
    expected = [part.of_competitors(part.study.best_of_k()) if part.trials else {} for part in parts]
    charts = [chart for part in parts for chart in _tuning(part)]
    finding = words.tuning_in_words(expected[0]) if len(parts) == 1 else ""
    return Section("tuning", "What does tuning buy?", finding, charts)


def _tuning(part: Part) -> list[Chart]:
    curves = dict(zip((ranked.competitor for ranked in part.study.ranking), part.study.best_of_k(), strict=True))
    longest = max(map(len, curves.values()), default=0)
    if longest < 2:
        return []
    x = Axis("trials of the learning rate", (1, longest), whole=True)
    known = np.concatenate([curves[who] for who in part.places])
    y = Axis(f"expected test {part.study.score_name}", score_limits(known))

    def panel(mine: Sequence[Competitor]) -> Spec | None:
        return line_panel([line(who) for who in mine], part.lines, x, y)

    def line(who: Competitor) -> Line:
        curve = curves[who]
        return Line(part.places[who].line, part.label(who), np.arange(1.0, len(curve) + 1), curve)

    note = (
        "What the best of k trials, chosen on validation, can be expected to reach on test. A line that is high at "
        "once needs no tuning; one that begins late had so many trials that diverged that fewer of them may all do."
    )
    return part.charts("", note, panel, "Expected test score of the best of k trials")
