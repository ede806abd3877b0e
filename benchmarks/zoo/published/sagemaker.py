"""Amazon SageMaker Debugger's built-in rules for deep networks, with the defaults of its documentation.

Source: "List of Debugger built-in rules", Amazon SageMaker AI Developer Guide,
docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-rules.html (rules and defaults; the code is not public).
Rules are asked in the order of the documentation. Where it leaves open which tensors a rule reads, weight matrices and
their gradients are taken.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from benchmarks.zoo import causes as c
from benchmarks.zoo.published import RuleSet, Verdict
from benchmarks.zoo.traces import Moment, Trace

TANH_LIMITS, SIGMOID_LIMITS = (-9.4999, 9.4999), (-23.0, 16.99999)


def dead_relu(trace: Trace) -> bool:
    """More than 50 % of the units of a layer with "relu" in its name are active on less than 1 % of the rows."""
    layers = [i for i in trace.hidden if "relu" in trace.activations[i].lower()]
    return trace.mostly(lambda m: any(np.mean(np.mean(m.a[i] > 0, axis=0) < 0.01) > 0.5 for i in layers))


def exploding_tensor(trace: Trace) -> bool:
    """Once: a gradient, or the loss, is infinite or NaN."""
    return trace.diverged or any(not np.isfinite(g).all() for m in trace.moments for g in m.gradient)


def poor_weight_initialization(trace: Trace) -> bool:
    """At the start the inputs of the ReLU layers differ in variance by more than 10, or the middle 90 % of a gradient
    lie within 0.001; and the loss has not decreased after 5 epochs.
    """
    first, losses = trace.moments[0], trace.train_loss[:6]
    variances = [first.z[i].var() for i in trace.hidden if "relu" in trace.activations[i].lower()]
    spread = [np.subtract(*np.percentile(g, [95, 5])) for g in first.gradient]
    uneven = len(variances) > 1 and max(variances) > 10 * min(variances)
    return bool(uneven or min(spread) < 0.001) and not losses[-1] < losses[0]


def saturated_activation(trace: Trace) -> bool:
    """More than 50 % of the units of a tanh or sigmoid layer get inputs within its limits on less than 1 % of rows."""
    limits = {"tanh": TANH_LIMITS, "sigmoid": SIGMOID_LIMITS}
    layers = [(i, *limits[name]) for i, name in enumerate(trace.activations) if name in limits]

    def is_saturated(m: Moment) -> bool:
        return any(np.mean(np.mean((m.z[i] > low) & (m.z[i] < high), axis=0) < 0.01) > 0.5 for i, low, high in layers)

    return trace.mostly(is_saturated)


def vanishing_gradient(trace: Trace) -> bool:
    """The mean of |gradient| of a weight matrix is below 1e-7."""
    return trace.mostly(lambda m: any(np.abs(g).mean() < 1e-7 for g in m.gradient))


def _update_ratios(trace: Trace) -> list[list[float]]:
    """‖change‖ / (‖W‖ + 1e-9) of every weight matrix from moment to moment."""
    return [
        [float(np.linalg.norm(new - old) / (np.linalg.norm(old) + 1e-9)) for old, new in zip(a.W, b.W, strict=True)]
        for a, b in pairwise(trace.moments)
    ]


def large_weight_update(trace: Trace) -> bool:
    """Once: the ratio of update to weight is above 10."""
    return any(ratio > 10 for ratios in _update_ratios(trace) for ratio in ratios)


def small_weight_update(trace: Trace) -> bool:
    """The ratio of update to weight is below 1e-8 between most moments."""
    small = [min(ratios) < 1e-8 for ratios in _update_ratios(trace)]
    return sum(small) > len(small) / 2


def all_zero(trace: Trace) -> bool:
    """100 % of a weight matrix, or of a hidden layer's outputs, are 0."""
    return trace.mostly(lambda m: not all(x.any() for x in [*m.W, *m.a[:-1]]))


def loss_not_decreasing(trace: Trace) -> bool:
    """Over at least 10 steps the loss decreases by less than 0.1 %: at more than half of the evaluations.

    Of every epoch's mean loss, which is less noisy than the loss of a batch.
    """
    steps = -(-len(trace.setup.data.train) // (trace.setup.recipe.batch_size or 10**9))
    losses = trace.train_loss[:: -(-10 // steps)]
    stuck = losses[1:] > losses[:-1] * (1 - 0.001)
    return len(stuck) > 0 and bool(stuck.mean() > 0.5)


def overfit(trace: Trace) -> bool:
    """(validation loss − training loss) / training loss is above 0.1 at more than half of the epochs."""
    return bool(np.mean(trace.valid_loss - trace.train_loss > 0.1 * trace.train_loss) > 0.5)


def unchanged_tensor(trace: Trace) -> bool:
    """A weight matrix stays, by numpy.allclose, what it was over 3 moments."""

    def still(a: Moment, b: Moment) -> bool:
        return any(np.allclose(old, new) for old, new in zip(a.W, b.W, strict=True))

    pairs = [still(a, b) for a, b in zip(trace.moments, trace.moments[2:], strict=False)]
    return sum(pairs) > len(pairs) / 2


RULES = {
    "DeadRelu": (dead_relu, {c.DEAD}),
    "ExplodingTensor": (exploding_tensor, {c.EXPLODING}),
    "PoorWeightInitialization": (poor_weight_initialization, {c.SYMMETRIC, c.VANISHING, c.EXPLODING}),
    "SaturatedActivation": (saturated_activation, {c.SATURATED}),
    "VanishingGradient": (vanishing_gradient, {c.VANISHING}),
    "WeightUpdateRatio, large": (large_weight_update, {c.HIGH}),
    "WeightUpdateRatio, small": (small_weight_update, {c.LOW}),
    "AllZero": (all_zero, {c.SYMMETRIC, c.DEAD}),
    "LossNotDecreasing": (loss_not_decreasing, {c.LOW, c.PLATEAU, c.NOTHING}),
    "Overfit": (overfit, {c.OVERFITTING}),
    "UnchangedTensor": (unchanged_tensor, {c.LOW}),
}


def judge(trace: Trace) -> list[Verdict]:
    return [Verdict(name, frozenset(causes)) for name, (is_met, causes) in RULES.items() if is_met(trace)]


SAGEMAKER = RuleSet(
    "SageMaker Debugger",
    "Amazon SageMaker AI Developer Guide, List of Debugger built-in rules",
    judge,
    frozenset().union(*(causes for _, causes in RULES.values())),
)
