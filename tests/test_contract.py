"""One contract for every definition: the built-in ones, and an activation, a loss and an optimizer defined right here.

A new definition is one line in its table and inherits all of these checks.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from program_interpreter import check_form, run

from schuss import _native
from schuss.activations import ACTIVATIONS, Activation, activation, find_activation, identity, tanh
from schuss.engines import HISTORY, EngineData, EnginePart, Outcome, Plan, State, native
from schuss.engines.native import NativeEngine
from schuss.engines.reference import ReferenceEngine
from schuss.errors import InvalidInput
from schuss.initializers import INITIALIZERS, Initializer, auto, find_initializer
from schuss.language import expressions, formulas
from schuss.language.expressions import Expression, exp, log1p, sin
from schuss.language.programs import Program
from schuss.layers import Layer
from schuss.losses import LOSSES, Loss, find_loss, loss, softmax_cross_entropy, squared_error
from schuss.optimizers import OPTIMIZERS, Optimizer, find_optimizer, optimizer, sgd
from schuss.schedules import SCHEDULES, Schedule, find_schedule

Array = NDArray[np.floating]
Definition = Activation | Loss | Optimizer | Schedule | Initializer


@activation
def ripple(z: Expression, *, height: float = 0.3) -> Expression:
    """A line with waves, which no library has."""
    return z + height * sin(2 * z)


@loss
def log_cosh(prediction: Expression, target: Expression, *, sharpness: float = 1.5) -> Expression:
    """Quadratic near zero, linear far away, smooth everywhere."""
    error = sharpness * abs(prediction - target)
    return (error + log1p(exp(-2 * error)) - math.log(2)) / sharpness


@optimizer(search=(1e-3, 1.0))
def cooled(
    w: Expression, g: Expression, v: Expression, t: Expression, *, lr: float = 0.05, friction: float = 0.3
) -> tuple[Expression, Expression]:
    """A ball that rolls with friction on ground that cools down."""
    v = (1 - friction) * v - lr / (1 + 0.01 * t) * g
    return w + v, v


ALL_ACTIVATIONS = [*ACTIVATIONS.values(), ripple]
ALL_LOSSES = [*LOSSES.values(), log_cosh]
ELEMENTWISE_LOSSES = [chosen for chosen in ALL_LOSSES if chosen is not softmax_cross_entropy]
ALL_OPTIMIZERS = [*OPTIMIZERS.values(), cooled]
REGISTERED: list[tuple[Callable[[Any], Definition], Definition]] = [
    *((find_activation, x) for x in ACTIVATIONS.values()),
    *((find_loss, x) for x in LOSSES.values()),
    *((find_optimizer, x) for x in OPTIMIZERS.values()),
    *((find_schedule, x) for x in SCHEDULES.values()),
    *((find_initializer, x) for x in INITIALIZERS.values()),
]
ALL: list[Definition] = [*(x for _, x in REGISTERED), ripple, log_cosh, cooled]


def kind(definition: object) -> str:
    """Activation, Loss, Optimizer, … for a test's name."""
    return f"{type(definition).__name__}-{definition}"


every = pytest.mark.parametrize("definition", ALL, ids=kind)


def changed(definition: Definition) -> Definition:
    """A copy with another value for its last hyper-parameter, or the same where it has none."""
    if not definition.settings:
        return definition
    name, value = definition.settings[-1]
    return definition(**{name: value / 2 + 0.125})


# ----------------------------------------------------------------------------------- name, description, configuration


@every
def test_it_has_a_name_and_a_description(definition: Definition) -> None:
    assert definition.name.isidentifier()
    assert str(definition) == repr(definition) == definition.name
    assert 10 < len(definition.description.splitlines()[0]) < 120
    assert definition.description == definition.description.strip()


@every
def test_equal_settings_are_equal_and_hash_alike(definition: Definition) -> None:
    same = definition()
    assert same == definition
    assert hash(same) == hash(definition)
    assert dataclasses.replace(definition) == definition if not isinstance(definition, Activation | Loss) else True
    assert definition != "definition"


@every
def test_a_configured_copy_changes_one_number_only(definition: Definition) -> None:
    copy = changed(definition)
    if not definition.settings:
        assert copy == definition
        return
    name, value = definition.settings[-1]
    assert copy != definition
    assert dict(copy.settings) == {**dict(definition.settings), name: value / 2 + 0.125}
    assert dict(definition.settings)[name] == value
    assert name in str(copy)
    assert copy(**{name: value}) == definition
    assert (copy.name, copy.description) == (definition.name, definition.description)


@every
def test_it_is_frozen(definition: Definition) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        definition.name = "other"  # type: ignore[misc]


