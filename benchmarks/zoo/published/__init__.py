"""Rules that others have published, with their default thresholds, as they judge the zoo's trainings.

A verdict is what a rule calls itself and the causes of ours that it can mean: a training counts as understood when its
true cause is among them. Where a rule of a monitor would ring at the first moment that meets it, here it must be met at
more than half of the moments, unless said otherwise: that is kinder, as every network that has converged meets some.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.zoo.traces import Trace


class Verdict(NamedTuple):
    """A rule that fired."""

    rule: str
    causes: frozenset[str]


class RuleSet(NamedTuple):
    """A published set of rules: its verdicts on a training, in its own order, and the causes that it names."""

    name: str
    source: str
    judge: Callable[[Trace], list[Verdict]]
    causes: frozenset[str]
    only_classification: bool = False
