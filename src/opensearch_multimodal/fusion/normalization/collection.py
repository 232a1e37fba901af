"""Scores as standard deviations from a mean that was learnt from the collection, not from this query."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["collection"]


def collection(
    scores: npt.NDArray[np.float64],
    means: npt.NDArray[np.float64],
    deviations: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return (s − mean) / deviation with statistics of each candidate's own modality.

    `z_score` asks how a candidate stands among those of this query; this asks how it stands among what the
    retriever says of such records at all. So scores of a page's image, a page's text and a passage can be
    compared, and a query that nothing answers has no high values. A candidate without a score gets the lowest
    value. Chen and others, "CMRAG: Co-modality-based visual document retrieval and question answering", 2025,
    arXiv:2509.02123; statistics without judgements: Yamashita and others, 2025, arXiv:2511.22141.

    Args:
        scores: shape (c,), float64; −∞ where there is none.
        means: shape (c,), float64: the mean score of the candidate's modality.
        deviations: shape (c,), float64, > 0: its standard deviation.

    Returns:
        Shape (c,), float64; all 0 where no candidate has a score.
    """
    normalized = np.zeros_like(scores)
    scored = np.isfinite(scores)
    if not scored.any():
        return normalized
    normalized[scored] = (scores[scored] - means[scored]) / deviations[scored]
    normalized[~scored] = normalized[scored].min()
    return normalized
