"""Who trains: the threads of the native engine in this process, or workers anywhere that joblib reaches.

Where `joblib.parallel_config(backend="dask")` (or "loky", "ray") is active, the networks are cut into chunks of a few
seconds of work and sent there. What comes back is the same to the last bit: a worker takes the same instruction set.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from schuss.comparison.study.records import Record, record
from schuss.data import Dataset
from schuss.engines import Engine
from schuss.engines.native import NativeEngine
from schuss.errors import SchussError
from schuss.training.jobs import Job, Work
from schuss.training.population import train_jobs, train_pairs, updates_of

CHUNK_SECONDS = 5.0  # of work, at least: what it takes to send a chunk is then below 1 %
CALIBRATION_SECONDS = 0.02
ATTEMPTS = 4  # at a chunk whose worker is lost
_LOST = {"TerminatedWorkerError", "BrokenProcessPool", "KilledWorker", "WorkerCrashedError"}


class Wanted(NamedTuple):
    """A network to train, under its key; with its gradient flow, or without."""

    key: bytes
    job: Job
    with_flow: bool


class Group(NamedTuple):
    """Networks to train on the same split of the same data."""

    data: Dataset
    wanted: Sequence[Wanted]


Ticks = Callable[[float], None]
Chunk = list[Group]


class Workers(Protocol):
    """What trains groups of networks; they are yielded as they finish, in any order."""

    def train(self, groups: Iterable[Group], tick: Ticks) -> Iterator[tuple[bytes, Record]]:
        """Yield keys and records; `tick` is called now and then with the work under way, counted in networks."""
        ...


class Threads:
    """The threads of an engine in this process: networks of all groups are one population."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def train(self, groups: Iterable[Group], tick: Ticks) -> Iterator[tuple[bytes, Record]]:
        """Every network as soon as it is finished."""
        queue = _Queue(groups)
        for number, run in train_pairs(queue, engine=self.engine, tell=lambda done: tick(queue.under_way(done))):
            wanted = queue.returned(number)
            yield wanted.key, record(run, with_flow=wanted.with_flow)


class _Queue:
    """The networks of groups, one by one, and how much of them is under way."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._groups = groups
        self._taken: list[tuple[Wanted, int]] = []  # with the updates that each is to make
        self._updates, self._returned = 0, 0  # of all that were taken, and of those that are back

    def __iter__(self) -> Iterator[tuple[Job, Dataset]]:
        for data, group in self._groups:
            for wanted in group:
                updates = updates_of(wanted.job, len(data.train))
                self._taken.append((wanted, updates))
                self._updates += updates
                yield wanted.job, data

    def returned(self, number: int) -> Wanted:
        wanted, updates = self._taken[number]
        self._returned += updates
        return wanted

    def under_way(self, done: Work) -> float:
        """The work done on networks that are not back, counted in networks of the mean size."""
        return (done.updates - self._returned) * len(self._taken) / self._updates


class Joblib:
    """The workers of joblib's active backend, each on `threads` threads and with the same instruction set."""

    def __init__(self, instruction_set: str, threads: int) -> None:
        self.instruction_set, self.threads = instruction_set, threads
        self._costs: dict[tuple[Any, ...], float] = {}

    def train(self, groups: Iterable[Group], tick: Ticks) -> Iterator[tuple[bytes, Record]]:
        """The networks of a chunk together, as soon as all of them are finished. SchussError if workers keep dying."""
        chunks = dict(enumerate(cut(groups, self._seconds)))
        for _ in range(ATTEMPTS):
            try:
                for number, records in self._results(chunks):
                    yield from zip([each.key for each in _networks(chunks.pop(number))], records, strict=True)
                    tick(0.0)
                return
            except Exception as error:
                if not _LOST & {kind.__name__ for kind in type(error).__mro__}:
                    raise
        raise SchussError(
            f"workers were lost {ATTEMPTS} times; what was finished is kept. Check their memory, and go on."
        )

    def _seconds(self, data: Dataset, job: Job) -> float:
        """How long a training takes, from a few of its epochs; those that differ in the learning rate take the same."""
        kind = (job.network, job.recipe.optimizer.name, job.recipe.batch_size, len(data.train))
        if kind not in self._costs:
            self._costs[kind] = seconds_per_epoch(data, job, NativeEngine(1, self.instruction_set))
        return self._costs[kind] * job.recipe.epochs

    def _results(self, chunks: dict[int, Chunk]) -> Iterator[tuple[int, list[Record]]]:
        from joblib import Parallel, delayed

        work = delayed(train_chunk)
        tasks = [work(number, chunk, self.instruction_set, self.threads) for number, chunk in chunks.items()]
        results: Iterator[tuple[int, list[Record]]] = Parallel(return_as="generator_unordered")(tasks)
        yield from results


def train_chunk(number: int, chunk: Chunk, instruction_set: str, threads: int) -> tuple[int, list[Record]]:
    """Train a chunk on a worker: its number and its records, in the order of its networks."""
    found = dict(Threads(NativeEngine(threads, instruction_set)).train(chunk, lambda _: None))
    return number, [found[each.key] for each in _networks(chunk)]


def _networks(chunk: Chunk) -> list[Wanted]:
    return [each for group in chunk for each in group.wanted]


def cut(groups: Iterable[Group], seconds: Callable[[Dataset, Job], float]) -> Iterator[Chunk]:
    """Chunks of at least CHUNK_SECONDS of work; the last one has what is left over, if that is less."""
    chunk: list[Group] = []
    spent = 0.0
    for group in groups:
        data, wanted = group.data.without_table(), list[Wanted]()
        for each in group.wanted:
            wanted.append(each)
            spent += seconds(group.data, each.job)
            if spent >= CHUNK_SECONDS:
                yield [*chunk, Group(data, wanted)]
                chunk, wanted, spent = [], [], 0.0
        if wanted:
            chunk.append(Group(data, wanted))
    if chunk:
        yield chunk


def seconds_per_epoch(data: Dataset, job: Job, engine: Engine) -> float:
    """How long an epoch of a job takes on an engine: the median over some of them; inf if none comes to its end."""
    gentle = job.recipe.optimizer(lr=job.recipe.optimizer.search[0])  # one that does not diverge
    seconds: NDArray[np.float64] = np.zeros(1)
    for epochs in (3, 30, 300):
        if seconds[-1] < CALIBRATION_SECONDS:
            recipe = replace(job.recipe, optimizer=gentle, epochs=epochs, patience=None)
            ((_, run),) = train_jobs([Job(job.network, recipe, job.seed)], data, engine=engine)
            seconds = run.history["seconds"]
            if not len(seconds):
                return math.inf  # it diverges at once, which a budget of one epoch shows
    return float(np.median(np.diff(seconds, prepend=0.0)))


def workers(engine: Engine, threads: int | None) -> Workers:
    """Who trains: joblib's workers where a backend other than threads is active, else this process."""
    if isinstance(engine, NativeEngine) and _backend_is_elsewhere():
        return Joblib(engine.instruction_set, threads or 1)
    return Threads(engine)


def _backend_is_elsewhere() -> bool:
    """Whether someone has chosen a backend of joblib that does not work in this process."""
    if "joblib" not in sys.modules:
        return False
    from joblib.parallel import get_active_backend

    backend: Any = get_active_backend(prefer="threads")[0]  # threads are what it gives where nobody chose
    return not getattr(backend, "supports_sharedmem", False)
