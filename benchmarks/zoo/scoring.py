"""From what was named to figures: precision, recall, the confusion table, false alarms.

>>> named = [("a", ["a"]), ("a", ["b", "a"]), ("b", ["b"]), ("healthy", ["a"]), ("healthy", [])]
>>> answers = [Answer(truth, tuple(frozenset({cause}) for cause in causes)) for truth, causes in named]
>>> score(answers)
Score(cases=5, precision=0.5, recall=0.6666666666666666, anywhere=1.0, false_alarms=0.5)
>>> per_cause(answers)["b"].precision, per_cause(answers)["b"].recall
(0.5, 1.0)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.zoo.faults import HEALTHY


@dataclass(frozen=True)
class Answer:
    """What was named for a training with a known cause, in order; a name may stand for several causes."""

    truth: str
    named: tuple[frozenset[str], ...]

    @property
    def first(self) -> str:
        """The first name as a single cause, the true one if the name may mean it; `healthy` if nothing was named."""
        if not self.named:
            return HEALTHY
        return self.truth if self.truth in self.named[0] else min(self.named[0], default="another")

    @property
    def is_right(self) -> bool:
        return self.first == self.truth

    @property
    def is_right_anywhere(self) -> bool:
        """Whether the true cause was named at all; for a healthy network, whether nothing was."""
        return self.is_right or any(self.truth in causes for causes in self.named)


class Score(NamedTuple):
    """How good the answers are; shares from 0 to 1, NaN where there is nothing to share.

    precision : of the trainings for which something was named, how many have the first-named cause.
    recall : of the faulty trainings, how many have their cause named first. anywhere : named at any place.
    false_alarms : of the healthy networks, for how many something was named.
    """

    cases: int
    precision: float
    recall: float
    anywhere: float
    false_alarms: float


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def score(answers: Sequence[Answer]) -> Score:
    """Over all causes together."""
    faulty = [answer for answer in answers if answer.truth != HEALTHY]
    healthy = [answer for answer in answers if answer.truth == HEALTHY]
    right = sum(answer.is_right for answer in faulty)
    return Score(
        len(answers),
        precision=_share(right, sum(bool(answer.named) for answer in answers)),
        recall=_share(right, len(faulty)),
        anywhere=_share(sum(answer.is_right_anywhere for answer in faulty), len(faulty)),
        false_alarms=_share(sum(bool(answer.named) for answer in healthy), len(healthy)),
    )


def per_cause(answers: Sequence[Answer]) -> dict[str, Score]:
    """For each cause, `healthy` included: precision of naming it first, and how often it is named where it is true."""
    scores = {}
    for cause in dict.fromkeys(answer.truth for answer in answers):
        true = [answer for answer in answers if answer.truth == cause]
        right = sum(answer.is_right for answer in true)
        healthy = [answer for answer in answers if answer.truth == HEALTHY]
        scores[cause] = Score(
            len(true),
            precision=_share(right, sum(answer.first == cause for answer in answers)),
            recall=_share(right, len(true)),
            anywhere=_share(sum(answer.is_right_anywhere for answer in true), len(true)),
            false_alarms=_share(sum(answer.first == cause for answer in healthy), len(healthy)),
        )
    return scores


def confusion(answers: Sequence[Answer]) -> Counter[tuple[str, str]]:
    """How often (true cause, cause named first)."""
    return Counter((answer.truth, answer.first) for answer in answers)


def within(answers: Sequence[Answer], causes: frozenset[str]) -> list[int]:
    """Numbers of the answers for trainings with one of these causes, or with none."""
    return [i for i, answer in enumerate(answers) if answer.truth in causes or answer.truth == HEALTHY]
