"""An ensemble's prediction, written once, in operations that PyTorch computes and ONNX records."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schuss.activations import Activation
from schuss.data.encoding import FARTHEST
from schuss.engines import NORM_EPSILON
from schuss.ensembles.columns import Columns
from schuss.ensembles.ensemble import Ensemble
from schuss.ensembles.kinds import SOFT, WAVES, Coder, Encoder, Periodic, Piecewise
from schuss.ensembles.members import STYLES
from schuss.language.expressions import Expression, topological
from schuss.layers import Layer
from schuss.training.run import Run

T = TypeVar("T")


class Operations(Protocol[T]):
    """What a prediction is made of; arrays are [rows, columns]."""

    def constant(self, name: str, value: ArrayLike) -> T:
        """A named array; `value` has its dtype."""
        ...

    def weight(self, name: str, value: ArrayLike) -> T:
        """A named array that was trained, and may be trained on."""
        ...

    def compute(self, operation: str, *operands: T) -> T:
        """An operation of the little language, or matmul, or is_nan: 1 or 0."""
        ...

    def cast(self, x: T, dtype: type[np.floating]) -> T:
        """Other precision."""
        ...

    def columns(self, x: T, places: NDArray[np.int64]) -> T:
        """Some columns, one more than once if named so."""
        ...

    def concatenate(self, parts: list[T]) -> T:
        """Columns of all parts."""
        ...

    def mean(self, x: T) -> T:
        """Of each row, [rows, 1]."""
        ...

    def softmax(self, x: T) -> T:
        """Of each row."""
        ...

    def one_hot(self, column: int, categories: tuple[str, ...]) -> T:
        """Float32 [rows, categories] of one categorical column."""
        ...


def recorded_prediction(ensemble: Ensemble, ops: Operations[T], numbers: T) -> T:
    """Probabilities, or numbers in the target's unit, float64 [n, k], from numbers float64 [n, p]."""
    total: T | None = None
    inputs: dict[str, T] = {}
    for number, (style, run, weight) in enumerate(zip(ensemble.styles, ensemble.runs, ensemble.weights, strict=True)):
        if weight == 0:
            continue
        kind = STYLES[style].inputs
        if kind not in inputs:
            inputs[kind] = _inputs(ensemble.encoders[kind], ensemble.columns, ops, numbers, kind)
        found = _meaning(run, ops, _outputs(run, ops, inputs[kind], f"network_{number}"), f"network_{number}")
        share = ops.compute("mul", found, ops.constant(f"network_{number}_share", np.float64(weight)))
        total = share if total is None else ops.compute("add", total, share)
    if total is None:
        raise AssertionError("the weights of an ensemble sum to 1")
    return total


# ---------------------------------------------------------------------------------------------- inputs


def _inputs(encoder: Encoder, columns: Columns, ops: Operations[T], numbers: T, name: str) -> T:
    parts = []
    if len(encoder.fill):
        missing = ops.compute("is_nan", numbers)
        filled = ops.compute("where", missing, ops.constant(f"{name}_fill", encoder.fill[None]), numbers)
        parts.append(_coded(encoder.coder, ops, filled, name))
        if len(encoder.gaps):
            parts.append(ops.cast(ops.columns(missing, encoder.gaps), np.float32))
    categories = [columns.categories[i] or () for i in columns.categorical]
    parts += [ops.one_hot(i, known) for i, known in enumerate(categories) if known]
    return ops.concatenate(parts)


