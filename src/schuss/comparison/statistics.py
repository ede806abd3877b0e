"""From rows to a ranking: the learning rate chosen on validation, the score reported on test."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from schuss.engines import Status


class Row(NamedTuple):
    """One network of a comparison; a score that does not exist is NaN."""

    activation: str
    optimizer: str
    learning_rate: float
    seed: int
    depth: int
    width: int
    status: Status
    valid_loss: float
    valid_score: float
    test_score: float
    epochs: int
    seconds: float
    diverged_step: int | None


class Ranked(NamedTuple):
    """One competitor at its chosen learning rate: means over seeds, and how many of all its networks diverged."""

    activation: str
    optimizer: str
    learning_rate: float
    test_score: float
    test_score_std: float
    valid_score: float
    diverged: int


def grouped(rows: Iterable[Row]) -> dict[tuple[str, str], dict[float, list[Row]]]:
    """The rows of each (activation, optimizer), by learning rate in ascending order."""
    groups: dict[tuple[str, str], dict[float, list[Row]]] = {}
    for row in sorted(rows, key=lambda row: (row.learning_rate, row.seed)):
        groups.setdefault((row.activation, row.optimizer), {}).setdefault(row.learning_rate, []).append(row)
    return groups


def chosen_rate(by_rate: dict[float, list[Row]]) -> float:
    """The learning rate with the highest mean validation score; of equal ones, the lowest validation loss.

    A rate at which a network diverged is chosen only where every rate diverges.
    """

    def merit(rate: float) -> tuple[float, float, float]:
        rows = by_rate[rate]
        sound = -sum(row.status == "diverged" for row in rows)
        score = _mean([row.valid_score for row in rows])
        loss = _mean([row.valid_loss for row in rows])
        return sound, -math.inf if math.isnan(score) else score, -math.inf if math.isnan(loss) else -loss

    return max(by_rate, key=merit)


def ranking(rows: Sequence[Row]) -> list[Ranked]:
    """Competitors by mean test score at the learning rate chosen on validation, best first, diverged ones last."""
    ranked = []
    for (activation, optimizer), by_rate in grouped(rows).items():
        rate = chosen_rate(by_rate)
        scores = [row.test_score for row in by_rate[rate]]
        ranked.append(
            Ranked(
                activation=activation,
                optimizer=optimizer,
                learning_rate=rate,
                test_score=_mean(scores),
                test_score_std=float(np.std(scores, ddof=1)) if len(scores) > 1 else math.nan,
                valid_score=_mean([row.valid_score for row in by_rate[rate]]),
                diverged=sum(row.status == "diverged" for each in by_rate.values() for row in each),
            )
        )
    return sorted(ranked, key=lambda r: (math.isnan(r.test_score), -r.test_score))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
