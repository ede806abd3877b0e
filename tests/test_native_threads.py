"""Several threads on one network: the same bits as one alone, in any company, and an end when it is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from trainings import assert_same_bits, continued, data_for, initial, plan_for, stack, train

from schuss import _native
from schuss.engines import EngineData, Outcome, Plan
from schuss.engines.native import NativeEngine
from schuss.engines.reference import ReferenceEngine, measure
from schuss.layers import BatchNorm, Dense, Description, Dropout, LayerNorm, Residual, RMSNorm
from schuss.network import Network

SETS = _native.instruction_sets()


class Watched(_native.Trainer):
    """A trainer that remembers how many parts were done by threads that helped."""

    last_helped = 0

    def poll(self, timeout: float) -> list[tuple[int, dict[str, object]]]:
        results = super().poll(timeout)
        Watched.last_helped = self.helped()
        return results


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_native, "Trainer", Watched)


def all_together(
    threads: int, plans: Iterable[Plan], data: EngineData, instructions: str | None = None
) -> list[Outcome]:
    """The outcomes on several threads, one of which has helped another, from which a busy machine may keep them."""
    plans = list(plans)
    for _ in range(100):
        outcomes = dict(NativeEngine(threads, instructions).train(plans))
        assert sorted(outcomes) == list(range(len(plans)))
        if Watched.last_helped > 0:
            return [outcomes[number] for number in range(len(plans))]
    pytest.fail("no thread has ever helped")


def together(threads: int, plan: Plan, data: EngineData, instructions: str | None = None) -> Outcome:
    return all_together(threads, [plan], data, instructions)[0]


# Every case is large enough to be shared by three threads. Odd sizes, last batches of one row and less than a slice,
# batches of several chunks, fewer rows than threads would like.
CASES: dict[str, tuple[Sequence[int], str, str, Sequence[int], int, dict[str, object]]] = {
    "odd sizes, clipped": (
        [37, 301, 257, 130, 7], "tanh", "softmax_cross_entropy", (333, 101, 77), 100, {"clip_norm": 0.05},
    ),
    "elementwise loss, patience": ([16, 256, 512, 3], "gelu", "squared_error", (256, 128, 64), 64, {"patience": 2}),
    "a last batch of one row": ([20, 400, 300, 1], "elu", "huber", (193, 150, 16), 64, {}),
    "many chunks": ([6, 290, 270, 3], "sigmoid", "softmax_cross_entropy", (1301, 700, 300), 1299, {"clip_norm": 10.0}),
    "a full batch": ([9, 400, 400, 1], "silu", "binary_cross_entropy", (400, 130, 129), 1000, {"patience": 5}),
    "one slice": ([40, 700, 700, 12], "relu", "squared_error", (40, 30, 31), 13, {}),
    "one input, one output": ([1, 500, 500, 1], "softplus", "squared_error", (150, 30, 30), 50, {"clip_norm": 1.0}),
}  # fmt: skip


def case(name: str, rule: str = "adam(lr=0.003)") -> tuple[Plan, EngineData]:
    sizes, phi, loss, rows, batch_size, more = CASES[name]
    data = data_for(loss, sizes[0], sizes[-1], rows)
    plan = plan_for(
        stack(sizes, phi), loss, rule, data=data, epochs=3, batch_size=batch_size, watch=(0, 1, 3), **more  # type: ignore[arg-type]
    )  # fmt: skip
    return plan, data


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("name", CASES)
def test_the_number_of_threads_changes_no_bit(name: str, instructions: str) -> None:
    plan, data = case(name)
    alone = train(NativeEngine(1, instructions), plan, data)
    assert alone.state.step > 0
    assert Watched.last_helped == 0
    for threads in (2, 3):
        assert_same_bits(together(threads, plan, data, instructions), alone)


@pytest.mark.parametrize("name", CASES)
def test_threads_train_as_the_reference_does(name: str) -> None:
    plan, data = case(name, "momentum(lr=0.01)")
    got, expected = together(2, plan, data), train(ReferenceEngine(), plan, data)
    assert (got.status, got.state.step) == (expected.status, expected.state.step)
    way = np.linalg.norm(expected.state.parameters - plan.start.parameters)
    assert np.linalg.norm(got.state.parameters - expected.state.parameters) < 1e-3 * way
    np.testing.assert_allclose(got.losses, expected.losses, rtol=1e-3)
    np.testing.assert_allclose(got.scores, expected.scores, rtol=1e-2, atol=1e-2)
    flow = measure(plan.layers, plan.loss, got.state.parameters, data.train)
    np.testing.assert_allclose(got.flow[-1, :, :-1], flow[:, :-1], rtol=1e-3, atol=1e-5)


# With norms, dropout and residual blocks: hidden layers, rows, batch size.
LAYERED: dict[str, tuple[list[Description], Sequence[int], int]] = {
    "norms and dropout": (
        [Dense(301), LayerNorm("tanh"), Dropout(0.1), Dense(257), RMSNorm("silu"), LayerNorm(), Dropout(0.3)],
        (333, 101, 77), 100,
    ),
    "residual blocks": (
        [
            Dense(250, "tanh"),
            Residual(LayerNorm(), Residual(Dense(300, "tanh"), Dense(250), Dropout(0.2)), Dense(250, "tanh")),
            Residual(Dense(250, "gelu")),
        ],
        (333, 101, 77), 100,
    ),
    "many chunks": ([Dense(290), LayerNorm("tanh"), Dropout(0.4), Residual(Dense(290))], (1301, 70, 60), 1299),
}  # fmt: skip


def layered(hidden: list[Description], rows: Sequence[int], batch_size: int) -> tuple[Plan, EngineData]:
    data = data_for("softmax_cross_entropy", 9, 3, rows)
    layers = Network(*hidden).layers(9, 3)
    plan = plan_for(
        layers, "softmax_cross_entropy", "adam(lr=0.002)", data=data, epochs=3, batch_size=batch_size, clip_norm=0.5,
        watch=(0, 1, 3),
    )  # fmt: skip
    return plan, data


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("name", LAYERED)
def test_norms_dropout_and_residual_sums_are_shared(name: str, instructions: str) -> None:
    plan, data = layered(*LAYERED[name])
    alone = train(NativeEngine(1, instructions), plan, data)
    for threads in (2, 3):
        assert_same_bits(together(threads, plan, data, instructions), alone)


def test_batch_norm_is_not_shared() -> None:
    """Its sums go over all rows."""
    plan, data = layered([Dense(301), BatchNorm("tanh"), Dense(257, "tanh")], (333, 101, 77), 100)
    assert_same_bits(train(NativeEngine(3), plan, data), train(NativeEngine(1), plan, data))
    assert Watched.last_helped == 0


def mixed() -> tuple[list[Plan], EngineData]:
    """Small and large networks in turn, some with patience, clipped, watched, or diverging."""
    data = data_for("softmax_cross_entropy", 6, 3, (300, 90, 90))
    plans = []
    for number in range(12):
        width = (7, 250, 33, 400)[number % 4]
        plans.append(
            plan_for(
                stack([6, width, width, 3], ("relu", "tanh")[number % 2]), "softmax_cross_entropy",
                f"adam(lr={1e30 if number % 5 == 3 else 0.002})", data=data, epochs=2 + number % 3, batch_size=100,
                seed=number, patience=(None, 2)[number % 2], clip_norm=(None, 0.5)[number // 2 % 2],
                watch=((), (0, 1, 2))[number // 3 % 2],
            )
        )  # fmt: skip
    return plans, data


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_a_population_of_small_and_large_ones(threads: int) -> None:
    """Threads that run out of networks help with those that are left, in the middle of their training."""
    plans, data = mixed()
    alone = [train(NativeEngine(1), plan, data) for plan in plans]
    assert {outcome.status for outcome in alone} >= {"finished", "diverged"}
    for outcome, expected in zip(all_together(threads, plans, data), alone, strict=True):
        assert_same_bits(outcome, expected)


def test_networks_that_come_and_go_beside_a_shared_one() -> None:
    """A helper leaves for every network that arrives, and comes back."""
    data = data_for("softmax_cross_entropy", 6, 3, (300, 90, 90))
    large = plan_for(stack([6, 300, 300, 3], "tanh"), "softmax_cross_entropy", "adam", data=data, epochs=30)
    large = replace(large, batch_size=100)
    small = plan_for(stack([6, 9, 3], "tanh"), "softmax_cross_entropy", "adam", data=data, epochs=1)
    alone = [train(NativeEngine(1), plan, data) for plan in (large, small)]

    def arriving() -> Iterator[Plan]:
        yield large
        for _ in range(60):
            time.sleep(0.002)
            yield small

    for number, outcome in NativeEngine(2).train(arriving()):
        assert_same_bits(outcome, alone[number > 0])


def test_2_epochs_alone_and_2_together_are_4() -> None:
    plan, data = case("odd sizes, clipped")
    plan = replace(plan, epochs=4, watch=(4,), learning_rates=np.full(16, 0.003))
    whole = together(3, plan, data)
    half = train(NativeEngine(1), replace(plan, epochs=2), data)
    rest = together(2, continued(plan, half.state), data)
    assert_same_bits(replace(rest, history=whole.history), whole)


@pytest.mark.parametrize("rate", [1e6, 1e30])
def test_a_shared_network_diverges_where_one_alone_does(rate: float) -> None:
    plan, data = case("a last batch of one row", f"sgd(lr={rate})")
    alone = train(NativeEngine(1), plan, data)
    assert alone.status == "diverged"
    for threads in (2, 3):
        assert_same_bits(train(NativeEngine(threads), plan, data), alone)


def test_a_weight_that_is_no_number_is_found_in_its_layer() -> None:
    plan, data = case("odd sizes, clipped")
    parameters = plan.start.parameters.copy()
    parameters[38 * 301 + 5] = np.nan  # a weight of the second layer
    got = train(NativeEngine(2), replace(plan, start=replace(plan.start, parameters=parameters)), data)
    assert (got.status, got.diverged_step, got.diverged_layer, got.state.step) == ("diverged", 1, 2, 0)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_large_network_is_cancelled_within_a_step(threads: int) -> None:
    """A step of this one takes about half a second on one thread; the time allows for a busy machine."""
    sizes = [512, 2048, 2048, 2048, 10]
    data = data_for("softmax_cross_entropy", sizes[0], sizes[-1], (1024, 10, 10))
    parameters = np.resize(initial(stack([512, 128, 10], "relu")), sum((a + 1) * b for a, b in pairwise(sizes)))
    layers = stack(sizes, "relu")
    plan = plan_for(
        layers, "softmax_cross_entropy", "sgd(lr=1e-9)", data=data, epochs=1000, batch_size=1024, parameters=parameters
    )
    engine = NativeEngine(threads)
    stopped: list[float] = []

    def tick() -> None:
        if engine.steps() > 0:
            stopped.append(time.perf_counter())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(engine.train([plan], tick))
    assert time.perf_counter() - stopped[0] < 5
    assert engine.steps() < 100
