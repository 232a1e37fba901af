"""Scores as a probability distribution over the candidates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["softmax"]


def softmax(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return exp(s / σ), divided by its sum over the candidates that have a score.

    The temperature σ is the standard deviation of these scores, so that the scale of a retriever (cosines
    below 1, BM25 in the tens) does not decide how loud it is. A candidate without a score gets 0. Softmax
    fusion of retrievers is compared in Uzan and others, 2025, arXiv:2510.05038.

    Args:
        scores: shape (c,), float64; −∞ where there is none.

    Returns:
        Shape (c,), float64, sum 1; all 0 where no candidate has a score.
    """
    normalized = np.zeros_like(scores)
    scored = np.isfinite(scores)
    values = scores[scored]
    if values.size == 0:
        return normalized
    powers = np.ones_like(values)
    if values.min() < values.max():
        powers = np.exp((values - values.max()) / values.std())
    normalized[scored] = powers / powers.sum()
    return normalized
