"""The main job as a user runs it: `schuss compare digits`, 672 networks."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks.startup import command, wall_seconds


def measure() -> dict[str, float]:
    """How many networks, the seconds their training took, and the seconds from prompt to prompt."""
    with tempfile.TemporaryDirectory() as folder:
        wall = wall_seconds([command(), "compare", "digits", "--json", "study.json"], Path(folder))
        study = json.loads((Path(folder) / "study.json").read_text())
    return {"networks": study["networks"], "training": study["seconds"], "wall": wall}
