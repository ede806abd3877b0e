"""Packages that schuss can work with, but does not bring."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from schuss.errors import InvalidInput

EXTRAS = {"torch": "torch", "onnx": "onnx", "distributed": "dask"}
"""By package the extra of schuss that brings it, as pyproject.toml lists them."""


def required(package: str, purpose: str) -> Any:
    """Import one of `EXTRAS`; InvalidInput, with what to do, where it is not installed."""
    try:
        return import_module(package)
    except ImportError as error:
        raise InvalidInput(
            f"{purpose} needs the package {package}, which is not installed; "
            f"pip install 'schuss[{EXTRAS[package]}]' brings it."
        ) from error
