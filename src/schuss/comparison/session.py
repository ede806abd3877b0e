"""One sitting of a comparison: trials, choice, new seeds. It trains what the study file lacks, and keeps it there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from schuss import descriptions
from schuss.comparison.budget import Budget
from schuss.comparison.competitors import Competitor, Entrant
from schuss.comparison.study.keys import digest, network_key
from schuss.comparison.study.ranking import tried
from schuss.comparison.study.storage import Entry, StudyFile
from schuss.comparison.study.study import Study, read_study
from schuss.comparison.trials import Search, Trial, Tried, best_of
from schuss.comparison.workers import Group, Wanted, Workers, seconds_per_epoch
from schuss.data import Dataset
from schuss.engines import Engine
from schuss.engines.native import NativeEngine
from schuss.training.jobs import Job


class Standing(NamedTuple):
    """How far a comparison is.

    networks : finished, of which `reused` were in the study file before.
    total : how many there will be, as far as is known: a range that is widened adds some.
    share : of all the work that is done.
    study : a function that gives what is there so far.
    """

    networks: int
    reused: int
    total: int
    share: float
    study: Callable[[], Study]


StandingCallback: TypeAlias = Callable[[Standing], None]
_Who: TypeAlias = tuple[str, Competitor]  # a competitor on a data set


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

    @cached_property
    def id(self) -> str:
        """A hash of all of it, and of what an earlier version or another initializer of the same name would do else.

        A comparison that was interrupted is known by it again: what stands at its places is then what belongs there.
        """
        jobs = [Job(entrant.network, entrant.recipe({}, 1), self.seed) for entrant in self.field]
        return digest([self.asked, [network_key(self.engine_name, "", job).hex() for job in jobs]])

    @cached_property
    def asked(self) -> dict[str, Any]:
        """All of it as plain values."""
        networks = list(dict.fromkeys(entrant.network for entrant in self.field))
        number = {network: i for i, network in enumerate(networks)}
        return {
            "data": [_described(name, dataset.resplit(self.seed)) for name, dataset in self.data.items()],
            "competitors": [
                {
                    "axes": entrant.competitor._asdict(),
                    "network": number[entrant.network],
                    "recipe": descriptions.recipe_json(entrant.recipe({}, 1)),
                }
                for entrant in self.field
            ],
            "networks": list(map(descriptions.network_json, networks)),
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
        "guess": _guess(data),
        "notes": list(data.notes),
    }


def _guess(data: Dataset) -> float:
    """The validation score of who always says what is most frequent in training, or about the mean: R² is 0."""
    if data.task == "regression":
        return 0.0
    labels, counts = np.unique(data.train.y, return_counts=True)
    return float(np.mean(data.valid.y == labels[counts.argmax()]))


class _Place(NamedTuple):
    """A network that the protocol asks for."""

    data: str
    stage: str
    entrant: Entrant
    trial: Trial
    seed: int

    def entry(self, key: bytes) -> Entry:
        settings = dict(self.trial.settings)
        rate = settings.pop("lr")
        others = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        return Entry(key, self.data, self.stage, self.entrant.competitor, self.trial.number, rate, others, self.seed)


class Session:
    """A comparison at work on a study file."""

    def __init__(
        self,
        plan: Protocol,
        file: StudyFile,
        workers: Workers,
        origin: dict[str, Any],
        progress: StandingCallback | None,
    ) -> None:
        self.plan, self.file, self.workers, self.progress = plan, file, workers, progress
        self.place = self.done = self.reused = 0
        self._trial_data = {name: dataset.resplit(plan.seed) for name, dataset in plan.data.items()}
        self.id = plan.id
        file.begin(self.id, plan.asked, origin)
        self._expect(len(plan.data) * len(plan.field) * (plan.trials + plan.seeds))

    def run(self) -> None:
        """Everything that the protocol asks for, as far as it is not in the file."""
        with self._accounted():
            chosen = self._choose()
            self._train(
                group
                for k in range(1, self.plan.seeds + 1)
                for group in self._finals(self.plan.seed + k, chosen, with_flow=k == 1)
            )
        self.file.finish(self.id)

    def _expect(self, networks: int) -> None:
        self.expected = networks
        self.file.expect(self.id, networks)

    def study(self) -> Study:
        """What is there so far."""
        return read_study(self.file, self.file.comparison(self.id))

    @contextmanager
    def _accounted(self) -> Iterator[None]:
        """Add what this sitting trained, and how long that took, to what earlier ones did."""
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            self.file.account(self.id, trained=self.done - self.reused, seconds=seconds)

    # ------------------------------------------------------------------------------------------ the stages

    def _choose(self) -> dict[_Who, Trial]:
        """The chosen trial of every competitor on every data set, its range widened where that is called for."""
        plan = self.plan
        searches = {
            (data, entrant.competitor): Search.of(entrant.optimizer, plan.tuned, plan.trials, plan.seed)
            for data in plan.data
            for entrant in plan.field
        }
        trials = {who: search.first() for who, search in searches.items()}
        following = trials
        while True:
            self._train(self._tries(data, following) for data in dict.fromkeys(data for data, _ in following))
            results = self._results()
            further = {who: search.further(results[who]) for who, search in searches.items()}
            searches = {who: search for who, (search, _) in further.items()}
            following = {who: more for who, (_, more) in further.items() if more}
            if not following:
                return {who: made[best_of(results[who]).number] for who, made in trials.items()}
            self._expect(self.expected + sum(map(len, following.values())))
            trials = {who: [*made, *following.get(who, ())] for who, made in trials.items()}

    def _tries(self, data: str, trials: Mapping[_Who, Sequence[Trial]]) -> Group:
        """Trials, the first of each competitor first: what is interrupted has compared all on some."""
        mine = {entrant: trials.get((data, entrant.competitor), ()) for entrant in self.plan.field}
        places = [
            _Place(data, "trial", entrant, made[number], self.plan.seed)
            for number in range(max(map(len, mine.values()), default=0))
            for entrant, made in mine.items()
            if number < len(made)
        ]
        return self._group(self._trial_data[data], places, lambda place: place.trial.number == 0)

    def _finals(self, seed: int, chosen: Mapping[_Who, Trial], *, with_flow: bool) -> Iterator[Group]:
        for name, data in self.plan.data.items():
            field = self.plan.field
            places = [_Place(name, "final", entrant, chosen[name, entrant.competitor], seed) for entrant in field]
            yield self._group(data.resplit(seed), places, lambda _: with_flow)

    def _results(self) -> dict[_Who, list[Tried]]:
        rows: dict[_Who, list[Any]] = {}
        for row in self.file.rows(self.id, before=self.place):  # not what an earlier sitting did after this
            rows.setdefault((row.data, row.competitor), []).append(row)
        return {who: tried(mine) for who, mine in rows.items()}

    # ------------------------------------------------------------------------------------------ training

    def _group(self, data: Dataset, places: Sequence[_Place], with_flow: Callable[[_Place], bool]) -> Group:
        """Give the places their networks, and ask for those that the file lacks, each once."""
        epochs = {entrant: self._epochs_of(places[0].data, entrant) for entrant in self.plan.field}
        jobs = [
            Job(place.entrant.network, place.entrant.recipe(place.trial.settings, epochs[place.entrant]), place.seed)
            for place in places
        ]
        keys = [network_key(self.plan.engine_name, data.fingerprint, job) for job in jobs]
        self.file.enter(self.id, self.place, [place.entry(key) for place, key in zip(places, keys, strict=True)])
        self.place += len(places)
        known = self.file.known(keys)
        wanted = {
            key: Wanted(key, job, with_flow(place))
            for key, job, place in zip(keys, jobs, places, strict=True)
            if key not in known
        }
        self.reused += len(places) - len(wanted)
        self.done += len(places) - len(wanted)
        return Group(data, list(wanted.values()))

    def _train(self, groups: Iterable[Group]) -> None:
        for key, record in self.workers.train(groups, self._tick):
            self.file.keep(key, record)
            self.done += 1
        self.file.commit()

    def _tick(self, under_way: float) -> None:
        if under_way > 0:
            self.file.tick()
        else:  # workers elsewhere say nothing until their next chunk is finished, which may be long
            self.file.commit()
        if self.progress is not None:
            share = min((self.done + under_way) / self.expected, 1.0)
            self.progress(Standing(self.done, self.reused, self.expected, share, self.study))

    # ------------------------------------------------------------------------------------------ the budget

    def _epochs_of(self, data: str, entrant: Entrant) -> int:
        """For how many epochs a competitor trains; if seconds are given, as many as fit, measured once and kept."""
        budget = self.plan.budget
        if budget.seconds is None:
            return budget.epochs
        job, on = Job(entrant.network, entrant.recipe({}, 1), self.plan.seed), self._trial_data[data]
        key = network_key(self.plan.engine_name, on.fingerprint, job)
        seconds = self.file.calibration(key)
        if seconds is None:
            seconds = seconds_per_epoch(on, job, self._one_thread())
            self.file.calibrate(key, seconds)
        return max(int(budget.seconds / seconds), 1)

    def _one_thread(self) -> Engine:
        engine = self.plan.engine
        return NativeEngine(1, engine.instruction_set) if isinstance(engine, NativeEngine) else engine
