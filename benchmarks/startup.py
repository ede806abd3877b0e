"""How long a user waits before anything happens: for `import schuss`, and for `schuss --help`."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.workers import environment


def command() -> str:
    """The path of `schuss` beside the Python that runs this."""
    found = shutil.which("schuss", path=str(Path(sys.executable).parent))
    if found is None:
        raise FileNotFoundError(f"there is no command `schuss` beside {sys.executable}; install schuss there.")
    return found


def wall_seconds(arguments: Sequence[str], folder: Path | None = None) -> float:
    """From the start of a process to its end."""
    began = time.perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, env=environment(), cwd=folder)
    return time.perf_counter() - began


def measure(repeats: int) -> list[Figure]:
    """Medians: `import schuss` on top of NumPy's own import, and `schuss --help`."""
    commands = {
        "numpy": [sys.executable, "-c", "import numpy"],
        "schuss": [sys.executable, "-c", "import numpy, schuss"],
        "help": [command(), "--help"],
    }
    for arguments in commands.values():
        wall_seconds(arguments)  # the first one reads from disk
    rounds = [{name: wall_seconds(arguments) for name, arguments in commands.items()} for _ in range(repeats)]
    median = {name: statistics.median(each[name] for each in rounds) for name in commands}
    return [
        Figure("`import schuss`, on top of NumPy", median["schuss"] - median["numpy"], "{:.2f} s", at_most=0.25),
        Figure("`schuss --help`", median["help"], "{:.2f} s", at_most=0.6),
    ]
