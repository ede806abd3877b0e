"""The language of definitions: expressions, as text, as programs, and their means over a normal distribution."""
