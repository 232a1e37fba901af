"""Scores divided by their Euclidean length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["l2"]


def l2(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return s / √Σs² over the candidates that have a score, as OpenSearch's ``l2``.

    It changes the scale and not the zero, so it fits scores that are 0 where nothing speaks for a candidate.
    A candidate without a score gets 0, or the lowest value where that is negative; scores that are all 0 stay
    0. Linear normalizations are compared in Wu, "Data Fusion in Information Retrieval", Springer 2012.

    Args:
        scores: shape (c,), float64; −∞ where there is none.

    Returns:
        Shape (c,), float64.
    """
    normalized = np.zeros_like(scores)
    scored = np.isfinite(scores)
    largest = np.abs(scores[scored]).max(initial=0.0)
    if largest == 0:
        return normalized
    values = scores[scored] / largest  # so that squares neither overflow nor vanish
    normalized[scored] = values / np.sqrt((values * values).sum())
    normalized[~scored] = min(0.0, float(normalized[scored].min()))
    return normalized
