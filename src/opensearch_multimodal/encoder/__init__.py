"""Encoders: texts and page images to vectors, by ONNX Runtime."""

from __future__ import annotations

from .check import ModelCheck, check_model
from .derived import DerivedFields
from .fields import Content, FieldEncoder
from .index import EncoderPool, IndexEncoders
from .load import OnnxEncoder, load
from .pacing import Around, paced
from .session import ProviderWarning
from .text import UnencodableInput

__all__ = [
    "Around",
    "Content",
    "DerivedFields",
    "EncoderPool",
    "FieldEncoder",
    "IndexEncoders",
    "ModelCheck",
    "OnnxEncoder",
    "ProviderWarning",
    "UnencodableInput",
    "check_model",
    "load",
    "paced",
]
