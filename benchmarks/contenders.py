"""Who is timed on which shapes, and what comes of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.shapes import POPULATION, Shape
from benchmarks.workers import Setting, Workers, thread_counts

PEERS = ("torch", "jax", "sklearn")
PEAK_SECONDS = 0.1


@dataclass(frozen=True)
class Contender:
    """A way of training that is timed: a variant of a module, for one network or a population."""

    name: str
    module: str
    variant: str
    networks: int

    @property
    def package(self) -> str:
        """What must be installed."""
        return self.module.removesuffix("_steps")

    def settings(self, shape: Shape, seconds: float) -> list[Setting]:
        """A peer is given every number of threads, to take its best; schuss must not need that."""
        if self.networks > 1 and not shape.is_small:
            return []
        threads = thread_counts()
        if self.package == "schuss":
            threads = threads[:1] if self.networks == 1 and shape.is_small else threads[-1:]
        return [Setting(self.module, self.variant, count, seconds) for count in threads]


CONTENDERS = (
    Contender("schuss, one network", "schuss_steps", "one", 1),
    Contender("PyTorch eager", "torch_steps", "eager", 1),
    Contender("JAX scan", "jax_steps", "scan", 1),
    Contender("scikit-learn", "sklearn_steps", "fit", 1),
    Contender(f"schuss, {POPULATION} networks", "schuss_steps", "population", POPULATION),
    Contender("PyTorch baddbmm", "torch_steps", "baddbmm", POPULATION),
    Contender("JAX vmap", "jax_steps", "vmap", POPULATION),
)


@dataclass(frozen=True)
class Result:
    """The seconds per network-step of a contender at its best number of threads."""

    shape: Shape
    contender: Contender
    threads: int
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def is_ours(self) -> bool:
        return self.contender.package == "schuss"

    @property
    def flops(self) -> float:
        """Operations a second."""
        return self.shape.flops / self.median


def peak_settings() -> list[Setting]:
    return [Setting("peak", "fma", count, PEAK_SECONDS) for count in thread_counts()]


def measure(
    workers: Workers, shape: Shape, contenders: Sequence[Contender], repeats: int, seconds: float
) -> tuple[list[Result], dict[int, float]]:
    """Time all contenders on a shape in turn; also the highest peak seen meanwhile, for each number of threads."""
    settings = {contender: contender.settings(shape, seconds) for contender in contenders}
    everything = [*peak_settings(), *(setting for each in settings.values() for setting in each)]
    times = workers.measure(everything, shape, repeats)
    results = [_best(shape, contender, each, times) for contender, each in settings.items()]
    peak = {setting.threads: 1 / min(times[setting]) for setting in peak_settings()}
    return [result for result in results if result is not None], peak


def _best(
    shape: Shape, contender: Contender, settings: Sequence[Setting], times: dict[Setting, list[float]]
) -> Result | None:
    results = [Result(shape, contender, s.threads, tuple(times[s])) for s in settings if s in times]
    return min(results, key=lambda result: result.median, default=None)
