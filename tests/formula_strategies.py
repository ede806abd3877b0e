"""Random formulas for the property tests of the language and of the engines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from schuss.errors import FormulaError
from schuss.language.expressions import FUNCTIONS, Expression, evaluate, maximum, minimum, symbol, topological, where

UNARY = sorted(name for name in FUNCTIONS if name not in ("maximum", "minimum", "where"))
BINARY: list[Callable[[Expression, Expression], Expression]] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a < b,
    lambda a, b: a <= b,
    maximum,
    minimum,
]
CONSTANTS = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 1e-3, 0.25, 0.5, 1.0, 1.702, 2.0, 3.0, 10.0])


def formulas(names: tuple[str, ...] = ("z",), max_leaves: int = 12) -> st.SearchStrategy[Expression]:
    """Random expressions of the symbols `names` with every function and operator of the language."""
    leaves = st.one_of(st.sampled_from(names).map(symbol), st.sampled_from(names).map(symbol), CONSTANTS)

    def operand(value: Expression | float) -> Expression:
        return value if isinstance(value, Expression) else symbol(names[0]) * 0.5 + value

    def extend(parts: st.SearchStrategy[Expression | float]) -> st.SearchStrategy[Expression | float]:
        return st.one_of(
            st.builds(lambda name, a: _recorded(FUNCTIONS[name], operand(a)), st.sampled_from(UNARY), parts),
            st.builds(lambda a: _recorded(lambda x: -x, operand(a)), parts),
            st.builds(lambda a: _recorded(abs, operand(a)), parts),
            st.builds(lambda f, a, b: _recorded(f, operand(a), b), st.sampled_from(BINARY), parts, parts),
            st.builds(lambda f, a, b: _recorded(f, a, operand(b)), st.sampled_from(BINARY), parts, parts),
            st.builds(lambda a, n: _recorded(lambda x: x**n, operand(a)), parts, st.sampled_from([-2, -1, 2, 3, 0.5])),
            st.builds(lambda c, a, b: _recorded(where, operand(c) > 0, operand(a), b), parts, parts, parts),
        )

    return st.recursive(leaves, extend, max_leaves=max_leaves).map(operand)


def _recorded(function: Callable[..., Expression], *operands: Expression | float) -> Expression:
    """`function(*operands)`, or its first expression where constants fold to something that is not a finite number."""
    try:
        return function(*operands)
    except FormulaError:
        return next(x for x in operands if isinstance(x, Expression))


def is_tame(expression: Expression, values: dict[str, NDArray[np.float64]], limit: float = 1e3) -> bool:
    """Whether every intermediate result is finite and of moderate size, so that rounding errors stay small."""
    return all(np.all(np.abs(evaluate(e, values)) <= limit) for e in topological([expression]))
