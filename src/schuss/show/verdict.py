"""What a study says, in sentences that do not claim more than it shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from schuss.show import formatting

if TYPE_CHECKING:
    from schuss.comparison.study.ranking import Ranked
    from schuss.comparison.study.study import Study

NAMED_AT_MOST = 3  # of those that cannot be told from the best; the table marks all of them


def verdict(study: Study) -> str:
    """The best, who cannot be told from it, gd beside sgd where both took part, what was widened, what diverged."""
    found = [ranked for ranked in study.ranking if not math.isnan(ranked.test_score)]
    if not found:
        return "No competitor of this comparison has reached a result on fresh seeds."
    parts = [_best(study, found), _alike(study, found[0]), *passes(study, found), *widened(study)]
    diverged = sum(row.status == "diverged" for row in study.rows)
    parts.append(f"{diverged or 'None'} of {len(study.rows)} networks diverged.")
    return " ".join(parts)


def _best(study: Study, found: Sequence[Ranked]) -> str:
    best = found[0]
    score = formatting.estimate(best.test_score, best.low, best.high)
    rate = "" if math.isnan(best.learning_rate) else f" at learning rate {formatting.rate(best.learning_rate)}"
    over = f" over {len(study.tasks)} data sets" if len(study.tasks) > 1 else ""
    return f"Best{over}: {best.competitor.label(study.axes)}{rate}, test {study.score_name} {score}."


def _alike(study: Study, best: Ranked) -> str:
    """Who cannot be told from the best; a rival that diverged on most fresh seeds has no score, but is judged."""
    if study.final_runs < study.fewest_seeds:
        seeds = f"{study.final_runs} fresh seed{'s' * (study.final_runs > 1)}"
        return f"With {seeds} nothing is distinguishable; it takes {study.fewest_seeds} or more."
    rivals = [ranked for ranked in study.ranking if ranked is not best and not math.isnan(ranked.rank)]
    others = [ranked.competitor.label(study.axes) for ranked in rivals if ranked.is_best]
    if not rivals:
        return "It had no rival." if len(study.ranking) == 1 else "No other has reached a result on fresh seeds."
    if not others:
        return "It is distinguishable from all others."
    if len(others) == len(study.ranking) - 1:
        whom = f"none of the {len(others)} others is" if len(others) > 1 else f"{others[0]} is not"
        return f"No difference: {whom} distinguishable from it."
    named = ", ".join(others[:NAMED_AT_MOST])
    more = f" and {len(others) - NAMED_AT_MOST} more" if len(others) > NAMED_AT_MOST else ""
    return f"Not distinguishable from it: {named}{more}."


def passes(study: Study, found: Sequence[Ranked]) -> list[str]:
    """What gradient descent loses by its few updates, if all had the same passes over the data."""
    reached = {name: [r.test_score for r in found if r.optimizer == name] for name in ("gd", "sgd")}
    if not all(reached.values()) or study.budget.seconds is not None:
        return []
    spans = (f"{name} reaches {_span(scores)}" for name, scores in reached.items())
    return [f"After equally many passes over the data {', '.join(spans)}."]


def _span(scores: Sequence[float]) -> str:
    low, high = min(scores), max(scores)
    return f"{high:.3f}" if len(scores) == 1 else f"{low:.3f} to {high:.3f}"


def widened(study: Study) -> list[str]:
    """Whose ranges of learning rates were widened."""
    first = study.asked.get("trials", math.inf)
    more = [(row.data, row.competitor) for row in study.rows if row.stage == "trial" and row.trial >= first]
    if not more:
        return []
    who, trials = len(set(more)), len(more)
    names, count = f"{who} competitor{'s' * (who > 1)}", f"{trials} trial{'s' * (trials > 1)}"
    return [f"For {names} the best learning rate lay at the edge of the range, which was widened ({count} more)."]
