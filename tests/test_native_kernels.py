"""Fused kernels against the elementwise machine: every built-in definition has a kernel, and no bit is different."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from trainings import assert_same_bits, data_for, plan_for, stack, train

from schuss import _native
from schuss.activations import ACTIVATIONS, activation, celu, elu, leaky_relu, squareplus
from schuss.engines import native
from schuss.language.expressions import Expression, exp, sqrt, where
from schuss.language.programs import Program
from schuss.losses import LOSSES, huber
from schuss.optimizers import OPTIMIZERS, Update, optimizer

Array: TypeAlias = NDArray[np.float32]

DEFINITIONS = [
    *(definition for known in (ACTIVATIONS, LOSSES, OPTIMIZERS) for definition in known.values()),
    *(leaky_relu(slope=0.2), elu(alpha=0.3), celu(alpha=1.5), squareplus(b=1.3), huber(delta=0.3)),
]
BUILT_INS: dict[str, tuple[Program, list[float]]] = {  # with the values of the scalars
    str(each): (each.program, [{**dict(each.settings), "t": 3.0}[name] for name in each.program.scalar_inputs])
    for each in DEFINITIONS
    if each.program is not None  # the softmax
}
# A subnormal, the smallest normal and the largest number among them.
POSITIVE = np.array([0, 1e-45, 1.1754944e-38, 1e-30, 1e-4, 0.5, 1, 3, 6, 20, 88.7, 104, 1e10, 3.4028235e38, np.inf])
EXTREMES = np.array([*POSITIVE, *-POSITIVE, np.nan], np.float32)


def inputs(n: int) -> list[Array]:
    """All pairs of extreme values, each pair with others in further arrays, and random numbers of four magnitudes."""
    random = np.random.default_rng(n)
    pairs = np.stack(np.meshgrid(EXTREMES, EXTREMES)).reshape(2, -1)
    others = random.choice(EXTREMES, (max(n, 2) - 2, pairs.shape[1]))
    usual = random.standard_normal((n, 4, 3_000)) * np.array([[1e-3], [1], [10], [1e3]])
    squares = usual[::-1] ** 2  # what a second moment is
    parts = [np.concatenate([pairs, others])[:n], usual.reshape(n, -1), squares.reshape(n, -1)]
    return list(np.concatenate(parts, axis=1).astype(np.float32))


def bits(x: Array) -> NDArray[np.int32]:
    """As integers, which tell 0 from −0; a NaN is a NaN."""
    return np.where(np.isnan(x), np.float32(np.nan), x).view(np.int32)


@pytest.mark.parametrize("instruction_set", _native.instruction_sets())
@pytest.mark.parametrize("name", BUILT_INS)
def test_a_kernel_gives_the_bits_of_the_machine(name: str, instruction_set: str) -> None:
    program, scalars = BUILT_INS[name]
    x = inputs(len(program.inputs))
    by_kernel = native.evaluate(program, x, scalars, instruction_set)
    by_machine = native.evaluate(program, x, scalars, instruction_set, fused=False)
    for got, expected in zip(by_kernel, by_machine, strict=True):
        np.testing.assert_array_equal(bits(got), bits(expected))


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_training_by_kernels_gives_the_bits_of_the_machine(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here outputs take the place of inputs."""
    data = data_for("huber", 6, 3)
    plan = plan_for(stack([6, 33, 9, 3], "gelu"), "huber", f"{rule}(lr=0.002)", data=data, epochs=5, watch=(1,))
    by_kernels = train(native.NativeEngine(1), plan, data)
    encoded = native._encoded
    monkeypatch.setattr(native, "_encoded", lambda program: encoded(program, fused=False))
    assert_same_bits(train(native.NativeEngine(1), plan, data), by_kernels)


# ---------------------------------------------------------------------------------------------- who has a kernel


def is_fused(program: Program) -> bool:
    return native._encoded(program).fused


@pytest.mark.parametrize("name", BUILT_INS)
def test_every_built_in_has_a_kernel(name: str) -> None:
    program, _ = BUILT_INS[name]
    assert is_fused(program)
    assert not native._encoded(program, fused=False).fused


def test_a_definition_of_the_same_code_has_the_kernel_too() -> None:
    @activation
    def mine(x: Expression, *, steepness: float = 0.4) -> Expression:
        return where(x > 0, x, x * steepness)

    assert is_fused(mine.program)


def test_another_code_runs_in_the_machine() -> None:
    @activation
    def soft(z: Expression) -> Expression:
        return z / sqrt(1 + z * z) * exp(-z)

    @optimizer
    def rested(w: Expression, g: Expression, *, lr: float = 0.01) -> Update:
        return 0.999 * w - lr * g

    assert not is_fused(soft.program)
    assert not is_fused(rested.program)
