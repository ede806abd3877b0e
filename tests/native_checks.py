"""That a native training is the reference's: parameters, history, flow, losses and scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from trainings import UPDATE_RATIO, train

from schuss.engines import EngineData, Outcome, Plan
from schuss.engines.native import NativeEngine
from schuss.engines.reference import ReferenceEngine, measure


def error(got: Outcome, expected: Outcome, plan: Plan) -> float:
    """The distance of the parameters relative to the way they have gone."""
    start = plan.start.parameters.astype(np.float64)
    way = np.linalg.norm(expected.state.parameters - start)
    return float(np.linalg.norm(got.state.parameters - expected.state.parameters.astype(np.float64)) / way)


def assert_equal(plan: Plan, data: EngineData, bound: float, engine: NativeEngine | None = None) -> Outcome:
    """Train by both engines; the native outcome must be that of the reference, as far as float32 can be."""
    got, expected = train(engine or NativeEngine(1), plan, data), train(ReferenceEngine(), plan, data)
    rounding = error(train(ReferenceEngine(np.float32), plan, data), expected, plan)
    bound = max(bound, 2 * rounding)  # some stacks amplify rounding: then float32 in NumPy is as far off
    assert got.status == expected.status
    assert (got.state.step, got.state.epoch) == (expected.state.step, expected.state.epoch)
    assert error(got, expected, plan) < bound
    np.testing.assert_allclose(got.history[:, [0, 1]], expected.history[:, [0, 1]])
    np.testing.assert_allclose(got.history[:, [3, 4]], expected.history[:, [3, 4]], rtol=bound / 2, atol=1e-6)
    np.testing.assert_allclose(got.losses, expected.losses, rtol=bound / 2, atol=1e-6)
    return got


def check_flow(got: Outcome, plan: Plan, data: EngineData, noise: float = 1e-5) -> None:
    """Measured natively as by `measure` on the same parameters, and the update ratios as by the reference.

    `noise` is what rounding may add, relative to the largest value of all layers.
    """
    assert got.watched.tolist() == list(plan.watch)
    for parameters, flow in ((plan.start.parameters, got.flow[0]), (got.state.parameters, got.flow[-1])):
        expected = measure(plan.layers, plan.loss, parameters, data.train)
        scale = np.abs(expected).max(axis=0)[:UPDATE_RATIO]
        got_values, expected = flow[:, :UPDATE_RATIO], expected[:, :UPDATE_RATIO]
        np.testing.assert_array_less(np.abs(got_values - expected), 1e-4 * np.abs(expected) + noise * scale + 1e-7)
    assert np.isnan(got.flow[0, :, UPDATE_RATIO]).all()
    reference = train(ReferenceEngine(), plan, data).flow[1:, :, UPDATE_RATIO]
    np.testing.assert_allclose(got.flow[1:, :, UPDATE_RATIO], reference, rtol=0.01, atol=1e-7)


def check_evaluation(got: Outcome, plan: Plan, data: EngineData) -> None:
    """Losses and scores of the three parts are those of the reference with the same parameters."""
    still = replace(plan, epochs=0, start=replace(plan.start, parameters=got.state.parameters))
    expected = train(ReferenceEngine(), still, data)
    np.testing.assert_allclose(got.losses, expected.losses, rtol=1e-4)
    np.testing.assert_allclose(got.scores, expected.scores, rtol=1e-4, atol=1e-4, equal_nan=True)
    np.testing.assert_array_equal(got.history[-1, 4:], [got.losses[1], got.scores[1]])
