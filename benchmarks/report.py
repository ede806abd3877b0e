"""What was measured, as Markdown for people and as plain dictionaries for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.contenders import Result
from benchmarks.shapes import POPULATION, Shape

INCLUDED = (
    "A step of a peer is a batch drawn at random, forward, softmax cross-entropy, backward and Adam; it has its best "
    "number of threads. A step of schuss is a whole `fit_many` divided by its updates: initial weights, shuffling, the "
    "history, the gradient flow and the evaluation after every epoch and at the end are in it; of M and L the "
    "initial weights and the first epoch are not. The peak is the highest seen in this run, on as many cores "
    "as there are threads. × one and × many: how many times that of schuss the time is, with one network and with "
    f"{POPULATION}."
)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that also reads well as it is; the first two columns are words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if i < 2 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join(map(line, [header, rule, *rows]))


def steps_table(results: Sequence[Result], peak: Mapping[int, float]) -> str:
    """One row for each contender on each shape."""
    rows = []
    for result in results:
        ours = {r.contender.networks: r for r in results if r.shape == result.shape and r.is_ours}
        one, many = (ours.get(networks) for networks in (1, POPULATION))
        rows.append(
            [
                result.shape.name,
                result.contender.name,
                str(result.threads),
                microseconds(result.median),
                f"{microseconds(min(result.seconds))}–{microseconds(max(result.seconds))}",
                f"{result.flops / 1e9:.1f}",
                f"{result.flops / peak[result.threads]:.1%}",
                _ratio(result, one),
                _ratio(result, many),
            ]
        )
    header = ["shape", "who", "threads", "µs per network-step", "min–max", "GFLOP/s", "of the peak", "× one", "× many"]
    return table(header, rows)


def microseconds(seconds: float) -> str:
    """About three digits, for figures from 0.1 to a million."""
    value = seconds * 1e6
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _ratio(result: Result, ours: Result | None) -> str:
    if ours is None or result.is_ours:
        return "–"
    times = result.median / ours.median
    return f"{times:.{0 if times >= 10 else 1}f}"


def shapes_text(shapes: Sequence[Shape]) -> str:
    return " · ".join(map(str, shapes))


def machine_text(machine: Mapping[str, str], peak: Mapping[int, float], method: str) -> str:
    peaks = ", ".join(f"{value / 1e9:.0f} on {threads}" for threads, value in peak.items())
    facts = " · ".join(f"{name} {value}" for name, value in machine.items())
    return f"{facts}\n\nPeak in float32 by {method}, in GFLOP/s: {peaks} cores."


def plain(results: Sequence[Result], peak: Mapping[int, float]) -> list[dict[str, Any]]:
    """The results for a machine."""
    return [
        {
            "shape": result.shape.name,
            "contender": result.contender.name,
            "networks": result.contender.networks,
            "threads": result.threads,
            "microseconds": result.median * 1e6,
            "lowest": min(result.seconds) * 1e6,
            "highest": max(result.seconds) * 1e6,
            "gflops": result.flops / 1e9,
            "share_of_peak": result.flops / peak[result.threads],
        }
        for result in results
    ]
