"""The causes a visit can name, and the cures of each, in order of least change."""

from __future__ import annotations

from typing import NamedTuple

from schuss.insight.diagnosis import cures, signs, thresholds
from schuss.insight.diagnosis.cures import Cure
from schuss.insight.diagnosis.laboratory import Measured
from schuss.insight.diagnosis.signs import Look

CAUSES = (
    "vanishing_gradient", "exploding_gradient", "dead_units", "saturated_units", "symmetric_weights",
    "no_nonlinearity", "unscaled_inputs", "unscaled_target", "learning_rate_too_high", "learning_rate_too_low",
    "plateau_of_full_batch", "overfitting", "nothing_to_learn",
)  # fmt: skip
"""Every cause that a finding can name."""


class Suspect(NamedTuple):
    """A cause with the sign that raises the suspicion.

    `cures` undo the cause itself: if none of them helps, it is not the cause. `relief` helps with other causes, too.
    """

    cause: str
    look: Look
    cures: tuple[Cure, ...]
    relief: tuple[Cure, ...] = ()

    def worth(self, measured: Measured) -> float:
        """What a cure is to raise."""
        return measured.valid_learned if self.cause == "overfitting" else measured.learned

    def helps(self, before: Measured, after: Measured) -> bool:
        """Whether a cure clearly raises what it is to raise, and not by memorizing."""
        gain = self.worth(after) - self.worth(before)
        elsewhere = after.best_valid_learned - before.best_valid_learned
        if self.cause == "overfitting":
            return gain >= thresholds.CLEARLY
        return gain >= thresholds.CLEARLY and elsewhere >= thresholds.ALSO_ON_NEW_ROWS * gain


SUSPECTS = (
    Suspect("symmetric_weights", signs.symmetric, (cures.INIT_AUTO,)),
    Suspect("no_nonlinearity", signs.linear, (cures.RELU, cures.TANH)),
    Suspect("unscaled_inputs", signs.unscaled_inputs, (cures.STANDARD_INPUTS,)),
    Suspect("unscaled_target", signs.unscaled_target, (cures.STANDARD_TARGET,)),
    Suspect("saturated_units", signs.saturated, (cures.INIT_AUTO, cures.RELU)),
    Suspect("dead_units", signs.dead, (cures.INIT_AUTO, cures.LEAKY_RELU)),
    Suspect("vanishing_gradient", signs.vanishing, (cures.INIT_AUTO, cures.TANH, cures.RELU), (cures.ADAM,)),
    Suspect("exploding_gradient", signs.exploding, (cures.INIT_AUTO,), (cures.CLIPPED,)),
    Suspect("learning_rate_too_high", signs.rate_too_high, cures.LOWER_RATES, (cures.CLIPPED,)),
    Suspect("dead_units", signs.died, (cures.LEAKY_RELU,)),
    Suspect("learning_rate_too_low", signs.rate_too_low, cures.HIGHER_RATES, (cures.ADAM,)),
    Suspect("plateau_of_full_batch", signs.full_batch, (cures.BATCHES,)),
)
"""Root causes before what follows from them: zero weights have a vanishing gradient, too."""

OVERFITTING = Suspect("overfitting", signs.overfitting, (cures.PATIENCE, cures.DECAY, cures.FEWER_UNITS))
