"""The sum of normalized scores, times the number of retrievers that found the candidate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["comb_mnz"]


def comb_mnz(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return Σ weight · value times how many retrievers count.

    What several retrievers found is more likely relevant than what one found. Negative values count as 0,
    else agreement would be a punishment. Fox and Shaw, "Combination of multiple searches", TREC-2, 1994; Lee,
    "Analyses of multiple evidence combination", SIGIR 1997.

    Args:
        values: shape (retrievers, c), float64, normalized.
        weights: shape (retrievers, c), float64; 0 where a retriever did not find the candidate.

    Returns:
        Shape (c,), float64; 0 where no retriever counts.
    """
    found = (weights > 0).sum(axis=0)
    combined: npt.NDArray[np.float64] = found * (weights * np.maximum(values, 0.0)).sum(axis=0)
    return combined
