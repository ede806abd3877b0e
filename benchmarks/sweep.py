"""The update alone: every optimizer's kernel against a loop fused by hand, in the cache and from memory.

The engine's own source is compiled here and now, beside the loops and with the same options, so that nothing but the
sweep over the parameters is timed. The elementwise machine runs the same programs, as it would run a user's.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.figures import PERCENT, TIMES, Figure
from benchmarks.peak import compiler
from schuss.engines.native import instruction_set
from schuss.language.programs import OPERATIONS
from schuss.optimizers import OPTIMIZERS, Optimizer

NATIVE = Path(__file__).parent.parent / "native"
PACKAGE = NATIVE.parent / "src" / "schuss"
OPTIONS = {  # floats in a vector, and what CMakeLists.txt gives the compiler
    "avx512": (16, ["-march=x86-64-v4", "-mprefer-vector-width=512"]),
    "avx2": (8, ["-march=x86-64-v3"]),
    "baseline": (4, []),
}
IN_CACHE, IN_MEMORY = 1 << 14, 1 << 24  # parameters: 64 KiB and 64 MiB for each of w, g and the state

# Arrays, and what happens to element i; c holds the numbers that do not change within a step.
_ADAM = "m[i] = c[0] * m[i] + c[1] * g[i]; v[i] = c[2] * v[i] + c[3] * g[i] * g[i];"
LOOPS = {
    "gd": ("wg", "w[i] -= c[0] * g[i];"),
    "sgd": ("wg", "w[i] -= c[0] * g[i];"),
    "momentum": ("wgv", "v[i] = c[0] * v[i] + g[i]; w[i] -= c[1] * v[i];"),
    "nesterov": ("wgv", "v[i] = c[0] * v[i] + g[i]; w[i] -= c[1] * (g[i] + c[0] * v[i]);"),
    "adagrad": ("wgs", "s[i] += g[i] * g[i]; w[i] -= c[0] * g[i] / (sqrtf(s[i]) + c[1]);"),
    "rmsprop": ("wgs", "s[i] = c[0] * s[i] + c[1] * g[i] * g[i]; w[i] -= c[2] * g[i] / (sqrtf(s[i]) + c[3]);"),
    "adam": ("wgmv", f"{_ADAM} w[i] -= c[4] * m[i] / (sqrtf(v[i] * c[5]) + c[6]);"),
    "adamw": ("wgmv", f"{_ADAM} w[i] = c[7] * w[i] - c[4] * m[i] / (sqrtf(v[i] * c[5]) + c[6]);"),
    "triad": ("abd", "a[i] = b[i] + c[0] * d[i];"),
}

SOURCE = """
#include <chrono>
#include <cmath>
#include "program.hpp"

namespace schuss::SCHUSS_BUILD {
extern const Engine engine;
const Engine engine{};  // of which there is only the sweep here
}
using namespace schuss;
using namespace schuss::SCHUSS_BUILD;

using Loop = void(float *const *arrays, const float *c, long n);

