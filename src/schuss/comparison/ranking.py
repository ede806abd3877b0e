"""From rows to a ranking: the trial chosen on validation, judged on test, and who cannot be told from the best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from schuss.comparison.competitors import Competitor
from schuss.comparison.groups import groups
from schuss.comparison.intervals import bootstrap_interval, iqm
from schuss.comparison.records import Row
from schuss.comparison.trials import Tried, best_of

Scores: TypeAlias = dict[Competitor, NDArray[np.float64]]  # [data set, seed]


class Ranked(NamedTuple):
    """A competitor with its chosen trial, and how it did on the fresh seeds.

    learning_rate, settings : of the chosen trial; over several data sets, each of which has its own, NaN and "".
    test_score : the interquartile mean over the seeds, averaged over the data sets; NaN if too many diverged.
    low, high : its 95 % interval; `low` is −∞ where as many might have.
    rank : the mean over the data sets of its rank by interquartile mean.
    is_best : whether it cannot be told apart from the first.
    valid_score : of the chosen trial, averaged over the data sets.
    diverged, networks : how many of all its networks diverged.
    """

    competitor: Competitor
    learning_rate: float
    settings: str
    test_score: float
    low: float
    high: float
    rank: float
    is_best: bool
    valid_score: float
    diverged: int
    networks: int

    @property
    def activation(self) -> str:
        """The name of the activation."""
        return self.competitor.activation

    @property
    def optimizer(self) -> str:
        """The name of the optimizer, without what is tuned."""
        return self.competitor.optimizer


def ranking(rows: Sequence[Row]) -> list[Ranked]:
    """Competitors by mean rank on the fresh seeds, best first; before there are any, by validation."""
    mine: dict[Competitor, list[Row]] = {}
    for row in rows:
        mine.setdefault(row.competitor, []).append(row)
    judged = _judged(final_scores(rows))
    found = [_ranked(competitor, each, judged.get(competitor, _UNJUDGED)) for competitor, each in mine.items()]
    return sorted(
        found, key=lambda r: [math.inf if math.isnan(x) else x for x in (r.rank, -r.test_score, -r.valid_score)]
    )


def final_scores(rows: Sequence[Row]) -> Scores:
    """The test scores of the final runs, on the seeds that all competitors have run on all data sets."""
    found: dict[tuple[Competitor, str], dict[int, float]] = {(row.competitor, row.data): {} for row in rows}
    for row in rows:
        if row.stage == "final":
            found[row.competitor, row.data][row.seed] = row.test_score
    competitors, data = (dict.fromkeys(each) for each in zip(*found, strict=True)) if found else ({}, {})
    by_seed = [found.get((competitor, name), {}) for competitor in competitors for name in data]
    seeds = sorted(set.intersection(*map(set, by_seed))) if by_seed else []
    if not seeds:
        return {}
    table = np.array([[scores[seed] for seed in seeds] for scores in by_seed])
    return dict(zip(competitors, table.reshape(len(competitors), len(data), len(seeds)), strict=True))


def tried(rows: Iterable[Row]) -> list[Tried]:
    """The trials of one competitor on one data set, as far as they are finished."""
    trials = (row for row in rows if row.stage == "trial")
    return [Tried(row.trial, row.learning_rate, row.valid_score, row.valid_loss) for row in trials]


class _Judged(NamedTuple):
    """What the fresh seeds say of a competitor."""

    score: float
    low: float
    high: float
    rank: float
    is_best: bool


_UNJUDGED = _Judged(math.nan, math.nan, math.nan, math.nan, is_best=False)


def _judged(scores: Scores) -> dict[Competitor, _Judged]:
    if not scores:
        return {}
    # The names that the test of all pairs goes by are the numbers of the competitors.
    told = groups({str(number): each for number, each in enumerate(scores.values())})
    values = bootstrap_interval(np.stack(list(scores.values())), _mean_iqm)
    ranks, best = dict(zip(told.names, told.ranks.tolist(), strict=True)), set(told.best)
    high = np.minimum(values.high, 1.0)  # of accuracy and of R² there is no more
    return {
        competitor: _Judged(
            float(values.value[number]), float(values.low[number]), float(high[number]),
            rank=ranks[str(number)], is_best=str(number) in best,
        )
        for number, competitor in enumerate(scores)
    }  # fmt: skip


def _mean_iqm(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over data sets of the interquartile mean over seeds, [..., data set, seed] → [...]."""
    return np.asarray(iqm(scores[..., None, :]).mean(-1))


def _ranked(competitor: Competitor, rows: Sequence[Row], judged: _Judged) -> Ranked:
    chosen = [_chosen([row for row in rows if row.data == name]) for name in dict.fromkeys(row.data for row in rows)]
    alone = len(chosen) == 1
    return Ranked(
        competitor,
        learning_rate=chosen[0].learning_rate if alone else math.nan,
        settings=chosen[0].settings if alone else "",
        test_score=judged.score,
        low=judged.low,
        high=judged.high,
        rank=judged.rank,
        is_best=judged.is_best,
        valid_score=float(np.mean([row.valid_score for row in chosen])),
        diverged=sum(row.status == "diverged" for row in rows),
        networks=len(rows),
    )


def _chosen(rows: Sequence[Row]) -> Row:
    """The best trial on one data set."""
    number = best_of(tried(rows)).number
    return next(row for row in rows if row.stage == "trial" and row.trial == number)
