"""The gradient on its way back: measured, predicted by theory, and where on its activation each layer lives."""
