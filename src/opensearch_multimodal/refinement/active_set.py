"""MaxSim of a query that moves in small steps: few rows are scored, and that these suffice is proved."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..maxsim import Stacked
from ..types import FloatArray

__all__ = ["MaxSimTracker"]

Floats = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_LARGEST_SHARE = 1 / 16  # of all (query row, candidate row) pairs in the active set; above it, less is gained
_SHRINK = 0.75  # of the margin, while too many rows are within it
_FEWEST = 2  # active rows per (query row, candidate) that are always allowed
_UNPROVED = 0.25  # of all (query row, candidate) pairs; when so many proofs have failed, a new pass pays
_AHEAD = 4  # a new pass is made where the query will be in so many steps


class MaxSimTracker:
    """MaxSim and its gradient for a query that moves in small steps, exact at every step.

    A *pass* scores every row d of every candidate at a base query b. Rows within a margin of their
    candidate's maximum become *active*: their vectors are gathered, and only they are scored at the next
    steps. By Cauchy-Schwarz, moving query row j from bⱼ to qⱼ changes an inner product by at most
    e = ‖qⱼ − bⱼ‖ · max‖d‖, so that every inactive row stays below (maximum at b) − margin + e. Where the
    best active row reaches that, it is proved to be the best of all. Where it does not, the rows that can
    still win, those with a similarity at b of at least (best active) − e, are scored too. When many proofs
    have failed since the last pass, a new pass is made at a base where the query is heading: from there its
    way back and its way on are both covered.

    Rows are compared in float32, and where rounding could decide between two, in float64. Scores and gradient
    come from the winning rows in float64: Adam divides a gradient by its own size, so that rounding which is
    harmless in a score can turn a step around where the gradient is near 0.

    Attributes:
        passes: how often all rows were scored, a measure of the work done.
        repairs: how many proofs failed and were repaired.
    """

    def __init__(
        self, candidates: Stacked, *, reach: float = 0.1, similarities: FloatArray | None = None
    ) -> None:
        """Prepare for checked candidates.

        Args:
            candidates: the rows, float32.
            reach: how far a query row may move before its proofs are expected to fail. It decides how much is
                computed, not what.
            similarities: shape (P, n): the inner products of every row with every row of the first query that
                will be scored, where they are known already.
        """
        self.passes = 0
        self.repairs = 0
        rows = candidates.rows
        self._candidates = candidates
        self._longest = float(_norms(rows).max(initial=0))
        self._rounding = rows.shape[1] * float(np.finfo(rows.dtype).eps) * self._longest
        self._margin = reach * self._longest
        self._given = similarities
        self._recent: deque[FloatArray] = deque(maxlen=_AHEAD)
        self._failures = 0
        self._pass: _Pass | None = None
        self._active: _ActiveSet

    def __len__(self) -> int:
        """Return the number of candidates c."""
        return len(self._candidates)

    def scores(self, query: Floats) -> Doubles:
        """Return the MaxSim scores, shape (c,), of a checked query of shape (n, d), float32 or float64."""
        rounded = query.astype(np.float32)
        first = self._pass is None
        if first:
            self._start_from(rounded, self._given)
            self._given = None
        unproved = self._score(query, rounded)
        if self._failures > _UNPROVED * self._active.pairs and not first:
            self._start_from(rounded + (rounded - self._recent[0]) if self._recent else rounded)
            unproved = self._score(query, rounded)
        if unproved.size:
            self._repair(query, rounded, unproved)
        self._recent.append(rounded)
        return self._active.scores(query)

    def gradient(self, weights: Doubles) -> Doubles:
        """Return Σᵢ weightsᵢ · d(score i)/d(query) at the query scored last, shape (n, d).

        Each query row receives the rows it found most similar, one per candidate.

        Args:
            weights: shape (c,).
        """
        return self._active.gradient(weights)

    def _start_from(self, base: FloatArray, similarities: FloatArray | None = None) -> None:
        """Make a pass at ``base``, shape (n, d), and choose the active rows."""
        if similarities is None:
            self.passes += 1
            similarities = self._candidates.similarities(base)
        self._failures = 0
        self._pass = _Pass.of(base, np.ascontiguousarray(similarities.T), self._candidates)
        self._active = self._pass.activate(self._margin)

    def _score(self, query: Floats, rounded: FloatArray) -> Indices:
        """Score the active rows.

        Returns:
            The numbers of the (query row, candidate) pairs whose best active row is not proved to be the best
            of all.
        """
        best = self._active.update(query, rounded, 2 * self._rounding * _norms(rounded))
        unproved = np.flatnonzero(best < self._active.ceilings + self._slack(rounded)[:, None])
        self._failures += unproved.size
        return unproved

    def _slack(self, query: FloatArray) -> Floats:
        """Return e, by how much any inner product may differ from that at the base, shape (n,)."""
        assert self._pass is not None  # noqa: S101 - `scores` made one
        slack: Floats = _norms(query - self._pass.base) * self._longest
        slack += (_norms(query) + self._pass.norms) * self._rounding
        return slack

    def _repair(self, query: Floats, rounded: FloatArray, unproved: Indices) -> None:
        """Find the winners of some pairs among every row that can be one."""
        assert self._pass is not None  # noqa: S101 - `scores` made one
        self.repairs += unproved.size
        token = unproved // len(self)
        least = self._active.best[unproved] - self._slack(rounded)[token]
        pair, row = self._pass.rows_from(unproved, least)
        vectors = self._candidates.rows.take(row, axis=0)
        exact = np.einsum("kd,kd->k", vectors, query[token[pair]], dtype=np.float64)
        bounds = [*_starts(pair).tolist(), exact.size]
        winners = [begin + int(exact[begin:end].argmax()) for begin, end in pairwise(bounds)]
        self._active.let_win(unproved, vectors[winners])


@dataclass(frozen=True, slots=True)
class _Pass:
    """Every row's similarities at one base query.

    Attributes:
        base: b, shape (n, d), float32.
        norms: ‖bⱼ‖, shape (n,).
        similarities: shape (n, P), C order.
        best: the maximum per query row and candidate, shape (n, c).
        candidates: the rows.
    """

    base: FloatArray
    norms: FloatArray
    similarities: FloatArray
    best: FloatArray
    candidates: Stacked

    @classmethod
    def of(cls, base: FloatArray, similarities: FloatArray, candidates: Stacked) -> _Pass:
        best = np.maximum.reduceat(similarities, candidates.offsets[:-1], axis=1)
        return cls(base.copy(), _norms(base), similarities, best, candidates)

    def activate(self, margin: float) -> _ActiveSet:
        """Gather the rows within ``margin`` of the maximum, or of less of it while they are too many."""
        lengths = self.candidates.lengths
        limit = max(_LARGEST_SHARE * self.similarities.size, _FEWEST * self.best.size)
        while True:
            least = (self.best - margin).astype(self.best.dtype)
            chosen = np.flatnonzero(self.similarities >= np.repeat(least, lengths, axis=1))
            if chosen.size <= limit or margin < np.finfo(self.best.dtype).eps:
                break
            margin *= _SHRINK
        token, row = np.divmod(chosen, self.similarities.shape[1])
        owner = np.repeat(np.arange(len(lengths)), lengths)
        counts = np.bincount(token * len(lengths) + owner[row], minlength=self.best.size)
        complete = counts.reshape(self.best.shape) == lengths
        ceilings = np.where(complete, -np.inf, least).astype(self.best.dtype)
        return _ActiveSet(self.candidates.rows.take(row, axis=0), counts, ceilings)

    def rows_from(self, pairs: Indices, least: Floats) -> tuple[Indices, Indices]:
        """Find the rows of some pairs whose similarity at the base reaches a value.

        Args:
            pairs: numbers of (query row, candidate) pairs, shape (k,).
            least: the value of each pair, shape (k,).

        Returns:
            Two arrays of shape (r,), in order: the position in ``pairs``, and the row of the stack.
        """
        token, candidate = np.divmod(pairs, self.best.shape[1])
        lengths = self.candidates.lengths[candidate]
        ends = np.cumsum(lengths)
        total = self.similarities.shape[1]
        position = np.repeat(np.arange(pairs.size), lengths)
        first = token * total + self.candidates.offsets[candidate]
        flat = np.arange(ends[-1]) + (first - (ends - lengths))[position]
        reached = np.flatnonzero(self.similarities.ravel()[flat] >= least[position])
        return position[reached], flat[reached] % total


class _ActiveSet:
    """The gathered rows, ordered by query row and candidate, and who wins in each pair of these.

    Attributes:
        pairs: how many pairs, n · c.
        ceilings: what no inactive row exceeds at the base, shape (n, c); −∞ where there is none.
        best: the best similarity of each pair's active rows at the query scored last, shape (n · c,).
        winners: the row of maximum similarity of each pair, shape (c, n, d), float64.
    """

    def __init__(self, rows: FloatArray, counts: Indices, ceilings: FloatArray) -> None:
        """Take the rows over.

        Args:
            rows: shape (k, d).
            counts: rows per pair, shape (n · c,), each at least 1.
            ceilings: as above.
        """
        tokens, candidates = ceilings.shape
        ends = np.cumsum(counts)
        self.pairs = counts.size
        self.ceilings = ceilings
        self.best = np.empty(counts.size, dtype=rows.dtype)
        self.winners = np.empty((candidates, tokens, rows.shape[1]))
        self._rows = rows
        self._counts = counts
        self._starts = ends - counts
        self._owners = np.repeat(np.arange(counts.size), counts)
        self._bounds = list(pairwise([0, *ends[candidates - 1 :: candidates].tolist()]))
        self._similarities = np.empty(len(rows), dtype=rows.dtype)
        self._ahead = np.full(counts.size, -1)

    def update(self, query: Floats, rounded: FloatArray, ties: FloatArray) -> FloatArray:
        """Score the rows and find the winners.

        Args:
            query: shape (n, d).
            rounded: the same in float32.
            ties: two similarities of a query row closer than this may be in the wrong order, shape (n,).

        Returns:
            The best similarity of each pair, (n, c).
        """
        similarities = self._similarities
        for vector, (begin, end) in zip(rounded, self._bounds, strict=True):
            np.dot(self._rows[begin:end], vector, out=similarities[begin:end])
        self.best = np.maximum.reduceat(similarities, self._starts)
        best = self.best.reshape(self.ceilings.shape)
        close = (best - ties[:, None]).ravel()
        ahead = np.flatnonzero(similarities >= np.repeat(close, self._counts))
        if ahead.size > self.pairs:
            ahead = self._decide(query, ahead)
        changed = np.flatnonzero(ahead != self._ahead)
        if changed.size:
            self._replace(changed, self._rows.take(ahead[changed], axis=0))
            self._ahead = ahead
        return best

    def scores(self, query: Floats) -> Doubles:
        """Return the sum over query rows of the winners' inner products, shape (c,)."""
        scores: Doubles = self.winners.reshape(len(self.winners), -1) @ query.astype(np.float64).ravel()
        return scores

    def gradient(self, weights: Doubles) -> Doubles:
        """Return the weighted sum of the candidates' winners, shape (n, d), for weights of shape (c,)."""
        gradient: Doubles = weights @ self.winners.reshape(len(self.winners), -1)
        return gradient.reshape(self.winners.shape[1:])

    def let_win(self, pairs: Indices, vectors: FloatArray) -> None:
        """Let other rows, shape (k, d), be the winners of k pairs until the next update."""
        self._replace(pairs, vectors)
        self._ahead[pairs] = -1

    def _decide(self, query: Floats, close: Indices) -> Indices:
        """Return one row per pair, the best in float64, of those that are close to the best in float32."""
        owners = self._owners[close]
        starts = _starts(owners)
        ahead = close[starts]
        bounds = [*starts.tolist(), close.size]
        for pair in np.flatnonzero(np.diff(bounds) > 1).tolist():
            rows = close[bounds[pair] : bounds[pair + 1]]
            exact = self._rows[rows].astype(np.float64) @ query[pair // self.ceilings.shape[1]]
            ahead[pair] = rows[exact.argmax()]
        return ahead

    def _replace(self, pairs: Indices, vectors: FloatArray) -> None:
        token, candidate = np.divmod(pairs, self.ceilings.shape[1])
        self.winners[candidate, token] = vectors


def _norms(rows: Floats) -> Floats:
    """Return the length of each row: (n, d) → (n,)."""
    norms: Floats = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return norms


def _starts(sorted_numbers: Indices) -> Indices:
    """Return the positions at which a new value starts in a sorted array of shape (k,), k ≥ 1."""
    first = np.ones(sorted_numbers.size, dtype=bool)
    np.not_equal(sorted_numbers[1:], sorted_numbers[:-1], out=first[1:])
    return np.flatnonzero(first)
