"""How many results to return. Pure functions of the ranked candidates' scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..mappings import Cut

__all__ = ["CutPoint", "by_relevance", "by_score_curve", "by_size"]

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CutPoint:
    """Where a result list was cut, and why.

    Attributes:
        method: the method of the profile's ``cut``.
        size: how many results are left.
        of: how many there were to choose from.
        reason: one sentence.
    """

    method: str
    size: int
    of: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return it as ``osmm search --json`` prints it."""
        return {"method": self.method, "size": self.size, "of": self.of, "reason": self.reason}


_STRAIGHT = 1e-6
"""Scores that lie no further below the straight line than this, of its height, have no knee."""


def by_size(count: int, cut: Cut, k: int) -> CutPoint:
    """Leave a fixed number of results.

    Args:
        count: how many candidates were ranked.
        cut: with a ``size``.
        k: how many were asked for.
    """
    available = min(count, k)
    size = min(available, cut.size or available)
    return CutPoint(cut.method, size, available, f"the profile leaves at most {cut.size}")


def by_score_curve(scores: _Floats, cut: Cut, k: int) -> CutPoint:
    """Cut at the knee of the score curve.

    The knee is the place where the curve of scores lies furthest below the straight line from the first to
    the last of the results to choose from: before it scores fall fast, after it they hardly fall. Satopää and
    others, "Finding a 'kneedle' in a haystack", ICDCS workshops 2011; that a number of results should follow
    the query and not be fixed: Mortaheb and others, "Re-ranking the context for multimodal retrieval
    augmented generation", 2025, arXiv:2501.04695. Needs no judgements, and knows nothing of relevance: one of
    the results is always the best of its kind.

    Args:
        scores: shape (c,), float64, best first, finite: the scores that order the candidates.
        cut: with ``min`` and ``max``.
        k: how many results were asked for.
    """
    low, high = _bounds(len(scores), cut, k)
    window = scores[:high]
    if high <= low or window[0] == window[-1]:
        why = "the scores are all equal" if high > low else f"there are {high} to choose from"
        return CutPoint(cut.method, high, high, f"{why}: nothing to cut")
    share = np.linspace(0.0, 1.0, len(window))
    height = (window - window[-1]) / (window[0] - window[-1])
    below = (1 - share) - height
    if not below[low:].max(initial=0.0) > _STRAIGHT:
        return CutPoint(cut.method, high, high, f"the curve of {high} scores has no bend: nothing to cut")
    knee = int(np.argmax(below[low:])) + low
    drop = f"{window[knee - 1]:.4g} to {window[knee]:.4g}"
    reason = f"the curve of {high} scores bends most after result {knee}, where they fall from {drop}"
    return CutPoint(cut.method, knee, high, reason)


def by_relevance(probability: _Floats, cut: Cut, k: int) -> CutPoint:
    """Cut where the expected F-measure of what is returned is the highest.

    With probabilities p of being relevant, n results are expected to hold Σ p of their own, of Σ p in all: F
    = (1 + β²) · Σ_{i≤n} pᵢ / (n + β² · Σ p). Lewis, "Evaluating and optimizing autonomous text classification
    systems", SIGIR 1995.

    Args:
        probability: shape (c,), float64, candidates best first.
        cut: with ``min``, ``max`` and ``beta``.
        k: how many results were asked for.
    """
    low, high = _bounds(len(probability), cut, k)
    if high <= low:
        return CutPoint(cut.method, high, high, f"there are {high} to choose from: nothing to cut")
    sizes = np.arange(1, high + 1)
    square = cut.beta**2
    gained = np.cumsum(probability[:high])
    expected = (1 + square) * gained / (sizes + square * probability.sum())
    size = int(np.argmax(expected[low - 1 :])) + low
    reason = (
        f"{gained[size - 1]:.2f} of {probability.sum():.2f} relevant results are expected among {size}: an "
        f"F{cut.beta:g} of {expected[size - 1]:.2f}, the highest; the last one left is relevant with "
        f"probability {probability[size - 1]:.2f}"
    )
    return CutPoint(cut.method, size, high, reason)


def _bounds(count: int, cut: Cut, k: int) -> tuple[int, int]:
    """Return the least and the largest number of results that may be left."""
    high = min(count, k, cut.max or k)
    return min(cut.min, high), high
