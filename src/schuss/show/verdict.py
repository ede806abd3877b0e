"""A verdict in sentences, the same for the terminal, the report and notebooks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from schuss.show import formatting
from schuss.show.sentences import counted, enumeration, sentence

if TYPE_CHECKING:
    from schuss.comparison.study.verdict import Verdict

NAMED_AT_MOST = 3  # of the tied and of the worse ones; tables list all of them


def verdict_sentences(verdict: Verdict) -> list[str]:
    """The best, its interval and rate, which others are tied or worse, gd beside sgd, what was widened and diverged."""
    size = {"networks": verdict.networks, "expected": verdict.expected}
    if verdict.best is None:
        return [sentence(verdict.outcome, **size), *([_diverged(verdict)] if verdict.networks else [])]
    return [
        _best(verdict),
        *([sentence("interrupted", **size)] if verdict.networks < verdict.expected else []),
        *_interval(verdict),
        *([] if math.isnan(verdict.learning_rate) else [_rate(verdict)]),
        *_others(verdict),
        *_passes(verdict),
        *_widened(verdict),
        _diverged(verdict),
    ]


def _best(verdict: Verdict) -> str:
    one = len(verdict.tasks) == 1
    key = "best without a score" if math.isnan(verdict.score) else "best" if one else "best on average"
    data = verdict.tasks[0] if one else counted("data sets", len(verdict.tasks))
    score = f"{verdict.score:.3f}"
    return sentence(key, data=data, name=verdict.best, score_name=verdict.score_name, score=score)


def _rate(verdict: Verdict) -> str:
    return sentence("learning rate", rate=formatting.rate(verdict.learning_rate))


def _interval(verdict: Verdict) -> list[str]:
    if math.isnan(verdict.score):
        return []
    if math.isnan(verdict.low):
        return [sentence("no interval")]
    key = "interval" if math.isfinite(verdict.low) else "interval without a lower end"
    return [sentence(key, count=verdict.seeds, low=f"{verdict.low:.3f}", high=f"{verdict.high:.3f}")]


def _others(verdict: Verdict) -> list[str]:
    tied, worse = verdict.tied, verdict.worse
    if verdict.outcome == "no rival":
        return [sentence("no rival")]
    if verdict.outcome == "too few seeds":
        return [sentence("too few seeds", count=verdict.seeds * len(verdict.tasks), fewest=verdict.fewest_seeds)]
    keys = ("tied", "worse") if tied and worse else ("all tied", "all worse")
    return [
        sentence(key, count=len(names), names=enumeration(names, NAMED_AT_MOST))
        for key, names in zip(keys, (tied, worse), strict=True)
        if names
    ]


def _passes(verdict: Verdict) -> list[str]:
    if verdict.passes is None:
        return []

    def span(low: float, high: float) -> str:
        return f"{high:.3f}" if low == high else sentence("range", low=f"{low:.3f}", high=f"{high:.3f}")

    return [sentence("passes", gd=span(*verdict.passes["gd"]), sgd=span(*verdict.passes["sgd"]))]


def _widened(verdict: Verdict) -> list[str]:
    if not verdict.widened:
        return []
    return [sentence("widened", count=verdict.widened, trials=counted("trial", verdict.widened_trials))]


def _diverged(verdict: Verdict) -> str:
    lost = verdict.diverged
    if not lost:
        return sentence("none diverged", networks=verdict.networks)
    name = max(lost, key=lost.__getitem__)
    key = "diverged with one" if len(lost) == 1 else "diverged"
    return sentence(key, count=sum(lost.values()), networks=verdict.networks, name=name, most=lost[name])
