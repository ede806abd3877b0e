"""Ensembles trained together: all networks of all plans are one population over the threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from schuss.data import Dataset
from schuss.tabular.ensemble import Ensemble, Plan
from schuss.training import Job, Progress, ProgressCallback, Run, fit_groups

AT_ONCE = 2**29  # bytes of data sets that are held at a time; each member has its own, of its fold and kind


def train(plans: Sequence[Plan], *, threads: int, progress: ProgressCallback | None = None) -> list[Ensemble]:
    """Train every plan; the ensembles come back in order, each the same as if trained alone."""
    total = sum(len(plan.members) for plan in plans)
    runs: list[Run] = []
    for batch in _batches(group for plan in plans for group in plan.groups()):
        done = len(runs)

        def tell(at: Progress, done: int = done, share: float = len(batch) / total) -> None:
            if progress is not None:
                progress(Progress(done + at.networks, total, done / total + share * at.share))

        runs += [run for found in fit_groups(batch, threads=threads, progress=tell) for run in found]
    found = iter(runs)
    return [plan.finished([next(found) for _ in plan.members]) for plan in plans]


def _batches(groups: Iterable[tuple[Dataset, list[Job]]]) -> Iterator[list[tuple[Dataset, list[Job]]]]:
    batch: list[tuple[Dataset, list[Job]]] = []
    size = 0
    for data, jobs in groups:
        batch.append((data, jobs))
        size += data.train.X.nbytes + data.valid.X.nbytes
        if size > AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
