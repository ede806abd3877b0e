"""Write the code of every built-in definition as a C++ header: `python generate_built_ins.py <package> <header>`.

Run by CMake. The definitions are imported from the source tree without the package around them, whose front door needs
the extension that is just being built, and more packages than NumPy.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schuss.language.programs import Program

HEADER = """\
// Written by native/generate_built_ins.py from the definitions in src/schuss.
#pragma once
#include "engine.hpp"

namespace schuss {{

{codes}

inline constexpr BuiltIn built_ins[] = {{
{table}
}};

}}  // namespace schuss
"""


def main() -> None:
    """Leave the header alone where nothing has changed: what includes it is not compiled again."""
    package, header = map(Path, sys.argv[1:])
    schuss = ModuleType("schuss")
    schuss.__path__ = [str(package)]
    sys.modules["schuss"] = schuss
    written = text(distinct(programs()))
    if not header.exists() or header.read_text(encoding="utf-8") != written:
        header.write_text(written, encoding="utf-8")


def programs() -> Iterable[tuple[str, Program]]:
    """Everything the engine knows by name and runs over arrays.

    Also with other hyper-parameters: a factor of 1, the default of elu's alpha, is no instruction.
    """
    activations, losses, optimizers = (
        import_module(f"schuss.{name}") for name in ("activations", "losses", "optimizers")
    )
    for known in (activations.ACTIVATIONS, losses.LOSSES, optimizers.OPTIMIZERS):
        for definition in known.values():
            other = {name: 0.7 + 0.01 * i for i, (name, _) in enumerate(definition.settings)}
            for each in (definition, definition(**other)):
                if each.program is not None:
                    yield str(each), each.program


def distinct(programs: Iterable[tuple[str, Program]]) -> list[tuple[str, Program]]:
    """The first program of each code: constants and scalars are data, so that definitions often share one."""
    found: dict[object, tuple[str, Program]] = {}
    for name, p in programs:
        found.setdefault((p.inputs, p.n_outputs, p.n_temporaries, p.code), (name, p))
    return list(found.values())


def text(programs: Iterable[tuple[str, Program]]) -> str:
    """The header."""
    codes, table = [], []
    for number, (name, p) in enumerate(programs):
        rows = ", ".join(f"{{Operation::{operation}, {d}, {a}, {b}, {c}}}" for operation, d, a, b, c in p.code)
        codes.append(f"inline constexpr Instruction code_{number}[] = {{{rows}}};  // {name}")
        counts = len(p.inputs), p.n_outputs, p.n_temporaries, len(p.broadcast), len(p.code)
        table.append(f"    {{{', '.join(map(str, counts))}, code_{number}}},")
    return HEADER.format(codes="\n".join(codes), table="\n".join(table))


if __name__ == "__main__":
    main()