@every
def test_bad_hyper_parameters_are_named(definition: Definition) -> None:
    with pytest.raises(InvalidInput, match="no_such_name"):
        definition(no_such_name=1.0)
    for name, _ in definition.settings:
        for bad in (math.nan, math.inf, "x", None):
            with pytest.raises(InvalidInput, match=name):
                definition(**{name: bad})  # type: ignore[arg-type]


@pytest.mark.parametrize(("find", "definition"), REGISTERED, ids=[kind(x) for _, x in REGISTERED])
def test_it_is_found_by_name_and_by_what_it_prints(find: Callable[[Any], Definition], definition: Definition) -> None:
    assert find(definition.name) is definition
    assert find(definition) is definition
    copy = changed(definition)
    assert find(str(copy)) == copy


def test_no_name_is_used_twice_within_a_kind() -> None:
    for table in (ACTIVATIONS, LOSSES, OPTIMIZERS, SCHEDULES, INITIALIZERS):
        assert [definition.name for definition in table.values()] == list(table)


# -------------------------------------------------------------------------------------- formulas, values, derivatives

Z = np.concatenate([np.linspace(-6, 6, 41) + 0.0137, [-100.0, 100.0, -1e4, 1e4]])


def pairs() -> tuple[Array, Array]:
    """Predictions, and targets between 0 and 1, which every loss takes."""
    random = np.random.default_rng(0)
    return 3 * random.standard_normal((8, 5)), random.uniform(0, 1, (8, 5))


@pytest.mark.parametrize("phi", ALL_ACTIVATIONS, ids=kind)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_activation_keeps_dtype_and_shape_and_is_finite(phi: Activation, dtype: type[np.floating]) -> None:
    z = Z.astype(dtype).reshape(5, 9)
    for result in (phi(z), phi.slope(z)):
        assert (result.dtype, result.shape) == (dtype, z.shape)
        assert np.all(np.isfinite(result))


