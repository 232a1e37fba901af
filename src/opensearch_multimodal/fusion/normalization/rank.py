"""Scores replaced by their rank."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["rank"]


def rank(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return 1 − (rank − 1) / n, ranks counted from 1 among the n candidates that have a score.

    The best gets 1 and the last 1 / n. Equal scores share the better rank. A candidate without a score gets
    0. Renda and Straccia, "Web metasearch: rank vs. score based rank aggregation methods", SAC 2003.

    Args:
        scores: shape (c,), float64; −∞ where there is none.

    Returns:
        Shape (c,), float64.
    """
    normalized = np.zeros_like(scores)
    scored = np.isfinite(scores)
    ascending = np.sort(scores[scored])
    normalized[scored] = np.searchsorted(ascending, scores[scored], side="right") / max(ascending.size, 1)
    return normalized
