"""What speaks for each cause before anything is changed: `SIGNS`, root causes before what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from schuss.insight.diagnosis import thresholds
from schuss.insight.diagnosis.evidence import Evidence
from schuss.wording import significant


class Sign(NamedTuple):
    """A suspicion: the layers (from 1), the figures that raise it, and what it does in words."""

    layers: tuple[int, ...]
    figures: dict[str, float]
    explanation: str


Look: TypeAlias = Callable[[Evidence], Sign | None]


def symmetric(seen: Evidence) -> Sign | None:
    layers = seen.symmetric_layers
    if not layers:
        return None
    units = seen.flow.layers[layers[0] - 1].n_out
    return Sign(
        layers,
        {"units": units, "different_units": 1},
        f"All {units} units of a layer start with the same weights. They compute the same, get the same gradient and "
        "stay the same: each layer is worth one unit.",
    )


def linear(seen: Evidence) -> Sign | None:
    layers = seen.linear_layers
    if not layers or len(layers) < len(seen.flow.layers):
        return None
    return Sign(
        layers,
        {"layers": len(layers)},
        f"{len(layers)} layers without a bend are one linear map, however deep: the network can draw straight lines "
        "only, and what it is to learn is not straight.",
    )


def unscaled_inputs(seen: Evidence) -> Sign | None:
    scales, far = seen.input_scales, thresholds.FARTHEST_SCALE
    if not len(scales) or (scales.max() <= far and scales.min() >= 1 / far):
        return None
    return Sign(
        (1,),
        {"smallest_scale": float(scales.min()), "largest_scale": float(scales.max())},
        f"The inputs are of size {significant(float(scales.min()))} to {significant(float(scales.max()))}, but initial "
        "weights are made for size 1: large inputs drown out the small ones, and push units to where they are flat.",
    )


def unscaled_target(seen: Evidence) -> Sign | None:
    scale, far = seen.target_scale, thresholds.FARTHEST_SCALE
    if 1 / far <= scale <= far:
        return None
    return Sign(
        (),
        {"target_scale": scale},
        f"The numbers to predict are of size {significant(scale)}, but a fresh network says numbers of size 1: the "
        + ("error and its gradient are so large that steps go astray." if scale > 1 else "error is lost in its noise."),
    )


def saturated(seen: Evidence) -> Sign | None:
    shares = seen.flow.saturated
    layers = tuple(n for n in seen.bounded_layers if shares[n - 1] >= thresholds.SATURATED)
    if not layers:
        return None
    worst = float(max(shares[n - 1] for n in layers))
    return Sign(
        layers,
        {"saturated": worst, "z_rms": float(seen.flow.z_rms[[n - 1 for n in layers]].max())},
        f"{100 * worst:.0f} % of the units sit on the flat ends of their activation before training begins: there the "
        "slope is almost 0, and no gradient comes through.",
    )


def dead(seen: Evidence) -> Sign | None:
    return _dead_in(seen.flow.dead, "before training begins")


def died(seen: Evidence) -> Sign | None:
    ends = np.array([run.after.dead for run in seen.trained.runs])
    return _dead_in(np.median(ends, axis=0), "after training")


def _dead_in(shares: Sequence[float] | np.ndarray, when: str) -> Sign | None:
    layers = tuple(n for n, dead in enumerate(shares, 1) if dead >= thresholds.DEAD)
    if not layers:
        return None
    worst = float(np.max(shares))
    return Sign(
        layers,
        {"dead": worst},
        f"{100 * worst:.0f} % of the units of a layer are dead {when}: their slope is 0 on every row, so no gradient "
        "will ever move them again.",
    )


def vanishing(seen: Evidence) -> Sign | None:
    first = float(seen.flow.relative[0])
    if first >= thresholds.VANISHED:
        return None
    relative = seen.flow.relative
    kept = 10**-seen.flow.decades_per_layer
    depth, layers = len(relative), tuple(n for n, x in enumerate(relative, 1) if not x >= thresholds.VANISHED)
    return Sign(
        layers,
        {
            "relative_first": first,
            "kept_per_layer": kept,
            "update_ratio_first": _update(seen, 0),
            "update_ratio_last": _update(seen, -1),
        },
        f"Each layer passes on {significant(kept)} of the gradient; {depth} layers leave {significant(first)} of it for "
        "the first one, which hardly moves.",
    )


def exploding(seen: Evidence) -> Sign | None:
    first, loss = float(seen.flow.relative[0]), seen.initial_loss
    if first <= thresholds.EXPLODED and loss <= thresholds.EXPLODED:
        return None
    grows = 10**-seen.flow.decades_per_layer
    relative = seen.flow.relative
    return Sign(
        tuple(n for n, x in enumerate(relative, 1) if x > thresholds.EXPLODED) or tuple(range(1, len(relative) + 1)),
        {
            "relative_first": first,
            "kept_per_layer": grows,
            "z_rms_last": float(seen.flow.z_rms[-1]),
            "initial_loss": loss,
        },
        f"Each layer multiplies the gradient by {significant(grows)} on its way back, and the signal grows to "
        f"{significant(float(seen.flow.z_rms[-1]))} on its way through: steps are too long by far.",
    )


def _update(seen: Evidence, layer: int) -> float:
    """The median over the seeds of a layer's update ratio at the end."""
    return float(np.median([run.after.update_ratio[layer] for run in seen.trained.runs]))