// The shortest time of a sweep in place, over one block of memory as in a training; `rows` are instructions.
extern "C" double seconds(Loop *by_hand, const int *rows, int length, int arrays, int temporaries, int scalars,
                          int fused, long n, int repeats) {
  Program p;
  for (int i = 0; i < length; i++, rows += 5)
    p.code.push_back({static_cast<Operation>(rows[0]), rows[1], rows[2], rows[3], rows[4]});
  p.inputs = arrays, p.outputs = arrays - 1, p.temporaries = temporaries, p.scalars = scalars;
  for (int i = 0; i < scalars; i++) p.broadcast.push_back(i);
  if (fused) p.built_in = find_built_in(p);
  Aligned<float> block(arrays * n), scratch(Machine::scratch_size(p));
  std::fill(block.data(), block.data() + arrays * n, 0.5f);
  std::vector<float *> registers;
  for (int i = 0; i < arrays; i++) registers.push_back(block.data() + i * n);
  for (int i = 0; i < arrays; i++)
    if (i != 1) registers.push_back(block.data() + i * n);
  const std::vector<float> c(8, 0.5f);
  Machine machine(p, scratch.data());
  machine.prepare(std::vector<double>(scalars, 0.5));
  double best = 1e9;
  for (int i = 0; i < repeats; i++) {
    const auto began = std::chrono::steady_clock::now();
    by_hand ? by_hand(registers.data(), c.data(), n) : machine.run(registers.data(), n);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  }
  return best;
}
"""


def measure(quick: bool) -> dict[str, dict[str, float]]:
    """What a parameter costs each optimizer, in nanoseconds: by kernel, by machine and by hand in the cache, and from
    memory, with the traffic in GB/s there; the best of several rounds, as noise adds. Nothing without a compiler.
    """
    chosen = compiler()
    if chosen is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        library = _compiled(chosen, Path(folder))  # stays loaded when the file is gone
    rounds = [_round(library) for _ in range(1 if quick else 5)]
    best = {name: {way: min(each[name][way] for each in rounds) for way in ways} for name, ways in rounds[0].items()}
    for name, ways in best.items():
        ways["GB/s"] = _bytes(name) / ways["from memory"]
    return best


def figures(results: dict[str, dict[str, float]]) -> list[Figure]:
    """The worst optimizer in each respect."""
    rules = {name: ways for name, ways in results.items() if name in OPTIMIZERS}
    if not rules:
        return []
    triad = results["triad"]["GB/s"]
    by_hand = max((ways["kernel"] / ways["by hand"], name) for name, ways in rules.items())
    traffic = min((ways["GB/s"] / triad, name) for name, ways in rules.items())
    machine = max((ways["machine"] / ways["kernel"], name) for name, ways in rules.items())
    memory = f"update from memory, of the triad's {triad:.0f} GB/s ({traffic[1]})"
    return [
        Figure(f"update in the cache, against a loop by hand ({by_hand[1]})", by_hand[0], TIMES, at_most=1.2),
        Figure(memory, traffic[0], PERCENT, at_least=0.85),
        Figure(f"update in the cache by the machine, against the kernel ({machine[1]})", machine[0], TIMES),
    ]


def _round(library: ctypes.CDLL) -> dict[str, dict[str, float]]:
    results = {"triad": {"from memory": _by_hand(library, "triad", IN_MEMORY)}}
    for name, optimizer in OPTIMIZERS.items():
        results[name] = {
            "kernel": _by_engine(library, optimizer, IN_CACHE),
            "machine": _by_engine(library, optimizer, IN_CACHE, fused=False),
            "by hand": _by_hand(library, name, IN_CACHE),
            "from memory": _by_engine(library, optimizer, IN_MEMORY),
        }
    return results


def _bytes(name: str) -> int:
    """Memory traffic for each parameter; what a triad writes has to be fetched before, too."""
    arrays = len(LOOPS[name][0])
    return 4 * (arrays + 1 if name == "triad" else 2 * arrays - 1)


def _compiled(chosen: str, folder: Path) -> ctypes.CDLL:
    loops = [
        f'extern "C" void {name}(float *const *x, const float *__restrict c, long n) {{ '
        + " ".join(f"float *__restrict {array} = x[{i}];" for i, array in enumerate(arrays))
        + f" for (long i = 0; i < n; i++) {{ {body} }} }}"
        for name, (arrays, body) in LOOPS.items()
    ]
    (folder / "sweep.cpp").write_text("\n".join([SOURCE, *loops]))
    header = [str(NATIVE / "generate_built_ins.py"), str(PACKAGE), str(folder / "built_ins.hpp")]
    subprocess.run([sys.executable, "-B", *header], check=True)
    width, options = OPTIONS[instruction_set()]
    command = [
        *(chosen, "-std=c++17", "-O3", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", *options),
        *("-DSCHUSS_BUILD=baseline", f"-DSCHUSS_WIDTH={width}", f"-I{NATIVE}", f"-I{folder}"),
        *(str(folder / "sweep.cpp"), str(NATIVE / "engine.cpp"), str(NATIVE / "kernels.cpp")),
    ]
    subprocess.run([*command, "-o", str(folder / "sweep.so")], check=True)
    library = ctypes.CDLL(str(folder / "sweep.so"))
    library.seconds.restype = ctypes.c_double
    return library


def _by_hand(library: ctypes.CDLL, name: str, n: int) -> float:
    """Nanoseconds a parameter."""
    loop = ctypes.cast(getattr(library, name), ctypes.c_void_p)
    return _nanoseconds(library, n, loop, None, 0, len(LOOPS[name][0]), 0, 0, False)


def _by_engine(library: ctypes.CDLL, optimizer: Optimizer, n: int, fused: bool = True) -> float:
    """Nanoseconds a parameter."""
    p = optimizer.program
    code = np.array([(OPERATIONS.index(operation), *registers) for operation, *registers in p.code], np.int32)
    counts = len(code), len(p.inputs), p.n_temporaries, len(p.broadcast)
    return _nanoseconds(library, n, None, code.ctypes.data_as(ctypes.c_void_p), *counts, fused)


def _nanoseconds(library: ctypes.CDLL, n: int, *what: object) -> float:
    repeats = 1000 if n == IN_CACHE else 5
    return 1e9 / n * float(library.seconds(*what, ctypes.c_long(n), repeats))


if __name__ == "__main__":
    for name, ways in measure(quick=False).items():
        print(f"{name:9s}", *(f"{way} {value:.3f}" for way, value in ways.items()))
