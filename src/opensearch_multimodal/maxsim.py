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

__all__ = ["MaxSimTracker", "Stacked", "maxsim", "stack"]

_CLOSE = 2  # rows to score exactly per (query row, candidate), above which a pass over all rows is cheaper
_ROUNDING = 2e-6  # more than rounding changes a float32 inner product of unit vectors


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
    similarities = stacked.rows @ np.ascontiguousarray(rows.T)
    return _sum_of_maxima(similarities, stacked.offsets[:-1])


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


class MaxSimTracker:
    """MaxSim and its gradient for a query that moves in small steps, exact at every step.

    It scores all rows only when it cannot prove the maxima from few of them. Let b and u be the query (row by
    row) at the last pass over all candidate rows and its movement since the pass before, S_b and S_u their
    similarities with every row. A later query row is q = b + αu + r with r orthogonal to u, so its similarity
    with a row d is S_b + αS_u + r·d, and by Cauchy-Schwarz the last term is at most e = ‖r‖ · max‖d‖. Hence
    the row of maximum similarity is among those whose S_b + αS_u is within 2e of the largest: these are
    scored exactly, usually one per (query row, candidate). Where they are too many, a new pass is cheaper.

    Attributes:
        passes: how often all rows were scored, a measure of the work done.
    """

    def __init__(self, candidates: Stacked) -> None:
        """Prepare for checked candidates; computations are in the dtype of their rows."""
        self.passes = 0
        self._candidates = candidates
        self._owner = np.repeat(np.arange(len(candidates)), candidates.lengths)
        self._longest = float(_norms(candidates.rows).max(initial=0))
        self._last: _Pass | None = None
        self._winners: npt.NDArray[Any] = np.empty((0, 0, 0))

    def __len__(self) -> int:
        """Return the number of candidates c."""
        return len(self._candidates)

    def scores(self, query: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the MaxSim scores, shape (c,), of a checked query of shape (n, d)."""
        best = None if self._last is None else self._from_close_rows(query, self._last)
        if best is None:
            best = self._from_all_rows(query)
        scores: npt.NDArray[Any] = best.sum(axis=0)
        return scores

    def gradient(self, weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return Σᵢ weightsᵢ · d(score i)/d(query) at the query scored last, shape (n, d).

        Each query row receives the rows it found most similar, one per candidate.

        Args:
            weights: shape (c,), in the dtype of the rows.
        """
        gradient: npt.NDArray[Any] = weights @ self._winners
        return gradient

    def _from_close_rows(self, query: npt.NDArray[Any], last: _Pass) -> npt.NDArray[Any] | None:
        """Return the maxima, (n, c), found among the rows that can be one; None where these are too many."""
        rest = query - last.base
        along = np.einsum("nd,nd->n", rest, last.direction) / last.squares
        rest -= along[:, None] * last.direction
        reach = self._longest * (_norms(rest) + last.rounding * (1 + np.abs(along)))
        predicted = last.slopes * along[:, None]
        predicted += last.similarities
        least = self._maxima(predicted) - 2 * reach[:, None]
        token, row, pair = self._at_least(predicted, least.astype(query.dtype))
        if token.size > _CLOSE * least.size:
            return None
        vectors = self._candidates.rows[row]
        exact: npt.NDArray[Any] = np.einsum("kd,kd->k", vectors, query[token])
        if token.size > least.size:
            first = np.lexsort((-exact, pair))[_first_of_each(pair)]
            exact, vectors = exact[first], vectors[first]
        self._winners = vectors.reshape(*least.shape, -1)
        return exact.reshape(least.shape)

    def _from_all_rows(self, query: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the maxima, (n, c), found by a pass over all rows; the next steps start from it."""
        self.passes += 1
        rows = self._candidates.rows
        similarities = np.ascontiguousarray((rows @ np.ascontiguousarray(query.T)).T)
        if self._last is None:
            self._last = _Pass.first(query, similarities)
        else:
            self._last = self._last.next(query, similarities)
        best = self._maxima(similarities)
        _, row, pair = self._at_least(similarities, best)
        self._winners = rows[row[_first_of_each(pair)]].reshape(*best.shape, -1)
        return best

    def _maxima(self, similarities: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the maximum over the rows of each candidate: (n, P) → (n, c)."""
        maxima: npt.NDArray[Any] = np.maximum.reduceat(similarities, self._candidates.offsets[:-1], axis=1)
        return maxima

    def _at_least(
        self, similarities: npt.NDArray[Any], least: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Find the entries of ``similarities``, (n, P), that reach ``least``, (n, c), at their candidate.

        Returns:
            Three arrays of shape (k,), in order: the query row, the row of the stack, and the number of the
            (query row, candidate) pair.
        """
        reached = similarities >= np.repeat(least, self._candidates.lengths, axis=1)
        token, row = np.divmod(np.flatnonzero(reached), similarities.shape[1])
        return token, row, token * len(self) + self._owner[row]


@dataclass(frozen=True, slots=True)
class _Pass:
    """What a pass over all P rows leaves for the steps after it; see `MaxSimTracker`.

    Attributes:
        base: b, the query then, shape (n, d).
        similarities: S_b, shape (n, P).
        direction: u, shape (n, d); 0 at the first pass.
        slopes: S_u, shape (n, P).
        squares: ‖u‖² per query row, shape (n,), never 0.
        rounding: what rounding may add to a similarity with a row of length 1, shape (n,).
    """

    base: npt.NDArray[Any]
    similarities: npt.NDArray[Any]
    direction: npt.NDArray[Any]
    slopes: npt.NDArray[Any]
    squares: npt.NDArray[Any]
    rounding: npt.NDArray[Any]

    @classmethod
    def first(cls, query: npt.NDArray[Any], similarities: npt.NDArray[Any]) -> _Pass:
        squares = np.ones(len(query), dtype=query.dtype)
        still, flat = np.zeros_like(query), np.zeros_like(similarities)
        return cls(query.copy(), similarities, still, flat, squares, _ROUNDING * _norms(query))

    def next(self, query: npt.NDArray[Any], similarities: npt.NDArray[Any]) -> _Pass:
        direction, slopes = query - self.base, similarities - self.similarities
        squares = np.maximum(_norms(direction) ** 2, np.finfo(query.dtype).tiny)
        return _Pass(query.copy(), similarities, direction, slopes, squares, _ROUNDING * _norms(query))


def _norms(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the length of each row: (n, d) → (n,)."""
    norms: npt.NDArray[Any] = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return norms


def _first_of_each(pair: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the positions at which a new value starts in the sorted array ``pair``, shape (k,), k ≥ 1."""
    starts = np.ones(len(pair), dtype=bool)
    np.not_equal(pair[1:], pair[:-1], out=starts[1:])
    return np.flatnonzero(starts)


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
