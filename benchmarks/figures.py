"""A figure beside what it should be, in one table for people and as plain dictionaries for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report import table

TIMES = "{:.2f} ×"
PERCENT = "{:.1%}"


@dataclass(frozen=True)
class Figure:
    """What was measured, how it is printed, and its limit from above or from below, if there is one."""

    what: str
    value: float
    form: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def wanted(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.form.format(self.at_most)}"
        return "" if self.at_least is None else f"≥ {self.form.format(self.at_least)}"

    @property
    def verdict(self) -> str:
        if self.at_most is None and self.at_least is None:
            return ""
        high = self.at_most is not None and self.value > self.at_most
        low = self.at_least is not None and self.value < self.at_least
        return "missed" if high or low else "met"

    def plain(self) -> dict[str, Any]:
        """For a machine; units are those of `form`, shares and ratios are plain numbers."""
        return {
            "what": self.what,
            "value": self.value,
            "shown": self.form.format(self.value),
            "at_most": self.at_most,
            "at_least": self.at_least,
            "verdict": self.verdict,
        }


def figures_table(figures: Sequence[Figure]) -> str:
    rows = [[each.what, each.form.format(each.value), each.wanted, each.verdict] for each in figures]
    return table(["what", "figure", "wanted", "verdict"], rows)
