"""Optional packages, which schuss does not install."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from schuss.errors import InvalidInput


def required(package: str, purpose: str) -> Any:
    """Import an optional package; InvalidInput, with what to do, where it is not installed."""
    try:
        return import_module(package)
    except ImportError as error:
        raise InvalidInput(
            f"{purpose} needs the package {package}, which is not installed: pip install {package}."
        ) from error
