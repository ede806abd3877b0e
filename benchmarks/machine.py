"""Which machine and which versions a figure belongs to."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from benchmarks.peak import compiler
from benchmarks.workers import is_installed, thread_counts
from schuss.engines.native import instruction_set


def description() -> dict[str, str]:
    packages = {"schuss": "schuss", "numpy": "numpy", "torch": "torch", "jax": "jax", "scikit-learn": "sklearn"}
    return {
        "processor": _processor(),
        "cores": str(thread_counts()[-1]),
        "load before": _load(),
        "instruction set": instruction_set(),
        "system": platform.platform(),
        "compiler": _compiler(),
        "Python": platform.python_version(),
        **{name: version(name) for name, package in packages.items() if is_installed(package)},
    }


def _processor() -> str:
    listed = Path("/proc/cpuinfo")  # Linux; elsewhere Python knows it
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _load() -> str:
    """Processes that wanted a core in the last minute: with more than a few tenths the figures are too slow."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _compiler() -> str:
    path = compiler()
    if path is None:
        return "none"
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
