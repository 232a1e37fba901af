"""Encoders: texts and page images to vectors, by ONNX Runtime."""

from __future__ import annotations

from .check import ModelCheck, check_model
from .content import Content
from .derived import DerivedFields
from .fields import FieldEncoder
from .index import EncoderPool, IndexEncoders
from .load import OnnxEncoder, load
from .pacing import Around, paced
from .reranker import OnnxReranker, Reranker, RerankerQuery, load_reranker
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
    "OnnxReranker",
    "ProviderWarning",
    "Reranker",
    "RerankerQuery",
    "UnencodableInput",
    "check_model",
    "load",
    "load_reranker",
    "paced",
]
