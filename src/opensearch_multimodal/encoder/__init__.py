"""Encoders: texts and page images to vectors, by ONNX Runtime."""

from __future__ import annotations

from .check import ModelCheck, check_model
from .index import IndexEncoders
from .load import OnnxEncoder, load
from .session import ProviderWarning
from .text import UnencodableInput

__all__ = [
    "IndexEncoders",
    "ModelCheck",
    "OnnxEncoder",
    "ProviderWarning",
    "UnencodableInput",
    "check_model",
    "load",
]
