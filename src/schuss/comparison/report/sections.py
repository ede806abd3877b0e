"""The sections of a report: a question, what was found, the charts that show it, and the ranking as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from schuss import wording
from schuss.charts.training import score_limits
from schuss.comparison.competitors import Competitor
from schuss.comparison.intervals import probability_of_improvement
from schuss.comparison.ranking import Ranked, final_scores
from schuss.comparison.records import Row
from schuss.comparison.report import words
from schuss.comparison.report.findings import EDGE, TARGET, Band, Strip, band, best_of, forgiving, profile, strip
from schuss.comparison.report.parts import Part, Study
from schuss.insight.gradient_flow import GradientFlow
from schuss.pages import (
    Axis,
    Cell,
    Chart,
    Interval,
    Line,
    Panel,
    Section,
    Table,
    heat_panel,
    interval_panel,
    line_panel,
)

DRAWN, LISTED = 40, 300  # competitors at most in the chart of the ranking, and in its table
TABLE_AT_ONCE = 12  # rows; a longer table is folded, for the chart says the same


# ---------------------------------------------------------------------------------------------- the ranking


def ranking_section(study: Study) -> Section:
    """Scores with intervals, as a chart and as a table."""
    found = [ranked for ranked in study.ranking if not math.isnan(ranked.test_score)]
    finding = words.lead_in_words([ranked.test_score for ranked in found if ranked.is_best], study.score_name)
    table = ranking_table(study, LISTED)._replace(is_folded=len(study.ranking) > TABLE_AT_ONCE)
    return Section("ranking", "Who learns best?", finding, [*_ranking_chart(study), table])


def _ranking_chart(study: Study) -> list[Chart]:
    shown = [
        Interval(r.competitor.label(study.axes), r.test_score, r.low, r.high, r.is_best, _said_of(study, r))
        for r in study.ranking[:DRAWN]
    ]
    if not any(math.isfinite(each.value) for each in shown):
        return []
    axis = Axis(f"test {study.score_name}", _limits([each.value for each in shown], [each.high for each in shown]))
    more = f" The first {DRAWN} of {len(study.ranking)} are drawn." if len(study.ranking) > DRAWN else ""
    note = (
        "A dot is the interquartile mean over the fresh seeds, its bar the 95 % interval. In color: the first and those "
        "that cannot be told from it. ◂ lies further to the left." + more
    )
    panel = Panel("", interval_panel(shown, axis), f"Test {study.score_name} of each competitor with its interval")
    return [Chart("", note, [panel])]


def _limits(values: Sequence[float], highs: Sequence[float]) -> tuple[float, float]:
    """An axis that holds most: what is far below the middle is left out, so that the others can be told apart."""
    known = np.array([x for x in values if math.isfinite(x)])
    high = max([x for x in highs if math.isfinite(x)], default=float(known.max()))
    low = max(float(known.min()), high - 5 * (high - float(np.median(known))))
    margin = max(0.05 * (high - low), 0.005)
    return low - 2 * margin, high + margin


def _said_of(study: Study, ranked: Ranked) -> dict[str, str]:
    rate = {} if math.isnan(ranked.learning_rate) else {"learning rate": wording.rate(ranked.learning_rate)}
    score = wording.estimate(ranked.test_score, ranked.low, ranked.high)
    return (
        {"": ranked.competitor.label(study.axes), f"test {study.score_name}": score}
        | rate
        | {"diverged": f"{ranked.diverged} of {ranked.networks}"}
    )


def ranking_table(study: Study, at_most: int) -> Table:
    """All competitors, best first, with what the chart cannot say."""
    shown = study.ranking[:at_most]
    several = len(study.tasks) > 1
    chances = _chances(study, shown)
    rows = [
        [
            f"{'=' if ranked.is_best and place > 1 else ''}{place}",
            ranked.competitor.label(study.axes),
            f"{ranked.rank:.1f}" if several else _rate(ranked),
            wording.estimate(ranked.test_score, ranked.low, ranked.high),
            wording.mean_and_spread(ranked.valid_score, math.nan),
            chances.get(ranked.competitor, wording.MISSING),
            f"{ranked.diverged} of {ranked.networks}" if ranked.diverged else "0",
        ]
        for place, ranked in enumerate(shown, 1)
    ]
    header = ["", "competitor", "mean rank" if several else "learning rate", f"test {study.score_name} (95 % interval)"]
    more = (
        f" The first {at_most} of {len(study.ranking)}; all are in the study file."
        if len(study.ranking) > at_most
        else ""
    )
    return Table(
        "The ranking in numbers",
        [*header, "validation", "the first is better", "diverged"],
        rows,
        numbers=2,
        strong=frozenset(number for number, ranked in enumerate(shown) if ranked.is_best),
        note="=: cannot be told from the first. “The first is better”: the chance that a network of the first beats one of "
        "this row, 50 % being a coin’s, with its 95 % interval." + more,
    )


def _rate(ranked: Ranked) -> str:
    return f"{wording.rate(ranked.learning_rate)}{f', {ranked.settings}' if ranked.settings else ''}"


def _chances(study: Study, shown: Sequence[Ranked]) -> dict[Competitor, str]:
    """How likely a network of the first is better than one of each other."""
    scores = final_scores(study.rows)
    others = [ranked.competitor for ranked in shown[1:] if ranked.competitor in scores]
    if not others or shown[0].competitor not in scores:
        return {}
    chance = probability_of_improvement(scores[shown[0].competitor], np.stack([scores[other] for other in others]))
    return {
        other: f"{wording.share(value)} ({wording.share(low)} … {wording.share(high)})".replace(" %", "") + " %"
        for other, value, low, high in zip(
            others, chance.value.tolist(), chance.low.tolist(), chance.high.tolist(), strict=True
        )
    }


# ---------------------------------------------------------------------------------------------- charts of panels


def _grid(part: Part, title: str, note: str, panel_of: Callable[[list[Competitor]], Any], what: str) -> list[Chart]:
    """A chart with a panel for each name, made from the competitors that belong there."""
    panels = []
    for name in part.panels:
        mine = [competitor for competitor, place in part.places.items() if place.panel == name]
        spec = panel_of(mine)
        if spec is not None:
            panels.append(Panel(name, spec, f"{what} of {name}"))
    note = " ".join(filter(None, (note, part.note)))
    title = " on ".join(filter(None, (title, part.title)))
    return [Chart(title, note, panels, part.lines)] if panels else []


def _span(values: Sequence[float]) -> tuple[float, float] | None:
    known = [x for x in values if math.isfinite(x)]
    return (min(known), max(known)) if known else None


def _score(row: Row) -> str:
    return "diverged" if row.status == "diverged" else f"{row.valid_score:.3f}"


# ---------------------------------------------------------------------------------------------- what learns


def map_section(parts: Sequence[Part]) -> Section:
    """The map activation × optimizer × learning rate, with the edge between learning and not."""
    charts: list[Chart] = []
    learned: dict[str, float] = {}
    trials = [row for part in parts for rows in part.trials.values() for row in rows]
    learning = 0
    for part in parts:
        strips = {who: strip(rows, part.scale) for who, rows in part.trials.items()}
        learning += sum(sum(each.learns) for each in strips.values())
        widths = {part.label(who): each.decades for who, each in strips.items()}
        learned |= widths if len(parts) == 1 else {}
        charts += _map(part, strips)
    lost = sum(row.status == "diverged" for row in trials)
    finding = words.map_in_words(learned, len(trials), lost, learning) if trials else ""
    return Section("map", "Where does it learn at all?", finding, charts)


def _map(part: Part, strips: Mapping[Competitor, Strip]) -> list[Chart]:
    span = _span([x for each in strips.values() for x in each.bounds.tolist()])
    if span is None:
        return []

    def panel(mine: list[Competitor]) -> Any:
        drawn = {part.places[who].line: strips[who] for who in mine if who in strips}
        cells = [cell for line, each in drawn.items() for cell in _cells(part, line, each)]
        edges = [(line, rate) for line, each in drawn.items() for rate in each.edges]
        return heat_panel(cells, edges, list(drawn), Axis("learning rate", span, is_log=True)) if drawn else None

    note = (
        f"A cell is a trial; its color says how far its validation {part.study.score_name} came on the way from guessing "
        f"({part.scale.guess:.2f}) to the best of this comparison ({part.scale.best:.3f}). "
        f"Beyond a thick edge a network does not make {100 * EDGE:.0f} % of that way."
    )
    charts = _grid(part, "", note, panel, "Map of what learns at which learning rate")
    return [chart._replace(lines=(), is_map=True) for chart in charts]


def _cells(part: Part, line: str, each: Strip) -> Iterator[Cell]:
    for row, start, end in zip(each.rows, each.bounds[:-1].tolist(), each.bounds[1:].tolist(), strict=True):
        said = {
            "": part.label(row.competitor),
            "learning rate": wording.rate(row.learning_rate),
            "validation": _score(row),
        }
        yield Cell(line, start, end, part.scale.share(row.valid_score), said | _others_of(row))


def _others_of(row: Row) -> dict[str, str]:
    return {"settings": row.settings} if row.settings else {}


def rates_section(parts: Sequence[Part]) -> Section:
    """Validation score against the learning rate."""
    widths = {part.label(who): forgiving(rows) for part in parts[:1] for who, rows in part.trials.items()}
    finding = words.forgiving_in_words(widths) if len(parts) == 1 else ""
    return Section("rates", "How much does the learning rate matter?", finding, [c for p in parts for c in _rates(p)])


def _rates(part: Part) -> list[Chart]:
    rows = [row for mine in part.trials.values() for row in mine]
    span = _span([row.learning_rate for row in rows])
    if span is None:
        return []
    x = Axis("learning rate", (span[0] / 1.3, span[1] * 1.3), is_log=True)
    y = Axis(f"validation {part.study.score_name}", score_limits(np.array([row.valid_score for row in rows])))
    is_joined = not any(row.settings for row in rows)

    def panel(mine: list[Competitor]) -> Any:
        lines = [_rate_line(part, who) for who in mine if who in part.trials]
        return line_panel(lines, part.lines, x, y, is_joined=is_joined) if lines else None

    note = "The dot is the trial that was chosen, a cross at the bottom one that diverged. A wide hilltop forgives a badly chosen rate; a narrow one must be met."
    return _grid(part, "", note, panel, "Validation score against the learning rate")


def _rate_line(part: Part, who: Competitor) -> Line:
    rows = sorted(part.trials[who], key=lambda row: row.learning_rate)
    said = [
        {"": part.label(who), "learning rate": wording.rate(row.learning_rate), "validation": _score(row)}
        | _others_of(row)
        for row in rows
    ]
    ranked = part.ranked[who]
    return Line(
        part.places[who].line,
        np.array([row.learning_rate for row in rows]),
        np.array([row.valid_score for row in rows]),
        dots=[
            i
            for i, row in enumerate(rows)
            if (row.learning_rate, row.settings) == (ranked.learning_rate, ranked.settings)
        ],
        crosses=[row.learning_rate for row in rows if row.status == "diverged"],
        words=said,
    )


# ---------------------------------------------------------------------------------------------- how it trains


def training_section(parts: Sequence[Part]) -> Section:
    """The courses of the final runs: training loss and validation score, median and middle half of the seeds."""
    charts, last, epochs = [], {}, 0.0
    for part in parts:
        losses = {who: band(list(runs.values()), "train_loss") for who, runs in part.finals.items()}
        scores = {who: band(list(runs.values()), "score") for who, runs in part.finals.items()}
        bands = {who: each for who, each in losses.items() if each is not None}
        charts += _courses(part, "Training loss", bands, _loss_axis(list(bands.values())))
        bands_of_scores = {who: each for who, each in scores.items() if each is not None}
        limits = score_limits(np.concatenate([each.middle for each in bands_of_scores.values()] or [np.zeros(0)]))
        title = f"Validation {part.study.score_name}"
        charts += _courses(
            part, title, bands_of_scores, Axis(title.lower() if title != "Validation R²" else "validation R²", limits)
        )
        if len(parts) == 1:
            last = {part.label(who): float(each.middle[-1]) for who, each in bands.items()}
            epochs = max((float(each.epochs[-1]) for each in bands.values()), default=0.0)
    return Section("training", "How does the training go?", words.losses_in_words(last, epochs), charts)


def _loss_axis(bands: Sequence[Band]) -> Axis:
    """A log axis that holds all medians, but not what is far above all first epochs, nor below a millionth."""
    values = np.concatenate([each.middle for each in bands] or [np.zeros(0)])
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return Axis("training loss", (0.1, 1.0), is_log=True)
    started = [float(each.middle[0]) for each in bands if math.isfinite(each.middle[0])]
    high = min(float(values.max()), 10 * float(np.median(started)) if started else math.inf)
    low = max(float(values.min()), 1e-6 * high)
    return Axis("training loss", (low / 1.3, high * 1.3), is_log=True)


def _courses(part: Part, title: str, bands: Mapping[Competitor, Band], y: Axis) -> list[Chart]:
    last = max((float(each.epochs[-1]) for each in bands.values()), default=1.0)
    x = Axis("epoch (pass over the training data)", (min(1.0, last - 1), last) if last > 1 else (0.0, 2.0), whole=True)

    def panel(mine: list[Competitor]) -> Any:
        lines = [_course(part, who, bands[who], title.lower()) for who in mine if who in bands]
        return line_panel(lines, part.lines, x, y) if lines else None

    note = "Each competitor at its best learning rate: the median over the fresh seeds, and the middle half of them as a band."
    return _grid(part, title, note, panel, title)


def _course(part: Part, who: Competitor, each: Band, what: str) -> Line:
    said = [
        {"": part.label(who), "epoch": f"{epoch:.0f}", what: wording.significant(middle, 3)}
        for epoch, middle in zip(each.epochs.tolist(), each.middle.tolist(), strict=True)
    ]
    alone = [0] if len(each.epochs) == 1 else []
    return Line(part.places[who].line, each.epochs, each.middle, each.low, each.high, dots=alone, words=said)


# ---------------------------------------------------------------------------------------------- the gradient


def flow_section(parts: Sequence[Part]) -> Section:
    """How much of the gradient reaches each layer, before and after the training."""
    charts, tables = [], []
    for part in parts:
        at_first, at_last = part.study.flows, part.last_flows
        if at_first:
            charts.append(_flow_chart(part, at_first, at_last))
            tables.append(_flow_table(part, at_first))
    finding = words.flows_in_words(parts[0].study.flows) if charts else ""
    return Section("flow", "Does the gradient reach the first layers?", finding, [*charts, *tables])


def _flow_chart(part: Part, at_first: Mapping[str, GradientFlow], at_last: Mapping[str, GradientFlow]) -> Chart:
    names = list(at_first)
    drawn = {"before training": at_first, "after training, with the best optimizer": at_last}
    values = np.concatenate([flow.relative for flows in drawn.values() for flow in flows.values()])
    values = values[(values > 1e-200) & (values < 1e200)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.1, 1.0)
    y = Axis("δ relative to the last layer", (min(low, 1 / 3) / 1.3, max(high, 3) * 1.3), is_log=True)
    depth = max(len(flow.layers) for flow in at_first.values())
    x = Axis("hidden layer (1 is next to the input)", (0.8, depth + 0.2), whole=True)
    panels = [
        Panel(when, line_panel([_flow_line(*each) for each in flows.items()], names, x, y), f"Gradient flow {when}")
        for when, flows in drawn.items()
        if flows
    ]
    note = (
        "δ is the size of the gradient that arrives at a layer. Read from the right, as it travels: a line that falls to the "
        "left is a gradient that vanishes on its way back, one that rises is one that explodes; level is healthy."
    )
    return Chart(part.title, note, panels, names)


def _flow_line(name: str, flow: GradientFlow) -> Line:
    relative = flow.relative
    shown = np.where((relative > 1e-200) & (relative < 1e200), relative, math.nan)
    said = [{"": name, "layer": str(i), "δ": wording.significant(x)} for i, x in enumerate(relative.tolist(), 1)]
    return Line(name, np.arange(1.0, len(shown) + 1), shown, dots=range(len(shown)), words=said)


def _flow_table(part: Part, flows: Mapping[str, GradientFlow]) -> Table:
    rows = [
        [
            name,
            wording.tendency(flow.relative),
            wording.significant(float(flow.relative[0])),
            wording.signed(flow.decades_per_layer),
            wording.share(float(np.max(flow["saturated"]))),
            wording.share(float(np.max(flow["dead"]))),
        ]
        for name, flow in flows.items()
    ]
    header = ["network", "the gradient", "δ in layer 1", "decades lost a layer", "saturated", "dead"]
    note = "Saturated units hardly answer to their input, dead ones to no row at all: shares in the worst layer, before training."
    return Table(part.title, header, rows, numbers=2, note=note)


# ---------------------------------------------------------------------------------------------- profiles


def speed_section(parts: Sequence[Part]) -> Section:
    """Performance profiles: who reaches a good score first, and who is never far behind."""
    clock = "epoch" if parts[0].study.budget.seconds is None else "seconds"
    common = set.intersection(*(set(part.finals) for part in parts))
    who = [competitor for competitor in parts[0].places if competitor in common]
    finals = {w: {(p.name, seed): c for p in parts for seed, c in p.finals[w].items()} for w in who}
    seeds = {seed for part in parts for runs in part.finals.values() for seed in runs}
    found = profile(finals, {(part.name, seed): part.target for part in parts for seed in sorted(seeds)}, clock)
    if found is None or not found.share.any():
        return Section("speed", "Who gets there first?", "", [])
    part = parts[0]
    score = {w: float(each) for w, each in zip(who, found.score, strict=True)}
    share = dict(zip(who, found.share, strict=True))

    def panel(mine: list[Competitor]) -> Any:
        lines = [
            Line(
                part.places[w].line,
                found.taus,
                share[w],
                words=_profile_said(part.label(w), found.taus, share[w], score[w]),
            )
            for w in mine
            if w in share
        ]
        x, y = Axis("times as long as the fastest", (1, 4)), Axis("share of runs", (-0.03, 1.03))
        return line_panel(lines, part.lines, x, y, is_stepped=True) if lines else None

    targets = ", ".join(f"{each.target:.3f}{f' on {each.title}' if each.title else ''}" for each in parts)
    note = (
        f"The share of the runs in which a competitor needs at most so many times the {'epochs' if clock == 'epoch' else 'seconds'} "
        f"of the fastest one to reach a validation {part.study.score_name} of {targets} ({100 * TARGET:.0f} % of the way from "
        "guessing to the best). High on the left: often the first. High on the right: dependable."
    )
    finding = words.speed_in_words(
        {part.label(w): x for w, x in score.items()}, {part.label(w): float(each[0]) for w, each in share.items()}
    )
    charts = [chart._replace(title="") for chart in _grid(part, "", note, panel, "Performance profile")]
    return Section("speed", "Who gets there first?", finding, charts)


def _profile_said(name: str, taus: Any, share: Any, score: float) -> list[dict[str, str]]:
    return [
        {
            "": name,
            "within": f"{tau:.2g} × the fastest",
            "share of runs": wording.share(each),
            "profile, up to 4 ×": f"{score:.2f}",
        }
        for tau, each in zip(taus.tolist(), share.tolist(), strict=True)
    ]


def tuning_section(parts: Sequence[Part]) -> Section:
    """What is to be expected of the best of k trials."""
    charts, curves = [], {}
    for part in parts:
        n = part.study.asked.get("trials", math.inf)
        expected = best_of({who: [row for row in rows if row.trial < n] for who, rows in part.trials.items()})
        charts += _tuning(part, expected)
        curves = {part.label(who): each.tolist() for who, each in expected.items()}
    finding = words.tuning_in_words(curves) if len(parts) == 1 else ""
    return Section("tuning", "What does tuning buy?", finding, charts)


def _tuning(part: Part, expected: Mapping[Competitor, Any]) -> list[Chart]:
    longest = max((len(each) for each in expected.values()), default=0)
    if longest < 2:
        return []
    x = Axis("trials of the learning rate", (1, longest), whole=True)
    y = Axis(f"expected test {part.study.score_name}", score_limits(np.concatenate(list(expected.values()))))

    def panel(mine: list[Competitor]) -> Any:
        lines = [
            Line(
                part.places[who].line,
                np.arange(1.0, len(expected[who]) + 1),
                expected[who],
                words=_tuning_said(part.label(who), expected[who]),
            )
            for who in mine
            if who in expected
        ]
        return line_panel(lines, part.lines, x, y) if lines else None

    note = (
        "What the best of k trials, chosen on validation, can be expected to reach on test. A line that is high at once needs "
        "no tuning; one that begins late had trials that diverged, and a few of them may all do."
    )
    return _grid(part, "", note, panel, "Best of k trials")


def _tuning_said(name: str, curve: Any) -> list[dict[str, str]]:
    return [{"": name, "best of": str(k), "expected": f"{x:.3f}"} for k, x in enumerate(curve.tolist(), 1)]


SECTIONS = (map_section, rates_section, training_section, flow_section, speed_section, tuning_section)
