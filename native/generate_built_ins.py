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
    from schuss.programs import Program

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
    package, header = map(Path, sys.argv[1:])
    schuss = ModuleType("schuss")
    schuss.__path__ = [str(package)]
    sys.modules["schuss"] = schuss
    new = text(distinct(programs()))
    if not header.exists() or header.read_text(encoding="utf-8") != new:
        header.write_text(new, encoding="utf-8")


def programs() -> Iterable[tuple[str, Program]]:
    """Everything the engine knows by name and runs over arrays."""
    activations, losses, optimizers = (
        import_module(f"schuss.{name}") for name in ("activations", "losses", "optimizers")
    )
    for known in (activations.ACTIVATIONS, losses.LOSSES, optimizers.OPTIMIZERS):
        for name, definition in known.items():
            if definition.program is not None:
                yield name, definition.program


def distinct(named: Iterable[tuple[str, Program]]) -> list[tuple[str, Program]]:
    """Programs of different code; constants and scalars are data, so definitions often share one (elu and celu)."""
    found: dict[object, tuple[list[str], Program]] = {}
    for name, program in named:
        key = (len(program.inputs), program.n_outputs, program.n_temporaries, program.code)
        found.setdefault(key, ([], program))[0].append(name)
    return [(", ".join(names), program) for names, program in found.values()]


def text(named: Iterable[tuple[str, Program]]) -> str:
    """The header."""
    codes, table = [], []
    for number, (names, p) in enumerate(named):
        rows = ", ".join(f"{{Operation::{operation}, {d}, {a}, {b}, {c}}}" for operation, d, a, b, c in p.code)
        codes.append(f"inline constexpr Instruction code_{number}[] = {{{rows}}};")
        counts = (len(p.inputs), p.n_outputs, p.n_temporaries, len(p.broadcast))
        table.append(f"    {{{', '.join(map(str, counts))}, {len(p.code)}, code_{number}}},  // {names}")
    return HEADER.format(codes="\n".join(codes), table="\n".join(table))


if __name__ == "__main__":
    main()
