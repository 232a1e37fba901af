"""ONNX Runtime, which comes with one of two extras: ``cpu``, or ``gpu`` on machines with an NVIDIA GPU."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from ..errors import MissingExtra

__all__ = ["DISTRIBUTIONS", "installed_distributions", "onnx_runtime"]

DISTRIBUTIONS = {"onnxruntime": "cpu", "onnxruntime-gpu": "gpu"}
"""Distribution → the extra that brings it. Both write the folder ``onnxruntime``: install one only."""


def onnx_runtime() -> ModuleType:
    """Return the module ``onnxruntime``.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return import_module("onnxruntime")
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise MissingExtra("running a model", "cpu", "gpu") from None


def installed_distributions() -> dict[str, str]:
    """Return which of `DISTRIBUTIONS` are installed, with their versions."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
