"""Prediction from tables: an ensemble of networks that see the same rows through different inputs.

In the order of reading: `columns` (what the columns are), `sample_rows` (which rows count, and how much), `kinds` (how
columns become inputs), `members` (which networks are trained on what), `ensemble` (plan, weigh, predict), `population`
(train).
"""
