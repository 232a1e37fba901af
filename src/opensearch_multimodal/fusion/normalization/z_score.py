"""Scores as standard deviations from their mean."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["z_score"]


def z_score(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (s − mean) / standard deviation over the candidates that have a score.

    The standard deviation is the sample's (n − 1), as in OpenSearch's normalization processor. OpenSearch 3.6
    then raises everything below the mean to 0.001 and forgets its order; here it stays negative. A candidate
    without a score gets the lowest value; scores that are all equal become 0. See Montague and Aslam,
    "Relevance score normalization for metasearch", CIKM 2001.

    Args:
        scores: shape (c,), float64; −∞ where there is none.

    Returns:
        Shape (c,), float64.
    """
    normalized = np.zeros_like(scores)
    scored = np.isfinite(scores)
    values = scores[scored]
    if values.size < 2 or values.min() == values.max():
        return normalized
    normalized[scored] = (values - values.mean()) / values.std(ddof=1)
    normalized[~scored] = normalized[scored].min()
    return normalized
