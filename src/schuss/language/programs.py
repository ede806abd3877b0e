"""Expressions compiled to short register programs, which the native engine runs over arrays, tile by tile.

What does not depend on an array (`1 - beta1**t`) goes into scalar code, run once a step in double precision:
1 - 0.999 in float32 is off by 1e-5, enough to change a loss in its third digit within ten steps.

>>> from schuss.language.expressions import symbol
>>> w, g, lr = symbol("w"), symbol("g"), symbol("lr")
>>> program = compile_program([w - lr * g], inputs=["w", "g"], scalars=["lr"], aliases={0: 0})
>>> for instruction in program.code:
...     print(*instruction)
fma 2 3 1 0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from schuss.errors import FormulaError
from schuss.language.expressions import Expression, symbol, symbols, topological

OPERATIONS = (
    "move", "neg", "abs", "sign", "floor", "exp", "expm1", "log", "log1p", "sqrt", "tanh", "sech2", "sigmoid",
    "logistic_pdf", "erf", "normal_cdf", "normal_pdf", "sin", "cos", "add", "sub", "mul", "div", "pow",
    "maximum", "minimum", "hypot", "less", "less_equal", "where", "fma",
)  # fmt: skip


class Instruction(NamedTuple):
    """`destination ← operation(a, b, c)` over register numbers; an operand that is not used is -1."""

    operation: str
    destination: int
    a: int
    b: int = -1
    c: int = -1


@dataclass(frozen=True)
class Program:
    """Straight-line code over two register files.

    Scalar registers, in double: [scalar inputs | constants | one for each instruction of `scalar_code`, in order].
    Array registers, in float32: [inputs | outputs | temporaries | the scalar registers listed in `broadcast`].
    An output may share its memory with the input that `aliases` names for it.
    """

    inputs: tuple[str, ...]
    scalar_inputs: tuple[str, ...]
    n_outputs: int
    n_temporaries: int
    constants: tuple[float, ...]
    scalar_code: tuple[Instruction, ...]
    broadcast: tuple[int, ...]
    code: tuple[Instruction, ...]


def compile_program(
    outputs: Sequence[Expression],
    inputs: Sequence[str],
    scalars: Sequence[str] = (),
    aliases: Mapping[int, int] | None = None,
) -> Program:
    """Compile expressions of array symbols `inputs` and number symbols `scalars`.

    Parameters
    ----------
    aliases : output number → input number whose memory it may overwrite.

    Common sub-expressions are computed once, a product with one reader is fused with the sum that reads it (`fma`), and
    registers are reused as soon as their last reader is done.
    """
    unknown = sorted(set().union(*map(symbols, outputs)) - {*inputs, *scalars})
    if unknown:
        raise FormulaError(f"the formula uses '{unknown[0]}', which is none of {', '.join([*inputs, *scalars])}.")
    lowering = _Lowering(set(inputs))
    lowered = lowering.fused(lowering.lower(outputs))
    nodes = topological(lowered)
    arrays = {e for e in nodes if lowering.is_array[e]}
    scalar_part = _ScalarCode([e for e in nodes if e not in arrays], scalars)
    array_part = _ArrayCode([e for e in nodes if e in arrays], lowered, inputs, aliases or {})
    return Program(
        inputs=tuple(inputs),
        scalar_inputs=tuple(scalars),
        n_outputs=len(outputs),
        n_temporaries=array_part.n_temporaries,
        constants=tuple(scalar_part.constants),
        scalar_code=tuple(scalar_part.code),
        broadcast=tuple(scalar_part.register[e] for e in array_part.broadcast),
        code=tuple(array_part.code()),
    )


# ---------------------------------------------------------------------------------------------- rewriting


class _Lowering:
    """Rewrites expressions into cheaper ones over arrays, differing by a rounding at most.

    Small integer powers become products. Factors that are numbers are gathered, so that they cost one scalar operation
    a step and not one for every weight: x / c → x·(1/c), c·(d·x) → (c·d)·x.
    """

    def __init__(self, arrays: set[str]) -> None:
        self.arrays = arrays
        self.is_array: dict[Expression, bool] = {}

    def lower(self, outputs: Sequence[Expression]) -> list[Expression]:
        new: dict[Expression, Expression] = {}
        for e in topological(outputs):
            arguments = tuple(new[x] for x in e.arguments)
            new[e] = self.rewritten(e, arguments) if arguments else self.node(e.operation, (), e.value)
        return [new[e] for e in outputs]

    def node(self, operation: str, arguments: tuple[Expression, ...], value: float | str | None = None) -> Expression:
        e = Expression(operation, arguments, value)
        named = operation == "symbol" and value in self.arrays
        self.is_array[e] = named or any(self.is_array[x] for x in arguments)
        return e

    def rewritten(self, e: Expression, arguments: tuple[Expression, ...]) -> Expression:
        match e.operation, arguments:
            case "pow", (base, Expression(operation="constant", value=float() as exponent)):
                product = self.power(base, exponent)
                return self.node("pow", arguments) if product is None else product
            case "div", (x, c) if self.is_array[x] and not self.is_array[c]:
                return self.scaled(self.node("div", (self.node("constant", (), 1.0), c)), x)
            case "mul", (c, x) if self.is_array[x] and not self.is_array[c]:
                return self.scaled(c, x)
            case "mul", (x, c) if self.is_array[x] and not self.is_array[c]:
                return self.scaled(c, x)
        return self.node(e.operation, arguments)

    def scaled(self, c: Expression, x: Expression) -> Expression:
        if x.operation == "mul" and not self.is_array[x.arguments[0]]:
            c, x = self.node("mul", (c, x.arguments[0])), x.arguments[1]
        return self.node("mul", (c, x))

    def power(self, base: Expression, exponent: float) -> Expression | None:
        if exponent == 0.5:
            return self.node("sqrt", (base,))
        if not exponent.is_integer() or not 0 < abs(exponent) <= 64:
            return None
        product = self.product(base, int(abs(exponent)))
        return product if exponent > 0 else self.node("div", (self.node("constant", (), 1.0), product))

    def product(self, base: Expression, n: int) -> Expression:
        if n == 1:
            return base
        half = self.product(base, n // 2)
        square = self.node("mul", (half, half))
        return self.node("mul", (square, base)) if n % 2 else square

    def fused(self, outputs: Sequence[Expression]) -> list[Expression]:
        """a·b + c, and c − s·x for a number s, as one instruction where the product has no other reader."""
        readers: dict[Expression, int] = dict.fromkeys(outputs, 2)
        for e in topological(outputs):
            for x in e.arguments:
                readers[x] = readers.get(x, 0) + 1
        new: dict[Expression, Expression] = {}
        for e in topological(outputs):
            single = [x.operation == "mul" and readers[x] == 1 and self.is_array[x] for x in e.arguments]
            arguments = tuple(new[x] for x in e.arguments)
            if e.operation == "add" and any(single):
                at = single.index(True)
                a, b = e.arguments[at].arguments
                new[e] = self.node("fma", (new[a], new[b], arguments[1 - at]))
            elif e.operation == "sub" and single[1] and not self.is_array[e.arguments[1].arguments[0]]:
                a, b = e.arguments[1].arguments
                new[e] = self.node("fma", (self.node("neg", (new[a],)), new[b], arguments[0]))
            else:
                new[e] = self.node(e.operation, arguments, e.value) if arguments else e
        return [new[e] for e in outputs]


# ---------------------------------------------------------------------------------------------- registers


class _ScalarCode:
    """Registers and instructions for what is a number, not an array."""

    def __init__(self, nodes: Sequence[Expression], scalars: Sequence[str]) -> None:
        self.register: dict[Expression, int] = {symbol(name): i for i, name in enumerate(scalars)}
        self.constants: list[float] = []
        for e in nodes:
            if e.operation == "constant":
                self.register[e] = len(self.register)
                self.constants.append(float(e.value or 0))
        self.code: list[Instruction] = []
        for e in nodes:
            if e.arguments:
                operands = [self.register[x] for x in e.arguments]
                self.register[e] = len(self.register)
                self.code.append(Instruction(e.operation, self.register[e], *operands))


@dataclass
class _Step:
    """One instruction before registers are numbered: which value it computes from which."""

    operation: str
    value: Expression
    operands: tuple[Expression, ...]
    output: int | None = None  # the output register it writes to, or a temporary


@dataclass
class _ArrayCode:
    """Instructions over arrays; an output overwrites its input only where no later instruction reads the input."""

    nodes: list[Expression]
    outputs: list[Expression]
    inputs: Sequence[str]
    aliases: Mapping[int, int]
    n_temporaries: int = 0
    broadcast: dict[Expression, int] = field(default_factory=dict)  # scalars, with their places

    def __post_init__(self) -> None:
        self.input_register = {symbol(name): i for i, name in enumerate(self.inputs)}
        computed = [e for e in self.nodes if e.arguments]
        self.steps = [_Step(e.operation, e, e.arguments) for e in computed]
        arrays = set(self.nodes)
        for step in self.steps:
            self._note_scalars(step.operands, arrays)
        self._note_scalars(self.outputs, arrays)
        self._place_outputs()
        self.registers = self._assign()

    def _note_scalars(self, operands: Sequence[Expression], arrays: set[Expression]) -> None:
        for x in operands:
            if x not in arrays:
                self.broadcast.setdefault(x, len(self.broadcast))

    def _place_outputs(self) -> None:
        """Let each output be computed in place where that is safe, else copied there after everything is computed."""
        moves: list[_Step] = []
        for k, e in enumerate(self.outputs):
            at = next((i for i, s in enumerate(self.steps) if s.value is e and s.output is None), None)
            if at is not None and not self._read_after(self.aliases.get(k), at):
                self.steps[at].output = k
            else:
                moves.append(_Step("move", e, (e,), k))
        # An input that is itself copied to an output may be overwritten by another copy: save it first.
        overwritten = {symbol(self.inputs[j]) for j in self.aliases.values()}
        for step in moves:
            if step.operands[0] in overwritten:
                saved = Expression("move", (step.operands[0],))
                self.steps.append(_Step("move", saved, step.operands))
                step.operands = (saved,)
        self.steps += moves

    def _read_after(self, number: int | None, at: int) -> bool:
        """Whether an instruction after `at`, or a copy to an output, reads input `number`."""
        if number is None:
            return False
        e = symbol(self.inputs[number])
        return any(x is e for x in chain(self.outputs, *(s.operands for s in self.steps[at + 1 :])))

    def _assign(self) -> list[tuple[int, list[int]]]:
        """Number the registers: (destination, operands) of each step; scalars follow the temporaries, so come last."""
        last = {x: i for i, step in enumerate(self.steps) for x in step.operands}
        first_temporary = len(self.inputs) + len(self.outputs)
        place: dict[Expression, int] = dict(self.input_register)
        free: list[int] = []
        numbered: list[tuple[int, list[int]]] = []
        for i, step in enumerate(self.steps):
            operands = [place[x] if x in place else -2 - self.broadcast[x] for x in step.operands]
            for x in dict.fromkeys(step.operands):
                if last[x] == i and place.get(x, -1) >= first_temporary:
                    free.append(place[x])
            if step.output is not None:
                destination = len(self.inputs) + step.output
            elif free:
                destination = free.pop()
            else:
                destination = first_temporary + self.n_temporaries
                self.n_temporaries += 1
            if step.operation != "move" or step.output is None:
                place[step.value] = destination
            numbered.append((destination, operands))
        return numbered

    def code(self) -> list[Instruction]:
        first_scalar = len(self.inputs) + len(self.outputs) + self.n_temporaries
        return [
            Instruction(step.operation, destination, *(r if r >= 0 else first_scalar - 2 - r for r in operands))
            for step, (destination, operands) in zip(self.steps, self.registers, strict=True)
        ]