@pytest.mark.parametrize("phi", ALL_ACTIVATIONS, ids=kind)
def test_an_activations_slope_is_its_finite_difference(phi: Activation) -> None:
    z, step = Z[:41], 1e-6
    np.testing.assert_allclose(phi.slope(z), (phi(z + step) - phi(z - step)) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("phi", ALL_ACTIVATIONS, ids=kind)
def test_an_activations_facts_hold_on_a_grid(phi: Activation) -> None:
    values, slopes = phi(Z), np.abs(phi.slope(Z))
    low, high = phi.range
    assert low - 1e-9 <= values.min()
    assert values.max() <= high + 1e-9
    assert slopes.max() <= phi.largest_slope + 1e-9
    assert 0 < phi.usual_slope <= phi.largest_slope


@pytest.mark.parametrize("phi", ALL_ACTIVATIONS, ids=kind)
def test_an_activation_is_printed(phi: Activation) -> None:
    assert phi.latex
    assert formulas.parse(phi.text, ["z"]) is phi.expression


@pytest.mark.parametrize("chosen", ALL_LOSSES, ids=kind)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loss_keeps_dtype_and_is_finite_and_not_negative(chosen: Loss, dtype: type[np.floating]) -> None:
    prediction, target = (x.astype(dtype) for x in pairs())
    if chosen is softmax_cross_entropy:
        target = np.arange(8) % 5
    for result in (chosen.values(prediction, target), chosen.slopes(prediction, target)):
        assert result.dtype == dtype
        assert np.all(np.isfinite(result))
    assert np.all(chosen.values(prediction, target) >= -1e-7)
    assert isinstance(chosen(prediction, target), float)


@pytest.mark.parametrize("chosen", ELEMENTWISE_LOSSES, ids=kind)
def test_a_losss_slope_is_its_finite_difference(chosen: Loss) -> None:
    prediction, target = pairs()
    step = 1e-6
    difference = (chosen.values(prediction + step, target) - chosen.values(prediction - step, target)) / (2 * step)
    np.testing.assert_allclose(chosen.slopes(prediction, target), difference, atol=1e-8)
    assert chosen.formula is not None
    assert formulas.latex(chosen.formula)


@pytest.mark.parametrize("rule", ALL_OPTIMIZERS, ids=kind)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_optimizer_keeps_dtype_and_shape(rule: Optimizer, dtype: type[np.floating]) -> None:
    w = np.linspace(-1, 1, 7, dtype=dtype)
    state = np.zeros((len(rule.state), 7), dtype=dtype)
    for t in range(1, 4):
        w, state = rule.step(w, w, state, t, rule.lr)
    assert (w.dtype, w.shape, state.dtype, state.shape) == (dtype, (7,), dtype, (len(rule.state), 7))
    assert np.all(np.isfinite(w))
    assert len(rule.updates) == 1 + len(rule.state)
    assert rule.latex
    assert rule.text.startswith("w = ")


@pytest.mark.parametrize("rule", ALL_OPTIMIZERS, ids=kind)
def test_an_optimizer_gets_down_a_bowl(rule: Optimizer) -> None:
    w, state = np.array([1.0, -1.0]), np.zeros((len(rule.state), 2))
    for t in range(1, 301):
        w, state = rule.step(w, np.array([1.0, 3.0]) * w, state, t, 0.1)
    assert np.all(np.abs(w) < 0.6)


@pytest.mark.parametrize("chosen", SCHEDULES.values(), ids=kind)
def test_a_schedule_is_a_formula_of_progress(chosen: Schedule) -> None:
    assert expressions.symbols(chosen.formula) <= {"progress", *dict(chosen.settings)}
    assert formulas.latex(chosen.formula)
    assert np.all(chosen.factors(10) > 0)


# ------------------------------------------------------------------------- programs: the interpreter gives the values


@pytest.mark.parametrize("phi", ALL_ACTIVATIONS, ids=kind)
def test_an_activations_program_computes_value_and_slope(phi: Activation) -> None:
    check_form(phi.program, {1: 0})
    z = Z[:41]
    value, slope = run(phi.program, [z], aliases={1: 0}, tile=16)
    np.testing.assert_allclose(value, phi(z), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(slope, phi.slope(z), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("chosen", ELEMENTWISE_LOSSES, ids=kind)
def test_a_losss_program_computes_value_and_slope(chosen: Loss) -> None:
    assert chosen.program is not None
    check_form(chosen.program)
    prediction, target = pairs()
    value, slope = run(chosen.program, [prediction.ravel(), target.ravel()], tile=16)
    np.testing.assert_allclose(value, chosen.values(prediction, target).ravel(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(slope, chosen.slopes(prediction, target).ravel(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rule", ALL_OPTIMIZERS, ids=kind)
def test_an_optimizers_program_takes_the_same_step_in_place(rule: Optimizer) -> None:
    aliases = {0: 0} | {k: k + 1 for k in range(1, len(rule.updates))}
    check_form(rule.program, aliases)
    arrays = np.random.default_rng(0).uniform(0.1, 1, (2 + len(rule.state), 10))
    got = run(rule.program, list(arrays), [*dict(rule.settings).values(), 7.0], aliases, tile=4)
    w, state = rule.step(arrays[0], arrays[1], arrays[2:], 7, rule.lr)
    np.testing.assert_allclose(np.array(got), np.array([w, *state]), rtol=1e-12)


# ====================================================================================================================
# The second part: the native engine computes what the reference computes
# ====================================================================================================================

INSTRUCTION_SETS = _native.instruction_sets()


def natively(program: Program, inputs: Sequence[Array], scalars: Sequence[float] = ()) -> list[list[Array]]:
    """The outputs of a program on every instruction set of this processor."""
    arrays = [np.ascontiguousarray(x, dtype=np.float32) for x in inputs]
    return [native.evaluate(program, arrays, scalars, chosen) for chosen in INSTRUCTION_SETS]


def near(got: Array, expected: Array, argument: Array) -> None:
    """As near as float32 allows for a formula whose terms may cancel."""
    allowed = 3e-6 * np.maximum(1, np.maximum(np.abs(argument), np.abs(expected)))
    assert np.all(np.abs(got - expected) <= allowed)


@pytest.mark.parametrize("phi", ALL_ACTIVATIONS, ids=kind)
def test_native_activation(phi: Activation) -> None:
    z = np.concatenate([Z, np.linspace(-20, 20, 1001), [0.0, 1.0, -1.0, 3.0, -3.0, 6.0]]).astype(np.float32)
    exact = z.astype(np.float64)
    for value, slope in natively(phi.program, [z]):
        near(value, phi(exact), exact)
        near(slope, phi.slope(exact), exact)


@pytest.mark.parametrize("chosen", ELEMENTWISE_LOSSES, ids=kind)
def test_native_loss(chosen: Loss) -> None:
    assert chosen.program is not None
    prediction, target = (x.astype(np.float32).ravel() for x in pairs())
    exact = prediction.astype(np.float64), target.astype(np.float64)
    for value, slope in natively(chosen.program, [prediction, target]):
        near(value, chosen.values(*exact), exact[0])
        near(slope, chosen.slopes(*exact), exact[0])


@pytest.mark.parametrize("rule", ALL_OPTIMIZERS, ids=kind)
def test_native_optimizer(rule: Optimizer) -> None:
    arrays = np.random.default_rng(0).uniform(0.1, 1, (2 + len(rule.state), 37)).astype(np.float32)
    exact = arrays.astype(np.float64)
    w, state = rule.step(exact[0], exact[1], exact[2:], 7, rule.lr)
    for got in natively(rule.program, arrays, [*dict(rule.settings).values(), 7.0]):
        np.testing.assert_allclose(np.array(got), np.array([w, *state]), rtol=2e-6)


ROWS, INPUTS, EPOCHS, BATCH = 64, 6, 25, 16  # 4 steps an epoch, 100 steps


def problem(chosen: Loss, outputs: int) -> EngineData:
    """A small problem with smooth structure, its targets within 0 … 1 or class numbers."""
    random = np.random.default_rng(5)

    def part(rows: int) -> EnginePart:
        X = random.standard_normal((rows, INPUTS)).astype(np.float32)
        signal = X @ random.standard_normal((INPUTS, outputs)) / math.sqrt(INPUTS)
        labels = signal.argmax(axis=1).astype(np.int32)
        if chosen is softmax_cross_entropy:
            return EnginePart(X, labels[:, None].astype(np.float32), labels)
        return EnginePart(X, (1 / (1 + np.exp(-signal))).astype(np.float32), np.zeros(0, np.int32))

    return EngineData(part(ROWS), part(16), part(16))


def plan(phi: Activation, chosen: Loss, rule: Optimizer, outputs: int) -> Plan:
    """Two hidden layers, 100 steps, from initial weights that depend on nothing but the activation."""
    layers = (Layer("dense", INPUTS, 8, phi), Layer("dense", 8, 8, phi), Layer("dense", 8, outputs, identity))
    random = np.random.default_rng(9)
    start: list[Array] = []
    for layer, reads in zip(layers, (identity, phi, phi), strict=True):
        # Somewhat small weights: squared_relu, whose slope has no bound, stays tame.
        start += [
            0.7 * auto.sample(random, (layer.n_in, layer.n_out), reads).ravel(),
            np.zeros(layer.n_out, np.float32),
        ]
    parameters = np.concatenate(start)
    return Plan(
        layers=layers,
        data=problem(chosen, outputs),
        loss=chosen,
        optimizer=rule,
        learning_rates=np.full(100, 0.02 if rule.full_batch or not rule.state else 0.005),
        batch_size=BATCH,
        epochs=EPOCHS,
        patience=None,
        clip_norm=None,
        seed=3,
        watch=(0, EPOCHS),
        start=State(parameters, np.zeros((len(rule.state), len(parameters)), np.float32)),
    )


def both(chosen: Plan) -> None:
    """Train natively on every instruction set and by the reference in double; compare all that comes back."""
    ((_, expected),) = ReferenceEngine().train([chosen])
    assert expected.state.step == 100
    assert expected.status == "finished"
    for instructions in INSTRUCTION_SETS:
        ((_, got),) = NativeEngine(threads=1, instruction_set=instructions).train([chosen])
        assert (got.status, got.state.step, got.state.epoch) == ("finished", 100, EPOCHS)
        agree(got, expected)


def agree(got: Outcome, expected: Outcome) -> None:
    """Parameters, optimizer state, history, flow and final losses of two trainings."""
    np.testing.assert_allclose(got.state.parameters, expected.state.parameters, rtol=1e-5, atol=2e-6)
    scale = np.abs(expected.state.moments).max(initial=0)
    np.testing.assert_allclose(got.state.moments, expected.state.moments, rtol=1e-5, atol=2e-5 * scale)
    kept = [name != "seconds" for name in HISTORY]
    np.testing.assert_allclose(got.history[:, kept], expected.history[:, kept], rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(got.losses, expected.losses, rtol=1e-5)
    np.testing.assert_allclose(got.scores, expected.scores, rtol=1e-5)
    assert got.watched.tolist() == expected.watched.tolist() == [0, EPOCHS]
    np.testing.assert_allclose(got.flow, expected.flow, rtol=1e-3, atol=1e-6)  # the update ratio is a small difference


@pytest.mark.parametrize("phi", ALL_ACTIVATIONS, ids=kind)
def test_100_native_steps_with_every_activation(phi: Activation) -> None:
    both(plan(phi, squared_error, sgd, 3))


@pytest.mark.parametrize("chosen", ALL_LOSSES, ids=kind)
def test_100_native_steps_with_every_loss(chosen: Loss) -> None:
    both(plan(tanh, chosen, sgd, 3))


@pytest.mark.parametrize("rule", ALL_OPTIMIZERS, ids=kind)
def test_100_native_steps_with_every_optimizer(rule: Optimizer) -> None:
    both(plan(tanh, squared_error, rule, 3))
