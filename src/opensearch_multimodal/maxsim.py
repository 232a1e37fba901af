"""MaxSim over the multi-vectors of several candidates, and the container that holds them stacked.

MaxSim is the score of late interaction (Khattab and Zaharia, "ColBERT", 2020, arXiv:2004.12832):
the sum over the query's rows of the largest inner product with any row of the candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InvalidInput
from .types import FloatArray, check_multi_vector

__all__ = ["Stacked", "maxsim", "stack"]


@dataclass(frozen=True, slots=True)
class Stacked:
    """The multi-vectors of several candidates in one array.

    Attributes:
        rows: shape (P, d), float32, C order: the rows of the first candidate, then of the second, and so on.
        offsets: shape (c + 1,), integers, strictly increasing from 0 to P: candidate i is
            ``rows[offsets[i]:offsets[i + 1]]``.
    """

    rows: FloatArray
    offsets: npt.NDArray[np.intp]

    def __post_init__(self) -> None:
        """Check that the offsets fit the rows."""
        if self.rows.ndim != 2:
            raise InvalidInput(
                f"candidates: expected stacked rows of shape (P, d), got shape {self.rows.shape}"
            )
        offsets, total = self.offsets, self.rows.shape[0]
        if offsets.ndim != 1 or offsets.size == 0 or offsets[0] != 0 or offsets[-1] != total:
            raise InvalidInput(f"candidates: offsets must run from 0 to the number of rows, {total}")
        if (np.diff(offsets) < 1).any():
            position = int(np.argmax(np.diff(offsets) < 1))
            raise InvalidInput(f"candidates: candidate {position} has no rows; at least 1 is required")

    def __len__(self) -> int:
        """Return the number of candidates c."""
        return int(self.offsets.size) - 1

    @property
    def dimension(self) -> int:
        """The number of components d of a row."""
        return int(self.rows.shape[1])

    @property
    def lengths(self) -> npt.NDArray[np.intp]:
        """Rows per candidate, shape (c,)."""
        return np.diff(self.offsets)

    def similarities(self, query: FloatArray) -> FloatArray:
        """Return the inner products with the rows of a checked query of shape (n, d), shape (P, n)."""
        similarities: FloatArray = self.rows @ np.ascontiguousarray(query.T)
        return similarities

    def maxsim(self, similarities: FloatArray) -> FloatArray:
        """Return the MaxSim scores, shape (c,), from the inner products of every row, shape (P, n)."""
        if len(self) == 0:
            return np.empty(0, dtype=np.float32)
        scores: FloatArray = np.maximum.reduceat(similarities, self.offsets[:-1], axis=0).sum(axis=1)
        return scores

    def rows_of(self, chosen: Sequence[int]) -> npt.NDArray[np.intp]:
        """Return the positions of the rows of some candidates, in the order of ``chosen``."""
        pieces = [np.arange(self.offsets[i], self.offsets[i + 1]) for i in chosen]
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.intp)

    def select(self, chosen: Sequence[int]) -> Stacked:
        """Return some candidates, in the order of ``chosen``, as copies."""
        offsets = np.zeros(len(chosen) + 1, dtype=np.intp)
        np.cumsum(self.lengths[list(chosen)], out=offsets[1:])
        return Stacked(self.rows.take(self.rows_of(chosen), axis=0), offsets)


def stack(
    candidates: Sequence[npt.ArrayLike] | npt.NDArray[Any],
    lengths: npt.ArrayLike | None = None,
) -> Stacked:
    """Check candidates and stack them; padding is left out, so that it can never be the maximum.

    Args:
        candidates: c arrays of shape (pᵢ, d) with one d, or an array of shape (c, p, d).
        lengths: shape (c,): how many rows of each candidate count, the rest being padding; every row
            counts where it is None.

    Raises:
        InvalidInput: a wrong shape, no rows, dimensions that differ, or components that are not finite.
    """
    if len(candidates) == 0:
        return Stacked(np.empty((0, 1), dtype=np.float32), np.zeros(1, dtype=np.intp))
    if lengths is not None:
        candidates = _without_padding(candidates, lengths)
    elif isinstance(candidates, np.ndarray) and candidates.ndim == 3 and candidates.shape[1] > 0:
        count, length, dimension = candidates.shape
        rows = check_multi_vector("candidates", candidates.reshape(-1, dimension))
        return Stacked(np.ascontiguousarray(rows), np.arange(count + 1, dtype=np.intp) * length)
    dimension = np.shape(candidates[0])[-1] if np.ndim(candidates[0]) else None
    parts = [check_multi_vector(f"candidate {i}", rows, dimension) for i, rows in enumerate(candidates)]
    offsets = np.zeros(len(parts) + 1, dtype=np.intp)
    np.cumsum([part.shape[0] for part in parts], out=offsets[1:])
    return Stacked(np.concatenate(parts), offsets)


def maxsim(
    query: npt.ArrayLike,
    candidates: Stacked | Sequence[npt.ArrayLike] | npt.NDArray[Any],
    *,
    lengths: npt.ArrayLike | None = None,
) -> FloatArray:
    """Score candidates by MaxSim: the sum over query rows of the maximum inner product.

    Args:
        query: shape (n, d), any real dtype, one token vector per row.
        candidates: c arrays of shape (pᵢ, d), an array of shape (c, p, d), or a `Stacked`.
        lengths: shape (c,): rows of each candidate that count; the others are padding and score −∞.

    Returns:
        Shape (c,), float32, in the order of the candidates.

    Raises:
        InvalidInput: a wrong shape, dimensions that differ, or components that are not finite.
    """
    rows = check_multi_vector("query", query)
    if isinstance(candidates, Stacked) and lengths is not None:
        raise InvalidInput("lengths: stacked candidates hold no padding, so none can be given")
    if len(candidates) == 0:
        return np.empty(0, dtype=np.float32)
    if isinstance(candidates, list) and lengths is None and _regular(candidates, rows.shape[1]):
        return _maxsim_apart(rows, candidates)
    stacked = candidates if isinstance(candidates, Stacked) else stack(candidates, lengths)
    if stacked.dimension != rows.shape[1]:
        raise InvalidInput(f"query: dimension {rows.shape[1]}, but the candidates have {stacked.dimension}")
    return stacked.maxsim(stacked.similarities(rows))


def _regular(candidates: list[Any], dimension: int) -> bool:
    """Say whether all candidates are float32 arrays of shape (pᵢ, dimension), pᵢ ≥ 1."""
    return all(
        isinstance(rows, np.ndarray)
        and rows.dtype == np.float32
        and rows.ndim == 2
        and rows.shape[1] == dimension
        and len(rows) > 0
        for rows in candidates
    )


def _maxsim_apart(query: FloatArray, candidates: Sequence[FloatArray]) -> FloatArray:
    """Score arrays where they lie: a copy of them all, and a look at each component, would cost as much.

    A component that is not finite gives a similarity that is not, so the similarities tell.
    """
    starts = np.zeros(len(candidates) + 1, dtype=np.intp)
    np.cumsum([len(rows) for rows in candidates], out=starts[1:])
    columns = np.ascontiguousarray(query.T)
    similarities = np.empty((starts[-1], len(query)), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows, start, end in zip(candidates, starts, starts[1:], strict=False):
            np.matmul(rows, columns, out=similarities[start:end])
    if not np.isfinite(similarities).all():
        for position, rows in enumerate(candidates):
            check_multi_vector(f"candidate {position}", rows)
    return _sum_of_maxima(similarities, starts[:-1])


def _sum_of_maxima(similarities: FloatArray, starts: npt.NDArray[np.intp]) -> FloatArray:
    """Return the MaxSim scores, (c,), of similarities (P, n) whose candidates start at ``starts``, (c,)."""
    scores: FloatArray = np.maximum.reduceat(similarities, starts, axis=0).sum(axis=1)
    return scores


def _without_padding(
    candidates: Sequence[npt.ArrayLike] | npt.NDArray[Any], lengths: npt.ArrayLike
) -> list[npt.NDArray[Any]]:
    counts = np.asarray(lengths)
    if counts.shape != (len(candidates),) or counts.dtype.kind not in "iu":
        raise InvalidInput(
            f"lengths: expected {len(candidates)} whole numbers, one per candidate, "
            f"got shape {counts.shape} of {counts.dtype}"
        )
    kept = []
    for position, (rows, count) in enumerate(zip(candidates, counts.tolist(), strict=True)):
        array = np.asarray(rows)
        if not 1 <= count <= len(array):
            raise InvalidInput(f"lengths: candidate {position} has {len(array)} rows, got length {count}")
        kept.append(array[:count])
    return kept
