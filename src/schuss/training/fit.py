"""Training: one network with `fit`, thousands at once with `fit_many`; what comes back is a `Run`.

>>> from schuss.data import load
>>> run = fit(mlp(hidden=[8], activation="tanh"), load("xor"), Recipe("adam(lr=0.1)", epochs=200))
>>> run.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).tolist()
[0, 1, 1, 0]
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from schuss.data import load
from schuss.engines import Engine
from schuss.errors import InvalidInput, checked
from schuss.network import Network, mlp
from schuss.recipe import Recipe
from schuss.training.jobs import Job, ProgressCallback
from schuss.training.population import EngineName, train_jobs, train_pairs, work_of
from schuss.training.resuming import check_resumable, joined, resumed, warn_of_other_rates
from schuss.training.run import Run


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
        check_resumable(job, dataset, resume)
        warn_of_other_rates(job.recipe, resume)
    state = None if resume is None else resumed(resume.outcome.state, job.recipe)
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
    loaded = [(load(data), _checked_jobs(jobs)) for data, jobs in map(_checked_group, groups)]
    pairs = [(job, data) for data, jobs in loaded for job in jobs]
    runs = dict(train_pairs(pairs, engine=engine, threads=threads, tell=work_of(pairs).progress(progress)))
    numbers = iter(range(len(pairs)))
    return [[runs[next(numbers)] for _ in jobs] for _, jobs in loaded]


def _checked_group(group: object) -> tuple[object, Iterable[Job]]:
    if not isinstance(group, tuple | list) or len(group) != 2:
        raise InvalidInput(f"a group is a data set and its jobs, (data, [sc.Job(…), …]), but is {group!r:.60}.")
    return group[0], group[1]


def _checked_jobs(jobs: object) -> list[Job]:
    if not isinstance(jobs, Iterable):
        raise InvalidInput(f"jobs are a list of sc.Job, but are {jobs!r:.60}.")
    return [checked(job, Job, "a job", "an sc.Job, such as sc.Job(network, recipe, seed=0)") for job in jobs]
