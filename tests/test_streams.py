"""Networks on data sets that are made while others train: bit-identical, few at a time, and given up early."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import pytest
from trainings import assert_same_bits

from schuss.data import Dataset, load
from schuss.engines import native
from schuss.engines.native import NativeEngine
from schuss.network import mlp
from schuss.recipe import Recipe
from schuss.training.fit import fit
from schuss.training.jobs import Job, Work
from schuss.training.population import train_pairs
from schuss.training.run import Run


def streamed(seeds: range, seen: list[weakref.ref[Dataset]]) -> Iterator[tuple[Job, Dataset]]:
    """A data set and a kind of network for each seed, made when they are asked for."""
    for seed in seeds:
        data = load("iris", seed=seed).without_table()
        seen.append(weakref.ref(data))
        for k in range(2):
            yield Job(mlp([4 + seed]), Recipe("adam", epochs=3 + k), seed), data
        del data


@pytest.mark.parametrize("threads", [1, 2])
def test_streamed_data_sets_are_each_as_if_alone_and_given_up_early(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_AHEAD_NUMBERS", 100)  # as if every data set were very large
    seen: list[weakref.ref[Dataset]] = []
    told: list[Work] = []
    runs: dict[int, Run] = {}
    for number, run in train_pairs(streamed(range(12), seen), threads=threads, tell=told.append):
        runs[number] = run
        assert sum(data() is not None for data in seen) <= threads + 1  # and the one that is made
    assert [data() for data in seen] == [None] * 12
    for number, (job, data) in enumerate(streamed(range(12), [])):
        expected = fit(job.network, data, job.recipe, seed=job.seed)
        assert_same_bits(runs[number].outcome, expected.outcome)
        assert (runs[number].fingerprint, runs[number].recipe) == (data.fingerprint, job.recipe)
    assert told == sorted(told)
    assert told[-1] == Work(24, sum(run.outcome.state.step for run in runs.values()))


def test_only_so_many_large_data_sets_are_made_as_keep_the_threads_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_AHEAD_NUMBERS", 100)
    taken = 0

    def pairs() -> Iterator[tuple[Job, Dataset]]:
        nonlocal taken
        for seed in range(10):
            taken += 1
            yield Job(mlp([4]), Recipe(epochs=1)), load("iris", seed=seed)

    for returned, _ in enumerate(train_pairs(pairs(), threads=2)):
        assert taken - returned <= 2
    assert taken == 10


def test_to_close_the_generator_ends_the_training() -> None:
    engine = NativeEngine(2)
    jobs = [Job(mlp([4]), Recipe(epochs=1)), *[Job(mlp([64]), Recipe(epochs=100_000))] * 3]
    trained = train_pairs(((job, load("iris")) for job in jobs), engine=engine)
    assert next(trained)[0] == 0
    trained.close()
    steps = engine.steps()
    assert steps < 3 * 100_000
    assert list(trained) == []
    assert engine.steps() == steps


def test_what_is_shared_is_told_apart_when_names_of_memory_are_used_again() -> None:
    """Networks, recipes and data sets that live briefly get each other's addresses."""
    widths = [3 + k % 7 for k in range(60)]
    pairs = ((Job(mlp([w]), Recipe("sgd", epochs=1 + w % 2)), load("iris", seed=w)) for w in widths)
    runs = dict(train_pairs(pairs, threads=1))
    assert [runs[k].layers[0].n_out for k in range(60)] == widths
    assert [runs[k].outcome.state.epoch for k in range(60)] == [1 + w % 2 for w in widths]
    assert [runs[k].fingerprint for k in range(60)] == [load("iris", seed=w).fingerprint for w in widths]
