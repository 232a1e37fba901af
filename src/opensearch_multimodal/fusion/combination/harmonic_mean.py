"""The weighted harmonic mean of normalized scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["harmonic_mean"]


def harmonic_mean(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return Σ weight / Σ (weight / value), as OpenSearch's ``harmonic_mean``.

    The smallest value decides most, more than in the geometric mean. A value of 0 or below makes it 0; only a
    missing score (weight 0) is left out. For two values it is the F-measure's mean: van Rijsbergen,
    "Information Retrieval", 1979, chapter 7.

    Args:
        values: shape (retrievers, c), float64, normalized, not negative.
        weights: shape (retrievers, c), float64; 0 where a retriever does not count for a candidate.

    Returns:
        Shape (c,), float64; 0 where no retriever counts.
    """
    counted = weights > 0
    combined = counted.any(axis=0) & (~counted | (values > 0)).all(axis=0)
    parts = np.divide(weights, values, out=np.zeros_like(values), where=counted & (values > 0))
    total = parts.sum(axis=0)
    means = np.divide(weights.sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    return np.where(combined, means, 0.0)
