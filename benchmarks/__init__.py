"""How fast schuss is, and how fast its peers are, measured in turn in one run: `python -m benchmarks`."""
