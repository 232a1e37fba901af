"""The model fingerprint: a digest of everything that a model's vectors depend on, and of nothing else.

It covers the digests of all ONNX files, external data, tokenizer and projection, and every setting that
changes a vector. It leaves out names, paths, licences and origins, so the same model has the same
fingerprint wherever it came from. Settings at their default are left out too: a setting added later, with
the old behaviour as its default, does not invalidate the indices that exist.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel

__all__ = ["BEHAVIOUR", "DESCRIPTIVE", "fingerprint"]

_ENCODING_VERSION = 1
"""Raised when the encoder's own code changes the vectors that a spec yields."""

BEHAVIOUR = {
    "ModelSpec": {"kind", "dimension", "normalization", "text", "image", "projection", "files"},
    "TextTower": {
        "onnx",
        "tokenizer",
        "output",
        "pooling",
        "query_prefix",
        "passage_prefix",
        "query_suffix",
        "passage_suffix",
        "query_expansion",
        "expansion_attended",
        "max_query_tokens",
        "max_passage_tokens",
        "long_input",
        "skip_special",
        "skip_punctuation",
    },
    "ImageTower": {
        "onnx",
        "output",
        "pooling",
        "layout",
        "size",
        "resize",
        "shortest_edge",
        "resample",
        "rescale",
        "mean",
        "std",
        "channels",
        "grid",
        "prompt",
    },
    "Grid": {
        "patch_size",
        "max_patches",
        "position_side",
        "merge_size",
        "temporal_patch_size",
        "min_pixels",
        "max_pixels",
        "window_size",
        "longest_edge",
        "tile_size",
        "split",
    },
    "Prompt": {
        "tokenizer",
        "text",
        "image_token",
        "image_tokens",
        "add_special_tokens",
        "fake_token",
        "global_token",
        "tile_token",
    },
    "Projection": {"file"},
    "ModelFile": {"sha256"},
}
"""Record → fields that change vectors. Every field of a record is here or in `DESCRIPTIVE`."""

DESCRIPTIVE = {
    "ModelSpec": {
        "name",
        "inputs",
        "mrl_dimensions",
        "description",
        "licence",
        "source",
        "revision",
        "origin",
        "session",
        "batch_dependent",
    },
    "TextTower": set[str](),
    "ImageTower": set[str](),
    "Grid": set[str](),
    "Prompt": set[str](),
    "Session": {"optimization", "execution", "arena", "memory_pattern", "providers"},
    "Projection": set[str](),
    "ModelFile": {"path", "size", "member"},
    "MavenOrigin": {"coordinates", "sha256", "size"},
}
"""Record → fields that change no vector."""

_PATHS = {"onnx", "tokenizer", "file"}
"""Fields that name a file: its digest stands in for the path."""


def fingerprint(spec: BaseModel, digests: Mapping[str, str], named: Collection[str]) -> str:
    """Return ``sha256:<hex>`` over the canonical JSON of what changes the vectors of a model.

    Args:
        spec: a `ModelSpec`.
        digests: path → sha256 of each of its files.
        named: the paths that its settings name.
    """
    content = _settings(spec, digests)
    content["encoding_version"] = _ENCODING_VERSION
    content["files"] = sorted(digest for path, digest in digests.items() if path not in named)
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def _settings(record: BaseModel, digests: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for field in BEHAVIOUR[type(record).__name__] - {"files"}:
        value = getattr(record, field)
        if value == type(record).model_fields[field].default:
            continue
        if isinstance(value, BaseModel):
            value = _settings(value, digests)
        settings[field] = digests[value] if field in _PATHS else value
    return settings
