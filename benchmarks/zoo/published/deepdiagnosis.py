"""DeepDiagnosis: the first symptom that is met, and the advice at the leaf of its decision tree.

Source: Wardat, Cruz, Le and Rajan, "DeepDiagnosis: Automatically Diagnosing Faults and Recommending Actionable Fixes in
Deep Learning Programs", ICSE 2022; order and thresholds as in its code, github.com/DeepDiagnosis/ICSE2022
(callback/callbacks.py). There the variance of a layer's weights is taken of their mean, a single number; here, as the
paper has it, of the weights. A symptom's own cause and that of the advice both count as named. The output layer counts
with its softmax or sigmoid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from benchmarks.zoo import causes as c
from benchmarks.zoo.published import RuleSet, Verdict
from benchmarks.zoo.traces import Array, Moment, Trace

EVERY = 5  # moments between the checks for saturation and for tensors that stand still
DEAD_SHARE = 0.7  # of the outputs of a layer that are at most 0
SATURATED_AT, SATURATED_SHARE = 5.0, 0.5
VANISHED = 1e-7  # mean |gradient|
VARIANCES = (1e-5, 10.0)  # of healthy weights
RATE = 1e-3  # lr·‖g‖ / ‖W‖ should lie within a factor of 100 of it
OUT_OF_RANGE = 10.0  # range of the outputs over that of the target


def judge(trace: Trace) -> list[Verdict]:
    """The first symptom ends the training."""
    for number, moment in enumerate(trace.moments[1:], start=1):
        for symptom, causes, advice in _symptoms(trace, number, moment):
            return [Verdict(symptom, frozenset(causes | _advised(trace, moment, advice)))]
    return []


Symptom: TypeAlias = tuple[str, set[str], str]
"""Its name, the causes that it means by itself, and the questions on the way to an advice."""


def _symptoms(trace: Trace, number: int, moment: Moment) -> Iterator[Symptom]:
    yield from _forward(trace, number, moment)
    if number % EVERY == 0 and _still(trace, number, lambda m: m.a):
        yield "unchanged tensor", set(), "wro"
    yield from _metrics(trace, number, moment)
    yield from _backward(moment)
    if number % EVERY == 0 and _still(trace, number, lambda m: m.W):
        yield "unchanged tensor", set(), "wro"


def _forward(trace: Trace, number: int, moment: Moment) -> Iterator[Symptom]:
    data = trace.setup.data
    if number == 1 and data.task == "regression" and np.ptp(moment.a[-1]) > OUT_OF_RANGE * np.ptp(data.train.y):
        yield "out of range", {c.TARGET}, ""
    for i in trace.hidden:
        name, a = trace.activations[i], moment.a[i]
        if not np.isfinite(a).all():
            yield "numerical error", {c.EXPLODING}, "wdr"
        if not a.any():
            yield "numerical error", {c.DEAD, c.SYMMETRIC}, "wdr"
        if "relu" in name and number == len(trace.moments) - 1 and np.mean(a <= 0) >= DEAD_SHARE:
            yield "dead node", {c.DEAD}, "dwr"
        is_far = name in ("tanh", "sigmoid") and np.mean(np.abs(moment.z[i]) >= SATURATED_AT) > SATURATED_SHARE
        if number % EVERY == 0 and is_far:
            yield "saturated activation", {c.SATURATED}, "dwr"


def _metrics(trace: Trace, number: int, moment: Moment) -> Iterator[Symptom]:
    if trace.diverged and number == len(trace.moments) - 1:
        yield "invalid loss", {c.EXPLODING}, "ro"
    if number % EVERY == 0 and np.ptp(trace.train_loss[: moment.epoch][-EVERY:]) == 0:
        yield "loss not decreasing", set(), "wdro"
    recent = [m.score for m in trace.moments[number - 19 : number + 1]]
    if number % 20 == 0 and trace.setup.data.task == "classification" and np.ptp(recent) == 0:
        yield "accuracy not increasing", set(), "wdro"


def _backward(moment: Moment) -> Iterator[Symptom]:
    for gradient in reversed(moment.gradient):
        if not np.isfinite(gradient).all():
            yield "numerical error", {c.EXPLODING}, ""
        if not gradient.any():
            yield "numerical error", {c.DEAD, c.SYMMETRIC}, ""
        if np.abs(gradient).mean() < VANISHED:
            yield "vanishing gradient", {c.VANISHING}, "r"


def _still(trace: Trace, number: int, tensors: Callable[[Moment], list[Array]]) -> bool:
    """Whether the mean of some layer's tensor is the same number at the last five moments."""
    recent = np.array([[x.mean() for x in tensors(m)] for m in trace.moments[number - EVERY + 1 : number + 1]])
    return bool((np.ptp(recent, axis=0) == 0).any())


def _advised(trace: Trace, moment: Moment, questions: str) -> set[str]:
    """The first question that is answered with yes: w weights, d data, r learning rate, o optimizer."""
    for question in questions:
        found: set[str] = set()
        if question == "w":
            found = _poor_weights(moment.W)
        elif question == "d" and np.abs(trace.setup.data.train.X).max() > 1:
            found = {c.INPUTS}
        elif question == "r":
            found = _poor_rate(trace, moment)
        elif question == "o":
            found = {c.PLATEAU}
        if found:
            return found
    return set()


def _poor_weights(matrices: list[Array]) -> set[str]:
    low, high = VARIANCES
    if any(W.var(ddof=1) > high for W in matrices if W.size > 1):
        return {c.EXPLODING, c.SATURATED}
    return {c.SYMMETRIC, c.VANISHING} if any(W.var(ddof=1) < low for W in matrices if W.size > 1) else set()


def _poor_rate(trace: Trace, moment: Moment) -> set[str]:
    norms = [(np.linalg.norm(W), np.linalg.norm(g)) for W, g in zip(moment.W, moment.gradient, strict=True)]
    ratios = [trace.setup.rate * g / W for W, g in norms if W > 0]
    if any(ratio > 100 * RATE for ratio in ratios):
        return {c.HIGH}
    return {c.LOW} if any(ratio < RATE / 100 for ratio in ratios) else set()


DEEPDIAGNOSIS = RuleSet(
    "DeepDiagnosis",
    "Wardat et al., ICSE 2022",
    judge,
    frozenset(
        {c.VANISHING, c.EXPLODING, c.DEAD, c.SATURATED, c.SYMMETRIC, c.INPUTS, c.TARGET, c.HIGH, c.LOW, c.PLATEAU}
    ),
)
