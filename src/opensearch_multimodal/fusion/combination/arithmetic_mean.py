"""The weighted mean of normalized scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["arithmetic_mean"]


def arithmetic_mean(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return Σ weight · value / Σ weight, as OpenSearch's ``arithmetic_mean`` (CombSUM for equal weights).

    See Fox and Shaw, "Combination of multiple searches", TREC-2, 1994.

    Args:
        values: shape (retrievers, c), float64, normalized.
        weights: shape (retrievers, c), float64; 0 where a retriever does not count for a candidate.

    Returns:
        Shape (c,), float64; 0 where no retriever counts.
    """
    total = weights.sum(axis=0)
    combined: npt.NDArray[np.float64] = np.zeros_like(total)
    np.divide((weights * values).sum(axis=0), total, out=combined, where=total > 0)
    return combined
