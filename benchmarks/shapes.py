"""The networks that are timed: from one that fits a vector register to one that fills the memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROWS = 4096  # rows of the training set
POPULATION = 64  # networks trained side by side


@dataclass(frozen=True)
class Shape:
    """A stack of `depth` hidden layers of one width, trained on batches of `batch` rows."""

    name: str
    inputs: int
    width: int
    depth: int
    outputs: int
    batch: int
    epochs: int  # of one timed training in schuss: enough that its start and its end count little

    @property
    def sizes(self) -> list[int]:
        """Units of every layer, from the inputs to the outputs."""
        return [self.inputs, *[self.width] * self.depth, self.outputs]

    @property
    def flops(self) -> int:
        """Operations of one training step: three products a layer, a multiplication and an addition for each weight."""
        return 6 * self.batch * sum(a * b for a, b in zip(self.sizes[:-1], self.sizes[1:], strict=True))

    @property
    def is_small(self) -> bool:
        """Whether many of them are usually trained at once; a large one fills the machine alone."""
        return self.width <= POPULATION

    def __str__(self) -> str:
        return f"{self.name}: {self.inputs}–{self.width}×{self.depth}–{self.outputs}, batch {self.batch}"


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("T", inputs=2, width=16, depth=2, outputs=2, batch=16, epochs=40),
        Shape("S", inputs=64, width=64, depth=4, outputs=10, batch=32, epochs=20),
        Shape("D", inputs=32, width=32, depth=32, outputs=10, batch=32, epochs=20),
        Shape("M", inputs=64, width=512, depth=6, outputs=10, batch=256, epochs=16),
        Shape("L", inputs=512, width=2048, depth=4, outputs=10, batch=1024, epochs=8),
    )
}


def random_rows(shape: Shape, rows: int = ROWS) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Inputs X [rows, inputs] and class numbers y [rows]: the time of a step does not depend on what they say."""
    random = np.random.default_rng(0)
    return random.standard_normal((rows, shape.inputs), dtype=np.float32), random.integers(0, shape.outputs, rows)
