"""The weighted geometric mean of normalized scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["geometric_mean"]


def geometric_mean(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return exp(Σ weight · ln value / Σ weight), as OpenSearch's ``geometric_mean``.

    One low value pulls it down further than the arithmetic mean: all retrievers have to agree. A value of 0
    or below makes it 0; only a missing score (weight 0) is left out. As a pooling of experts' opinions:
    Genest and Zidek, "Combining probability distributions: a critique and an annotated bibliography",
    Statistical Science, 1986.

    Args:
        values: shape (retrievers, c), float64, normalized, not negative.
        weights: shape (retrievers, c), float64; 0 where a retriever does not count for a candidate.

    Returns:
        Shape (c,), float64; 0 where no retriever counts.
    """
    total = weights.sum(axis=0)
    counted = weights > 0
    combined = (total > 0) & (~counted | (values > 0)).all(axis=0)
    logarithms = np.log(values, out=np.zeros_like(values), where=counted & (values > 0))
    means = np.divide((weights * logarithms).sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    return np.where(combined, np.exp(means), 0.0)
