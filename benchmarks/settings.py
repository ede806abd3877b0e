"""What a choice in schuss costs or gains: threads, the gradient flow, the instruction set."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from benchmarks import targets
from benchmarks.figures import PERCENT, TIMES, Figure
from benchmarks.shapes import POPULATION, SHAPES
from benchmarks.workers import Setting, Workers, thread_counts
from schuss import _native


def measure(workers: Workers, repeats: int, seconds: float, peak: Mapping[int, float]) -> list[Figure]:
    """Medians of rounds in which both sides of a ratio are timed one after the other."""

    def ours(variant: str, threads: int) -> Setting:
        return Setting("schuss_steps", variant, threads, seconds)

    def ratio(shape: str, above: Setting, below: Setting) -> float:
        return workers.ratio(above, below, SHAPES[shape], repeats)

    cores = thread_counts()[-1]
    found = []
    if cores > 1:
        many, one = f"S, {POPULATION} networks: two threads against one", "M, one network: two threads against one"
        gain = ratio("S", ours("population", 1), ours("population", 2))
        found.append(Figure(many, gain, TIMES, at_least=1.9))
        found.append(Figure(one, ratio("M", ours("one", 1), ours("one", 2)), TIMES, at_least=1.7))
    for shape in ("S", "D"):
        cost = ratio(shape, ours("population", cores), ours("unwatched", cores)) - 1
        found.append(Figure(f"{shape}, {POPULATION} networks: recording all layers", cost, PERCENT, at_most=0.03))
    if "avx2" in _native.instruction_sets()[1:]:  # where it is the best one, the steps above are its
        setting = ours("avx2", cores)
        step = statistics.median(workers.measure([setting], SHAPES["S"], repeats)[setting])
        what, wanted = f"S, {POPULATION} networks: a step in the AVX2 build", targets.scaled(19, cores, peak)
        found.append(Figure(what, step * 1e6, "{:.2f} µs", at_most=wanted))
    return found
