"""The causes a visit can name, and the cures of each, in order of least change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from schuss.diagnosis import cures, signs, thresholds
from schuss.diagnosis.cases import Case
from schuss.diagnosis.cures import Cure
from schuss.diagnosis.laboratory import Measured
from schuss.diagnosis.signs import Look

CAUSES = (
    "vanishing_gradient", "exploding_gradient", "dead_units", "saturated_units", "symmetric_weights",
    "no_nonlinearity", "unscaled_inputs", "unscaled_target", "learning_rate_too_high", "learning_rate_too_low",
    "plateau_of_full_batch", "overfitting", "nothing_to_learn",
)  # fmt: skip
"""Every cause that a finding can name."""


class Suspect(NamedTuple):
    """A cause with the sign that raises the suspicion.

    `direct` cures undo the cause itself: if none of them helps, it is not the cause. `relief` may help with others,
    too.
    """

    cause: str
    look: Look
    direct: Callable[[Case], Sequence[Cure]]
    relief: Sequence[Cure] = ()

    def helps(self, before: Measured, after: Measured) -> bool:
        """Whether a cure clearly raises the share of the loss that is gone, and not by memorizing."""
        gain = after.learned - before.learned
        elsewhere = after.best_valid_learned - max(before.valid_learned, 0.0)
        return (
            gain >= thresholds.LEAST_GAIN
            and max(before.learned, 0.0) <= thresholds.CLEARLY_WORSE * after.learned
            and elsewhere >= thresholds.ALSO_ON_NEW_ROWS * min(gain, after.learned)
        )

    def restores(self, after: Measured, helping: Sequence[Measured]) -> bool:
        """Whether a cure comes close to the best that was tried.

        On the rows that were learned from, on others, and from its worst seed: a cure that fails from one seed in three
        may fail from the user's.
        """
        return (
            _is_as_good(after.learned, [other.learned for other in helping])
            and _is_as_good(after.best_valid_learned, [other.best_valid_learned for other in helping])
            and _is_as_good(after.worst_learned, [other.worst_learned for other in helping])
        )


class Overfitting(Suspect):
    """Overfitting: a cure must raise the score on held-out rows."""

    def helps(self, before: Measured, after: Measured) -> bool:
        """Whether the validation loss ends clearly lower, while the network still learns."""
        return after.valid_learned - before.valid_learned >= thresholds.LEAST_GAIN and after.valid_learned > 0

    def restores(self, after: Measured, helping: Sequence[Measured]) -> bool:
        """Whether a cure comes close to the best that was tried, on new rows."""
        return _is_as_good(after.valid_learned, [other.valid_learned for other in helping])


def _is_as_good(x: float, tried: Sequence[float]) -> bool:
    return x >= thresholds.AS_GOOD * max(0.0, *tried)


def _always(*chosen: Cure) -> Callable[[Case], Sequence[Cure]]:
    return lambda _: chosen


def _against_vanishing(case: Case) -> Sequence[Cure]:
    return cures.INIT_AUTO, *cures.tailored(case), cures.TANH, cures.RELU


_VANISHING = (_against_vanishing, (cures.ADAM, cures.LAYER_NORM, cures.RESIDUAL, cures.with_adam(cures.TANH)))

SUSPECTS = (
    Suspect("symmetric_weights", signs.symmetric, _always(cures.INIT_AUTO)),
    Suspect("no_nonlinearity", signs.linear, _always(cures.RELU, cures.TANH, cures.with_adam(cures.TANH))),
    Suspect("unscaled_inputs", signs.unscaled_inputs, _always(cures.STANDARD_INPUTS)),
    Suspect("unscaled_target", signs.unscaled_target, _always(cures.STANDARD_TARGET)),
    Suspect("exploding_gradient", signs.exploding, _always(cures.INIT_AUTO), (cures.CLIPPED, cures.LAYER_NORM)),
    Suspect("dead_units", signs.dead, _always(cures.BIAS_ZERO, cures.INIT_AUTO), (cures.LEAKY_RELU, cures.LAYER_NORM)),
    Suspect("saturated_units", signs.saturated, _always(cures.INIT_AUTO), (cures.RELU, cures.LAYER_NORM)),
    Suspect("vanishing_gradient", signs.stands_still, *_VANISHING),
    Suspect("learning_rate_too_high", signs.rate_too_high, cures.lower_rates, (cures.CLIPPED,)),
    Suspect("learning_rate_too_low", signs.rate_too_low, cures.higher_rates, (cures.ADAM, cures.LONGER)),
    Suspect(
        "plateau_of_full_batch", signs.full_batch, _always(cures.BATCHES, cures.SGD, cures.MOMENTUM), (cures.ADAM,)
    ),
    Suspect("vanishing_gradient", signs.vanishing, *_VANISHING),
    Suspect("dead_units", signs.died, _always(cures.LEAKY_RELU), (cures.LAYER_NORM,)),
)
"""Root causes before what follows from them: zero weights have a vanishing gradient, too."""

OVERFITTING = Overfitting("overfitting", signs.overfitting, _always(cures.PATIENCE, cures.DROPOUT, cures.DECAY))
