"""NeuroScope's training monitors: what stands at red.

Source: NeuroScope, "Technical Deep Dive", neuroscope.dev, and its code, github.com/ahmadrazacdx/neuro-scope
(diagnostics/training_monitors.py). A monitor counts as red when it is red at more than half of the moments; they are
asked in the order in which the tool shows them. Progress and signal-to-noise name no cause and are left out.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from benchmarks.zoo import causes as c
from benchmarks.zoo.published import RuleSet, Verdict
from benchmarks.zoo.traces import Array, Moment, Trace


def dead_neurons(trace: Trace) -> bool:
    """More than 30 % of the hidden units give 0 on more than 90 % (ReLU) or 85 % (others) of the rows."""

    def is_red(m: Moment) -> bool:
        dead = total = 0
        for i, name in enumerate(trace.activations):
            tolerance, share = (1e-8, 0.9) if name == "relu" else (1e-6, 0.85) if "relu" in name else (1e-7, 0.85)
            dead += int(np.sum(np.mean(np.abs(m.a[i]) <= tolerance, axis=0) > share))
            total += m.a[i].shape[1]
        return dead > 0.3 * total

    return trace.mostly(is_red)


def vanishing(trace: Trace) -> bool:
    """The variance of the gradient falls from layer to layer by more than 5.2 on average, or a layer's RMS < 1e-5."""

    def is_red(m: Moment) -> bool:
        variances = [float(g.var()) for g in m.gradient]
        ratios = [a / b for a, b in pairwise(variances) if b > 1e-12]
        severity = min(0.8, (np.mean(ratios) - 2) / 8) if ratios and np.mean(ratios) > 2 else 0.0
        return bool(severity >= 0.4 or min(np.sqrt(np.mean(g**2)) for g in m.gradient) < 1e-5)

    return trace.mostly(is_red)


def exploding(trace: Trace) -> bool:
    """Severity from the norm of all gradients above 5 or 10, and of one layer above 5, is at least 0.4."""

    def is_red(m: Moment) -> bool:
        norms = np.array([np.linalg.norm(g) for g in m.gradient])
        total = float(np.sqrt(np.sum(norms**2)))
        severity = min(1.0, (total - 10) / 10) if total > 10 else 0.6 * (total - 5) / 5 if total > 5 else 0.0
        severity += min(0.5, (norms.max() - 5) / 5) if norms.max() > 5 else 0.0
        return not severity < 0.4  # NaN is red

    return trace.mostly(is_red)


def poor_weights(trace: Trace) -> bool:
    """Weight health below 0.5: standard deviation within a factor of 2 of He's, less than 10 % zeros, finite."""

    def health(W: Array) -> float:
        ratio = W.std() / np.sqrt(2 / W.shape[0])
        return (float(0.5 <= ratio <= 2) + float(np.mean(np.abs(W) < 1e-8) < 0.1) + float(np.isfinite(W).all())) / 3

    return trace.mostly(lambda m: bool(np.mean([health(W) for W in m.W]) < 0.5))


def large_updates(trace: Trace) -> bool:
    """lr·‖g‖ / ‖W‖, the median over layers, is above 0.05."""
    return trace.mostly(lambda m: _update_ratio(trace, m) > 5e-2)


def small_updates(trace: Trace) -> bool:
    """lr·‖g‖ / ‖W‖, the median over layers, is below 0.0001."""
    return trace.mostly(lambda m: _update_ratio(trace, m) < 1e-4)


def _update_ratio(trace: Trace, m: Moment) -> float:
    norms = [(np.linalg.norm(W), np.linalg.norm(g)) for W, g in zip(m.W, m.gradient, strict=True)]
    ratios = [trace.setup.rate * g / W for W, g in norms if W > 1e-10]
    return float(np.median(ratios)) if ratios else np.nan


def saturation(trace: Trace) -> bool:
    """0.5 · extreme + 0.3 · too narrow + 0.2 · gradient-dead, a mean in which early layers weigh more, > 0.25."""

    def is_red(m: Moment) -> bool:
        n = len(trace.activations)
        layers = [_saturated(m.a[i].ravel(), name) * (1 + 0.1 * (n - i)) for i, name in enumerate(trace.activations)]
        return bool(np.mean(layers) / 1.5 > 0.25)

    return trace.mostly(is_red)


