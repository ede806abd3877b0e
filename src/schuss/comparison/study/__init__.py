"""What a comparison keeps, and how it is found again."""
