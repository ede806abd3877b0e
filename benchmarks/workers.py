"""Contenders in processes of their own, which take turns: a noisy minute hits all of them alike.

A process keeps one contender with one number of threads, so that every library finds its environment as it wants it.
It reads names of shapes and answers with seconds per network-step, one line each.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, cast

from benchmarks.shapes import SHAPES, Shape

Timer = Callable[[], float]  # measures once: seconds per network-step

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Where these are set for the sake of something else, NumPy would run with kernels for another processor.
SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


class Contender(Protocol):
    """What a module with something to time has."""

    def timer(self, variant: str, shape: Shape, threads: int, seconds: float) -> Timer:
        """Prepare and warm up; what comes back measures for about so many seconds whenever it is called."""
        ...


@dataclass(frozen=True)
class Setting:
    """What one process times: a variant of a module of this package, with so many threads."""

    module: str
    variant: str
    threads: int
    seconds: float


def seconds_per_call(function: Callable[[], object], at_least: float) -> float:
    """The mean time of a call, over as many as fill `at_least` seconds."""
    began, calls = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < at_least or not calls:
        function()
        calls += 1
    return elapsed / calls


def is_installed(package: str) -> bool:
    """Whether a package is there, without importing it."""
    return importlib.util.find_spec(package) is not None


def thread_counts() -> list[int]:
    """1, 2, 4, … and all cores: the numbers of threads among which a library has its best."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [*(2**k for k in range(cores.bit_length()) if 2**k < cores), cores]


def environment(threads: int | None = None) -> Mapping[str, str]:
    """The environment of a process that is timed."""
    kept = {name: value for name, value in os.environ.items() if name not in SLOWING}
    return kept if threads is None else kept | dict.fromkeys(THREADS, str(threads))


class Worker:
    """The process of one setting."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        command = [sys.executable, "-m", "benchmarks.workers", setting.module, setting.variant]
        self.process = subprocess.Popen(
            [*command, str(setting.threads), str(setting.seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(setting.threads),
        )

    def measure(self, shape: Shape) -> float | None:
        """Seconds per network-step; None if the process has died, its message is on the terminal."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(shape.name, file=self.process.stdin, flush=True)
            return float(self.process.stdout.readline())
        except (BrokenPipeError, ValueError):  # no answer is an empty line
            print(f"{self.setting} has failed and is left out", file=sys.stderr)
            return None

    def close(self) -> None:
        self.process.communicate()


class Workers:
    """All processes of a run; each is started when it is needed first and stays until the end."""

    def __init__(self) -> None:
        self.started: dict[Setting, Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.started.values():
            worker.close()

    def measure(self, settings: Sequence[Setting], shape: Shape, repeats: int) -> dict[Setting, list[float]]:
        """Seconds per network-step, `repeats` times each, in turn; a setting whose process dies is left out."""
        for setting in settings:
            if setting not in self.started:
                self.started[setting] = Worker(setting)
        rounds = [[self.started[setting].measure(shape) for setting in settings] for _ in range(repeats)]
        measured = dict(zip(settings, zip(*rounds, strict=True), strict=True))
        return {
            setting: [value for value in values if value is not None]
            for setting, values in measured.items()
            if None not in values
        }

    def ratio(self, above: Setting, below: Setting, shape: Shape, repeats: int) -> float:
        """How many times that of `below` the time of `above` is; the median of the rounds."""
        times = self.measure([above, below], shape, repeats)
        return statistics.median(a / b for a, b in zip(times[above], times[below], strict=True))


def serve(setting: Setting) -> None:
    """Answer every name of a shape on standard input with one measurement."""
    contender = cast(Contender, importlib.import_module(f"benchmarks.{setting.module}"))
    prepared: Shape | None = None
    timer: Timer | None = None
    for line in sys.stdin:
        shape = SHAPES[line.strip()]
        if timer is None or shape != prepared:
            timer = None  # gives the memory of the shape before back, before the next one takes its own
            timer = contender.timer(setting.variant, shape, setting.threads, setting.seconds)
            prepared = shape
        print(timer(), flush=True)


if __name__ == "__main__":
    serve(Setting(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
