"""ModernBERT: an encoder with rotary positions, local attention in most layers, and no token types."""

from __future__ import annotations

from ._text import TextFamily

__all__ = ["ARCHITECTURE"]

ARCHITECTURE = TextFamily(
    name="ModernBERT family",
    model_types=frozenset({"modernbert"}),
    attention="sdpa",
    unused=("head.", "decoder."),
)
"""The family."""
