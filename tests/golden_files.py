"""The golden numbers beside the tests (golden/make_golden.py says how they were made)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def golden(name: str) -> dict[str, NDArray[Any]]:
    """The arrays of one golden file by their names."""
    with np.load(Path(__file__).parent / "golden" / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)
