"""AutoTrainer: five training problems of classifiers.

Source: Zhang, Zhai, Ma and Shen, "AUTOTRAINER: An Automatic DNN Training Problem Detection and Repair System", ICSE
2021; conditions, their order and thresholds as in its code, github.com/shiningrain/AUTOTRAINER (utils/monitor.py and
default_param in utils/utils.py). Gradients are those of the first batch, checked at every moment.
"""

from __future__ import annotations

import numpy as np

from benchmarks.zoo import causes as c
from benchmarks.zoo.published import RuleSet, Verdict
from benchmarks.zoo.traces import Moment, Trace

THETA = 0.7  # accuracy that a training should reach
BETA_1, BETA_2, BETA_3 = 1e-3, 1e-4, 70.0  # ‖g₁‖ / ‖g_L‖ and ‖g₁‖ when vanishing, the ratio when exploding
GAMMA = 0.7  # share of zeros in all gradients
ZETA, ETA = 0.03, 0.2  # height of a swing of the accuracy, and swings an epoch
DELTA = 0.01  # improvement of the accuracy between epochs
LARGE_LOSS = 1e3
JUDGED_FROM = 0.3  # share of the epochs before which nothing is judged by the accuracy


def judge(trace: Trace) -> list[Verdict]:
    """The first problem that is found: gradient problems only where the accuracy is too low or stands still."""
    train = np.array([m.score for m in trace.moments[1:]])
    valid = np.array([trace.valid_score[m.epoch - 1] for m in trace.moments[1:] if m.epoch <= len(trace.valid_score)])
    losses = np.concatenate([trace.train_loss, trace.valid_loss])
    if trace.diverged or not np.isfinite(losses).all() or losses.max() >= LARGE_LOSS:
        return [Verdict("exploding gradient", frozenset({c.EXPLODING}))]
    start = int(JUDGED_FROM * len(train))
    for at in range(start, len(train)):
        low = max(train[: at + 1].max(), valid[: at + 1].max()) < THETA
        still = _largest_rise(train[: at + 1]) < DELTA and _largest_rise(valid[: at + 1]) < DELTA
        if (low or still) and (problem := _gradient_problem(trace.moments[1 : at + 2])):
            return [problem]
        if low and still:
            return [Verdict("slow convergence", frozenset({c.LOW, c.PLATEAU}))]
        if _oscillates(train[: at + 1]):
            return [Verdict("oscillating loss", frozenset({c.HIGH}))]
    return []


def _gradient_problem(moments: list[Moment]) -> Verdict | None:
    problems = (("dying ReLU", _is_dying, c.DEAD), ("exploding gradient", _explodes, c.EXPLODING))
    for name, is_met, cause in (*problems, ("vanishing gradient", _vanishes, c.VANISHING)):
        if any(map(is_met, moments)):
            return Verdict(name, frozenset({cause}))
    return None


def _largest_rise(accuracy: np.ndarray) -> float:
    return float(np.diff(accuracy).max(initial=0.0))


def _is_dying(m: Moment) -> bool:
    gradients = [*m.gradient, *m.gradient_bias]
    return sum(int((g == 0).sum()) for g in gradients) >= GAMMA * sum(g.size for g in gradients)


def _first_and_ratio(m: Moment) -> tuple[float, float]:
    first, last = (float(np.linalg.norm(m.gradient[i])) for i in (0, -1))
    return first, first / last if last else np.nan


def _vanishes(m: Moment) -> bool:
    first, ratio = _first_and_ratio(m)
    return ratio < BETA_1 and first < BETA_2


def _explodes(m: Moment) -> bool:
    return _first_and_ratio(m)[1] > BETA_3


def _oscillates(accuracy: np.ndarray) -> bool:
    """Maxima and minima in turn, at least 0.03 apart in a fifth of the epochs."""
    before, here, after = accuracy[:-2], accuracy[1:-1], accuracy[2:]
    maxima = here[(here >= before) & (here >= after)]
    minima = here[(here <= before) & (here <= after)]
    n = min(len(maxima), len(minima))
    return bool(n) and bool(np.sum(maxima[:n] - minima[:n] >= ZETA) >= ETA * len(accuracy))


AUTOTRAINER = RuleSet(
    "AutoTrainer",
    "Zhang et al., ICSE 2021",
    judge,
    frozenset({c.VANISHING, c.EXPLODING, c.DEAD, c.HIGH, c.LOW, c.PLATEAU}),
    only_classification=True,
)
