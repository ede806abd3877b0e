"""Prediction from tables with the scikit-learn API."""
