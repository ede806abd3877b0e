"""What a training step should cost, against the peers and against the machine's limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.contenders import Result
from benchmarks.figures import PERCENT, Figure
from benchmarks.shapes import POPULATION

PEAK = 248e9  # operations a second and core of the machine that the microseconds are for


@dataclass(frozen=True)
class Target:
    """For one network or a population of a shape: the time of a step, how many times that a peer's is, the share of
    the peak.
    """

    shape: str
    networks: int
    microseconds: float | None
    peers: Mapping[str, float]
    share: float | None = None


EAGER, BATCHED, SCAN, VMAP, SKLEARN = "PyTorch eager", "PyTorch baddbmm", "JAX scan", "JAX vmap", "scikit-learn"
TARGETS = (
    Target("T", POPULATION, 0.30, {EAGER: 500, BATCHED: 15, VMAP: 12, SKLEARN: 500}),
    Target("S", POPULATION, 10.5, {EAGER: 28, BATCHED: 4.3, VMAP: 7, SKLEARN: 30}, share=0.65),
    Target("D", POPULATION, 23, {EAGER: 50, BATCHED: 5, VMAP: 8, SKLEARN: 52}, share=0.55),
    Target("S", 1, 19, {EAGER: 15, SCAN: 2.8, SKLEARN: 17}),
    Target("M", 1, None, {EAGER: 3.3, SCAN: 1.05, SKLEARN: 3.8}),
    Target("L", 1, None, {EAGER: 2.4, SCAN: 1.2, SKLEARN: 3}, share=0.80),
)


def figures(results: Sequence[Result], peak: Mapping[int, float]) -> list[Figure]:
    """Those of the shapes and peers that were measured."""
    return [figure for target in TARGETS for figure in _figures(target, results, peak)]


def scaled(microseconds: float, threads: int, peak: Mapping[int, float]) -> float:
    """What a machine with this peak may take."""
    return microseconds * threads * PEAK / peak[threads]


def _figures(target: Target, results: Sequence[Result], peak: Mapping[int, float]) -> Iterator[Figure]:
    here = [result for result in results if result.shape.name == target.shape]
    ours = next((r for r in here if r.is_ours and r.contender.networks == target.networks), None)
    if ours is None:
        return
    what = f"{target.shape}, {target.networks} networks" if target.networks > 1 else f"{target.shape}, one network"
    if target.microseconds is not None:
        wanted = scaled(target.microseconds, ours.threads, peak)
        yield Figure(f"{what}: a step", ours.median * 1e6, "{:.2f} µs", at_most=wanted)
    if target.share is not None:
        yield Figure(f"{what}: share of the peak", ours.flops / peak[ours.threads], PERCENT, at_least=target.share)
    for result in here:
        if result.contender.name in target.peers:
            wanted = target.peers[result.contender.name]
            times = result.median / ours.median
            yield Figure(f"{what}: faster than {result.contender.name}", times, "{:.4g} ×", at_least=wanted)
