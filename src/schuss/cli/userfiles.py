"""Definitions out of a user's own Python file, named as in `mine.py:heavy_ball`; its errors come with their line."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import schuss as sc
from schuss.definitions import Definition, lookup
from schuss.errors import InvalidInput, SchussError, unknown_name

Found = TypeVar("Found")

_KINDS: Mapping[str, tuple[type[Definition], Callable[[Any], Any]]] = {
    "activation": (sc.Activation, sc.activation),
    "optimizer": (sc.Optimizer, sc.optimizer),
    "loss": (sc.Loss, sc.loss),
    "initializer": (sc.Initializer, sc.initializer),
    "schedule": (sc.Schedule, sc.schedule),
}


def with_own(kind: str, wanted: Iterable[str]) -> list[Any]:
    """The names as they are, and those of the form FILE.py:NAME as what the file defines.

    InvalidInput if there is no such file or name, or if the file raises or ends Python: the message has the line.
    """
    return [_own(kind, each) if ".py:" in each or each.strip().endswith(".py") else each for each in wanted]


def own_or_name(kind: str, wanted: str) -> Any:
    """One name, as `with_own` reads it."""
    return with_own(kind, [wanted])[0]


def _own(kind: str, wanted: str) -> Any:
    file, _, name = wanted.partition(".py:")
    path = Path(f"{file.strip().removesuffix('.py')}.py")
    if not name:
        raise InvalidInput(f"which {kind} of {path} is meant? Write {path}:NAME.")
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}, which should define the {kind} {name}.")
    module = _blamed(path, lambda: _module(path))
    known = _definitions(kind, path, module, name.partition("(")[0].strip())
    return lookup(kind, name, known)


def _definitions(kind: str, path: Path, module: ModuleType, name: str) -> dict[str, Any]:
    """What the file defines of a kind, by the name it has there; the wanted one may be a plain function."""
    expected, decorate = _KINDS[kind]
    found = {key: value for key, value in vars(module).items() if isinstance(value, expected)}
    value = vars(module).get(name)
    if name not in found and callable(value) and not isinstance(value, type | Definition):
        code = getattr(value, "__code__", None)
        found[name] = _blamed(path, lambda: decorate(value), getattr(code, "co_firstlineno", None))
    if name not in found:
        raise unknown_name(f"{kind} of {path}", name, [key for key in found if not key.startswith("_")])
    return found


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{path} cannot be read as a Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _blamed(path: Path, work: Callable[[], Found], line: int | None = None) -> Found:
    """What `work` gives; what it raises becomes one sentence with the line of the user's file, by default `line`."""
    try:
        return work()
    except (Exception, SystemExit) as error:
        if isinstance(error, SyntaxError):
            line, what = error.lineno, f"SyntaxError: {error.msg}"
        else:
            frames = traceback.extract_tb(error.__traceback__)
            own = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
            line = own[-1] if own else line
            what = str(error) if isinstance(error, SchussError) else f"{type(error).__name__}: {error}"
        where = f"{path}, line {line}" if line else str(path)
        raise InvalidInput(f"{where}: {what.rstrip('.')}.") from error
