"""How networks are trained: one, or thousands at once; and what a training leaves behind."""
