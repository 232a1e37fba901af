"""Reciprocal rank fusion."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["rrf"]


def rrf(
    scores: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], rank_constant: int
) -> npt.NDArray[np.float64]:
    """Return Σ weight / (rank_constant + rank), ranks counted from 1.

    Equal scores share the better rank, so that the order in which candidates come decides nothing. A
    candidate without a score gets nothing from that retriever. Cormack, Clarke and Büttcher, "Reciprocal rank
    fusion outperforms Condorcet and individual rank learning methods", SIGIR 2009.

    Args:
        scores: shape (retrievers, c), float64; −∞ where there is none.
        weights: shape (retrievers,), float64.
        rank_constant: the paper's k.

    Returns:
        Shape (c,), float64.
    """
    fused = np.zeros(scores.shape[1])
    for row, weight in zip(scores, weights, strict=True):
        scored = np.isfinite(row)
        ascending = np.sort(row[scored])
        ranks = 1 + ascending.size - np.searchsorted(ascending, row[scored], side="right")
        fused[scored] += weight / (rank_constant + ranks)
    return fused
