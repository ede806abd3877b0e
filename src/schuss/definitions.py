"""What every definition has in common: it is one Python function, and its signature says everything.

Positional names are what the definition is a function of; keyword-only names are its hyper-parameters, numbers with
defaults. Activations, losses, optimizers, schedules and initializers are read, configured and found by name here.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias, TypeVar

from schuss.errors import FormulaError, InvalidInput, finite_number, positive_number, unknown_name
from schuss.language.expressions import Expression, constant, substitute, symbol

Settings: TypeAlias = tuple[tuple[str, float], ...]  # hyper-parameters with their values, hashable, in order


@dataclass(frozen=True, repr=False, kw_only=True)
class Definition:
    """What every definition has: a name, hyper-parameters with their values and defaults, and its docstring."""

    name: str
    settings: Settings = ()
    defaults: Settings = field(default=(), compare=False)
    description: str = field(default="", compare=False)

    def __call__(self, **hyperparameters: float) -> Self:
        """A configured copy; UnknownName or InvalidInput for what cannot be set."""
        return replace(self, settings=configured(self.name, self.settings, hyperparameters))

    def __str__(self) -> str:
        return label(self.name, self.settings, self.defaults)

    __repr__ = __str__


Defined = TypeVar("Defined", bound=Definition)


def signature(function: Callable[..., Any]) -> tuple[tuple[str, ...], Settings]:
    """The positional names of a definition and its hyper-parameters with their defaults."""
    positional: list[str] = []
    settings: list[tuple[str, float]] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.default is parameter.empty:
                raise FormulaError(
                    f"{function.__name__}: the hyper-parameter '{parameter.name}' needs a default value."
                )
            settings.append((parameter.name, finite_number(parameter.name, parameter.default)))
        elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is parameter.empty:
            positional.append(parameter.name)
        else:
            raise FormulaError(
                f"{function.__name__}: '{parameter}' fits no role; give arrays as plain positional names and "
                "hyper-parameters after a *, with defaults."
            )
    return tuple(positional), tuple(settings)


def recorded(function: Callable[..., Any]) -> tuple[Expression, ...]:
    """Call a definition with symbols in place of numbers and return the expression(s) it computes."""
    positional, settings = signature(function)
    try:
        result = function(*map(symbol, positional), **{name: symbol(name) for name, _ in settings})
        results = result if isinstance(result, tuple) else (result,)
        return tuple(x if isinstance(x, Expression) else constant(x) for x in results)
    except TypeError as error:
        raise FormulaError(
            f"{function.__name__} cannot be recorded ({error}); use arithmetic and the functions of schuss.expressions "
            "or NumPy's, which also work on symbols."
        ) from error


def formula_of(kind: str, function: Callable[..., Any], arguments: Sequence[str]) -> tuple[Expression, Settings]:
    """The one expression of `arguments` that a definition returns, whatever it calls them, and its hyper-parameters.

    >>> formula_of("an activation", lambda x, *, slope=0.1: slope * x, ["z"])[0] is symbol("slope") * symbol("z")
    True
    """
    positional, settings = signature(function)
    if len(positional) != len(arguments) or set(arguments) & set(dict(settings)):
        raise FormulaError(
            f"{kind} is a function of {' and '.join(arguments)}, but {function.__name__} takes "
            f"{', '.join([*positional, *dict(settings)]) or 'nothing'}."
        )
    results = recorded(function)
    if len(results) != 1:
        raise FormulaError(f"{kind} returns one expression, but {function.__name__} returns {len(results)}.")
    return substitute(results[0], dict(zip(positional, map(symbol, arguments), strict=True))), settings


def description(function: Callable[..., Any]) -> str:
    """The docstring of a definition, its lines without the indentation."""
    return inspect.getdoc(function) or ""


def configured(name: str, settings: Settings, changes: Mapping[str, object]) -> Settings:
    """The settings with some values changed; an unknown name or a value that is no number is an error."""
    known = dict(settings)
    for key, value in changes.items():
        if key not in known:
            raise unknown_name(f"hyper-parameter of {name}", key, known)
        known[key] = positive_number(key, value) if key == "lr" else finite_number(key, value)
    return tuple(known.items())


def label(name: str, settings: Settings, defaults: Settings) -> str:
    """How a definition is shown: its name, and what differs from its defaults.

    >>> label("adam", (("lr", 0.01), ("beta1", 0.9)), (("lr", 0.001), ("beta1", 0.9)))
    'adam(lr=0.01)'
    """
    changed = [
        f"{key}={_exact(value)}"
        for (key, value), (_, default) in zip(settings, defaults, strict=True)
        if value != default
    ]
    return f"{name}({', '.join(changed)})" if changed else name


def _exact(value: float) -> str:
    """The shortest text that reads back as the same number."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def lookup(kind: str, wanted: str, known: Mapping[str, Defined]) -> Defined:
    """Find a definition by its text: a name, or a name with hyper-parameters such as "adam(lr=0.01, beta1=0.8)"."""
    if not isinstance(wanted, str):
        raise InvalidInput(f"the {kind} must be given by its name or as an object, but is {wanted!r:.60}.")
    name, changes = _call(kind, wanted)
    if name not in known:
        raise unknown_name(kind, name, known)
    found = known[name]
    return replace(found, settings=configured(name, found.settings, changes)) if changes else found


def _call(kind: str, wanted: str) -> tuple[str, dict[str, float]]:
    if "(" not in wanted:
        return wanted.strip(), {}
    try:
        match ast.parse(wanted.strip(), mode="eval").body:
            case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords):
                return name, {str(k.arg): float(ast.literal_eval(k.value)) for k in keywords}
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError):
        pass
    raise InvalidInput(
        f"cannot read the {kind} {wanted[:60]!r}; write a name, a name with numbers such as leaky_relu(slope=0.1)"
        + (", or a formula with a name such as 'mine = z * sigmoid(z)'." if kind == "activation" else ".")
    )


def names_of(definitions: Iterable[Defined]) -> dict[str, Defined]:
    """A table of definitions by name."""
    return {definition.name: definition for definition in definitions}
