"""The main job as a user runs it: `schuss compare digits`, 616 networks and those of widened ranges."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.startup import command, wall_seconds

SECONDS = "{:.1f} s"


def measure() -> list[Figure]:
    """The seconds that the training took, and those from prompt to prompt."""
    arguments = ["compare", "digits"]
    with tempfile.TemporaryDirectory() as folder:
        wall = wall_seconds([command(), *arguments, "--json", "study.json"], Path(folder))
        study = json.loads((Path(folder) / "study.json").read_text())
    what = f"`schuss {' '.join(arguments)}`, {study['networks']:,} networks"
    return [
        Figure(f"{what}: training", study["seconds"], SECONDS),
        Figure(f"{what}: prompt to prompt", wall, SECONDS, at_most=15),
    ]
