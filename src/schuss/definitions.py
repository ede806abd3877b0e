"""What every definition has in common: it is one Python function, and its signature says everything.

Positional names are what the definition is a function of; keyword-only names are its hyper-parameters, numbers with
defaults, and their annotations are the ranges they may lie in. Activations, losses, optimizers, schedules and
initializers are read, configured and found by name here.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple, Self, TypeAlias, TypeVar, get_args

from schuss.aliases import known_name
from schuss.errors import FormulaError, InvalidInput, finite_number, unknown_name
from schuss.language.expressions import Expression, constant, substitute, symbol

Settings: TypeAlias = tuple[tuple[str, float], ...]  # hyper-parameters with their values, hashable, in order

# What the engine sets itself: a hyper-parameter of that name would be overwritten, or overwrite it.
RESERVED = frozenset({"w", "g", "t", "lr", "warmup"})


class Range(NamedTuple):
    """The interval in which a hyper-parameter may lie; it holds its ends unless they are open, and is finite.

    >>> print(Range(0, 1, open_high=True))
    at least 0 and below 1
    >>> 1.0 in Range(0, 1, open_high=True), 0.0 in Range(0, 1, open_high=True)
    (False, True)
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: object) -> bool:
        number = float(value)  # type: ignore[arg-type]  # a tuple's method takes any object
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return math.isfinite(number) and above and below

    def __str__(self) -> str:
        low = f"{'greater than' if self.open_low else 'at least'} {self.low:g}" if self.low > -math.inf else ""
        high = f"{'below' if self.open_high else 'at most'} {self.high:g}" if self.high < math.inf else ""
        return " and ".join(filter(None, (low, high))) or "a finite number"


# Annotations of hyper-parameters, as in `momentum: Fraction = 0.9`.
Positive: TypeAlias = Annotated[float, Range(0, open_low=True)]
NonNegative: TypeAlias = Annotated[float, Range(0)]
Fraction: TypeAlias = Annotated[float, Range(0, 1, open_high=True)]


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Definition:
    """What every definition has: a name, hyper-parameters with their values, defaults and ranges, and its docstring."""

    name: str
    settings: Settings = ()
    defaults: Settings = ()
    ranges: tuple[Range, ...] = ()  # one for each of the settings
    description: str = ""

    def __call__(self, **hyperparameters: float) -> Self:
        """A configured copy; UnknownName or InvalidInput for what cannot be set."""
        settings, ranges = dict(self.settings), dict(zip(dict(self.settings), self.ranges, strict=True))
        for key, value in hyperparameters.items():
            if key not in settings:
                raise unknown_name(f"hyper-parameter of {self.name}", key, settings)
            settings[key] = _in_range(f"{key} of {self.name}", value, ranges[key])
        return replace(self, settings=tuple(settings.items()))

    def range_of(self, hyperparameter: str) -> Range:
        """The interval in which a hyper-parameter may lie."""
        return self.ranges[[name for name, _ in self.settings].index(hyperparameter)]

    def _key(self) -> tuple[object, ...]:
        """What two equal definitions share. An expression is one object, and `==` between expressions records."""
        return type(self), self.name, self.settings

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Definition) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        return label(self.name, self.settings, self.defaults)

    __repr__ = __str__


Defined = TypeVar("Defined", bound=Definition)


