"""Ensembles trained together: all networks of all plans are one population over the threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from schuss.data import Dataset
from schuss.tabular.ensemble import Ensemble, EnsemblePlan
from schuss.training import Job, Progress, ProgressCallback, Run, fit_groups

AT_ONCE = 2**28  # bytes of data sets that are held at a time; each member has its own, of its fold and kind

Place: TypeAlias = tuple[int, int]  # the number of a plan, and of a member of it
Group: TypeAlias = tuple[Dataset, list[Job]]


def train(plans: Sequence[EnsemblePlan], *, threads: int, progress: ProgressCallback | None = None) -> list[Ensemble]:
    """Train every plan; the ensembles come back in order, each the same as if trained alone."""
    total = sum(len(plan.members) for plan in plans)
    runs: dict[Place, Run] = {}
    for places, groups in _batches(plans):
        done = len(runs)

        def tell(at: Progress, done: int = done, share: float = len(groups) / total) -> None:
            if progress is not None:
                progress(Progress(done + at.networks, total, done / total + share * at.share))

        found = fit_groups(groups, threads=threads, progress=tell)
        runs |= {place: run for place, (run,) in zip(places, found, strict=True)}
        groups.clear()  # before the next ones are made
    return [plan.finished([runs[i, k] for k in range(len(plan.members))]) for i, plan in enumerate(plans)]


def _batches(plans: Sequence[EnsemblePlan]) -> Iterator[tuple[list[Place], list[Group]]]:
    places: list[Place] = []
    groups: list[Group] = []
    size = 0
    for i, plan in enumerate(plans):
        for number, data, job in plan.groups():
            places.append((i, number))
            groups.append((data, [job]))
            size += data.train.X.nbytes + data.valid.X.nbytes
            if size > AT_ONCE:
                yield places, groups
                places, groups, size = [], [], 0
    if groups:
        yield places, groups
