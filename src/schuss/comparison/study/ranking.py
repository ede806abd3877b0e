"""From rows to a ranking: the trial chosen on validation, its test scores, and ties with the best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from schuss.comparison.competitors import Competitor
from schuss.comparison.statistics.groups import groups
from schuss.comparison.statistics.intervals import bootstrap_interval, iqm
from schuss.comparison.statistics.profiles import time_to_target
from schuss.comparison.study.records import Curves, Row
from schuss.comparison.trials import Tried, best_of

Scores: TypeAlias = dict[Competitor, NDArray[np.float64]]  # [data set, seed]


class Ranked(NamedTuple):
    """A competitor with its chosen trial, and how it did on the new seeds.

    learning_rate, settings : of the chosen trial; over several data sets, each of which has its own, NaN and "".
    test_score : the interquartile mean over the seeds, averaged over the data sets; NaN if too many diverged.
    low, high : its 95 % interval; `low` is −∞ where as many might have.
    rank : the mean over the data sets of its rank by interquartile mean.
    is_best : whether it is statistically tied with the first.
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
    """Competitors by mean rank on the new seeds, best first; before there are any, by validation."""
    mine: dict[Competitor, list[Row]] = {}
    for row in rows:
        mine.setdefault(row.competitor, []).append(row)
    judged = _judged(final_scores(rows))
    found = [_ranked(competitor, each, judged.get(competitor, _UNJUDGED)) for competitor, each in mine.items()]
    return sorted(found, key=lambda r: [_last(r.rank), _last(-r.test_score), _last(-r.valid_score)])


def _last(x: float) -> float:
    return math.inf if math.isnan(x) else x


def final_runs(rows: Iterable[Row]) -> dict[tuple[Competitor, str], dict[int, int]]:
    """The numbers of the final runs of each competitor on each data set, by the seeds that all have run on all."""
    found: dict[tuple[Competitor, str], dict[int, int]] = {}
    for number, row in enumerate(rows):
        mine = found.setdefault((row.competitor, row.data), {})
        if row.stage == "final":
            mine[row.seed] = number
    competitors, data = (set(each) for each in zip(*found, strict=True)) if found else (set(), set())
    if len(found) < len(competitors) * len(data):  # somebody has not come to all data sets yet
        return {}
    seeds = sorted(set.intersection(*map(set, found.values()))) if found else []
    return {who: {seed: mine[seed] for seed in seeds} for who, mine in found.items()} if seeds else {}


def final_scores(rows: Sequence[Row]) -> Scores:
    """The test scores of the final runs of each competitor."""
    scores: dict[Competitor, list[list[float]]] = {}
    for (competitor, _), numbers in final_runs(rows).items():
        scores.setdefault(competitor, []).append([rows[number].test_score for number in numbers.values()])
    return {competitor: np.array(each) for competitor, each in scores.items()}


def times_to_target(rows: Sequence[Row], curves: Sequence[Curves], unit: str) -> dict[Competitor, list[float]]:
    """When the final runs of each competitor reach the target, for each workload; inf where they do not.

    The target is, on each data set, the median of all final runs' last validation scores. Workloads are the data sets,
    with the median time over the seeds; of one data set the seeds.
    """
    runs = final_runs(rows)
    reached: dict[str, list[float]] = {}
    for (_, data), numbers in runs.items():
        scores = (rows[number].valid_score for number in numbers.values())
        reached.setdefault(data, []).extend(-math.inf if math.isnan(score) else score for score in scores)
    times: dict[Competitor, list[list[float]]] = {}
    for (competitor, data), numbers in runs.items():
        target = float(np.median(reached[data]))
        found = [_time(curves[number], target, unit) for number in numbers.values()]
        times.setdefault(competitor, []).append(found)
    if len(reached) == 1:
        return {competitor: each for competitor, (each,) in times.items()}
    return {competitor: [float(np.median(each)) for each in by_data] for competitor, by_data in times.items()}


def _time(curve: Curves, target: float, unit: str) -> float:
    if not len(curve["score"]):  # it diverged in its first epoch
        return math.inf
    return float(time_to_target(curve["score"], target, curve[unit]))


def tried(rows: Iterable[Row]) -> list[Tried]:
    """The trials of one competitor on one data set, as far as they are finished."""
    trials = (row for row in rows if row.stage == "trial")
    return [Tried(row.trial, row.learning_rate, row.valid_score, row.valid_loss) for row in trials]


class _Judged(NamedTuple):
    """What the new seeds say of a competitor."""

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
