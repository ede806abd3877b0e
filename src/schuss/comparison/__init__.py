"""Which is better: the protocol, its statistics, and the study that keeps the results."""
