"""Training: one network with `fit`, thousands at once with `fit_many`; what comes back is a `Run`.

>>> from schuss.data import load
>>> run = fit(mlp(hidden=[8], activation="tanh"), load("xor"), Recipe("adam(lr=0.1)", epochs=200))
>>> run.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).tolist()
[0, 1, 1, 0]
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from schuss import charts, runfile
from schuss.data import Dataset, Encoding, Part, load
from schuss.engines import HISTORY, NO_WEIGHTS, Engine, EngineData, EnginePart, Outcome, Plan, State, Status, Vector
from schuss.engines.encoded import default_loss, engine_data, n_outputs, target_columns
from schuss.engines.native import NativeEngine
from schuss.engines.passes import weights
from schuss.engines.reference import ReferenceEngine, score
from schuss.errors import DataError, InvalidInput, SchussWarning, seed_number
from schuss.insight.gradient_flow import FlowHistory, hidden_flow
from schuss.insight.preactivations import Preactivations, given
from schuss.layers import Layer
from schuss.losses import Loss, binary_cross_entropy, softmax_cross_entropy
from schuss.network import Network, mlp
from schuss.recipe import Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EngineName: TypeAlias = Literal["native", "reference"]


@dataclass(frozen=True)
class Job:
    """One network to train: what, how, and from which seed.

    `start` is where the training begins: parameters, the optimizer's state, and the steps done; None draws new weights.
    """

    network: Network
    recipe: Recipe
    seed: int = 0
    start: State | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.network, Network):
            raise InvalidInput(f"a network is an sc.Network, such as sc.mlp([64, 64]), but is {self.network!r:.60}.")
        if not isinstance(self.recipe, Recipe):
            raise InvalidInput(f"a recipe is an sc.Recipe, such as sc.Recipe('adam'), but is {self.recipe!r:.60}.")
        object.__setattr__(self, "seed", seed_number(self.seed))


class Progress(NamedTuple):
    """How far a training is: networks done and in all, and the share of all updates done."""

    networks: int
    total: int
    share: float


ProgressCallback: TypeAlias = Callable[[Progress], None]


class Work(NamedTuple):
    """An amount of training: networks, and updates over all of them."""

    networks: int
    updates: int

    def progress(self, callback: ProgressCallback | None) -> WorkCallback | None:
        """What tells `callback` how far this work is, when told what is done of it."""
        if callback is None:
            return None
        whole = max(self.updates, 1)
        return lambda done: callback(Progress(done.networks, self.networks, min(done.updates / whole, 1.0)))


WorkCallback: TypeAlias = Callable[[Work], None]


@dataclass(frozen=True, eq=False)
class Run:
    """A trained network with everything that made it: predict, score, look at its gradient, save, train on."""

    network: Network
    recipe: Recipe
    seed: int
    loss: Loss
    layers: tuple[Layer, ...]
    encoding: Encoding
    fingerprint: str  # of the data, so that training goes on with the same
    outcome: Outcome

    @property
    def status(self) -> Status:
        """finished, stopped (by patience), diverged or cancelled."""
        return self.outcome.status

    @property
    def history(self) -> dict[str, NDArray[np.float64]]:
        """One array an epoch for each of step, epoch, seconds, train_loss, valid_loss and score (on valid)."""
        return {name: self.outcome.history[:, i] for i, name in enumerate(HISTORY)}

    @property
    def flow(self) -> FlowHistory:
        """The gradient flow before training and after epochs 1, 2, 4, … and the last."""
        measured = zip(self.outcome.watched.tolist(), self.outcome.flow, strict=True)
        return FlowHistory(tuple(hidden_flow(self.layers, values, epoch) for epoch, values in measured))

    @property
    def diverged_layer(self) -> int | None:
        """The layer, counted as in `flow`, where the first number that is not finite appeared; None if none did."""
        found = self.outcome.diverged_layer
        return None if found is None else max(sum(layer.kind == "dense" for layer in self.layers[:found]), 1)

    @property
    def parameters(self) -> NDArray[np.float32]:
        """The weights in one vector: the best ones if the recipe has patience, else the last ones."""
        state = self.outcome.state
        return np.asarray(state.parameters if state.best is None else state.best, dtype=np.float32)

    def weights(self) -> list[tuple[NDArray[np.float32], ...]]:
        """The parameters of every layer of `layers`, the arrays of its `shapes`: (W [n_in, n_out], b) of a dense one.

        A layer_norm has (gain, shift), an rms_norm (gain,), a batch_norm (gain, shift, running mean, running variance).
        """
        return weights(self.layers, self.parameters)

    def outputs(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the last layer says about encoded rows X [rows, n_inputs]: logits or numbers, [rows, n_out]."""
        return NativeEngine(threads=1).predict(self.layers, self.parameters, X)

    def predict(self, rows: Any) -> NDArray[Any]:
        """Labels, or numbers in the target's unit, for raw rows: a data frame, an array, a path to a table."""
        return self.encoding.decode(self._decided(self.outputs(self.encoding.transform(rows))))

    @property
    def gives_probabilities(self) -> bool:
        """Whether the loss was a cross-entropy, whose outputs are logits of probabilities."""
        return self.loss.name in (binary_cross_entropy.name, softmax_cross_entropy.name)

    def predict_proba(self, rows: Any) -> NDArray[np.float64]:
        """The probability of every class for raw rows, [rows, classes]; InvalidInput unless `gives_probabilities`."""
        if not self.gives_probabilities:
            raise InvalidInput(
                f"probabilities come from a cross-entropy loss, but this run was trained with {self.loss}."
            )
        z = self.outputs(self.encoding.transform(rows)).astype(np.float64)
        z = z if z.shape[1] > 1 else np.hstack([np.zeros_like(z), z])  # σ(z) is the softmax of (0, z)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    def score(self, part: Part) -> float:
        """Accuracy, or R², on a part of a data set encoded like this run's: `run.score(data.test)`."""
        self._check_width(part)
        labels = part.y.astype(np.int32) if self.encoding.target.classes else np.zeros(0, np.int32)
        counts = NO_WEIGHTS if part.weights is None else part.weights
        rows = EnginePart(part.X, part.y.astype(np.float32), labels, counts)
        return score(self.loss, self.outputs(part.X).astype(np.float64), rows)

    @property
    def score_name(self) -> str:
        """What a score is: accuracy for classes, R² for numbers."""
        return "accuracy" if self.encoding.target.classes else "R²"

    def preactivations(self, part: Part) -> Preactivations:
        """z of every hidden layer on a part of a data set encoded like this run's: `run.preactivations(data.train)`."""
        self._check_width(part)
        return given(self.layers, self.parameters, part.X, f"after epoch {self.outcome.state.epoch}")

    def plot(self, ax: Axes | None = None) -> Axes:
        """Training and validation loss against the epoch."""
        return charts.loss_curves(self, ax)

    def figure(self) -> Figure:
        """Losses, score and gradient flow of the training on one page."""
        return charts.training_figure(self)

    def _check_width(self, part: Part) -> None:
        if part.X.shape[1] != self.layers[0].n_in:
            raise DataError(f"this run takes {self.layers[0].n_in} inputs, but the part has {part.X.shape[1]}.")

    def _decided(self, outputs: NDArray[np.float32]) -> NDArray[Any]:
        """Class numbers, or the numbers themselves, from the outputs."""
        if not self.encoding.target.classes:
            return outputs
        return (
            outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > self.loss.threshold).astype(np.int64)
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run to a file; an existing one is replaced only when the new one is complete."""
        runfile.write(Path(path), self.content())

    def content(self) -> runfile.Content:
        """What a run file holds."""
        return runfile.Content(
            self.network, self.recipe, self.seed, self.loss, self.layers, self.encoding, self.fingerprint, self.outcome
        )

    def __repr__(self) -> str:
        score = self.outcome.scores[2]
        return f"Run({self.network}, {self.recipe}, seed={self.seed}: {self.status}, test score {score:.4f})"


def load_run(path: str | os.PathLike[str]) -> Run:
    """Read a run back; everything in the file is checked and nothing in it is executed.

    RunFileError if the file is truncated, edited or not a run.
    """
    return Run(*runfile.read(Path(path)))


# ---------------------------------------------------------------------------------------------- fit


def fit(
    network: Network | None,
    data: object,
    recipe: Recipe | None = None,
    *,
    seed: int | None = None,
    resume: Run | None = None,
    engine: EngineName | Engine = "native",
    threads: int | None = None,
    progress: ProgressCallback | None = None,
) -> Run:
    """Train one network.

    Parameters
    ----------
    network : None is `mlp()`.
    data : a Dataset, or anything `load` takes.
    recipe : None is `Recipe()`, or that of the run to resume.
    seed : of the initial weights and of the order of the data; 0 if not given.
    resume : a run to train on from, up to the recipe's epochs. Network, seed, data and all of the recipe but epochs,
        horizon, patience and schedule must be the same. The result is bit-identical to never having stopped where the
        learning rates of the epochs done are those of the whole training: with the same schedule, constant and without
        warm-up, or planned over the same horizon. Otherwise a SchussWarning says so.
    threads : None takes all cores; the result does not depend on it.

    Raises
    ------
    InvalidInput
        If the loss does not fit the task, or the run to resume was another training.
    """
    dataset = load(data)
    if resume is not None:
        if not isinstance(resume, Run):
            raise InvalidInput(f"resume is a Run, such as load_run('digits.schuss'), but is {resume!r:.60}.")
        recipe = recipe or resume.recipe
        seed = resume.seed if seed is None else seed
        network = network or resume.network
    job = Job(network or mlp(), recipe or Recipe(), seed or 0)
    if resume is not None:
        _check_resumable(job, dataset, resume)
        _warn_of_other_rates(job.recipe, resume)
    state = None if resume is None else _resumed(resume.outcome.state, job.recipe)
    jobs = [replace(job, start=state)]
    ((_, run),) = train_jobs(jobs, dataset, engine=engine, threads=threads, progress=progress)
    return run if resume is None else joined(resume, run)


def fit_many(
    jobs: Iterable[Job],
    data: object,
    *,
    engine: EngineName | Engine = "native",
    threads: int | None = None,
    progress: ProgressCallback | None = None,
) -> list[Run]:
    """Train many networks on one data set (or anything `load` takes); the runs come back in the order of the jobs.

    A run is bit-identical to the one that `fit` returns for its job. A network that diverges is a run with the status
    "diverged" and disturbs no other.
    """
    (runs,) = fit_groups([(data, jobs)], engine=engine, threads=threads, progress=progress)
    return runs


def fit_groups(
    groups: Iterable[tuple[object, Iterable[Job]]],
    *,
    engine: EngineName | Engine = "native",
    threads: int | None = None,
    progress: ProgressCallback | None = None,
) -> list[list[Run]]:
    """Train networks on several data sets at once, such as folds: a list of runs for each (data, jobs), in order.

    All of them share the threads as one population, so that none idles while the last networks of a data set train. The
    runs are bit-identical to those of `fit_many` for each group.

    >>> jobs = [Job(mlp([8]), Recipe(epochs=5), seed) for seed in range(2)]
    >>> for runs in fit_groups([(load("iris", seed=seed), jobs) for seed in range(3)]):
    ...     print([run.status for run in runs])
    ['finished', 'finished']
    ['finished', 'finished']
    ['finished', 'finished']
    """
    loaded = [(load(data), list(jobs)) for data, jobs in groups]
    pairs = [(job, data) for data, jobs in loaded for job in jobs]
    runs = dict(train_pairs(pairs, engine=engine, threads=threads, tell=_work(pairs).progress(progress)))
    numbers = iter(range(len(pairs)))
    return [[runs[next(numbers)] for _ in jobs] for _, jobs in loaded]


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
    return train_pairs(pairs, engine=engine, threads=threads, tell=_work(pairs).progress(progress))


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


def _work(pairs: Sequence[tuple[Job, Dataset]]) -> Work:
    """All the work of jobs that are known; one whose loss does not fit is an error now, not while others train."""
    updates = 0
    for job, data in pairs:
        _loss(job, data)
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
        loss = _loss(job, data)
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


def _loss(job: Job, data: Dataset) -> Loss:
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


# ---------------------------------------------------------------------------------------------- resume


def _check_resumable(job: Job, data: Dataset, run: Run) -> None:
    pairs: Iterable[tuple[str, object, object]] = (
        ("network", job.network, run.network),
        ("seed", job.seed, run.seed),
        ("optimizer", job.recipe.optimizer, run.recipe.optimizer),
        ("batch size", job.recipe.batch_size, run.recipe.batch_size),
        ("loss", _loss(job, data), run.loss),
        ("clip_norm", job.recipe.clip_norm, run.recipe.clip_norm),
        ("data", data.fingerprint[:12], run.fingerprint[:12]),
    )
    for what, wanted, had in pairs:
        if wanted != had:
            was, given = (each.brief() if isinstance(each, Network) else each for each in (had, wanted))
            raise InvalidInput(f"cannot train on from this run: its {what} is {was}, but {given} was given.")
    if run.status == "diverged":
        raise InvalidInput(f"cannot train on from this run: it diverged at step {run.outcome.diverged_step}.")
    if run.outcome.state.epoch >= job.recipe.epochs:
        raise InvalidInput(
            f"this run has done {run.outcome.state.epoch} epochs and the recipe asks for {job.recipe.epochs} in all; "
            "ask for more epochs to train on."
        )


def _warn_of_other_rates(recipe: Recipe, run: Run) -> None:
    """Say where the epochs done had other learning rates than the whole training would have given them."""
    before, done = run.recipe, run.outcome.state.step
    in_an_epoch = done // max(run.outcome.state.epoch, 1)

    def rates(recipe: Recipe) -> NDArray[np.float64]:
        return recipe.optimizer.lr * recipe.schedule.factors(in_an_epoch * recipe.planned_epochs)[:done]

    if not np.array_equal(rates(recipe), rates(before)):
        warnings.warn(
            f"the learning rates of the {run.outcome.state.epoch} epochs done were planned over {before.planned_epochs} "
            f"epochs by {before.schedule}, those to come are planned over {recipe.planned_epochs} by {recipe.schedule}: "
            "the result is not that of a training in one go. To train on later, state the horizon from the start.",
            SchussWarning,
            stacklevel=3,
        )


def _resumed(state: State, recipe: Recipe) -> State:
    """The state to go on from when patience is new, or is no more."""
    if recipe.patience is None:
        return replace(state, best=None, best_loss=math.inf, best_epoch=0)
    return replace(state, best_epoch=state.epoch) if state.best is None else state


def joined(before: Run, after: Run) -> Run:
    """The whole training: both histories, with the seconds counted on."""
    old, new = before.outcome, after.outcome
    later = new.history.copy()
    later[:, HISTORY.index("seconds")] += old.seconds
    outcome = Outcome(
        status=new.status,
        state=new.state,
        history=np.vstack([old.history, later]),
        flow=np.concatenate([old.flow, new.flow]),
        watched=np.concatenate([old.watched, new.watched]),
        losses=new.losses,
        scores=new.scores,
        seconds=old.seconds + new.seconds,
        diverged_step=new.diverged_step,
        diverged_layer=new.diverged_layer,
    )
    return Run(
        after.network, after.recipe, after.seed, after.loss, after.layers, after.encoding, after.fingerprint, outcome
    )
