"""Cases: trainings with a known fault, each proved by a healthy twin; drawn until every cause has enough."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng

import schuss as sc
from benchmarks.zoo import setups
from benchmarks.zoo.faults import FAULTS, HEALTHY, healthy
from benchmarks.zoo.halves import Half
from benchmarks.zoo.setups import Setup

PER_CAUSE = 15
HEALTHY_CASES = 75
CANDIDATES = 12  # drawn at once for each cause that lacks cases
ROUNDS = 40
AT_NO_RATE = ("no_nonlinearity", "plateau_of_full_batch")  # faults that show at every rate, not at the twin's alone


@dataclass(frozen=True)
class Case:
    """One training, its true cause, and the gain of its healthy twin (its own, where it is healthy itself)."""

    name: str  # such as first/vanishing_gradient/3
    cause: str
    setup: Setup
    twin: Setup
    twin_gain: float
    gain: float

    def plain(self) -> dict[str, Any]:
        return vars(self) | {"setup": self.setup.plain(), "twin": self.twin.plain()}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Case:
        return cls(**values | {key: Setup.from_plain(values[key]) for key in ("setup", "twin")})


def kept(half: Half, path: Path | None, threads: int | None) -> list[Case]:
    """The cases of a half, from a file if there is one, else drawn, and written to it."""
    if path and path.exists():
        return [Case.from_plain(values) for values in json.loads(path.read_text())]
    cases = draw(half, threads)
    if path:
        path.write_text(json.dumps([case.plain() for case in cases], indent=1) + "\n")
    return cases


def draw(half: Half, threads: int | None) -> list[Case]:
    """Candidates in rounds, until there are enough of every cause; the same cases on every call."""
    wanted = dict.fromkeys(FAULTS, PER_CAUSE) | {HEALTHY: HEALTHY_CASES}
    found: dict[str, list[Case]] = {cause: [] for cause in wanted}
    random = {cause: default_rng([half.seed, i]) for i, cause in enumerate(wanted)}
    for number in range(ROUNDS):
        lacking = [cause for cause in wanted if len(found[cause]) < wanted[cause]]
        if not lacking:
            break
        announce(f"{half.name} half, round {number + 1}: looking for {', '.join(lacking)}")
        for case in _accepted(half, lacking, random, threads):
            if len(found[case.cause]) < wanted[case.cause]:
                found[case.cause].append(case)
    return [
        Case(f"{half.name}/{cause}/{i + 1}", cause, case.setup, case.twin, case.twin_gain, case.gain)
        for cause, cases in found.items()
        for i, case in enumerate(cases)
    ]


def _accepted(half: Half, causes: Sequence[str], random: dict[str, Generator], threads: int | None) -> Iterator[Case]:
    """One round: twins at their best learning rates, the healthy ones of them spoiled, and those that prove it."""
    drawn = [
        (cause, FAULTS[cause].twin(random[cause], half) if cause in FAULTS else healthy(random[cause], half))
        for cause in causes
        for _ in range(CANDIDATES)
    ]
    twins = _healthy(drawn, threads)
    spoiled = [FAULTS[cause].spoil(random[cause], half, twin) if cause in FAULTS else twin for cause, twin, _ in twins]
    for (cause, twin, gain), setup, runs in zip(twins, spoiled, from_seeds(spoiled, threads), strict=True):
        if cause == HEALTHY or (
            all(is_proved(cause, setup, run, gain) for run in runs)
            and not (cause in AT_NO_RATE and is_mended_by_rate(setup, gain, threads))
        ):
            yield Case("", cause, setup, twin, gain, median_gain(setup, runs))


def _healthy(drawn: Sequence[tuple[str, Setup]], threads: int | None) -> list[tuple[str, Setup, float]]:
    """(cause, twin, gain) of those that are healthy from every seed at the rate that is best from the first one."""
    tuned = best_rates([setup for _, setup in drawn], threads)
    promising = [
        (cause, setup) for (cause, _), (setup, run) in zip(drawn, tuned, strict=True) if setups.is_healthy(setup, run)
    ]
    return [
        (cause, setup, median_gain(setup, runs))
        for (cause, setup), runs in zip(promising, from_seeds([setup for _, setup in promising], threads), strict=True)
        if all(setups.is_healthy(setup, run) for run in runs)
    ]


def from_seeds(candidates: Sequence[Setup], threads: int | None) -> list[list[sc.Run]]:
    """The runs of each from its own seed and those after it."""
    runs = setups.train([setup for candidate in candidates for setup in candidate.from_seeds()], threads)
    return [runs[at : at + setups.SEEDS] for at in range(0, len(runs), setups.SEEDS)]


def median_gain(setup: Setup, runs: Sequence[sc.Run]) -> float:
    return statistics.median(setups.run_gain(setup, run) for run in runs)


def best_rates(candidates: Sequence[Setup], threads: int | None) -> list[tuple[Setup, sc.Run]]:
    """Each at the learning rate with the lowest validation loss at the end."""
    tried = [setup for candidate in candidates for setup in candidate.over_rates()]
    runs = setups.train(tried, threads)

    def price(at: int) -> float:
        loss = runs[at].outcome.losses[1]
        return loss if runs[at].status != "diverged" and np.isfinite(loss) else np.inf

    best = [min(range(at, at + setups.RATES), key=price) for at in range(0, len(tried), setups.RATES)]
    return [(tried[at], runs[at]) for at in best]


def is_proved(cause: str, setup: Setup, run: sc.Run, twin_gain: float) -> bool:
    """Whether the fault shows: see `setups` for each criterion."""
    if cause == "overfitting":
        return setups.is_overfit(setup, run)
    if cause == "nothing_to_learn":
        return setups.never_beats_constant(setup, run)
    return setups.is_clearly_worse(setup, run, twin_gain)


def is_mended_by_rate(setup: Setup, twin_gain: float, threads: int | None) -> bool:
    """Whether another learning rate would do as well."""
    ((best, run),) = best_rates([setup], threads)
    return not setups.is_clearly_worse(best, run, twin_gain)


def announce(what: str) -> None:
    """So that whoever waits knows for what."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr)
