"""Where results come from: the command, the versions of what computed, and the machine."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from schuss.engines.native import instruction_set


def provenance() -> dict[str, Any]:
    """The facts of this process and this machine, as plain values."""
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("schuss", "numpy", "scipy")},
        },
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "instruction_set": instruction_set(),
        },
    }


def _processor() -> str:
    """The processor's name, which only some systems give away."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
