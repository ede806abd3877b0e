"""What speaks for each cause before anything is changed, and what the cause does, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from schuss.diagnosis import thresholds
from schuss.diagnosis.evidence import Evidence
from schuss.show.formatting import significant


class Sign(NamedTuple):
    """A suspicion: the layers (from 1), the figures that raise it, and what it does in words."""

    layers: tuple[int, ...]
    figures: dict[str, float]
    explanation: str


Look: TypeAlias = Callable[[Evidence], Sign | None]


# ---------------------------------------------------------------------------------------------- network and data


def symmetric(seen: Evidence) -> Sign | None:
    """All units of a layer start alike."""
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
    """No hidden layer bends."""
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
    """An input that is not of size 1."""
    scales, far = seen.input_scales, thresholds.FARTHEST_SCALE
    if not len(scales) or (scales.max() <= far and scales.min() >= 1 / far):
        return None
    smallest, largest = float(scales.min()), float(scales.max())
    return Sign(
        (1,),
        {"smallest_scale": smallest, "largest_scale": largest},
        f"The inputs are of size {significant(smallest)} to {significant(largest)}, but initial weights are made for "
        "size 1: large inputs drown out small ones and throw every step far off, small ones hardly count.",
    )


def unscaled_target(seen: Evidence) -> Sign | None:
    """Numbers to predict that are not of size 1."""
    scale, far = seen.target_scale, thresholds.FARTHEST_SCALE
    if 1 / far <= scale <= far:
        return None
    effect = (
        "the error, and with it the gradient, is so large that steps go astray, or it takes the whole training to get "
        "near."
        if scale > 1
        else "what is to be learned is lost in what it says at random."
    )
    return Sign(
        (),
        {"target_scale": scale},
        f"The numbers to predict are of size {significant(scale)}, but a fresh network says numbers of size "
        f"1: {effect}",
    )


# ---------------------------------------------------------------------------------------------- signal and gradient


def saturated(seen: Evidence) -> Sign | None:
    """Bounded activations on their flat ends, before training."""
    shares, size = seen.flow.saturated, seen.flow.z_rms
    layers = tuple(
        n for n in seen.bounded_layers if shares[n - 1] >= thresholds.SATURATED and size[n - 1] >= thresholds.LARGE_Z
    )
    if not layers:
        return None
    worst = max(layers, key=lambda n: shares[n - 1]) - 1
    share, z = float(shares[worst]), float(size[worst])
    return Sign(
        layers,
        {"saturated": share, "z_rms": z},
        f"Before training begins, z is of size {significant(z)} in layer {worst + 1}, where 1 would do: "
        f"{100 * share:.0f} % of its units sit on the flat ends of {seen.flow.layers[worst].activation}. There the "
        "slope is almost 0, and hardly any gradient comes through.",
    )


def dead(seen: Evidence) -> Sign | None:
    """Units that say the same on every row, with slope 0, before training."""
    return _dead_in(seen.dead, "before training begins")


def died(seen: Evidence) -> Sign | None:
    """Units whose slope is 0 on every row, after training."""
    ends = np.array([run.after.dead for run in seen.trained.runs])
    return _dead_in(np.median(ends, axis=0), "after training")


def _dead_in(shares: NDArray[np.float64], when: str) -> Sign | None:
    layers = tuple(n for n, dead in enumerate(shares, 1) if dead >= thresholds.DEAD)
    if not layers:
        return None
    worst = int(np.argmax(shares))
    return Sign(
        layers,
        {"dead": float(shares[worst])},
        f"{100 * shares[worst]:.0f} % of the units of layer {worst + 1} are dead {when}: their slope is 0 on every "
        "row. No gradient comes through them, and none will ever move them again.",
    )


def stands_still(seen: Evidence) -> Sign | None:
    """A vanishing gradient of which the optimizer leaves the first layer nothing to move by."""
    first, last = _update(seen, 0), _update(seen, -1)
    moves = first >= max(thresholds.MOVES * last, thresholds.STILL)
    return None if moves else vanishing(seen)


def vanishing(seen: Evidence) -> Sign | None:
    """The gradient that reaches layer 1 is a small share of that of the last hidden layer."""
    relative, phi = seen.flow.relative, seen.flow.layers[0].activation
    first, kept = float(relative[0]), 10**-seen.flow.decades_per_layer
    if first >= thresholds.VANISHED:
        return None
    slope = f" (the slope of {phi} is at most {phi.largest_slope:.2g})" if phi.largest_slope < 1 else ""
    return Sign(
        tuple(n for n, x in enumerate(relative, 1) if not x >= thresholds.VANISHED),
        {
            "relative_first": first,
            "kept_per_layer": kept,
            "update_ratio_first": _update(seen, 0),
            "update_ratio_last": _update(seen, -1),
        },
        f"Each layer passes on {significant(kept)} of the gradient on its way back{slope}; {len(relative)} layers "
        f"leave {significant(first)} of it for the first one. The first layers hardly move, and all others learn from "
        "what these make of the inputs at random.",
    )


def exploding(seen: Evidence) -> Sign | None:
    """The gradient that reaches layer 1, or the loss before training, is many times too large."""
    relative, loss = seen.flow.relative, seen.initial_loss
    grew = relative[0] > thresholds.EXPLODED or loss > thresholds.EXPLODED  # neither where it is no number
    if not grew or saturated(seen) is not None:  # of a bounded activation's explosion the flat ends tell
        return None
    grows, z = 10**-seen.flow.decades_per_layer, float(seen.flow.z_rms[-1])
    return Sign(
        tuple(n for n, x in enumerate(relative, 1) if x > thresholds.EXPLODED) or tuple(range(1, len(relative) + 1)),
        {"relative_first": float(relative[0]), "kept_per_layer": grows, "z_rms_last": z, "initial_loss": loss},
        f"Each layer multiplies the gradient by {significant(grows)} on its way back, and on its way through the "
        f"signal has grown to {significant(z)} in the last hidden layer, where 1 would do. Before training the loss is "
        f"{significant(loss)} times that of a constant prediction, and every step is far too long.",
    )


def _update(seen: Evidence, layer: int) -> float:
    """The median over the seeds of a layer's update ratio at the end."""
    return float(np.median([run.after.update_ratio[layer] for run in seen.trained.runs]))


