"""A small interpreter of compiled programs in plain Python: what every engine must compute."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from schuss.language.programs import OPERATIONS, Instruction, Program

Array = NDArray[np.floating]

MEANING: dict[str, Callable[..., float]] = {
    "move": lambda x: x,
    "neg": lambda x: -x,
    "abs": abs,
    "sign": lambda x: math.copysign(1.0, x) if x else 0.0,
    "floor": lambda x: float(math.floor(x)),
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "erf": math.erf,
    "sin": math.sin,
    "sech2": lambda x: math.cosh(x) ** -2,
    "logistic_pdf": lambda x: math.cosh(x / 2) ** -2 / 4,
    "normal_cdf": statistics.NormalDist().cdf,
    "normal_pdf": statistics.NormalDist().pdf,
    "cos": math.cos,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "maximum": max,
    "minimum": min,
    "hypot": math.hypot,
    "less": lambda a, b: float(a < b),
    "less_equal": lambda a, b: float(a <= b),
    "where": lambda c, a, b: a if c else b,
    "fma": lambda a, b, c: a * b + c,
}


def compute(operation: str, *operands: float) -> float:
    """One operation on Python floats; NaN where Python raises (a pole, a negative logarithm)."""
    try:
        result = MEANING[operation](*operands)
    except (ValueError, ZeroDivisionError, OverflowError):
        return math.nan
    return math.nan if isinstance(result, complex) else result


def run(
    program: Program,
    inputs: Sequence[Array],
    scalars: Sequence[float] = (),
    aliases: Mapping[int, int] | None = None,
    tile: int = 3,
) -> list[Array]:
    """Run a program as an engine does: tile by tile, each instruction over the whole tile, aliased outputs in place."""
    length = len(inputs[0])
    memory = [x.copy() for x in inputs]
    outputs = [
        memory[aliases[k]] if aliases and k in aliases else np.full(length, np.nan) for k in range(program.n_outputs)
    ]
    registers = [*scalars, *program.constants]
    for instruction in program.scalar_code:
        assert instruction.destination == len(registers)
        registers.append(compute(instruction.operation, *(registers[r] for r in used(instruction))))
    for start in range(0, length, tile):
        part = slice(start, min(start + tile, length))
        width = part.stop - part.start
        temporaries = [np.full(width, np.nan) for _ in range(program.n_temporaries)]
        scalar_arrays = [np.full(width, registers[r]) for r in program.broadcast]
        files = [*(x[part] for x in memory), *(y[part] for y in outputs), *temporaries, *scalar_arrays]
        for instruction in program.code:
            for i in range(width):
                operands = [float(files[r][i]) for r in used(instruction)]
                files[instruction.destination][i] = compute(instruction.operation, *operands)
    return outputs


def used(instruction: Instruction) -> list[int]:
    """The operand registers of an instruction."""
    return [r for r in instruction[2:] if r != -1]


def check_form(program: Program, aliases: Mapping[int, int] | None = None) -> None:
    """Registers in range, operands as the operation has them, nothing read before it is written or once overwritten."""
    n_inputs, n_fixed = len(program.inputs), len(program.inputs) + program.n_outputs
    first_scalar = n_fixed + program.n_temporaries
    known = {*range(n_inputs), *range(first_scalar, first_scalar + len(program.broadcast))}
    n_scalars = len(program.scalar_inputs) + len(program.constants) + len(program.scalar_code)
    assert all(0 <= r < n_scalars for r in program.broadcast)
    assert len(set(program.broadcast)) == len(program.broadcast)
    for instruction in program.code:
        index = OPERATIONS.index(instruction.operation)
        n_operands = 1 if index < OPERATIONS.index("add") else 2 if index < OPERATIONS.index("where") else 3
        assert len(used(instruction)) == n_operands
        assert set(used(instruction)) <= known
        assert n_inputs <= instruction.destination < first_scalar
        known.add(instruction.destination)
        known.discard((aliases or {}).get(instruction.destination - n_inputs, -1))
    assert set(range(n_inputs, n_fixed)) <= known
