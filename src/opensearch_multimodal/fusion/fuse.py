"""Scores by retriever → one fused score per candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from .combination import COMBINATIONS_OF_RANKS, COMBINATIONS_OF_SCORES
from .methods import Missing, check_methods
from .normalization import NORMALIZATIONS_OF_ONE_QUERY, collection

__all__ = ["fuse"]

_Floats = npt.NDArray[np.float64]
_Scales = Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]]


def fuse(
    scores: Mapping[str, npt.ArrayLike],
    *,
    combination: str,
    normalization: str | None = None,
    weights: Mapping[str, float] | None = None,
    rank_constant: int = 60,
    missing: Missing | None = None,
    found: Mapping[str, npt.ArrayLike] | None = None,
    statistics: _Scales | None = None,
) -> _Floats:
    """Fuse the scores that several retrievers give to the same candidates.

    Args:
        scores: retriever name → scores of shape (c,), any real dtype, candidates in the same order
            everywhere; −∞ where a retriever cannot score a candidate, such as a page without a vector.
        combination: a name in `COMBINATIONS`.
        normalization: a name in `NORMALIZATIONS`; None for combinations of ranks, and only for them.
        weights: retriever name → weight ≥ 0, not all 0; a retriever without one has the weight 1.
        rank_constant: for combinations of ranks, 1–10,000.
        missing: what a missing score counts as under ``arithmetic_mean``: ``lowest`` (the default), the value
            that the normalization gives it, or ``skip``, the mean of the retrievers that have one. The other
            combinations leave it out.
        found: for ``comb_mnz``: retriever name → shape (c,), bool, which candidates it found by itself; a
            retriever without an entry found what it has a score of.
        statistics: for ``collection``: retriever name → means and deviations, each a number or of shape (c,).

    Returns:
        Shape (c,), float64, higher is better; −∞ where no retriever of a weight above 0 has a score.

    Raises:
        InvalidInput: methods that do not go together, no retrievers, arrays of different shapes, NaN or +∞,
            weights that are negative, all 0, or for an unknown retriever, or statistics that are missing.
    """
    check_methods(normalization, combination, missing)
    values = _matrix(scores)
    shares = _weights(weights or {}, list(scores))
    if not 1 <= rank_constant <= 10_000:
        raise InvalidInput(f"rank_constant: {rank_constant} is outside 1–10000")
    if values.shape[1] == 0:
        return np.empty(0)
    scored = np.isfinite(values)
    if normalization is None:
        fused = COMBINATIONS_OF_RANKS[combination](values, shares, rank_constant)
    else:
        normalized = _normalize(normalization, values, list(scores), statistics or {})
        counted = _counted(combination, scored, list(scores), missing, found or {})
        fused = COMBINATIONS_OF_SCORES[combination](normalized, shares[:, None] * counted)
    heard = scored[shares > 0].any(axis=0)
    return np.where(heard, fused, -np.inf)


def _normalize(method: str, values: _Floats, names: list[str], statistics: _Scales) -> _Floats:
    if method != "collection":
        return np.stack([NORMALIZATIONS_OF_ONE_QUERY[method](row) for row in values])
    rows = []
    for name, row in zip(names, values, strict=True):
        if name not in statistics:
            raise InvalidInput(f"normalization 'collection': there are no statistics of {name!r}")
        means, deviations = (np.asarray(part, dtype=np.float64) for part in statistics[name])
        for part, what in ((means, "means"), (deviations, "deviations")):
            if part.shape not in ((), row.shape):
                raise InvalidInput(
                    f"statistics of {name!r}: {what} of shape {part.shape}, expected {row.shape}"
                )
        scored = np.isfinite(row)
        means, deviations = np.broadcast_to(means, row.shape), np.broadcast_to(deviations, row.shape)
        if not (np.isfinite(means[scored]).all() and (deviations[scored] > 0).all()):
            raise InvalidInput(f"statistics of {name!r}: means must be finite and deviations greater than 0")
        rows.append(collection(row, means, deviations))
    return np.stack(rows)


def _counted(
    combination: str,
    scored: npt.NDArray[np.bool_],
    names: list[str],
    missing: Missing | None,
    found: Mapping[str, npt.ArrayLike],
) -> npt.NDArray[np.bool_]:
    """Return which scores count, shape (retrievers, c)."""
    if combination == "arithmetic_mean" and missing != "skip":
        return np.ones_like(scored)
    if combination != "comb_mnz":
        return scored
    unknown = sorted(set(found) - set(names))
    if unknown:
        raise InvalidInput(f"found: {', '.join(unknown)} has no scores; there are {', '.join(names)}")
    rows = []
    for name, row in zip(names, scored, strict=True):
        flags = np.asarray(found.get(name, row))
        if flags.shape != row.shape or flags.dtype != np.bool_:
            raise InvalidInput(
                f"found of {name!r}: {flags.dtype} of shape {flags.shape}, expected bool of {row.shape}"
            )
        rows.append(row & flags)
    return np.stack(rows)


def _matrix(scores: Mapping[str, npt.ArrayLike]) -> _Floats:
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


def _weights(weights: Mapping[str, float], names: list[str]) -> _Floats:
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