def _saturated(a: Array, name: str) -> float:
    variance = a.var()
    if name == "tanh":
        extreme, flat = np.mean(np.abs(a) > 0.9), np.mean(np.abs(a) > 1.5)
        narrow = 0.4 if variance < 0.05 else 0.2 if variance < 0.1 else 0.0
    elif name == "sigmoid":
        extreme, flat = np.mean((a > 0.9) | (a < 0.1)), np.mean((a < 0.05) | (a > 0.95))
        narrow = 0.4 if variance < 0.02 else 0.2 if variance < 0.05 else 0.0
    else:
        low, high = np.percentile(a, [1, 99])
        extreme = np.mean(a > 10) if name in ("relu", "leaky_relu") else 0.8 if high - low < 0.1 else 0.0
        flat, narrow = 0.0, 0.3 if variance < 0.01 else 0.0
    return float(0.5 * extreme + 0.3 * narrow + 0.2 * flat)


def plateau(trace: Trace) -> bool:
    """At the end: score of stagnation over the last 5, 10 and 15 epochs, of an effect below 0.2, and of both losses."""
    losses, valid = trace.train_loss, trace.valid_loss
    if len(losses) < 15:
        return False
    score = sum(weight * _stagnation(losses[-n:]) for n, weight in ((5, 0.2), (10, 0.4), (15, 0.4)))
    if len(losses) >= 20:
        early, recent = losses[-20:-10], losses[-10:]
        pooled = (early.var() + recent.var()) / 2
        effect = abs(early.mean() - recent.mean()) / np.sqrt(pooled) if pooled > 1e-10 else np.inf
        score += 0.3 if effect < 0.2 else 0.1 if effect < 0.5 else 0.0
    spread = max(x[-10:].var() / (x[-10:].mean() ** 2 + 1e-8) for x in (losses, valid))
    score += 0.2 if spread < 1e-3 else 0.1 if spread < 1e-2 else 0.0
    return bool(min(1.0, score) >= 0.5)


def _stagnation(window: Array) -> float:
    slope = np.polyfit(np.arange(len(window)), window, 1)[0] / (window[0] + 1e-8)
    return ((window.var() / (window.mean() ** 2 + 1e-8) < 1e-4) + (abs(slope) < 1e-4)) / 2


def overfit(trace: Trace) -> bool:
    """At the end: score of the gap between the losses, of a rising validation loss, and of both going apart, ≥ 0.4."""
    train, valid = trace.train_loss, trace.valid_loss
    if len(valid) < 5:
        return False
    gap = (valid[-1] - train[-1]) / (train[-1] + 1e-8)
    score = 0.4 if gap > 0.5 else 0.25 if gap > 0.2 else 0.1 if gap > 0.1 else 0.0
    if len(valid) >= 10:
        slope = np.polyfit(np.arange(10), valid[-10:], 1)[0]
        score += 0.35 if slope > 0.01 else 0.2 if slope > 0.005 else 0.1 if slope > 0.001 else 0.0
    trends = [(x[-1] - x[-5]) / (x[-5] + 1e-8) for x in (train, valid)]
    score += 0.25 if trends[0] < -0.01 and trends[1] > 0.01 else 0.15 if trends[0] < 0 < trends[1] else 0.0
    return bool(score >= 0.4)


MONITORS = {
    "dead neurons": (dead_neurons, {c.DEAD}),
    "vanishing gradient": (vanishing, {c.VANISHING}),
    "exploding gradient": (exploding, {c.EXPLODING}),
    "weight health": (poor_weights, {c.SYMMETRIC, c.VANISHING, c.EXPLODING}),
    "weight update ratio, high": (large_updates, {c.HIGH}),
    "weight update ratio, low": (small_updates, {c.LOW}),
    "saturation": (saturation, {c.SATURATED}),
    "plateau": (plateau, {c.PLATEAU, c.LOW, c.NOTHING}),
    "overfitting": (overfit, {c.OVERFITTING}),
}


@np.errstate(all="ignore")
def judge(trace: Trace) -> list[Verdict]:
    return [Verdict(name, frozenset(causes)) for name, (is_met, causes) in MONITORS.items() if is_met(trace)]


NEUROSCOPE = RuleSet(
    "NeuroScope",
    "neuroscope.dev, Technical Deep Dive",
    judge,
    frozenset().union(*(causes for _, causes in MONITORS.values())),
)