def rate_too_high(seen: Evidence) -> Sign:
    """Always worth a try; what it does depends on whether the training diverged."""
    rate, runs = seen.case.recipe.optimizer.lr, seen.trained.runs
    diverged = float(np.mean([run.diverged for run in runs]))
    rises = float(np.median([np.mean(np.diff(run.losses) > 0) if len(run.losses) > 1 else 0.0 for run in runs]))
    shown = (
        "The numbers grow beyond all bounds"
        if diverged >= 0.5
        else f"The loss goes up and down, up in {100 * rises:.0f} % of the epochs,"
        if rises > 0.1
        else "The loss does not go down"
    )
    return Sign(
        (),
        {"learning_rate": rate, "diverged": diverged, "rises": rises},
        f"{shown} at a learning rate of {rate:g}: each step jumps over the valley and lands farther up on its other side.",
    )


def rate_too_low(seen: Evidence) -> Sign:
    """Always worth a try."""
    rate, recipe = seen.case.recipe.optimizer.lr, seen.case.recipe
    rows = len(seen.case.data.train)
    updates = recipe.epochs * -(-rows // min(recipe.batch_size or rows, rows))
    return Sign(
        (),
        {"learning_rate": rate, "updates": updates, "update_ratio_last": _update(seen, -1)},
        f"At a learning rate of {rate:g}, {updates:,} updates end long before the valley: the last one changed the weights "
        f"of the last hidden layer by {significant(_update(seen, -1))} of their size. The same updates with longer steps "
        "get there.",
    )


def full_batch(seen: Evidence) -> Sign | None:
    """Few updates, each without noise."""
    rows, recipe = len(seen.case.data.train), seen.case.recipe
    if recipe.batch_size is not None and 2 * recipe.batch_size <= rows:
        return None
    return Sign(
        (),
        {"rows": rows, "updates": recipe.epochs},
        f"All {rows} rows make one update, so that {recipe.epochs} epochs are {recipe.epochs} updates, without the noise "
        "that carries descent off a plateau; no learning rate makes up for it. In mini-batches the same passes over the "
        f"data make {recipe.epochs * -(-rows // 32):,} updates.",
    )


def overfitting(seen: Evidence) -> Sign | None:
    """The validation loss is far above its lowest, while the training loss went on falling."""
    own = seen.trained
    lost = own.best_valid_learned - own.valid_learned
    if lost < thresholds.OVERFITTED or own.learned - own.valid_learned < thresholds.OVERFITTED:
        return None
    return Sign(
        (),
        {"learned": own.learned, "valid_learned": own.valid_learned, "best_valid_learned": own.best_valid_learned},
        f"Training removed {100 * own.learned:.0f} % of the loss on the rows it saw, but on others it is back at "
        f"{significant(1 - own.valid_learned)} of the constant predictor's, from {significant(1 - own.best_valid_learned)} at best: the network "
        "learns these rows by heart.",
    )
