"""Ensembles trained together are those trained alone, one after the other and given up when they are complete."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest

import schuss as sc
from schuss.ensembles import population
from schuss.ensembles.ensemble import EnsemblePlan
from schuss.errors import DataError
from schuss.training.jobs import Progress, Work

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(90, 3))
SETTINGS = ({"ensemble": 3, "epochs": 3}, {"ensemble": 1, "epochs": 20}, {"ensemble": 5, "hidden": (8,), "epochs": 2})


def plan_of(number: int, **more: object) -> EnsemblePlan:
    """An ensemble on rows of its own."""
    rows = X[: 60 + 10 * number]
    settings = {"hidden": (4, 4), "random_state": number, **SETTINGS[number % 3], **more}
    model = sc.SchussRegressor(**settings)
    return model._plan(model._prepare(rows, rows @ [1.0, 2.0, 3.0]))


@pytest.mark.parametrize("threads", [1, 2])
def test_plans_are_each_as_if_alone_and_given_up_when_complete(threads: int) -> None:
    seen: list[weakref.ref[EnsemblePlan]] = []

    def plans() -> Iterator[EnsemblePlan]:
        for number in range(4):
            plan = plan_of(number)
            seen.append(weakref.ref(plan))
            yield plan
            del plan

    found = dict(population.train(plans(), threads=threads))
    assert [plan() for plan in seen] == [None] * 4
    assert sorted(found) == [0, 1, 2, 3]
    for number, runs in found.items():
        plan = plan_of(number)
        ((_, alone),) = population.train([plan], threads=1)
        assert len(runs) == len(plan.members)
        for run, expected in zip(runs, alone, strict=True):
            np.testing.assert_array_equal(run.parameters, expected.parameters)
            assert run.fingerprint == expected.fingerprint
        np.testing.assert_array_equal(plan.ensemble(runs).weights, plan.ensemble(alone).weights)


def test_progress_rises_to_the_whole() -> None:
    plan = plan_of(2)
    whole, told = population.work(plan), list[Progress]()
    assert whole == Work(5, 5 * 2 * 2)  # 64 of 80 rows to train on, 32 at a time
    for _ in population.train([plan], threads=2, tell=whole.progress(told.append)):
        pass
    assert [each.share for each in told] == sorted(each.share for each in told)
    assert told[-1] == Progress(5, 5, 1.0)


def test_a_plan_that_diverges_ends_no_other() -> None:
    wild = {"optimizer": "sgd", "learning_rate": 1e30}
    plans = [plan_of(0), plan_of(1, **wild), plan_of(2)]
    found = dict(population.train(plans, threads=2))
    assert sorted(found) == [0, 1, 2]
    with pytest.raises(DataError, match="diverged"):
        plans[1].ensemble(found[1])
    assert plans[0].ensemble(found[0]).weights.sum() == pytest.approx(1)


def test_to_close_the_generator_ends_the_training_and_takes_no_more_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schuss.engines.native._AHEAD", 8)
    taken: list[int] = []

    def plans() -> Iterator[EnsemblePlan]:
        for number in range(1000):
            taken.append(number)
            yield plan_of(number % 3, epochs=1 if number == 0 else 100_000)

    trained = population.train(plans(), threads=2)
    assert next(trained)[0] == 0
    trained.close()
    assert len(taken) <= 12  # eight networks ahead of those that are back, of plans of three on average
    assert list(trained) == []


def test_an_error_in_a_later_plan_comes_through() -> None:
    def plans() -> Iterator[EnsemblePlan]:
        yield plan_of(0)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(population.train(plans(), threads=1))
