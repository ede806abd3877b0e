"""Tiny networks are trained side by side, one in each lane of the vectors: none may notice.

Up to a width of 16 a network takes this way, also when it is alone, so the tests of `test_native` go there with their
small networks one by one. Here networks meet that differ in everything that may differ within one set of lanes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from trainings import Array, assert_same_bits, continued, data_for, distance, plan_for, stack, train

from schuss import _native
from schuss.activations import Activation, activation
from schuss.engines import EngineData, Outcome, Plan
from schuss.engines.native import NativeEngine
from schuss.engines.reference import ReferenceEngine
from schuss.language.expressions import Expression, sin
from schuss.losses import LOSSES
from schuss.optimizers import OPTIMIZERS

SETS = _native.instruction_sets()
BATCHES = {"odd batches": 13, "batches of one row": 1, "a full batch": 90, "a batch larger than the data": 500}


@activation
def wave(z: Expression) -> Expression:
    """Of large arguments, and of what is no number, the sine takes another way than of small ones."""
    return z + 0.5 * sin(3 * z)


def crowd(
    loss: str = "softmax_cross_entropy", batch_size: int = 13, phi: str | Activation = "tanh", count: int = 45
) -> tuple[EngineData, list[Plan]]:
    """Networks of one kind in which everything else differs; some diverge at once, others go far, some stop early."""
    n_out = 1 if loss == "binary_cross_entropy" else 3
    data = data_for(loss, 5, n_out)
    layers = stack([5, 9, 7, n_out], phi)
    plans = []
    for k in range(count):
        rate = 3e38 if k % 13 == 6 else 1e4 if k % 13 == 9 else 0.003 * (1 + k % 5)
        plan = plan_for(
            layers, loss, f"adam(lr={rate}, beta1={0.9 - 0.1 * (k % 3)})", data=data, epochs=1 + k % 6,
            batch_size=batch_size, seed=k, patience=(None, None, 1)[k % 3], clip_norm=(None, 0.05)[k // 2 % 2],
            watch=((), (0, 1), (2, 6))[k // 3 % 3],
        )  # fmt: skip
        falling = 0.99 ** np.arange(len(plan.learning_rates))
        plans.append(replace(plan, learning_rates=plan.learning_rates * falling))
    return data, plans


def assert_alone_as_together(plans: list[Plan], data: EngineData, threads: int, instructions: str = "") -> None:
    """Each network gives the same bits alone as among the others, in whatever order they come."""
    engine = NativeEngine(threads, instructions or None)
    alone = [train(NativeEngine(1, instructions or None), plan, data) for plan in plans]
    order = np.random.default_rng(threads).permutation(len(plans))
    for numbers in (range(len(plans)), order):
        together = dict(engine.train([plans[number] for number in numbers]))
        assert sorted(together) == list(range(len(plans)))
        for position, number in enumerate(numbers):
            assert_same_bits(together[position], alone[number])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_company_and_threads_change_no_bit(threads: int) -> None:
    data, plans = crowd()
    statuses = {outcome.status for _, outcome in NativeEngine(2).train(plans)}
    assert statuses == {"finished", "diverged", "stopped"}
    assert_alone_as_together(plans, data, threads)


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("loss", LOSSES)
def test_of_every_loss_on_every_instruction_set(loss: str, instructions: str) -> None:
    data, plans = crowd(loss)
    assert_alone_as_together(plans, data, 2, instructions)


@pytest.mark.parametrize("batches", BATCHES)
def test_of_any_batches(batches: str) -> None:
    data, plans = crowd(batch_size=BATCHES[batches])
    assert_alone_as_together(plans, data, 2)


def test_one_that_is_no_number_does_not_change_the_sines_beside_it() -> None:
    data, plans = crowd("squared_error", phi=wave)
    assert_alone_as_together(plans, data, 2)


def test_kinds_that_take_turns() -> None:
    """Shapes, activations, optimizers and batches that cannot share vectors, in one queue."""
    data = data_for("softmax_cross_entropy", 5, 3)
    plans = [
        plan_for(
            stack([5, *[(4, 16)[k % 2]] * (k % 3), 3], ("relu", "gelu")[k // 3 % 2]), "softmax_cross_entropy",
            list(OPTIMIZERS)[k % len(OPTIMIZERS)], data=data, epochs=1 + k % 4, batch_size=(8, 30)[k // 5 % 2], seed=k,
        )
        for k in range(70)
    ]  # fmt: skip
    assert_alone_as_together(plans, data, 2)


def far(got: Outcome, expected: Outcome, plan: Plan) -> float:
    """The distance of the parameters relative to the way they have gone."""
    start = plan.start.parameters.astype(np.float64)
    way = np.linalg.norm(expected.state.parameters - start)
    return float(np.linalg.norm(got.state.parameters - expected.state.parameters) / way)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_crowd_is_trained_as_by_the_reference(loss: str) -> None:
    data, plans = crowd(loss)
    near = [number for number, plan in enumerate(plans) if plan.learning_rates[0] < 1]
    for number, got in NativeEngine(2).train(plans):
        assert (got.status == "diverged") == (plans[number].learning_rates[0] > 1e38)
        if number not in near[:20]:
            continue
        expected = train(ReferenceEngine(), plans[number], data)
        assert (got.status, got.state.epoch) == (expected.status, expected.state.epoch)
        assert (got.state.best_epoch, got.watched.tolist()) == (expected.state.best_epoch, expected.watched.tolist())
        assert far(got, expected, plans[number]) < 1e-4
        np.testing.assert_allclose(got.history[:, 3:5], expected.history[:, 3:5], rtol=1e-4)
        np.testing.assert_allclose(got.losses, expected.losses, rtol=1e-4)
        np.testing.assert_allclose(got.scores, expected.scores, rtol=1e-3, atol=0.03)
        np.testing.assert_allclose(got.flow, expected.flow, rtol=5e-3, atol=1e-5)


def test_a_divergence_in_a_crowd_is_where_the_reference_finds_it() -> None:
    """In float32, where both overflow at the same size."""
    data, plans = crowd("squared_error", phi="relu")
    diverged = 0
    for number, got in NativeEngine(2).train(plans):
        if got.status == "diverged":
            expected = train(ReferenceEngine(np.float32), plans[number], data)
            assert (got.diverged_step, got.diverged_layer) == (expected.diverged_step, expected.diverged_layer)
            assert got.state.step == expected.state.step
            diverged += 1
    assert diverged > 2


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_training_on_among_others(rule: str) -> None:
    """3 epochs and 4 more beside networks that are elsewhere give the same bits as 7 in one go."""
    data = data_for("softmax_cross_entropy", 6, 3)
    plans = [
        plan_for(
            stack([6, 11, 9, 3], "tanh"), "softmax_cross_entropy", f"{rule}(lr=0.003)", data=data, epochs=7,
            batch_size=20, seed=seed, patience=50, clip_norm=0.5, watch=(7,),
        )
        for seed in range(9)
    ]  # fmt: skip
    engine = NativeEngine(2)
    whole = dict(engine.train(plans))
    begun = dict(engine.train([replace(plan, epochs=1 + k % 6) for k, plan in enumerate(plans)]))
    rest = dict(engine.train([continued(plan, begun[k].state) for k, plan in enumerate(plans)]))
    for k in range(len(plans)):
        assert_same_bits(replace(rest[k], history=whole[k].history), whole[k])
        np.testing.assert_array_equal(
            np.delete(rest[k].history, 2, axis=1), np.delete(whole[k].history[1 + k % 6 :], 2, axis=1)
        )


def test_networks_that_have_nothing_to_do_leave_at_once() -> None:
    data, plans = crowd()
    plans = [replace(plan, epochs=0) if k % 2 else plan for k, plan in enumerate(plans)]
    assert_alone_as_together(plans, data, 1)
    done = [replace(plan, epochs=0) for plan in plans]
    assert {outcome.state.step for _, outcome in NativeEngine(1).train(done)} == {0}


def test_a_step_counts_for_each_network() -> None:
    _, plans = crowd()
    engine = NativeEngine(3)
    assert engine.steps() == 0
    outcomes = dict(engine.train(plans))
    assert engine.steps() == sum(outcome.state.step for outcome in outcomes.values())


def endless(count: int, rows: int = 2000) -> tuple[Iterator[Plan], EngineData]:
    data = data_for("squared_error", 5, 1, (rows, 10, 10))
    plan = plan_for(stack([5, 16, 16, 1], "tanh"), "squared_error", data=data, epochs=1, batch_size=rows)
    plan = replace(plan, epochs=100_000, learning_rates=np.full(100_000, 0.01))
    return (replace(plan, seed=seed) for seed in range(count)), data


def test_closing_the_iterator_cancels_a_crowd() -> None:
    plans, _ = endless(200)
    first = replace(next(plans), epochs=1)
    engine = NativeEngine(2)
    outcomes = engine.train([first, *plans])
    assert next(iter(outcomes))[0] == 0
    began = time.perf_counter()
    outcomes.close()  # type: ignore[attr-defined]
    assert time.perf_counter() - began < 1
    done = engine.steps()
    time.sleep(0.05)
    assert engine.steps() == done


def test_lanes_are_filled_again() -> None:
    """A few long trainings and many short ones: the short ones do not wait for the long ones."""
    data = data_for("squared_error", 5, 1)
    layers = stack([5, 8, 1], "tanh")
    long = [plan_for(layers, "squared_error", data=data, epochs=3000, seed=seed) for seed in range(2)]
    short = [plan_for(layers, "squared_error", data=data, epochs=1, seed=seed) for seed in range(100)]
    order = [number for number, _ in NativeEngine(1).train([*long, *short])]
    assert set(order[:100]) == set(range(2, 102))


def test_a_lonely_network_is_near_the_same_in_the_other_layout() -> None:
    """A network just too wide for the lanes computes the same as one in them: the added units have no weight."""
    data = data_for("squared_error", 5, 2)
    tiny, wide = stack([5, 16, 2], "tanh"), stack([5, 17, 2], "tanh")
    plan = plan_for(tiny, "squared_error", "adam(lr=0.01)", data=data, epochs=5)

    def widened(parameters: Array) -> Array:
        w1, b1, rest = np.split(parameters, [5 * 16, 6 * 16])
        w2, b2 = rest[: 16 * 2].reshape(16, 2), rest[16 * 2 :]
        parts = [
            np.hstack([w1.reshape(5, 16), np.zeros((5, 1))]),
            np.append(b1, 0),
            np.vstack([w2, np.zeros((1, 2))]),
            b2,
        ]
        return np.concatenate([part.ravel() for part in parts]).astype(np.float32)

    got = train(NativeEngine(1), plan, data)
    other = train(
        NativeEngine(1),
        plan_for(
            wide, "squared_error", "adam(lr=0.01)", data=data, epochs=5, parameters=widened(plan.start.parameters)
        ),
        data,
    )
    assert distance(widened(got.state.parameters), other.state.parameters) < 1e-5
