"""Random definitions of every legal form: what is recorded means what the function means on arrays, in both engines.

A campaign, with the seeds 0, 1, 2, …:

    python tests/fuzzing.py 10000
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from schuss.activations import Activation, activation
from schuss.engines import Engine, EngineData, EnginePart, Outcome, Plan, State
from schuss.engines.native import NativeEngine
from schuss.engines.reference import ReferenceEngine
from schuss.errors import SchussError
from schuss.language import expressions
from schuss.language.expressions import FUNCTIONS
from schuss.layers import Layer
from schuss.losses import squared_error
from schuss.optimizers import Optimizer, optimizer
from schuss.schedules import Schedule, schedule

Array: TypeAlias = NDArray[Any]
SPACE: dict[str, Any] = {"np": np, **FUNCTIONS}
UNARY = [name for name, f in FUNCTIONS.items() if f.arity == 1] + [
    f"np.{name}" for name in ("exp", "tanh", "sqrt", "abs", "square", "log1p", "sign", "floor", "negative")
]  # fmt: skip
BINARY = ["maximum", "minimum", "hypot", "np.maximum", "np.hypot", "np.add", "np.divide"]
COMPARISONS = ["<", "<=", ">", ">=", "==", "!="]
CONSTANTS = ["0.0", "1.0", "-1.0", "2.0", "0.5", "3.0", "-0.3", "1e-3"]


class Writer:
    """Writes random source text over some names."""

    def __init__(self, seed: int, names: Sequence[str]) -> None:
        self.random, self.names = random.Random(seed), list(names)

    def number(self, depth: int) -> str:
        """An expression that is a number."""
        pick = self.random.random()
        if depth <= 0 or pick < 0.15:
            return self.random.choice(self.names) if self.random.random() < 0.7 else self.random.choice(CONSTANTS)
        if pick < 0.45:
            return f"{self.random.choice(UNARY)}({self.number(depth - 1)})"
        if pick < 0.55:
            return f"{self.random.choice(BINARY)}({self.number(depth - 1)}, {self.number(depth - 1)})"
        if pick < 0.65:
            return f"where({self.mask(depth - 1)}, {self.number(depth - 1)}, {self.number(depth - 1)})"
        if pick < 0.7:
            return f"({self.number(depth - 1)}) ** {self.random.choice(['2', '3', '0.5', '-1', '1.5', '0'])}"
        if pick < 0.75:
            return f"({self.mask(depth - 1)}) * ({self.number(depth - 1)})"
        sign = self.random.choice(["+", "-", "*", "/"])
        return f"({self.number(depth - 1)}) {sign} ({self.number(depth - 1)})"

    def mask(self, depth: int) -> str:
        """An expression that holds or not."""
        if depth > 1 and self.random.random() < 0.3:
            sign = self.random.choice(["&", "|"])
            return f"({self.mask(depth - 1)}) {sign} ({self.mask(depth - 1)})"
        if depth > 1 and self.random.random() < 0.1:
            return f"~({self.mask(depth - 1)})"
        # With a number: z <= tanh(z) is for rounding to decide, so that two right engines may differ.
        return f"({self.number(depth - 1)}) {self.random.choice(COMPARISONS)} ({self.random.choice(CONSTANTS)})"


def defined(source: str) -> Callable[..., Any]:
    """The function `f` of a source text."""
    space = dict(SPACE)
    exec(source, space)  # noqa: S102
    return space["f"]  # type: ignore[no-any-return]


def activation_source(seed: int) -> str:
    return f"def f(z): return {Writer(seed, ['z']).number(4)}"


def schedule_source(seed: int) -> str:
    return f"def f(progress): return {Writer(seed, ['progress']).number(3)}"


def optimizer_source(seed: int) -> str:
    """A rule with 0 to 2 states, which it may leave unused."""
    states = random.Random(seed).choice([[], ["m"], ["m", "v"]])
    writer = Writer(seed, ["g", "g", "t", "beta", *states])
    lines = [f"    {name} = {writer.number(3)}" for name in states]
    new = f"w - lr * ({writer.number(3)})"
    returned = f"({', '.join([new, *states])},)"
    arguments = ", ".join(["w", "g", *states, "t"])
    return "\n".join([f"def f({arguments}, *, lr=0.01, beta=0.9):", *lines, f"    return {returned}"])


# ---------------------------------------------------------------------------------------------- recorded = function


def recorded_or_refused(source: str, define: Callable[..., Any]) -> Any:
    """The definition, or None where it is refused."""
    try:
        return define(defined(source))
    except SchussError:
        return None


def check_values(expression: expressions.Expression, expected: Any, values: dict[str, Any], source: str) -> None:
    """Equal where the function is finite on arrays, and not finite where it is not, but for overflow on the way."""
    got = np.broadcast_to(np.asarray(expressions.evaluate(expression, values), dtype=float), (len(values["z"]),))
    wanted = np.broadcast_to(np.asarray(expected, dtype=float), got.shape)
    finite = np.isfinite(wanted)
    scale = np.maximum(np.abs(wanted[finite]), 1e-6)
    wrong = ~(np.abs(got[finite] - wanted[finite]) <= 1e-6 * scale)
    if wrong.any():
        raise AssertionError(f"{source}\n{got[finite][wrong][:3]} instead of {wanted[finite][wrong][:3]}")
    if np.isfinite(got[np.isnan(wanted)]).any():
        raise AssertionError(f"{source}\n{got[np.isnan(wanted)][:3]} where the function is not a number")


def on_arrays(source: str, *arguments: Any, **settings: Any) -> Any:
    """What the function of a source text computes; one that NumPy refuses must have been refused when recorded."""
    try:
        with np.errstate(all="ignore"):
            return defined(source)(*arguments, **settings)
    except TypeError as error:
        raise AssertionError(f"{source}\nwas recorded, but NumPy cannot compute it: {error}") from error


def check_activation(seed: int) -> Activation | None:
    """Record an activation and compare it with its function on arrays."""
    source = activation_source(seed)
    phi: Activation | None = recorded_or_refused(source, activation)
    z = np.concatenate([np.random.default_rng(seed).normal(0, 1.5, 200), [0.0, 1.0, -1.0, 0.5, 3.0]])
    if phi is not None:
        with np.errstate(all="ignore"):
            check_values(phi.expression, on_arrays(source, z), {"z": z}, source)
    return phi


def check_optimizer(seed: int) -> Optimizer | None:
    """Record a rule and compare a step of it with its function on arrays."""
    source = optimizer_source(seed)
    rule: Optimizer | None = recorded_or_refused(source, optimizer)
    if rule is not None:
        names = ["z", "w", "g", *rule.state]
        values = dict(zip(names, np.random.default_rng(seed).normal(0, 1, (len(names), 50)), strict=True))
        with np.errstate(all="ignore"):
            expected = defined(source)(
                values["w"],
                values["g"],
                *(values[s] for s in rule.state),
                np.float64(3),
                lr=np.float64(0.01),
                beta=np.float64(0.9),
            )
        for update, wanted in zip(rule.updates, expected, strict=True):
            check_values(update, wanted, {**values, "t": 3.0, "lr": 0.01, "beta": 0.9}, source)
    return rule


def check_schedule(seed: int) -> Schedule | None:
    """Record a schedule and compare its factors with its function on arrays; None where one is not a number."""
    source = schedule_source(seed)
    course: Schedule | None = recorded_or_refused(source, schedule)
    if course is not None:
        progress = np.linspace(0, 1, 50)
        with np.errstate(all="ignore"):
            check_values(course.formula, defined(source)(progress), {"progress": progress, "z": progress}, source)
        try:
            course.factors(8)
        except SchussError:
            return None
    return course


# ---------------------------------------------------------------------------------------------- native = reference


def plan(phi: Activation, rule: Optimizer, course: Schedule, seed: int) -> Plan:
    """A tiny network, or one of width 20, and two epochs of two updates."""
    width = 5 if seed % 2 else 20
    sizes = [3, width, width, 2]
    kinds = [phi, phi, activation(identity)]
    layers = tuple(Layer("dense", a, b, f) for a, b, f in zip(sizes, sizes[1:], kinds, strict=False))
    draw = np.random.default_rng(seed)
    count = sum(layer.n_parameters for layer in layers)
    parameters = draw.normal(0, 0.5, count).astype(np.float32)
    return Plan(
        layers=layers, data=DATA, loss=squared_error, optimizer=rule, learning_rates=rule.lr * course.factors(4),
        batch_size=8, epochs=2, patience=None, clip_norm=None, seed=seed, watch=(0, 2),
        start=State(parameters, np.zeros((len(rule.state), count), np.float32)),
    )  # fmt: skip


def identity(z: expressions.Expression) -> expressions.Expression:
    """Linear."""
    return z


def _part(n: int, seed: int) -> EnginePart:
    draw = np.random.default_rng(seed)
    x = draw.normal(0, 1, (n, 3)).astype(np.float32)
    y = np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], axis=1).astype(np.float32)
    return EnginePart(x, y, np.zeros(0, np.int32))


DATA = EngineData(_part(16, 1), _part(8, 2), _part(8, 3))


def distance(a: Outcome, b: Outcome, plan: Plan) -> float:
    """Between the parameters of two outcomes, relative to the way they have gone."""
    start = plan.start.parameters.astype(np.float64)
    way = float(np.linalg.norm(b.state.parameters.astype(np.float64) - start)) + 1e-6 * float(np.linalg.norm(start))
    return float(np.linalg.norm(a.state.parameters.astype(np.float64) - b.state.parameters.astype(np.float64))) / way


def flushed(x: Array) -> Array:
    """Numbers as the native engine sees them: below 1.2e-38 they are 0."""
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.copysign(np.zeros_like(x), x), x)


def evaluate_flushed(expression: expressions.Expression, values: Mapping[str, Any]) -> Any:
    """As `expressions.evaluate`, every number on the way flushed."""
    known: dict[expressions.Expression, Any] = {}
    for e in expressions.topological([expression]):
        if e.arguments:
            result = expressions.evaluate(
                expressions.Expression(e.operation, tuple(expressions.symbol(str(i)) for i in range(len(e.arguments)))),
                {str(i): known[x] for i, x in enumerate(e.arguments)},
            )
            known[e] = flushed(result) if isinstance(result, np.ndarray) else result
        else:
            known[e] = values[str(e.value)] if e.operation == "symbol" else e.value
    return known[expression]


class FlushingActivation(Activation):
    """An activation as the native engine computes it."""

    def __call__(self, z: Array) -> Array:  # type: ignore[override]
        return np.broadcast_to(np.asarray(evaluate_flushed(self.expression, {"z": z}), z.dtype), z.shape)

    def slope(self, z: Array) -> Array:
        return np.broadcast_to(np.asarray(evaluate_flushed(self.derivative, {"z": z}), z.dtype), z.shape)


class FlushingOptimizer(Optimizer):
    """A rule as the native engine computes it; `zero` is what it takes a gradient of 0 for, 0.0 or -0.0."""

    zero = 0.0

    def step(self, w: Array, g: Array, state: Array, t: int, lr: float) -> tuple[Array, Array]:
        g = flushed(g)
        values = {
            **dict(self.settings),
            "lr": lr,
            "t": float(t),
            "w": w,
            "g": np.where(g == 0, g.dtype.type(self.zero), g),
        }
        values |= dict(zip(self.state, flushed(state), strict=True))
        new = [np.broadcast_to(evaluate_flushed(e, values), w.shape).astype(w.dtype) for e in self.updates]
        return new[0], np.stack(new[1:]) if self.state else state


class NegativeZero(FlushingOptimizer):
    """The same, with gradients of -0.0, whose reciprocal is -infinity."""

    zero = -0.0


def flushing(plan: Plan, rule: type[Optimizer] = FlushingOptimizer) -> Plan:
    """The plan with definitions as the native engine computes them."""

    def converted(kind: type[Any], definition: Any) -> Any:
        return kind(**{field.name: getattr(definition, field.name) for field in fields(definition) if field.init})

    layers = tuple(x._replace(activation=converted(FlushingActivation, x.activation)) for x in plan.layers)
    return replace(plan, layers=layers, optimizer=converted(rule, plan.optimizer))


def trained(engine: Engine, plans: Sequence[Plan]) -> list[Outcome]:
    """The outcomes, in order; every plan must come back."""
    found = dict(engine.train(plans))
    if len(found) != len(plans):
        raise AssertionError(f"{len(plans) - len(found)} of {len(plans)} networks did not come back")
    return [found[number] for number in range(len(plans))]


def check_trainings(plans: Sequence[Plan], threads: int = 2) -> Counter[str]:
    """Both engines agree, or both say diverged, unless rounding decides about a pole, a jump or an overflow."""
    counts: Counter[str] = Counter()
    native, exact = trained(NativeEngine(threads), plans), trained(ReferenceEngine(np.float64), plans)
    single = trained(ReferenceEngine(np.float32), list(map(flushing, plans)))
    for own, got, expected, rounded in zip(plans, native, exact, single, strict=True):
        bound = 1e-3 + 10 * distance(rounded, expected, own)
        if not agree(rounded, expected, own, 0.01):
            counts["beyond float32"] += 1
        elif agree(got, expected, own, bound):
            counts[expected.status] += 1
        elif depends_on_rounding(own, expected):
            counts["beyond float32"] += 1
        else:
            raise AssertionError(
                f"native {got.status}, reference {expected.status}, {distance(got, expected, own):.2g} apart: "
                f"{own.layers[0].activation.text}; {own.optimizer.text}; {own.learning_rates}"
            )
    return counts


def depends_on_rounding(plan: Plan, expected: Outcome) -> bool:
    """Whether the outcome is another without fused products, by the sign of a zero, or by a rounding at the start."""
    draw = np.random.default_rng(plan.seed)

    def moved(x: Array) -> Array:
        return np.asarray(x * (1 + 1e-7 * draw.normal(0, 1, x.shape)), np.float32)

    def rounded() -> Plan:
        train = plan.data.train._replace(X=moved(plan.data.train.X))
        start = replace(plan.start, parameters=moved(plan.start.parameters))
        return replace(plan, data=replace(plan.data, train=train), start=start)

    signs = trained(ReferenceEngine(np.float32), [flushing(plan), flushing(plan, NegativeZero)])
    others = [*signs, *trained(ReferenceEngine(), [rounded() for _ in range(30)])]
    fused_or_not = trained(NativeEngine(1, "baseline"), [plan])[0]
    return agree(fused_or_not, expected, plan, 0.01) or not all(agree(x, expected, plan, 0.01) for x in others)


def agree(got: Outcome, expected: Outcome, plan: Plan, bound: float) -> bool:
    """Whether two outcomes are the same but for rounding."""
    if "diverged" in (got.status, expected.status):
        return got.status == expected.status
    return got.status == expected.status and distance(got, expected, plan) <= bound


def campaign(seeds: Sequence[int], at_once: int = 100) -> Counter[str]:
    """Check random definitions and trainings with them; counts of what came of them."""
    counts: Counter[str] = Counter()
    plans: list[Plan] = []
    for seed in seeds:
        phi, rule, course = check_activation(seed), check_optimizer(seed), check_schedule(seed)
        counts["refused"] += [phi, rule, course].count(None)
        counts["recorded"] += 3 - [phi, rule, course].count(None)
        plans.append(
            plan(phi or activation(identity), rule or PLAIN, course or replace(CONSTANT, name="constant"), seed)
        )
        if len(plans) == at_once or seed == seeds[-1]:
            counts += check_trainings(plans)
            plans = []
    return counts


PLAIN: Optimizer = optimizer(defined("def f(w, g, *, lr=0.01): return w - lr * g"))
CONSTANT: Schedule = schedule(defined("def f(progress): return 1.0"))

if __name__ == "__main__":
    print(dict(campaign(range(int(sys.argv[1])))))
