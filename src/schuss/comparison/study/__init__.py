"""What a comparison keeps, how it is found again, and the ranking that follows from it."""
