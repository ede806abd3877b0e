"""Ensembles trained together: all networks of all plans are one population over the threads."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import count

from schuss.data import Dataset
from schuss.ensembles.ensemble import EnsemblePlan
from schuss.training.jobs import Job, Work, WorkCallback
from schuss.training.population import train_pairs, updates_of
from schuss.training.run import Run


def train(
    plans: Iterable[EnsemblePlan], *, threads: int, tell: WorkCallback | None = None
) -> Generator[tuple[int, list[Run]]]:
    """Yield (number of the plan, its runs) as plans are trained, in any order; the runs are those of the plan alone.

    A plan is taken, and a member's data set made, when threads would soon have nothing to do. Closing the generator
    ends the training.
    """
    places: dict[int, tuple[int, int]] = {}  # of a network in training: the number of its plan, and of the member
    found: dict[int, list[Run | None]] = {}  # of every plan that is not complete

    def pairs() -> Iterator[tuple[Job, Dataset]]:
        numbers = count()
        for i, plan in enumerate(plans):
            found[i] = [None] * len(plan.members)
            for member, data, job in plan.groups():
                places[next(numbers)] = i, member
                yield job, data
                del data  # before the next one is made

    with closing(train_pairs(pairs(), threads=threads, tell=tell)) as trained:
        for number, run in trained:
            i, member = places.pop(number)
            found[i][member] = run
            runs = [run for run in found[i] if run is not None]
            if len(runs) == len(found[i]):
                del found[i]
                yield i, runs


def work(plan: EnsemblePlan) -> Work:
    """How much there is to train."""
    updates = (updates_of(job, len(rows)) for job, (rows, _) in zip(plan.jobs, plan.rows, strict=True))
    return Work(len(plan.members), sum(updates))
