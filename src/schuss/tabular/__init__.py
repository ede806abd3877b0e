"""Prediction from tables: an ensemble of networks that see the same rows through different inputs.

In the order of reading: `columns` (what the columns are), `rows` (which rows count, and how much), `kinds` (four ways to
turn columns into inputs), `members` (which networks are trained on what), `ensemble` (train them, weigh them, predict).
"""