class Signature(NamedTuple):
    """How a definition is called: its positional names, and its hyper-parameters with their defaults and ranges."""

    positional: tuple[str, ...]
    settings: Settings
    ranges: tuple[Range, ...]

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The fields of a Definition that follow from the signature."""
        return {"settings": self.settings, "defaults": self.settings, "ranges": self.ranges}


def signature(function: Callable[..., Any], own: Iterable[str] = ()) -> Signature:
    """The signature of a definition; of the reserved names it may use its `own`.

    FormulaError for a hyper-parameter without a default, outside its range or of a reserved name.
    """
    if not callable(function):
        raise FormulaError(f"a definition is a Python function, but is {function!r:.60}.")
    positional: list[str] = []
    settings: dict[str, float] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            if parameter.default is parameter.empty:
                raise FormulaError(
                    f"{function.__name__}: the hyper-parameter '{parameter.name}' needs a default value."
                )
            settings[parameter.name] = parameter.default
        elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is parameter.empty:
            positional.append(parameter.name)
        else:
            raise FormulaError(
                f"{function.__name__}: '{parameter}' fits no role; give arrays as plain positional names and "
                "hyper-parameters after a *, with defaults."
            )
    if taken := sorted(RESERVED.difference(own) & set(settings)):
        raise FormulaError(
            f"{function.__name__}: '{taken[0]}' is reserved, as are {', '.join(sorted(RESERVED))}; give the "
            "hyper-parameter another name."
        )
    ranges = _ranges(function, settings)
    values = {name: _in_range(f"{name} of {function.__name__}", settings[name], ranges[name]) for name in settings}
    return Signature(tuple(positional), tuple(values.items()), tuple(ranges.values()))


def _ranges(function: Callable[..., Any], names: Iterable[str]) -> dict[str, Range]:
    """The ranges that the annotations of hyper-parameters state; any finite number where none does."""
    written = getattr(function, "__annotations__", {})

    class OfHyperparameters:  # alone, since those of the arguments may name what only a type checker imports
        __annotations__ = {name: written[name] for name in names if name in written}

    try:
        read = inspect.get_annotations(OfHyperparameters, globals=function.__globals__, eval_str=True)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise FormulaError(f"{function.__name__}: cannot read the annotation of a hyper-parameter: {error}.") from error
    stated = {name: [x for x in get_args(annotation) if isinstance(x, Range)] for name, annotation in read.items()}
    default = {"lr": Range(0, open_low=True)}
    return {name: (*stated.get(name, ()), default.get(name, Range()))[0] for name in names}


def _in_range(what: str, value: object, allowed: Range) -> float:
    number = finite_number(what, value)
    if number not in allowed:
        raise InvalidInput(f"{what} must be {allowed}, but is {value!r}.")
    return number


def recorded(function: Callable[..., Any]) -> tuple[Expression, ...]:
    """Call a definition with symbols in place of numbers and return the expression(s) it computes."""
    names = inspect.signature(function).parameters
    keywords = {name: symbol(name) for name, p in names.items() if p.kind is p.KEYWORD_ONLY}
    try:
        result = function(*(symbol(name) for name in names if name not in keywords), **keywords)
        results = result if isinstance(result, tuple) else (result,)
        return tuple(x if isinstance(x, Expression) else constant(x) for x in results)
    except FormulaError as error:
        raise FormulaError(f"{function.__name__} cannot be recorded: {error}") from error
    except (TypeError, ArithmeticError) as error:
        raise FormulaError(
            f"{function.__name__} cannot be recorded ({error}); use arithmetic and the functions of sc.expressions or "
            "NumPy's, which also work on symbols."
        ) from error


def formula_of(kind: str, function: Callable[..., Any], arguments: Sequence[str]) -> tuple[Expression, Signature]:
    """The one expression of `arguments` that a definition returns, whatever it calls them, and its signature.

    >>> formula_of("an activation", lambda x, *, slope=0.1: slope * x, ["z"])[0] is symbol("slope") * symbol("z")
    True
    """
    called = signature(function)
    positional, settings = called.positional, called.settings
    if len(positional) != len(arguments) or set(arguments) & set(dict(settings)):
        raise FormulaError(
            f"{kind} is a function of {' and '.join(arguments)}, but {function.__name__} takes "
            f"{', '.join([*positional, *dict(settings)]) or 'nothing'}."
        )
    results = recorded(function)
    if len(results) != 1:
        raise FormulaError(f"{kind} returns one expression, but {function.__name__} returns {len(results)}.")
    return substitute(results[0], dict(zip(positional, map(symbol, arguments), strict=True))), called


def description(function: Callable[..., Any]) -> str:
    """The docstring of a definition, its lines without the indentation."""
    return inspect.getdoc(function) or ""


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
    name = known_name(kind, name, known)
    if name not in known:
        raise unknown_name(kind, name, known)
    return Definition.__call__(known[name], **changes) if changes else known[name]


def _call(kind: str, wanted: str) -> tuple[str, dict[str, float]]:
    if "(" not in wanted:
        return wanted.strip(), {}
    try:
        match ast.parse(wanted.strip(), mode="eval").body:
            case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords):
                changes = {str(k.arg): float(ast.literal_eval(k.value)) for k in keywords}
                if len(changes) == len(keywords):  # a name given twice is an error, not its last value
                    return name, changes
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError):
        pass
    raise InvalidInput(
        f"cannot read the {kind} {wanted[:60]!r}; write a name, a name with numbers such as leaky_relu(slope=0.1)"
        + (", or a formula with a name such as 'mine = z * sigmoid(z)'." if kind == "activation" else ".")
    )


def names_of(definitions: Iterable[Defined]) -> dict[str, Defined]:
    """A table of definitions by name."""
    return {definition.name: definition for definition in definitions}
