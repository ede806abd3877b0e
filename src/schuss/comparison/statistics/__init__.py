"""Statistics of scores: numbers in, numbers out."""
