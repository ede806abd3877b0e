"""How results look: numbers and words, text tables, charts, pages, the report, the progress of a training."""
