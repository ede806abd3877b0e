"""What a study says, as data: the best competitor, which others are tied with it or worse, and what went wrong.

The terminal, the report, notebooks and JSON all render this one value; none of them decides anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

from schuss.comparison.statistics.groups import FEWEST, LEVEL
from schuss.comparison.study.ranking import Ranked
from schuss.comparison.study.records import Row
from schuss.show.formatting import for_json

Outcome: TypeAlias = Literal["unfinished", "all diverged", "no rival", "too few seeds", "compared"]


@dataclass(frozen=True)
class Verdict:
    """What a study says about its competitors, which are named by their labels.

    outcome : "compared" where the test of all pairs says which differ from the best; otherwise why it cannot.
    tasks : the data sets.
    score_name : accuracy or R².
    best : the competitor with the best mean rank on the new seeds; None where none has a result.
    score, low, high : its test score and the 95 % interval: `low` is -inf where too many of its networks may diverge,
        NaN with one seed. The score is NaN where too many of its networks diverged on one of several data sets.
    learning_rate : of its best trial; NaN where it has several.
    seeds : the number of new seeds on which all competitors have run.
    tied : the others that are not significantly different from the best, those that diverged included.
    worse : the others that are significantly worse.
    diverged : the number of networks that diverged, for each competitor that lost any.
    networks, expected : the numbers of networks that are finished, and that the comparison asked for.
    passes : the test scores of gd and of sgd, lowest and highest, where both made equally many passes over the data.
    widened, widened_trials : the number of competitors whose range of learning rates was widened, and its trials.
    level, fewest_seeds : of the test, and the runs that it needs to find any difference.
    """

    outcome: Outcome
    tasks: tuple[str, ...]
    score_name: str
    networks: int
    expected: int
    diverged: Mapping[str, int]
    best: str | None = None
    score: float = math.nan
    low: float = math.nan
    high: float = math.nan
    learning_rate: float = math.nan
    seeds: int = 0
    tied: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()
    passes: Mapping[str, tuple[float, float]] | None = None
    widened: int = 0
    widened_trials: int = 0
    level: float = LEVEL
    fewest_seeds: int = FEWEST

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain values; a number that is not finite is None."""
        plain = {name: for_json(x) if isinstance(x, float) else x for name, x in asdict(self).items()}
        passes = None if self.passes is None else {name: list(span) for name, span in self.passes.items()}
        return plain | {"tasks": list(self.tasks), "tied": list(self.tied), "worse": list(self.worse), "passes": passes}


def verdict_of(
    ranking: Sequence[Ranked], rows: Sequence[Row], axes: Sequence[str], *,
    tasks: Sequence[str], score_name: str, expected: int, final_runs: int, first_trials: float, is_timed: bool,
) -> Verdict:  # fmt: skip
    """The verdict on a ranking.

    Parameters
    ----------
    axes : those by which competitors are labeled.
    final_runs : runs on new seeds of each competitor, over all data sets.
    first_trials : the number of trials before ranges are widened.
    is_timed : whether the budget is in seconds, so that passes over the data are not equal.
    """
    judged = [ranked for ranked in ranking if not math.isnan(ranked.rank)]
    result = Verdict(
        outcome="unfinished" if len(rows) < expected else "all diverged",
        tasks=tuple(tasks),
        score_name=score_name,
        networks=len(rows),
        expected=expected,
        diverged={ranked.competitor.label(axes): ranked.diverged for ranked in ranking if ranked.diverged},
    )
    if all(math.isnan(ranked.test_score) for ranked in judged):
        return result
    best, *others = judged
    later = {(row.data, row.competitor) for row in rows if row.stage == "trial" and row.trial >= first_trials}
    return replace(
        result,
        outcome=_outcome(len(ranking), final_runs),
        best=best.competitor.label(axes),
        score=best.test_score,
        low=best.low,
        high=best.high,
        learning_rate=best.learning_rate,
        seeds=final_runs // len(tasks),
        tied=tuple(ranked.competitor.label(axes) for ranked in others if ranked.is_best),
        worse=tuple(ranked.competitor.label(axes) for ranked in others if not ranked.is_best),
        passes=None if is_timed else _passes(judged),
        widened=len({competitor for _, competitor in later}),
        widened_trials=sum(row.stage == "trial" and row.trial >= first_trials for row in rows),
    )


def _outcome(competitors: int, final_runs: int) -> Outcome:
    if competitors == 1:
        return "no rival"
    return "too few seeds" if final_runs < FEWEST else "compared"


def _passes(judged: Sequence[Ranked]) -> dict[str, tuple[float, float]] | None:
    """The lowest and the highest score of gd and sgd, if both have one: what full batches lose by their few updates."""
    scores = {
        name: [ranked.test_score for ranked in judged if ranked.optimizer == name and not math.isnan(ranked.test_score)]
        for name in ("gd", "sgd")
    }
    return {name: (min(reached), max(reached)) for name, reached in scores.items()} if all(scores.values()) else None
