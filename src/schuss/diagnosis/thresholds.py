"""Every number that a verdict depends on, in one place, each with the reason for it.

All of them are free of the loss's scale: they speak of shares, factors and *learned*, the share of the constant
predictor's loss that training removed (1 is perfect, 0 no better than knowing nothing of the inputs).
"""

from __future__ import annotations

# ---------------------------------------------------------------------------------------------- the budget

WORK = 6e10
"""Multiplications and additions of one training at most, about 0.5 s: a visit of 30 trainings takes seconds."""

FEWEST_EPOCHS = 5
"""A training is cut to so many epochs at least; a network that needs fewer rows than that has rows left out."""

# ---------------------------------------------------------------------------------------------- is something wrong?

LEARNS = 0.8
"""Learned from here on, nothing keeps the network from learning: what may still be gained is tuning, not a fault."""

CLEARLY_WORSE = 0.75
"""A case is clearly worse than its cured one if it learned at most this share of what that one learned."""

LEAST_GAIN = 0.1
"""A cure that raises *learned* by less is no proof of a fault: seeds alone move it by about 0.05."""

ALSO_ON_NEW_ROWS = 0.25
"""Of the gain on the training part at least this share must be seen on the validation part: to memorize is no cure."""

AS_GOOD = 0.95
"""Within 5 % of the best that was tried, a cure counts as restoring: the least change among those is the cure."""

ROOT = 0.9
"""A cause is the root if undoing it comes within 10 % of the most that undoing any single cause brings."""

MOVES = 0.1
"""Updates of the first layer, relative to its weights, over those of the last: from here on the first layer moves, and
a small δ does no harm, since the optimizer makes up for it. ..."""

STILL = 1e-6
"""... Unless they are below this: a thousand such updates change a weight by a thousandth at most."""

BY_HEART = 0.75
"""A network that fits the training part this well, and other rows ever worse, overfits."""

# ---------------------------------------------------------------------------------------------- the signs of a cause

VANISHED = 1e-2
"""δ of the first layer over that of the last: below this the first layers are 100 times slower than the last."""

EXPLODED = 10.0
"""δ of the first layer over that of the last, or the initial loss over the constant predictor's, from here on."""

DEAD = 0.6
"""Share of units without any slope in the worst layer. In a deep healthy ReLU stack it comes near to a half: the rows
grow alike, and a unit is active on all of them or on none."""

SATURATED = 0.3
"""Share of units × rows on the flat ends of a bounded activation, before training, ..."""

LARGE_Z = 2.0
"""... in a layer whose z is that large: with z of size 1 half of a ReLU6 is flat, and nothing wrong with it."""

FARTHEST_SCALE = 5.0
"""A column whose root mean square is above 5 or below 1/5 is not what the initial weights were made for: that is 1."""

OVERFITTED = 0.25
"""The validation loss is that much, in shares of the constant predictor's, above its lowest of all epochs."""

LEARNABLE = 0.15
"""Removing so much of the loss on the validation part shows by itself that there is something to learn."""

LEARNED_BY_OTHERS = 0.3
"""From here on a small network that learned on the validation part has not done so by chance, on few rows either."""

BY_CHANCE = 5.0
"""How many standard deviations out-of-sample predictions must agree better with the target than with a shuffled one."""
