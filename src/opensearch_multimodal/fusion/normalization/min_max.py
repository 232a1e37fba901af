"""Scores to 0–1 by their range."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["min_max"]

_LOWEST = 0.001


def min_max(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (s − min) / (max − min) over the candidates that have a score.

    As in OpenSearch's normalization processor, the lowest score becomes 0.001 instead of 0, which is left to
    candidates without a score, and scores that are all equal become 1. See Lee, "Analyses of multiple
    evidence combination", SIGIR 1997.

    Args:
        scores: shape (c,), float64; −∞ where there is none.

    Returns:
        Shape (c,), float64.
    """
    normalized = np.zeros_like(scores)
    scored = np.isfinite(scores)
    if not scored.any():
        return normalized
    low, high = scores[scored].min(), scores[scored].max()
    if high == low:
        normalized[scored] = 1.0
        return normalized
    normalized[scored] = (scores[scored] - low) / (high - low)
    normalized[scored & (normalized == 0)] = _LOWEST
    return normalized
