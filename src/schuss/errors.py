"""Every exception schuss raises on purpose: what was expected, what came, what to do."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any, TypeVar

Checked = TypeVar("Checked")


class SchussError(Exception):
    """The base of every error schuss raises on purpose; the command line prints it and exits with 2."""


class InvalidInput(SchussError, ValueError):
    """An argument that cannot be used: a depth of 0, a learning rate that is not a number, …"""


class UnknownName(InvalidInput):
    """A name that schuss does not know; the message suggests the nearest known ones."""


class FormulaError(InvalidInput):
    """A formula or definition outside the language of expressions."""


class DataError(InvalidInput):
    """Data that cannot be learned from: a missing file, a ragged row, a target with one class, …"""


class RunFileError(InvalidInput):
    """A run file that is truncated, edited or written by something else."""


class StudyFileError(InvalidInput):
    """A study file that is damaged, in use, out of space, of another version, or none at all."""


class SchussWarning(UserWarning):
    """Something schuss decided and the result depends on; the command line prints it as a note."""


class NoTheory(InvalidInput):
    """A network for which there is no mean-field prediction; the message says why."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """Build the error for a name that is not among the known ones.

    >>> print(unknown_name("optimizer", "adm", ["sgd", "adam", "adamw"]))
    unknown optimizer 'adm'; did you mean adam or adamw? Known: adam, adamw, sgd.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    return UnknownName(f"unknown {kind} '{name}'{hint} Known: {', '.join(names)}.")


LARGEST_COUNT = 2**31 - 1


def positive_integer(what: str, value: object, at_most: int = LARGEST_COUNT) -> int:
    """Return `value` if it is a whole number from 1 to `at_most`.

    >>> positive_integer("depth", 4)
    4
    """
    number = 0 if isinstance(value, bool) or not hasattr(value, "__index__") else int(value.__index__())
    if not 1 <= number <= at_most:
        limits = "of at least 1" if number < 1 else f"of at most {at_most:,}"
        raise InvalidInput(f"{what} must be a whole number {limits}, but is {value!r:.60}.")
    return number


def finite_number(what: str, value: object) -> float:
    """Return `value` as a float if it is a finite number."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInput(f"{what} must be a finite number, but is {value!r}.")
    return number


def checked(value: Any, kind: type[Checked], what: str, example: str) -> Checked:
    """Return `value` if it is of a kind, else an InvalidInput that says what was expected.

    >>> checked(3, str, "a path", "a text")
    Traceback (most recent call last):
    schuss.errors.InvalidInput: a path is a text, but is 3.
    """
    if not isinstance(value, kind):
        raise InvalidInput(f"{what} is {example}, but is {value!r:.60}.")
    return value


def seed_number(value: object) -> int:
    """Return `value` if it is a seed: a whole number from 0 to 2^63 − 1, the range of the engine's counter."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or not 0 <= value.__index__() < 2**63:
        raise InvalidInput(f"a seed must be a whole number from 0 to 2^63 − 1, but is {value!r}.")
    return int(value.__index__())


def positive_number(what: str, value: object) -> float:
    """Return `value` as a float if it is finite and greater than 0.

    >>> positive_number("lr", 0.1)
    0.1
    """
    number = finite_number(what, value)
    if number <= 0:
        raise InvalidInput(f"{what} must be greater than 0, but is {value!r}.")
    return number
