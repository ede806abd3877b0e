"""Many trainings as one population: jobs turned into plans as threads get free, outcomes turned into runs."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Literal, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from schuss.data import Dataset
from schuss.engines import Engine, EngineData, Outcome, Plan, State, Vector
from schuss.engines.native import NativeEngine
from schuss.engines.reference import ReferenceEngine
from schuss.engines.targets import default_loss, engine_data, n_outputs, target_columns
from schuss.errors import InvalidInput
from schuss.layers import Layer
from schuss.losses import Loss
from schuss.network import Network
from schuss.recipe import Recipe
from schuss.training.jobs import Job, ProgressCallback, Work, WorkCallback
from schuss.training.run import Run

EngineName: TypeAlias = Literal["native", "reference"]


def train_jobs(
    jobs: Sequence[Job],
    data: Dataset,
    *,
    engine: EngineName | Engine = "native",
    threads: int | None = None,
    progress: ProgressCallback | None = None,
) -> Iterator[tuple[int, Run]]:
    """Yield (number of the job, run) as networks finish, in any order."""
    pairs = [(job, data) for job in jobs]
    return train_pairs(pairs, engine=engine, threads=threads, tell=work_of(pairs).progress(progress))


def train_pairs(
    pairs: Iterable[tuple[Job, Dataset]],
    *,
    engine: EngineName | Engine = "native",
    threads: int | None = None,
    tell: WorkCallback | None = None,
) -> Generator[tuple[int, Run]]:
    """Yield (number of the pair, run) as networks finish, in any order; closing the generator ends the training.

    Pairs are taken while others train, no more than keep the threads busy, and a data set that nobody else keeps is
    given up with its last network. `tell` is told what is done: updates that a network did not need count as done.
    """
    working = find_engine(engine, threads)
    plans = _Plans()
    ticker = _Ticker(tell, working)
    for number, outcome in working.train(map(plans.plan, count(), pairs), ticker.tick):
        run, left = plans.run(number, outcome)
        ticker.finished(left)
        yield number, run


def work_of(pairs: Sequence[tuple[Job, Dataset]]) -> Work:
    """All the work of jobs that are known; one whose loss does not fit is an error now, not while others train."""
    updates = 0
    for job, data in pairs:
        loss_of(job, data)
        updates += updates_of(job, len(data.train))
    return Work(len(pairs), updates)


def updates_of(job: Job, rows: int) -> int:
    """How many updates a job makes at most, trained on so many rows."""
    return _steps(rows, job.recipe.epochs, job.recipe) - (0 if job.start is None else job.start.step)


def find_engine(engine: EngineName | Engine, threads: int | None = None) -> Engine:
    """An engine from itself or its name; a native one with so many threads."""
    if engine == "native":
        return NativeEngine(threads)
    if engine == "reference":
        return ReferenceEngine()
    if isinstance(engine, str):
        raise InvalidInput(f"unknown engine '{engine}'; there are native and reference, or give an engine itself.")
    if not hasattr(engine, "train"):
        raise InvalidInput(f"an engine is native, reference or an object with `train`, but is {engine!r:.60}.")
    return engine


MOST_UPDATES = 2**28  # of one training: their learning rates take 2 GB
_SHARED = 1024  # at most so many different plans are kept in mind: each has a learning rate for every step


class _Shared(NamedTuple):
    """What jobs with the same network, recipe and data share, once it is made."""

    network: Network
    recipe: Recipe
    plan: partial[Plan]
    run: partial[Run]
    steps: int


class _Plans:
    """Jobs turned into plans, one at a time, and outcomes into runs.

    Neither a population's initial weights nor its data sets need exist all at once: what is made of a data set lives as
    long as that itself, and of a network in training only what its run needs is kept.
    """

    def __init__(self) -> None:
        self._encoded: WeakKeyDictionary[Dataset, dict[int, EngineData]] = WeakKeyDictionary()
        self._shared: WeakKeyDictionary[Dataset, dict[tuple[int, int], _Shared]] = WeakKeyDictionary()
        self._training: dict[int, tuple[partial[Run], int, int]] = {}
        self._drawn: tuple[Network | None, tuple[int, int, int], Vector] = (None, (0, 0, 0), np.zeros(0))

    def plan(self, number: int, pair: tuple[Job, Dataset]) -> Plan:
        job, data = pair
        shared = self._shared_of(job, data)
        self._training[number] = shared.run, job.seed, shared.steps
        return shared.plan(seed=job.seed, start=job.start or self._fresh(job, shared.plan.keywords["layers"]))

    def run(self, number: int, outcome: Outcome) -> tuple[Run, int]:
        """The run, and how many updates a network that ended early did not make."""
        run, seed, steps = self._training.pop(number)
        return run(seed=seed, outcome=outcome), steps - outcome.state.step

    def _shared_of(self, job: Job, data: Dataset) -> _Shared:
        """By identity: comparing takes longer than all the rest. What is found keeps what its key names alive."""
        known = self._shared.setdefault(data, {})
        key = id(job.network), id(job.recipe)
        if key not in known:
            if len(known) == _SHARED:
                known.clear()
            known[key] = self._made(job, data)
        return known[key]

    def _made(self, job: Job, data: Dataset) -> _Shared:
        loss = loss_of(job, data)
        plan = partial(_all_but_seed(job, loss, data), data=self._engine_data(data, loss))
        run = partial(
            Run, network=job.network, recipe=job.recipe, loss=loss, layers=plan.keywords["layers"],
            encoding=data.encoding, fingerprint=data.fingerprint,
        )  # fmt: skip
        return _Shared(job.network, job.recipe, plan, run, _steps(len(data.train), job.recipe.epochs, job.recipe))

    def _engine_data(self, data: Dataset, loss: Loss) -> EngineData:
        """The data set, once for all losses that compare with the same targets."""
        known, columns = self._encoded.setdefault(data, {}), target_columns(data, loss)
        if columns not in known:
            known[columns] = engine_data(data, loss)
        return known[columns]

    def _fresh(self, job: Job, layers: Sequence[Layer]) -> State:
        """The start of a new training. A comparison trains one network from one seed by many recipes in a row."""
        network, drawn, parameters = self._drawn
        wanted = layers[0].n_in, layers[-1].n_out, job.seed
        if network is not job.network or drawn != wanted:
            parameters = job.network.initial(*wanted)
            self._drawn = job.network, wanted, parameters
        return State(parameters, np.zeros((len(job.recipe.optimizer.state), len(parameters)), np.float32))


class _Ticker:
    """Turns what an engine does into calls of the user's progress function."""

    def __init__(self, tell: WorkCallback | None, engine: Engine) -> None:
        self.tell, self.engine = tell, engine
        self.began, self.done = engine.steps(), 0
        self.spared = 0  # updates that networks which stopped early or diverged left undone

    def tick(self) -> None:
        if self.tell is not None:
            self.tell(Work(self.done, self.engine.steps() - self.began + self.spared))

    def finished(self, left: int) -> None:
        self.done, self.spared = self.done + 1, self.spared + left
        self.tick()


