"""The compiled engine: whole training runs, one network a thread, without Python in between."""

from collections.abc import Sequence
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

def operations() -> list[str]:
    """Return the operations of the elementwise machine; the index of one is its code."""

def instruction_sets() -> list[str]:
    """Return the instruction sets that this processor runs, best first; the last is `baseline`."""

@final
class Program:
    """An elementwise program, checked once when it is made."""

    def __init__(
        self,
        code: NDArray[np.int32],
        scalar_code: NDArray[np.int32],
        constants: NDArray[np.float64],
        broadcast: NDArray[np.int32],
        n_inputs: int,
        n_outputs: int,
        n_temporaries: int,
        n_scalar_inputs: int,
        fused: bool = True,
    ) -> None:
        """Take the instructions, [n, 5] and [m, 5], and the sizes of the register files.

        Code that is that of a built-in definition runs as a fused kernel, unless `fused` is false.
        """

    @property
    def fused(self) -> bool:
        """Whether it runs as a fused kernel; the machine gives the same results."""

def evaluate(
    program: Program, instruction_set: str, inputs: Sequence[NDArray[np.float32]], scalars: Sequence[float]
) -> list[NDArray[np.float32]]:
    """Run a program once over arrays of one length."""

def predict(
    X: NDArray[np.float32], layers: dict[str, Any], parameters: NDArray[np.float32], instruction_set: str
) -> NDArray[np.float32]:
    """Return the output of a stack for rows X; `layers` holds those entries of a plan that describe them."""

@final
class Plan:
    """How networks are trained: all but their seeds and where they start. Read once for a whole population."""

    def __init__(self, entries: dict[str, Any]) -> None:
        """Take the entries of a plan; a missing or wrong one is named."""

Part: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]
"""Rows: X, Y, labels, weights."""

@final
class Data:
    """What networks are trained and judged on, checked and laid out once."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Take train, valid and test; labels and weights may be empty."""

@final
class Trainer:
    """Threads that train the networks handed to them."""

    def __init__(self, threads: int, instruction_set: str) -> None:
        """Start the threads."""

    def submit(self, networks: Sequence[tuple[int, Plan, Data, dict[str, Any]]]) -> None:
        """Queue networks, each with its data, seed and start; the first number comes back with its result."""

    def poll(self, timeout: float) -> list[tuple[int, dict[str, Any]]]:
        """Wait at most `timeout` seconds and return what finished since the last call."""

    def steps(self) -> int:
        """Return the number of updates done so far, over all networks."""

    def helped(self) -> int:
        """Return how many parts of steps were done by other threads than the network's own."""

    def pending(self) -> int:
        """Return the number of networks submitted and not yet returned by `poll`."""

    def cancel(self) -> None:
        """Stop the running networks at their next step and drop the queued ones."""
