"""Decoders as text encoders: Qwen3-Embedding and its kin, pooled at the last token.

Attention looks back only, so padding at the right changes no token; instructions are prefixes, and the token
that is pooled comes from the tokenizer's template (its end-of-text token).
"""

from __future__ import annotations

from ._text import TextFamily

__all__ = ["ARCHITECTURE"]

ARCHITECTURE = TextFamily(
    name="Decoder text embedders",
    model_types=frozenset({"qwen2", "qwen3", "mistral", "llama"}),
    kinds=("dense", "multi_vector"),
    pooling="last",
    attention="sdpa",
    unused=("lm_head.",),
)
"""The family."""
