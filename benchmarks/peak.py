"""The most the processor can do: fused multiply-adds on registers, in a small loop compiled here and now.

Without a compiler, NumPy's product of two large matrices stands in for it, a lower bound.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.shapes import Shape
from benchmarks.workers import Timer, seconds_per_call

# As many sums as hide the latency of an addition and still fit the registers.
SOURCE = """
#include <chrono>
#if defined(__AVX512F__)
constexpr int bytes = 64, sums = 24;
#elif defined(__AVX__)
constexpr int bytes = 32, sums = 12;
#elif defined(__aarch64__)
constexpr int bytes = 16, sums = 24;
#else
constexpr int bytes = 16, sums = 12;
#endif
typedef float Vec __attribute__((vector_size(bytes)));
volatile float start = 0.5f, factor = 0.999f, term = 0.001f, sink;

extern "C" double operations_per_second(double seconds) {
  constexpr long rounds = 100000;
  Vec sum[sums];
  for (Vec &s : sum) s = Vec{} + start;
  const Vec a = Vec{} + factor, b = Vec{} + term;
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  double elapsed, operations = 0;
  do {
    for (long i = 0; i < rounds; i++)
#pragma GCC unroll 24
      for (int k = 0; k < sums; k++) sum[k] = sum[k] * a + b;
    operations += 2. * rounds * sums * (bytes / 4);
    elapsed = std::chrono::duration<double>(Clock::now() - began).count();
  } while (elapsed < seconds);
  for (const Vec &s : sum) sink = s[0];
  return operations / elapsed;
}
"""


def compiler() -> str | None:
    """The path of a C++ compiler, if there is one."""
    named = [os.environ["CXX"]] if "CXX" in os.environ else []
    return next((path for name in [*named, "c++", "g++", "clang++"] if (path := shutil.which(name))), None)


def method() -> str:
    """What the peak of this run is measured with."""
    return "a loop of fused multiply-adds" if compiler() else "NumPy's product of large matrices, a lower bound"


def timer(variant: str, shape: Shape, threads: int, seconds: float) -> Timer:  # noqa: ARG001 (the same for all shapes)
    """Seconds for one floating-point operation, with all of the given threads at work."""
    chosen = compiler()
    if chosen is None:
        return lambda: _product_seconds(seconds)
    operations_per_second = _compiled(chosen)

    def measure() -> float:
        with ThreadPoolExecutor(threads) as pool:
            return 1 / sum(pool.map(operations_per_second, [seconds] * threads))

    return measure


def _compiled(chosen: str) -> Callable[[float], float]:
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "peak.cpp", Path(folder) / "peak.so"
        source.write_text(SOURCE)
        options = ["-std=c++17", "-O3", "-march=native", "-shared", "-fPIC"]
        subprocess.run([chosen, *options, str(source), "-o", str(library)], check=True)
        function = ctypes.CDLL(str(library)).operations_per_second  # stays loaded when the file is gone
    function.argtypes, function.restype = [ctypes.c_double], ctypes.c_double
    return function


def _product_seconds(seconds: float, size: int = 2048) -> float:
    A = np.ones((size, size), dtype=np.float32)
    return seconds_per_call(lambda: A @ A, seconds) / (2 * size**3)
