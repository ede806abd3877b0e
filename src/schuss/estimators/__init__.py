"""Prediction from tables with scikit-learn's manners."""
