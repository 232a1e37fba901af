"""EmbeddingGemma: Gemma 3 that attends both ways, with mean pooling and two Dense layers behind it."""

from __future__ import annotations

from ._text import TextFamily

__all__ = ["ARCHITECTURE"]

ARCHITECTURE = TextFamily(
    name="EmbeddingGemma",
    model_types=frozenset({"gemma3_text"}),
    kinds=("dense", "multi_vector"),
    attention="sdpa",
    dynamo=True,  # its masks are made by functions that tracing cannot follow
    unused=("lm_head.",),
)
"""The family."""
