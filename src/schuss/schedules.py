"""The learning rate as a function of progress: a factor for each share of the training done.

A function of `progress` (0 at the first step, towards 1 at the last) decorated with `schedule` becomes a `Schedule`.
Each also has `warmup`, the share of the training during which the factor first rises linearly from 0.

>>> cosine.factors(4).round(3).tolist()
[1.0, 0.854, 0.5, 0.146]
>>> cosine(warmup=0.5).factors(4).tolist()
[0.5, 1.0, 1.0, 0.5]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from schuss.definitions import (
    Definition,
    Fraction,
    NonNegative,
    Positive,
    Range,
    description,
    formula_of,
    lookup,
    names_of,
)
from schuss.errors import InvalidInput
from schuss.language import expressions
from schuss.language.expressions import Expression, Operand, cos, floor

_AT_ONCE = 2**20  # steps whose factors are computed at once: a long training has no memory for all progress beside them
Share: TypeAlias = Annotated[float, Range(0, 1, open_low=True)]  # of the training


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Schedule(Definition):
    """A factor on the learning rate; `cosine(final=0.1, warmup=0.05)` is a configured copy."""

    formula: Expression  # of progress and the hyper-parameters' symbols, warmup aside

    def _key(self) -> tuple[object, ...]:
        return (*super()._key(), id(self.formula))

    def factors(self, steps: int) -> NDArray[np.float64]:
        """The factor of every step of a training of `steps` steps, float64 [steps]."""
        values = dict(self.settings)
        warm = round(values.pop("warmup") * steps)
        factors = np.empty(steps)
        factors[:warm] = np.arange(1, warm + 1) / max(warm, 1)
        for start in range(warm, steps, _AT_ONCE):
            stop = min(start + _AT_ONCE, steps)
            progress = np.arange(start - warm, stop - warm) / (steps - warm)
            factors[start:stop] = expressions.evaluate(self.formula, {**values, "progress": progress})
        if not np.all(np.isfinite(factors)):
            raise InvalidInput(
                f"the schedule {self} gives a learning rate that is not a number; check its hyper-parameters."
            )
        return factors


def schedule(function: Callable[..., Operand]) -> Schedule:
    """Turn a function of `progress` into a Schedule; keyword-only arguments become hyper-parameters."""
    formula, (_, settings, ranges) = formula_of("a schedule", function, ["progress"])
    settings, ranges = (*settings, ("warmup", 0.0)), (*ranges, *get_args(Fraction)[1:])
    return Schedule(
        name=function.__name__, formula=formula, settings=settings, defaults=settings, ranges=ranges,
        description=description(function),
    )  # fmt: skip


def find_schedule(wanted: str | Schedule) -> Schedule:
    """A schedule from itself, its name, or a configured name such as "cosine(final=0.1, warmup=0.05)"."""
    if isinstance(wanted, Schedule):
        return wanted
    return lookup("schedule", wanted, SCHEDULES)


@schedule
def constant(progress: Expression) -> Operand:  # noqa: ARG001
    """1 throughout."""
    return 1.0


@schedule
def step(progress: Expression, *, every: Share = 1 / 3, factor: NonNegative = 0.1) -> Expression:
    """Times `factor` after each share `every` of the training."""
    return factor ** floor(progress / every + 1e-9)  # 1e-9: 2/6 divided by 1/3 must not round to just below 1


@schedule
def exponential(progress: Expression, *, final: Positive = 0.01) -> Expression:
    """From 1 to `final`, by the same ratio every step."""
    return final**progress


@schedule
def cosine(progress: Expression, *, final: NonNegative = 0.0) -> Expression:
    """From 1 to `final` along half a cosine (Loshchilov and Hutter, 2017)."""
    return final + (1 - final) * (1 + cos(math.pi * progress)) / 2


SCHEDULES: dict[str, Schedule] = names_of([constant, step, exponential, cosine])