# ---------------------------------------------------------------------------------------------- the recipe


def rate_too_high(seen: Evidence) -> Sign:
    """Always worth a try; what it does depends on whether the training diverged."""
    rate, runs = seen.case.recipe.optimizer.lr, seen.trained.runs
    diverged = float(np.mean([run.diverged for run in runs]))
    rises = float(np.median([np.mean(np.diff(run.losses) > 0) if len(run.losses) > 1 else 0.0 for run in runs]))
    if diverged >= 0.5:
        shown = "the numbers grow without bound"
    elif rises > 0.1:
        shown = f"the loss goes up and down, up in {100 * rises:.0f} % of the epochs"
    else:
        shown = "the loss does not go down"
    return Sign(
        (),
        {"learning_rate": rate, "diverged": diverged, "rises": rises},
        f"At a learning rate of {rate:g} {shown}: each step jumps over the valley and lands farther up its other side.",
    )


def rate_too_low(seen: Evidence) -> Sign:
    """Always worth a try."""
    recipe, rows = seen.case.recipe, len(seen.case.data.train)
    rate, moved = recipe.optimizer.lr, _update(seen, -1)
    updates = recipe.epochs * -(-rows // min(recipe.batch_size or rows, rows))
    return Sign(
        (),
        {"learning_rate": rate, "updates": updates, "update_ratio_last": moved},
        f"At a learning rate of {rate:g}, {updates:,} updates end long before the valley: the last one changed the "
        f"weights of the last hidden layer by {significant(moved)} of their size. As many updates with longer steps "
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
        f"All {rows} rows make one update, so that {recipe.epochs} epochs are {recipe.epochs} updates, without the "
        "noise that carries descent off a plateau; no learning rate makes up for it. In mini-batches the same passes "
        f"over the data make {recipe.epochs * -(-rows // 32):,} updates.",
    )


# ---------------------------------------------------------------------------------------------- new rows


def overfitting(seen: Evidence) -> Sign | None:
    """The validation loss is far above its lowest, while the training rows are learned."""
    own = seen.trained
    lost = own.best_valid_learned - own.valid_learned
    if lost < thresholds.OVERFITTED or own.learned < thresholds.BY_HEART:
        return None
    best, now = 1 - own.best_valid_learned, 1 - own.valid_learned
    return Sign(
        (),
        {
            "learned": own.learned,
            "valid_learned": own.valid_learned,
            "best_valid_learned": own.best_valid_learned,
        },
        f"Of the loss of a constant prediction {significant(1 - own.learned)} is left on the rows it learned from. On "
        f"others {significant(best)} was left in the best epoch and {significant(now)} is at the end: the network "
        "memorizes the training rows, at the expense of the rule it learned before.",
    )