def loss_of(job: Job, data: Dataset) -> Loss:
    """The loss of a job: the recipe's, or the usual one of the task; InvalidInput if it does not fit."""
    loss = job.recipe.loss or default_loss(data)
    n_outputs(data, loss)  # an unfit loss is an error now, not in the middle of a population
    return loss


def _steps(rows: int, epochs: int, recipe: Recipe) -> int:
    """Updates of so many epochs; InvalidInput if there is no memory for a learning rate of each."""
    in_an_epoch = -(-rows // min(recipe.batch_size or rows, rows))
    if in_an_epoch * epochs > MOST_UPDATES:
        raise InvalidInput(
            f"a training has at most {MOST_UPDATES:,} updates, but {epochs:,} epochs of {in_an_epoch:,} make "
            f"{in_an_epoch * epochs:,}; train for fewer epochs, or take larger batches."
        )
    return in_an_epoch * epochs


def _learning_rates(rows: int, recipe: Recipe) -> NDArray[np.float64]:
    """The rate of every step: as planned over the horizon, of which the epochs may be the beginning."""
    planned = recipe.schedule.factors(_steps(rows, recipe.planned_epochs, recipe))
    return recipe.optimizer.lr * planned[: _steps(rows, recipe.epochs, recipe)]


def _all_but_seed(job: Job, loss: Loss, data: Dataset) -> partial[Plan]:
    recipe, rows = job.recipe, len(data.train)
    return partial(
        Plan,
        layers=job.network.layers(data.n_inputs, n_outputs(data, loss)),
        loss=loss,
        optimizer=recipe.optimizer,
        learning_rates=_learning_rates(rows, recipe),
        batch_size=min(recipe.batch_size or rows, rows),
        epochs=recipe.epochs,
        patience=recipe.patience,
        clip_norm=recipe.clip_norm,
        watch=_doubling(recipe.epochs),
    )


def _doubling(epochs: int) -> tuple[int, ...]:
    """0, 1, 2, 4, … and the last epoch: a handful of measurements cost at most 3 % of a training."""
    return (0, *(2**k for k in range(epochs.bit_length()) if 2**k < epochs), epochs)
