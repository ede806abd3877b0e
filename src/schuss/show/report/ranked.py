"""Who learns best: the ranking as a chart and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from schuss.show import formatting
from schuss.show.pages import Axis, Chart, Interval, Panel, Section, Table, interval_panel
from schuss.show.report import words

if TYPE_CHECKING:
    from schuss.comparison.study.ranking import Ranked
    from schuss.comparison.study.study import Study

DRAWN, LISTED = 40, 300  # competitors at most in the chart, and in the table
AT_ONCE = 12  # rows; a longer table is folded, for the chart says the same


def ranking_section(study: Study) -> Section:
    """Scores with intervals, as a chart and as a table."""
    lead = [ranked.test_score for ranked in study.ranking if ranked.is_best and math.isfinite(ranked.test_score)]
    table = ranking_table(study, LISTED)._replace(is_folded=len(study.ranking) > AT_ONCE)
    finding = words.lead_in_words(lead, study.score_name)
    return Section("ranking", "Who learns best?", finding, [*_chart(study), table])


def _chart(study: Study) -> list[Chart]:
    shown = [
        Interval(r.competitor.label(study.axes), r.test_score, r.low, r.high, r.is_best, *_said(r))
        for r in study.ranking[:DRAWN]
    ]
    if not any(math.isfinite(each.value) for each in shown):
        return []
    axis = Axis(f"test {study.score_name}", _limits([each.value for each in shown], [each.high for each in shown]))
    more = f" The first {DRAWN} of {len(study.ranking)} are drawn." if len(study.ranking) > DRAWN else ""
    note = (
        "A dot is the interquartile mean over the new seeds, its bar the 95 % interval. In color: the first and "
        "those statistically tied with it. ◂ marks what lies further to the left, where a bar up to the edge goes on."
    )
    panel = Panel("", interval_panel(shown, axis), f"Test {study.score_name} of each competitor with its interval")
    return [Chart("", note + more, [panel])]


def _limits(values: Sequence[float], highs: Sequence[float]) -> tuple[float, float]:
    """An axis that holds most: what is far below the middle is left out, so that the others can be distinguished."""
    known = np.array([x for x in values if math.isfinite(x)])
    high = max([x for x in highs if math.isfinite(x)], default=float(known.max()))
    low = max(float(known.min()), high - 5 * (high - float(np.median(known))))
    margin = max(0.05 * (high - low), 0.005)
    return low - 2 * margin, high + margin


def _said(ranked: Ranked) -> tuple[str, str]:
    """The score in full, and the trial behind it with its losses."""
    lost = f"{ranked.diverged} of {ranked.networks} networks diverged" if ranked.diverged else ""
    rate = "" if math.isnan(ranked.learning_rate) else f"learning rate {_trial(ranked)}"
    return formatting.estimate(ranked.test_score, ranked.low, ranked.high), "; ".join(filter(None, (rate, lost)))


def ranking_table(study: Study, at_most: int) -> Table:
    """All competitors, best first, with what the chart cannot say."""
    shown = study.ranking[:at_most]
    several = len(study.tasks) > 1
    chances = {who: words.chance(*chance) for who, chance in study.chances(at_most).items()}
    rows = [
        [
            f"{'=' if ranked.is_best and place > 1 else ''}{place}",
            ranked.competitor.label(study.axes),
            f"{ranked.rank:.1f}" if several else _trial(ranked),
            formatting.estimate(ranked.test_score, ranked.low, ranked.high),
            formatting.mean_and_spread(ranked.valid_score, math.nan),
            chances.get(ranked.competitor, formatting.MISSING),
            f"{ranked.diverged} of {ranked.networks}" if ranked.diverged else "0",
        ]
        for place, ranked in enumerate(shown, 1)
    ]
    note = (
        "=: statistically tied with the first. “The first is better”: the chance that a network of the first beats one "
        "of this row, 50 % being a coin’s, with its 95 % interval."
    )
    more = f" The first {at_most} of {len(study.ranking)} are listed." if len(study.ranking) > at_most else ""
    score = f"test {study.score_name} (95 % interval)"
    return Table(
        "The ranking in numbers",
        ["", "competitor", "mean rank" if several else "learning rate", score, "validation", "the first is better",
         "diverged"],
        rows,
        numbers=2,
        strong=frozenset(number for number, ranked in enumerate(shown) if ranked.is_best),
        note=note + more,
    )  # fmt: skip


def _trial(ranked: Ranked) -> str:
    return ", ".join(filter(None, (formatting.rate(ranked.learning_rate), formatting.short_formula(ranked.settings))))
