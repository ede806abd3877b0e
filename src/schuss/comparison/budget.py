"""How long everybody trains: the same passes over the data, or the same time."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from schuss.errors import InvalidInput, positive_integer


class Budget(NamedTuple):
    """So many seconds of one core for each network, or so many epochs."""

    epochs: int = 0
    seconds: float | None = None

    def __str__(self) -> str:
        return f"{self.epochs}epochs" if self.seconds is None else f"{self.seconds:g}s"


def find_budget(wanted: object) -> Budget:
    """A budget from a number of epochs or from a text.

    >>> find_budget(20), find_budget("20epochs"), find_budget("1.5s")
    (Budget(epochs=20, seconds=None), Budget(epochs=20, seconds=None), Budget(epochs=0, seconds=1.5))
    """
    if not isinstance(wanted, str):
        return Budget(epochs=positive_integer("the budget in epochs", wanted))
    match re.fullmatch(r"\s*([\d.]+(?:e-?\d+)?)\s*(epochs?|s)?\s*", wanted):
        case re.Match() as found if found[2] == "s" and _is_positive(found[1]):
            return Budget(seconds=float(found[1]))
        case re.Match() as found if found[2] != "s" and found[1].isdigit() and int(found[1]):
            return Budget(epochs=int(found[1]))
    raise InvalidInput(f"a budget is a number of epochs or of seconds, such as 20epochs or 30s, but is {wanted!r:.60}.")


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False
