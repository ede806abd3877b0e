"""How results look: numbers and words, text tables, charts, pages, the progress of a training."""
