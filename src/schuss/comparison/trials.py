"""What is tried: settings of the tuned hyper-parameters, spread evenly over their ranges, the same for all competitors.

The learning rate is searched on a log scale over the optimizer's documented range, another hyper-parameter a decade to
either side of its default, within the range that its definition states. Trials are points of a scrambled Sobol
sequence (Sobol, 1967; Owen, 1998): any number of them fills the ranges evenly, more of them add to those that were
there, and competitors whose ranges coincide try the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schuss.definitions import Range
from schuss.errors import InvalidInput, UnknownName
from schuss.optimizers import Optimizer

COORDINATES = 8  # of every point, however few are used: a competitor's first ones do not depend on who else is tuned
WIDENED_AT_MOST = 2  # times, each by a decade


class Trial(NamedTuple):
    """One setting of the tuned hyper-parameters, "lr" among them; numbered from 0."""

    number: int
    settings: Mapping[str, float]


class Tried(NamedTuple):
    """What became of a trial on the validation part; NaN for a network that diverged."""

    number: int
    rate: float
    score: float
    loss: float


def points(n: int, seed: int) -> NDArray[np.float64]:
    """The first `n` points of scipy's scrambled Sobol sequence in the unit cube, [n, COORDINATES].

    >>> bool((points(12, seed=0) == points(20, seed=0)[:12]).all())
    True
    """
    from scipy.stats.qmc import Sobol

    # Drawn by powers of 2, in which the sequence is balanced; the first n of them are what n alone would be.
    return np.asarray(Sobol(COORDINATES, scramble=True, rng=seed).random_base2(max(n - 1, 1).bit_length())[:n])


class Search(NamedTuple):
    """The search of one optimizer: `n` first trials over its range of learning rates, of which some were widened."""

    optimizer: Optimizer
    tuned: tuple[str, ...]  # hyper-parameters beside the learning rate
    n: int
    seed: int
    low: float
    high: float
    widened: int = 0

    @classmethod
    def of(cls, optimizer: Optimizer, tuned: Sequence[str], n: int, seed: int) -> Search:
        """The search at its start; of `tuned` the optimizer has what it has."""
        own = tuple(name for name in tuned if name in dict(optimizer.settings))
        for name in own:
            _searched(optimizer, name)
        return cls(optimizer, own, n, seed, *optimizer.search)

    def first(self) -> list[Trial]:
        """The first trials.

        >>> from schuss.optimizers import sgd, momentum
        >>> a, b = (Search.of(rule, (), n=12, seed=0).first() for rule in (sgd, sgd(lr=0.5)))
        >>> a == b, len(a), min(t.settings["lr"] for t in a) >= 0.001
        (True, 12, True)
        """
        return self._trials(0, self.n, self.low, self.high)

    def further(self, tried: Sequence[Tried]) -> tuple[Search, list[Trial]]:
        """A range wider by a decade and the trials in it, if no rate was tried beyond the best; else no trials.

        They are as many as the first trials were in a decade.
        """
        low, high = self.low, self.high
        best, rates = best_of(tried).rate, [each.rate for each in tried]
        if self.widened == WIDENED_AT_MOST or self.n == 1 or min(rates) < best < max(rates):
            return self, []
        is_lowest = best == min(rates)
        new = (low / 10, low) if is_lowest else (high, high * 10)
        decades = math.log10(self.optimizer.search[1] / self.optimizer.search[0])
        more = max(round(self.n / decades), 1) if decades > 0 else 1
        wider = self._replace(low=min(low, new[0]), high=max(high, new[1]), widened=self.widened + 1)
        return wider, self._trials(len(tried), more, *new)

    def _trials(self, start: int, n: int, low: float, high: float) -> list[Trial]:
        """Trials `start` to `start` + `n`, their learning rates from `low` to `high`."""
        trials = []
        for number, point in enumerate(points(start + n, self.seed)[start:], start):
            rate, *others = point.tolist()
            settings = {"lr": _between(rate, low, high)}
            for name, u in zip(self.tuned, others, strict=False):
                settings[name] = _near(u, self.optimizer, name)
            trials.append(Trial(number, settings))
        return trials


def best_of(tried: Sequence[Tried]) -> Tried:
    """The trial with the highest validation score; of equal ones, the lowest validation loss, then the lowest rate.

    A trial that diverged is chosen only where all did.
    """

    def merit(each: Tried) -> tuple[float, float, float]:
        score, loss = (-math.inf if math.isnan(x) else x for x in (each.score, -each.loss))
        return score, loss, -each.rate

    return max(tried, key=merit)


def tuned_names(wanted: Sequence[str], optimizers: Sequence[Optimizer]) -> tuple[str, ...]:
    """The hyper-parameters to tune beside the learning rate; UnknownName for one that no optimizer has.

    >>> from schuss.optimizers import sgd, momentum
    >>> tuned_names(["lr", "momentum"], [sgd, momentum])
    ('momentum',)
    """
    if isinstance(wanted, str):
        raise InvalidInput(f"the hyper-parameters to tune must be a list of names, but are {wanted!r:.60}.")
    known = dict.fromkeys(name for rule in optimizers for name, _ in rule.settings)
    for name in wanted:
        if name not in known:
            raise UnknownName(
                f"no optimizer here has a hyper-parameter '{name}' to tune; they have {', '.join(known)}."
            )
    names = tuple(dict.fromkeys(name for name in wanted if name != "lr"))
    if len(names) >= COORDINATES:
        raise InvalidInput(
            f"at most {COORDINATES - 1} hyper-parameters are tuned beside lr, but {len(names)} are given."
        )
    return names


def _searched(optimizer: Optimizer, name: str) -> tuple[float, float]:
    """A decade to either side of the default; for a fraction near 1, such as a momentum, of its distance to 1."""
    default, allowed = dict(optimizer.settings)[name], optimizer.range_of(name)
    if default <= 0:
        raise InvalidInput(
            f"{name} cannot be tuned: the range is around its default, which is {default:g}, not above 0."
        )
    if _is_near_one(default, allowed):
        return max(1 - 10 * (1 - default), 0.0), 1 - (1 - default) / 10
    low, high = default / 10, default * 10
    return low if low in allowed else allowed.low, high if high in allowed else allowed.high


def _is_near_one(default: float, allowed: Range) -> bool:
    return allowed.high == 1 and 0.5 <= default < 1


def _near(u: float, optimizer: Optimizer, name: str) -> float:
    low, high = _searched(optimizer, name)
    if _is_near_one(dict(optimizer.settings)[name], optimizer.range_of(name)):
        return 1 - _between(u, 1 - high, 1 - low)
    return _between(u, low, high)


def _between(u: float, low: float, high: float) -> float:
    """The point at the share `u` of the way from `low` to `high`, on a log scale."""
    return float(low * (high / low) ** u)
