"""Ten thousand networks in one call: what one costs, the memory, the start, and the end at Ctrl-C.

Each question is answered in a process of its own: `python -m benchmarks.scale population T 10000`.
"""

from __future__ import annotations

import _thread
import json
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import schuss as sc
from benchmarks.figures import TIMES, Figure
from benchmarks.schuss_steps import dataset
from benchmarks.shapes import SHAPES, Shape
from benchmarks.workers import environment
from schuss.training.population import train_jobs

FEW, MANY = 100, 10_000
EPOCHS = {"T": 10, "S": 1}  # of the populations
SECONDS = "{:.2f} s"


def measure(quick: bool) -> list[Figure]:
    """Populations of T, whose runs `fit_many` keeps, and of S, whose runs are dropped one by one as `compare` does."""
    many = MANY // 10 if quick else MANY
    found = []
    for shape in EPOCHS:
        few_cost, cost, memory = _answer("population", shape, many)
        what = f"{shape}, {many:,} networks"
        found.append(Figure(f"{what}: cost of one, against {FEW} networks", cost / few_cost, TIMES, at_most=1.1))
        found.append(Figure(f"{what}: memory beyond the data", memory / 1e6, "{:.0f} MB", at_most=600))
    (start,) = _answer("start", "T", many)
    found.append(Figure(f"T, {many:,} networks of one step: start-up of one", start * 1e6, "{:.0f} µs", at_most=20))
    for shape, networks in (("S", many), ("L", 1)):
        (wait,) = _answer("interrupt", shape, networks)
        what = f"{shape}, {networks:,} networks" if networks > 1 else f"{shape}, one network"
        found.append(Figure(f"{what}: Ctrl-C, the longest wait", wait, SECONDS, at_most=0.2))
    return found


def population(shape: Shape, networks: int) -> list[float]:
    """Seconds a network of few and of many, and the bytes that training took at its peak."""
    data = dataset(shape)
    before = peak_memory()
    few = statistics.median(_training(shape, FEW, data) for _ in range(5))
    many = _training(shape, networks, data)
    return [few, many, peak_memory() - before]


def start(shape: Shape, networks: int) -> list[float]:
    """Seconds a network of one step: next to nothing is trained, so this is what everything around it takes."""
    data = dataset(shape)
    few = replace(data, train=sc.Part(data.train.X[: shape.batch], data.train.y[: shape.batch]))
    jobs = _jobs(shape, networks, epochs=1)

    def seconds() -> float:
        began = time.perf_counter()
        sc.fit_many(jobs, few)
        return time.perf_counter() - began

    return [statistics.median(seconds() for _ in range(3)) / networks]


def interrupt(shape: Shape, networks: int) -> list[float]:
    """The longest time from Ctrl-C, pressed after 1 to 1.5 seconds, until it is raised to the caller."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what it runs in the background without
    data = dataset(shape)
    jobs = _jobs(shape, networks, epochs=1000)

    def waited(delay: float) -> float:
        pressed: list[float] = []

        def press() -> None:
            pressed.append(time.perf_counter())
            _thread.interrupt_main()

        threading.Timer(delay, press).start()
        try:
            sc.fit_many(jobs, data)
        except KeyboardInterrupt:
            return time.perf_counter() - pressed[0]
        raise RuntimeError("the training was over before it could be interrupted")

    return [max(waited(1 + k / 8) for k in range(5))]


def peak_memory() -> int:
    """The most memory that this process has had, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux getrusage counts what the process that started this one had
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _jobs(shape: Shape, networks: int, epochs: int) -> list[sc.Job]:
    recipe = sc.Recipe(sc.adam(lr=1e-3), "softmax_cross_entropy", batch_size=shape.batch, epochs=epochs)
    network = sc.mlp([shape.width] * shape.depth, sc.relu)
    return [sc.Job(network, recipe, seed) for seed in range(networks)]


def _training(shape: Shape, networks: int, data: sc.Dataset) -> float:
    """Seconds a network."""
    jobs = _jobs(shape, networks, EPOCHS[shape.name])
    began = time.perf_counter()
    if shape.name == "T":
        sc.fit_many(jobs, data)
    else:
        for _ in train_jobs(jobs, data):
            pass
    return (time.perf_counter() - began) / networks


def _answer(question: str, shape: str, networks: int) -> Sequence[float]:
    command = [sys.executable, "-m", "benchmarks.scale", question, shape, str(networks)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment())
    return [float(number) for number in json.loads(answer.stdout)]


if __name__ == "__main__":
    ask = {"population": population, "start": start, "interrupt": interrupt}[sys.argv[1]]
    print(json.dumps(ask(SHAPES[sys.argv[2]], int(sys.argv[3]))))
