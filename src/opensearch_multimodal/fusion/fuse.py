"""Scores by retriever → one fused score per candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from .combination import COMBINATIONS, COMBINATIONS_OF_RANKS, COMBINATIONS_OF_SCORES
from .normalization import NORMALIZATIONS

__all__ = ["check_methods", "fuse"]


def fuse(
    scores: Mapping[str, npt.ArrayLike],
    *,
    combination: str,
    normalization: str | None = None,
    weights: Mapping[str, float] | None = None,
    rank_constant: int = 60,
) -> npt.NDArray[np.float64]:
    """Fuse the scores that several retrievers give to the same candidates.

    Args:
        scores: retriever name → scores of shape (c,), any real dtype, candidates in the same order
            everywhere; −∞ where a retriever cannot score a candidate, such as a page without a vector.
        combination: a name in `COMBINATIONS`.
        normalization: a name in `NORMALIZATIONS`; None for combinations of ranks, and only for them.
        weights: retriever name → weight ≥ 0, not all 0; a retriever without one has the weight 1.
        rank_constant: for combinations of ranks, 1–10,000.

    Returns:
        Shape (c,), float64, higher is better.

    Raises:
        InvalidInput: methods that do not go together, no retrievers, arrays of different shapes, NaN or +∞,
            or weights that are negative, all 0, or for an unknown retriever.
    """
    check_methods(normalization, combination)
    values = _matrix(scores)
    shares = _weights(weights or {}, list(scores))
    if values.shape[1] == 0:
        return np.empty(0)
    if normalization is None:
        if not 1 <= rank_constant <= 10_000:
            raise InvalidInput(f"rank_constant: {rank_constant} is outside 1–10000")
        return COMBINATIONS_OF_RANKS[combination](values, shares, rank_constant)
    normalized = np.stack([NORMALIZATIONS[normalization](row) for row in values])
    return COMBINATIONS_OF_SCORES[combination](normalized, shares)


def check_methods(normalization: str | None, combination: str) -> None:
    """Refuse unknown methods, and a normalization and a combination that do not go together.

    Raises:
        InvalidInput: naming both.
    """
    if combination not in COMBINATIONS:
        raise InvalidInput(f"combination: {combination!r} is not one of {', '.join(COMBINATIONS)}")
    known = ", ".join(NORMALIZATIONS)
    if normalization is not None and normalization not in NORMALIZATIONS:
        raise InvalidInput(f"normalization: {normalization!r} is not one of {known}")
    if combination in COMBINATIONS_OF_RANKS and normalization is not None:
        raise InvalidInput(
            f"combination {combination!r} works on ranks: it takes no normalization, got {normalization!r}"
        )
    if combination in COMBINATIONS_OF_SCORES and normalization is None:
        raise InvalidInput(f"combination {combination!r} needs a normalization: one of {known}")


def _matrix(scores: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.float64]:
    """Return the scores as one array of shape (retrievers, c)."""
    if not scores:
        raise InvalidInput("scores: expected at least 1 retriever, got 0")
    rows = {name: np.asarray(row, dtype=np.float64) for name, row in scores.items()}
    shape = next(iter(rows.values())).shape
    for name, row in rows.items():
        if row.ndim != 1 or row.shape != shape:
            raise InvalidInput(f"scores of {name!r}: shape {row.shape}, expected one per candidate, {shape}")
        if np.isnan(row).any() or np.isposinf(row).any():
            raise InvalidInput(f"scores of {name!r}: NaN and +∞ are not scores; −∞ means that there is none")
    return np.stack(list(rows.values()))


def _weights(weights: Mapping[str, float], names: list[str]) -> npt.NDArray[np.float64]:
    """Return the weights in the order of ``names``, shape (retrievers,)."""
    unknown = sorted(set(weights) - set(names))
    if unknown:
        raise InvalidInput(f"weights: {', '.join(unknown)} has no scores; there are {', '.join(names)}")
    shares = np.array([weights.get(name, 1.0) for name in names], dtype=np.float64)
    for name, share in zip(names, shares.tolist(), strict=True):
        if not (share >= 0 and math.isfinite(share)):
            raise InvalidInput(f"weights: {share} for {name!r}, a finite number of at least 0 is required")
    if not shares.any():
        raise InvalidInput("weights: all are 0, at least one must be greater")
    return shares