def _coded(coder: Coder, ops: Operations[T], x: T, name: str) -> T:
    def scaled(x: T, what: str, low: NDArray[np.float64], width: NDArray[np.float64]) -> T:
        shifted = ops.compute("sub", x, ops.constant(f"{name}_{what}_low", low[None]))
        return ops.compute("div", shifted, ops.constant(f"{name}_{what}_width", width[None]))

    if isinstance(coder, Piecewise):
        first, span = coder.reach()
        u = ops.cast(_clipped(ops, scaled(x, "reach", first, span), 0.0, 1.0), np.float32)
        column, scale, shift = coder.pieces()
        risen = ops.compute("mul", ops.columns(u, column), ops.constant(f"{name}_scale", scale[None]))
        return _clipped(ops, ops.compute("sub", risen, ops.constant(f"{name}_shift", shift[None])), -1.0, 1.0)
    standard = coder.standard if isinstance(coder, Periodic) else coder
    z = ops.cast(_clipped(ops, scaled(x, "standard", standard.mean, standard.std), -FARTHEST, FARTHEST), np.float32)
    if not isinstance(coder, Periodic):
        return z
    s = _clipped(ops, scaled(x, "spread", coder.median, coder.range), -FARTHEST, FARTHEST)
    third = ops.compute("div", s, ops.constant(f"{name}_soft", np.float64(SOFT)))
    length = ops.compute(
        "sqrt", ops.compute("add", ops.compute("mul", third, third), ops.constant("one", np.float64(1)))
    )
    r = ops.cast(ops.compute("div", s, length), np.float32)
    repeated = ops.columns(r, np.repeat(np.arange(len(coder.median)), WAVES))
    frequency, phase = (values.astype(np.float32).reshape(1, -1) for values in (coder.frequency, coder.phase))
    turns = ops.compute("mul", repeated, ops.constant(f"{name}_frequency", frequency))
    turns = ops.compute("add", turns, ops.constant(f"{name}_phase", phase))
    waves = ops.compute("cos", ops.compute("mul", turns, ops.constant("turn", np.float32(2 * np.pi))))
    return ops.concatenate([z, waves])


def _clipped(ops: Operations[T], x: T, low: float, high: float) -> T:
    kind = np.float32 if low == -1.0 else np.float64
    at_least = ops.compute("maximum", x, ops.constant(f"at_least_{low:g}_{kind.__name__}", kind(low)))
    return ops.compute("minimum", at_least, ops.constant(f"at_most_{high:g}_{kind.__name__}", kind(high)))


# ---------------------------------------------------------------------------------------------- networks


def _outputs(run: Run, ops: Operations[T], x: T, name: str) -> T:
    values = [x]
    for number, (layer, arrays) in enumerate(zip(run.layers, run.weights(), strict=True)):
        a = _activated(layer.activation, ops, _linear(layer, ops, values[-1], arrays, f"{name}_layer_{number}"))
        values.append(a if layer.adds is None else ops.compute("add", a, values[layer.adds]))
    return values[-1]


def _linear(layer: Layer, ops: Operations[T], x: T, arrays: tuple[NDArray[np.float32], ...], name: str) -> T:
    known = [ops.weight(f"{name}_{i}", array if array.ndim == 2 else array[None]) for i, array in enumerate(arrays)]
    if layer.kind == "dense":
        return ops.compute("add", ops.compute("matmul", x, known[0]), known[1])
    centered = ops.compute("sub", x, ops.mean(x))  # the only other kind in a style is layer normalization
    variance = ops.mean(ops.compute("mul", centered, centered))
    safe = ops.compute("add", variance, ops.constant("norm_epsilon", np.float32(NORM_EPSILON)))
    z = ops.compute("mul", ops.compute("div", centered, ops.compute("sqrt", safe)), known[0])
    return ops.compute("add", z, known[1])


def _activated(activation: Activation, ops: Operations[T], z: T) -> T:
    known: dict[Expression, T] = {}
    for e in topological([activation.expression]):
        if e.operation == "symbol":
            known[e] = z
        elif e.operation == "constant":
            known[e] = ops.constant(f"number_{e.value}", np.float32(e.value))
        else:
            known[e] = ops.compute(e.operation, *(known[x] for x in e.arguments))
    return known[activation.expression]


def _meaning(run: Run, ops: Operations[T], outputs: T, name: str) -> T:
    target = run.encoding.target
    outputs = ops.cast(outputs, np.float64)
    if target.task == "regression":
        scaled = ops.compute("mul", outputs, ops.constant(f"{name}_std", np.array([target.std])))
        return ops.compute("add", scaled, ops.constant(f"{name}_mean", np.array([target.mean])))
    if run.layers[-1].n_out == 1:
        zero = ops.compute("mul", outputs, ops.constant("zero", np.float64(0)))
        outputs = ops.concatenate([zero, outputs])
    return ops.softmax(outputs)
