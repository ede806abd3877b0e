"""Which is better: every activation with every optimizer, over learning rates and seeds, in one population.

All competitors train for the same passes over the same data. Seed k gives every one of them the same initial draws and
the same order of the data, so that differences are not luck. The learning rate of each (activation, optimizer) is
chosen on the validation part, the score is reported on the test part; diverged networks are counted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from schuss.activations import Activation, find_activation
from schuss.comparison.statistics import Row
from schuss.comparison.study import Study
from schuss.data import load
from schuss.engines import Engine
from schuss.errors import InvalidInput, positive_integer, positive_number
from schuss.initializers import Initializer, auto
from schuss.insight.gradient_flow import flow
from schuss.layers import stages
from schuss.network import mlp
from schuss.optimizers import Optimizer, find_optimizer
from schuss.recipe import Recipe
from schuss.training import EngineName, Job, ProgressCallback, Run, train_jobs

Competitor = TypeVar("Competitor", Activation, Optimizer)

ACTIVATIONS = ("sigmoid", "tanh", "relu", "softplus")
OPTIMIZERS = ("gd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")


class Interrupted(KeyboardInterrupt):
    """An interrupt during a comparison; `study` holds what was finished."""

    def __init__(self, study: Study) -> None:
        super().__init__(f"interrupted after {len(study.rows)} of {study.expected} networks")
        self.study = study


@dataclass(frozen=True)
class _Entry:
    """One network of the grid: a job, and the names under which its result is kept."""

    job: Job
    activation: str
    optimizer: str
    learning_rate: float


def compare(  # noqa: PLR0913 (the axes and the budget of a comparison)
    data: object,
    *,
    activations: Sequence[str | Activation] = ACTIVATIONS,
    optimizers: Sequence[str | Optimizer] = OPTIMIZERS,
    learning_rates: int | Sequence[float] = 8,
    seeds: int = 3,
    epochs: int = 20,
    depth: int = 4,
    width: int = 64,
    batch_size: int = 32,
    init: str | Initializer = auto,
    norm: str | None = None,
    residual: bool = False,
    dropout: float = 0.0,
    seed: int = 0,
    engine: EngineName | Engine = "native",
    threads: int | None = None,
    progress: ProgressCallback | None = None,
) -> Study:
    """Train the whole grid and rank activations and optimizers on the user's own data.

    Parameters
    ----------
    data : a Dataset, or anything `load` takes.
    activations, optimizers : by name, formula or themselves.
    learning_rates : how many, evenly on a log scale over each optimizer's `search` range; or the rates themselves.
    seeds : how many networks for each setting, with the seeds `seed`, `seed` + 1, …
    depth, width : hidden layers and their units.
    norm, residual, dropout : for every network, as in `mlp`.

    Raises
    ------
    Interrupted
        On Ctrl-C; its `study` holds everything that was finished.

    >>> study = compare("iris", activations=["relu"], optimizers=["sgd", "adam"], learning_rates=2, seeds=1, epochs=2)
    >>> len(study.rows), {row.status for row in study.rows}
    (4, {'finished'})
    """
    dataset = load(data)
    chosen = _competitors("activation", activations, find_activation)
    rules = _competitors("optimizer", optimizers, find_optimizer)
    _check_rates_are_free(rules)
    hidden = [positive_integer("width", width)] * positive_integer("depth", depth)
    networks = {str(a): mlp(hidden, a, init, norm=norm, residual=residual, dropout=dropout) for a in chosen}
    recipes = [
        (str(o), Recipe(o(lr=rate), batch_size=batch_size, epochs=epochs))
        for o in rules
        for rate in _rates(o, learning_rates)
    ]
    # The seeds are the outer loop, so that an interrupted comparison has compared everything on the first of them.
    entries = [
        _Entry(Job(networks[a], recipe, seed + k), a, o, recipe.optimizer.lr)
        for k, a, (o, recipe) in product(range(positive_integer("seeds", seeds)), networks, recipes)
    ]
    flows = {a: flow(network, dataset, seed=seed) for a, network in networks.items()}

    began = time.perf_counter()
    # Not the runs, whose weights would fill the memory.
    finished: dict[int, tuple[Row, Mapping[str, NDArray[np.float64]]]] = {}

    def study() -> Study:
        in_order = [finished[number] for number in sorted(finished)]
        return Study(
            data=dataset.name,
            task=dataset.task,
            rows=tuple(row for row, _ in in_order),
            curves=tuple(curves for _, curves in in_order),
            flows=flows,
            seconds=time.perf_counter() - began,
            expected=len(entries),
        )

    try:
        jobs = [entry.job for entry in entries]
        for number, run in train_jobs(jobs, dataset, engine=engine, threads=threads, progress=progress):
            finished[number] = (_row(entries[number], run), run.history)
    except KeyboardInterrupt:
        raise Interrupted(study()) from None
    return study()


def _competitors(kind: str, wanted: Iterable[Any], find: Callable[[Any], Competitor]) -> list[Competitor]:
    """The definitions that take part, at least one and each once."""
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):
        raise InvalidInput(f"the {kind}s to compare must be a list, but are {wanted!r:.60}.")
    found = [find(each) for each in wanted]
    if not found:
        raise InvalidInput(f"give at least one {kind} to compare.")
    names = list(map(str, found))
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InvalidInput(f"the {kind} {min(twice)} is given twice; give each of them its own name.")
    return found


def _check_rates_are_free(rules: Sequence[Optimizer]) -> None:
    """Refuse an optimizer that comes with a learning rate of its own, which would be shown, but not used."""
    for rule in rules:
        if rule.lr != dict(rule.defaults)["lr"]:
            raise InvalidInput(
                f"a comparison tries learning rates by itself, but {rule} sets one; leave out lr (in Python, "
                f"learning_rates=[{rule.lr:g}] tries that one alone)."
            )


def _rates(optimizer: Optimizer, wanted: int | Sequence[float]) -> NDArray[np.float64]:
    """The learning rates to try: as given, or `wanted` of them over the optimizer's range (one: its middle)."""
    if isinstance(wanted, Iterable):
        rates = np.array([positive_number("a learning rate", rate) for rate in wanted])
        if not len(rates):
            raise InvalidInput("give at least one learning rate to compare.")
        return rates
    low, high = np.log10(optimizer.search)
    n = positive_integer("learning_rates", wanted)
    return np.logspace(low, high, n) if n > 1 else np.array([10 ** ((low + high) / 2)])


def _row(entry: _Entry, run: Run) -> Row:
    outcome = run.outcome
    # The accuracy of weights that are not numbers is the share of class 0, which would look like a result.
    valid_loss, valid_score, test_score = (
        (math.nan,) * 3 if run.status == "diverged" else (outcome.losses[1], *outcome.scores[1:])
    )
    return Row(
        activation=entry.activation,
        optimizer=entry.optimizer,
        learning_rate=float(entry.learning_rate),
        seed=entry.job.seed,
        depth=len(stages(run.layers)) - 1,
        width=run.layers[0].n_out,
        status=run.status,
        valid_loss=valid_loss,
        valid_score=valid_score,
        test_score=test_score,
        epochs=outcome.state.epoch,
        seconds=outcome.seconds,
        diverged_step=outcome.diverged_step,
    )
