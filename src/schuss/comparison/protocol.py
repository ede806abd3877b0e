"""Which is better: a fair comparison of everything that takes part, on the user's own data.

All competitors train for the same budget. Each gets the same number of trials of its learning rate; the best one is
chosen on the validation part, and trained again on fresh seeds, each of which gives every competitor the same split of
the data, the same initial draws and the same order of the rows. What is reported is measured on the test part.
docs/protocol.md says why, and after whom.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schuss import runfile
from schuss.activations import Activation
from schuss.comparison.budget import Budget, find_budget
from schuss.comparison.competitors import Competitor, Entrant, entrants
from schuss.comparison.keys import digest, network_key
from schuss.comparison.records import Record, record
from schuss.comparison.storage import Entry, StudyFile
from schuss.comparison.study import Study, read_study, tried
from schuss.comparison.trials import Search, Trial, best_of, tuned_names
from schuss.data import Dataset, load
from schuss.engines import Engine
from schuss.engines.native import NativeEngine
from schuss.errors import InvalidInput, positive_integer, seed_number
from schuss.initializers import Initializer, auto
from schuss.optimizers import Optimizer
from schuss.schedules import Schedule, constant
from schuss.training import EngineName, Job, Progress, ProgressCallback, find_engine, train_jobs

if TYPE_CHECKING:
    import os

ACTIVATIONS = ("sigmoid", "tanh", "relu", "softplus")
OPTIMIZERS = ("gd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")


class Interrupted(KeyboardInterrupt):
    """An interrupt during a comparison; `study` holds what was finished."""

    def __init__(self, study: Study) -> None:
        super().__init__(f"interrupted after {len(study.rows)} of {study.expected} networks")
        self.study = study


def compare(  # noqa: PLR0913 (the axes and the budget of a comparison)
    data: object,
    *,
    activations: Sequence[str | Activation] = ACTIVATIONS,
    optimizers: Sequence[str | Optimizer] = OPTIMIZERS,
    init: str | Initializer | Sequence[str | Initializer] = auto,
    depth: int | Sequence[int] = 4,
    width: int | Sequence[int] = 64,
    batch_size: int | None | Sequence[int | None] = 32,
    schedule: str | Schedule | Sequence[str | Schedule] = constant,
    budget: int | str = 20,
    trials: int = 12,
    tune: Sequence[str] = (),
    seeds: int = 10,
    seed: int = 0,
    study: str | os.PathLike[str] | None = None,
    engine: EngineName | Engine = "native",
    threads: int | None = None,
    progress: ProgressCallback | None = None,
) -> Study:
    """Find out what learns best on the user's own data, and how sure that is.

    Parameters
    ----------
    data : a Dataset, or anything `load` takes; a list of them is compared on all.
    activations, optimizers, init, depth, width, batch_size, schedule : the axes, each a value or a list of values, by
        name, formula or themselves. Every combination takes part.
    budget : of each network: epochs (20 or "20epochs"), or seconds of one core ("30s"), which a short calibration turns
        into epochs.
    trials : settings of the learning rate that each competitor may try, over its optimizer's `search` range, which is
        widened (by a decade, at most twice) where the best trial is the lowest or the highest.
    tune : names of further hyper-parameters to vary in the trials, such as "momentum".
    seeds : fresh seeds on which the chosen trial is run: `seed` + 1, `seed` + 2, …; the trials have `seed` itself.
    study : a file in which every finished network is kept; with the same arguments it goes on where it stopped, with
        others it takes from it what it can. None keeps everything in memory.

    Raises
    ------
    Interrupted
        On Ctrl-C; its `study` holds everything that was finished.
    InvalidInput
        StudyFileError among others, for a study file that cannot be used.

    >>> found = compare("iris", activations=["relu"], optimizers=["sgd", "adam"], trials=4, seeds=2, budget=2)
    >>> found.expected == len(found.rows) >= 12, {row.status for row in found.rows}
    (True, {'finished'})
    """
    axes = {
        "activation": _listed("activations", activations), "optimizer": _listed("optimizers", optimizers),
        "init": init, "depth": depth, "width": width, "batch_size": batch_size, "schedule": schedule,
    }  # fmt: skip
    field = entrants(axes)
    _check_rates_are_free(field)
    plan = Protocol(
        _datasets(data), field, find_budget(budget), positive_integer("trials", trials),
        tuned_names(tune, [entrant.optimizer for entrant in field]), positive_integer("seeds", seeds), seed_number(seed),
        find_engine(engine, threads),
    )  # fmt: skip
    file = StudyFile(None if study is None else Path(study), write=True)
    try:
        return _Session(plan, file, progress).run()
    finally:
        file.close()


def _listed(what: str, wanted: object) -> object:
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):
        raise InvalidInput(f"the {what} to compare must be a list, but are {wanted!r:.60}.")
    return wanted


def _check_rates_are_free(field: Sequence[Entrant]) -> None:
    """Refuse an optimizer that comes with a learning rate of its own, which would be shown, but not used."""
    for rule in dict.fromkeys(entrant.optimizer for entrant in field):
        if rule.lr != dict(rule.defaults)["lr"]:
            raise InvalidInput(f"a comparison tries learning rates by itself, but {rule} sets one; leave out lr.")


def _datasets(data: object) -> dict[str, Dataset]:
    """The data sets by name; a list holds several."""
    found = [load(each) for each in (data if isinstance(data, list) else [data])]
    if not found:
        raise InvalidInput("give at least one data set to compare on.")
    names = [dataset.name for dataset in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"two data sets are called '{name}'; load one of them with another name=.")
    return dict(zip(names, found, strict=True))


@dataclass(frozen=True)
class Protocol:
    """What a comparison does, all of it decided."""

    data: Mapping[str, Dataset]
    field: Sequence[Entrant]
    budget: Budget
    trials: int
    tuned: tuple[str, ...]
    seeds: int
    seed: int
    engine: Engine

    @property
    def engine_name(self) -> str:
        """Who computes, as far as it decides the bits."""
        engine = self.engine
        return f"native {engine.instruction_set}" if isinstance(engine, NativeEngine) else type(engine).__name__

    def described(self) -> dict[str, Any]:
        """All of it as plain values."""
        networks = list(dict.fromkeys(entrant.network for entrant in self.field))
        return {
            "data": [_described(name, dataset.resplit(self.seed)) for name, dataset in self.data.items()],
            "competitors": [
                {
                    "axes": entrant.competitor._asdict(),
                    "network": networks.index(entrant.network),
                    "recipe": runfile.recipe_json(entrant.recipe({}, 1)),
                }
                for entrant in self.field
            ],
            "networks": list(map(runfile.network_json, networks)),
            "budget": str(self.budget),
            "trials": self.trials,
            "tuned": list(self.tuned),
            "seeds": self.seeds,
            "seed": self.seed,
            "engine": self.engine_name,
        }


def _described(name: str, data: Dataset) -> dict[str, Any]:
    return {
        "name": name,
        "task": data.task,
        "fingerprint": data.fingerprint,
        "n_inputs": data.n_inputs,
        "rows": [len(data.train), len(data.valid), len(data.test)],
        "classes": len(data.classes),
        "notes": list(data.notes),
    }


@dataclass(frozen=True)
class _Place:
    """A network that the protocol asks for."""

    data: str
    stage: str
    entrant: Entrant
    trial: Trial
    seed: int

    def entry(self, key: bytes) -> Entry:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.trial.settings.items() if name != "lr")
        return Entry(
            key, self.data, self.stage, self.entrant.competitor, self.trial.number, self.trial.settings["lr"], settings,
            self.seed,
        )  # fmt: skip


class _Session:
    """One sitting of a comparison: it trains what the file lacks."""

    def __init__(self, plan: Protocol, file: StudyFile, progress: ProgressCallback | None) -> None:
        self.plan, self.file, self.progress = plan, file, progress
        self.began = time.perf_counter()
        self.place = self.done = 0
        self.expected = len(plan.data) * len(plan.field) * (plan.trials + plan.seeds)
        asked = plan.described()
        self.id = digest(asked)
        file.begin(self.id, asked, {})

    def run(self) -> Study:
        """Everything that the protocol asks for; Interrupted with what there is of it."""
        try:
            chosen = self._trials()
            for k in range(1, self.plan.seeds + 1):
                for data in self.plan.data:
                    self._final(data, self.plan.seed + k, chosen[data])
        except KeyboardInterrupt:
            self._save(finished=False)
            raise Interrupted(self._study()) from None
        self._save(finished=True)
        return self._study()

    def _save(self, *, finished: bool) -> None:
        seconds = time.perf_counter() - self.began
        self.file.progress(self.id, seconds=seconds, expected=self.expected, finished=finished)
        self.file.commit()

    def _study(self) -> Study:
        return read_study(self.file, self.file.comparison(self.id))

    # ------------------------------------------------------------------------------------------ the stages

    def _trials(self) -> dict[str, dict[Competitor, Trial]]:
        """The chosen trial of every competitor on every data set, its range widened where that is called for."""
        plan = self.plan
        searches = {
            (data, entrant.competitor): Search.of(entrant.optimizer, plan.tuned, plan.trials, plan.seed)
            for data in plan.data
            for entrant in plan.field
        }
        trials = {who: search.first() for who, search in searches.items()}
        following = dict(trials)
        while following:
            for data in plan.data:
                self._try(data, {who: more for (on, who), more in following.items() if on == data})
            results = self._tried()
            following = {}
            for who, search in searches.items():
                searches[who], more = search.further(results[who])
                if more:
                    following[who] = more
                    trials[who] = [*trials[who], *more]
            self.expected += sum(map(len, following.values()))
        chosen: dict[str, dict[Competitor, Trial]] = {data: {} for data in plan.data}
        for (data, competitor), made in trials.items():
            chosen[data][competitor] = made[best_of(results[data, competitor]).number]
        return chosen

    def _try(self, data: str, trials: Mapping[Competitor, Sequence[Trial]]) -> None:
        """Train trials, the first of each competitor first: what is interrupted has compared all on some."""
        most = max(map(len, trials.values()), default=0)
        seed = self.plan.seed
        places = [
            _Place(data, "trial", entrant, trials[entrant.competitor][number], seed)
            for number in range(most)
            for entrant in self.plan.field
            if number < len(trials.get(entrant.competitor, ()))
        ]
        self._train(self.plan.data[data].resplit(seed), places, with_flow=lambda place: place.trial.number == 0)

    def _final(self, data: str, seed: int, chosen: Mapping[Competitor, Trial]) -> None:
        places = [
            _Place(data, "final", entrant, chosen[entrant.competitor], seed) for entrant in self.plan.field
        ]
        first = seed == self.plan.seed + 1
        self._train(self.plan.data[data].resplit(seed), places, with_flow=lambda _: first)

    def _tried(self) -> Any:
        found: dict[tuple[str, Competitor], list[Any]] = {}
        for row in self.file.rows(self.id, before=self.place):  # not those of an earlier sitting
            if row.stage == "trial":
                found.setdefault((row.data, row.competitor), []).append(row)
        return {who: tried(rows) for who, rows in found.items()}

    # ------------------------------------------------------------------------------------------ training

    def _train(self, data: Dataset, places: Sequence[_Place], with_flow: Any) -> None:
        jobs = [Job(p.entrant.network, p.entrant.recipe(p.trial.settings, self.plan.budget.epochs or 1), p.seed) for p in places]
        keys = [network_key(self.plan.engine_name, data.fingerprint, job) for job in jobs]
        self.file.enter(self.id, self.place, [place.entry(key) for place, key in zip(places, keys, strict=True)])
        self.place += len(places)
        known = self.file.known(keys)
        missing = {key: number for number, key in reversed(list(enumerate(keys))) if key not in known}
        wanted = sorted(missing.values())
        self.done += len(keys) - len(wanted)
        for at, run in train_jobs([jobs[number] for number in wanted], data, engine=self.plan.engine, progress=self._tick):
            number = wanted[at]
            self.file.keep(keys[number], record(run, with_flow=with_flow(places[number])))
            self.done += 1

    def _tick(self, at: Progress) -> None:
        self.file.tick()
        if self.progress is not None:
            self.progress(Progress(self.done, self.expected, self.done / self.expected))
