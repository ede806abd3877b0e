"""The causes that the published rules name, by a shorter word."""

VANISHING, EXPLODING = "vanishing_gradient", "exploding_gradient"
DEAD, SATURATED, SYMMETRIC = "dead_units", "saturated_units", "symmetric_weights"
INPUTS, TARGET = "unscaled_inputs", "unscaled_target"
HIGH, LOW, PLATEAU = "learning_rate_too_high", "learning_rate_too_low", "plateau_of_full_batch"
OVERFITTING, NOTHING = "overfitting", "nothing_to_learn"
