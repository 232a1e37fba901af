"""Dempster–Shafer evidence combination."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["dempster_shafer"]

_RELIABILITY = 0.9


def dempster_shafer(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return how probable it is that a candidate is relevant after all retrievers' evidence.

    A retriever of reliability r that gives the value v supports "relevant" with mass r·v and "not relevant"
    with r·(1 − v); the rest, 1 − r, is ignorance (Shafer's discounting). Dempster's rule multiplies the
    masses of all retrievers and divides by what is not in conflict; the result is the pignistic probability,
    belief plus half of the ignorance that is left. The retriever of the largest weight has the reliability
    0.9, the others proportionally less. A missing score is ignorance: it changes nothing.

    Shafer, "A Mathematical Theory of Evidence", 1976; Smets and Kennes, "The transferable belief model",
    Artificial Intelligence 66, 1994; as a fusion of modalities: Li and others, "BayesRAG", 2026,
    arXiv:2601.07329.

    Args:
        values: shape (retrievers, c), float64, in 0–1.
        weights: shape (retrievers, c), float64; 0 where a retriever does not count for a candidate.

    Returns:
        Shape (c,), float64, in 0–1; 1/2 where no retriever counts.
    """
    reliability = _RELIABILITY * weights / (weights.max(initial=0.0) or 1.0)
    ignorance = 1 - reliability
    relevant = (reliability * values + ignorance).prod(axis=0)
    irrelevant = (reliability * (1 - values) + ignorance).prod(axis=0)
    unknown = ignorance.prod(axis=0)
    combined: npt.NDArray[np.float64] = (relevant - unknown / 2) / (relevant + irrelevant - unknown)
    return combined
