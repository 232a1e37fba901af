"""MaxSim of a query that moves in small steps: few rows are scored, and that these suffice is proved."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..maxsim import Stacked
from ..types import FloatArray

__all__ = ["MaxSimTracker"]

Floats = npt.NDArray[Any]
Indices = npt.NDArray[np.intp]

_LARGEST_SHARE = 1 / 16  # of all (query row, candidate row) pairs in the active set; above it, less is gained
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

    Attributes:
        passes: how often all rows were scored, a measure of the work done.
        repairs: how many proofs failed and were repaired.
    """

    def __init__(
        self, candidates: Stacked, *, reach: float = 0.1, similarities: FloatArray | None = None
    ) -> None:
        """Prepare for checked candidates; computations are in the dtype of their rows.

        Args:
            candidates: the rows.
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
        self._recent: deque[Floats] = deque(maxlen=_AHEAD)
        self._failures = 0
        self._pass: _Pass | None = None
        self._active: _ActiveSet

    def __len__(self) -> int:
        """Return the number of candidates c."""
        return len(self._candidates)

    def scores(self, query: Floats) -> Floats:
        """Return the MaxSim scores, shape (c,), of a checked query of shape (n, d)."""
        first = self._pass is None
        if first:
            self._start_from(query, self._given)
            self._given = None
        best, unproved = self._score(query)
        if self._failures > _UNPROVED * best.size and not first:
            self._start_from(query + (query - self._recent[0]) if self._recent else query)
            best, unproved = self._score(query)
        if unproved.size:
            self._repair(query, best, unproved)
        self._recent.append(query.copy())
        scores: Floats = best.sum(axis=0)
        return scores

    def gradient(self, weights: Floats) -> Floats:
        """Return Σᵢ weightsᵢ · d(score i)/d(query) at the query scored last, shape (n, d).

        Each query row receives the rows it found most similar, one per candidate.

        Args:
            weights: shape (c,), in the dtype of the rows.
        """
        gradient: Floats = weights @ self._active.winners
        return gradient

    def _start_from(self, base: Floats, similarities: Floats | None = None) -> None:
        """Make a pass at ``base``, shape (n, d), and choose the active rows."""
        if similarities is None:
            self.passes += 1
            similarities = self._candidates.rows @ np.ascontiguousarray(base.T)
        self._failures = 0
        self._pass = _Pass.of(base, np.ascontiguousarray(similarities.T), self._candidates)
        self._active = self._pass.activate(self._margin)

    def _slack(self, query: Floats) -> Floats:
        """Return e, by how much any inner product may differ from that at the base, shape (n,)."""
        assert self._pass is not None  # noqa: S101 - `scores` made one
        slack = _norms(query - self._pass.base) * self._longest
        slack += (_norms(query) + self._pass.norms) * self._rounding
        return slack

    def _score(self, query: Floats) -> tuple[Floats, Indices]:
        """Score the active rows.

        Returns:
            Their maxima, shape (n, c), and the numbers of the (query row, candidate) pairs whose maximum is
            not proved to be that of all rows.
        """
        best = self._active.maxima(query)
        unproved = np.flatnonzero(best < self._active.ceilings + self._slack(query)[:, None])
        self._failures += unproved.size
        return best, unproved

    def _repair(self, query: Floats, best: Floats, unproved: Indices) -> None:
        """Replace unproved maxima in ``best``, (n, c), by those over every row that can be one."""
        assert self._pass is not None  # noqa: S101 - `scores` made one
        self.repairs += unproved.size
        token = unproved // len(self)
        reached = best.ravel()[unproved]
        pair, row = self._pass.rows_from(unproved, reached - self._slack(query)[token])
        vectors = self._candidates.rows.take(row, axis=0)
        exact = np.einsum("kd,kd->k", vectors, query[token[pair]])
        starts = _starts(pair)
        top = np.maximum.reduceat(exact, starts)
        ends = [*starts[1:].tolist(), exact.size]
        for place in np.flatnonzero(top > reached).tolist():
            winner = starts[place] + exact[starts[place] : ends[place]].argmax()
            best.flat[unproved[place]] = exact[winner]
            self._active.replace_winner(int(unproved[place]), vectors[winner])


@dataclass(frozen=True, slots=True)
class _Pass:
    """Every row's similarities at one base query.

    Attributes:
        base: b, shape (n, d).
        norms: ‖bⱼ‖, shape (n,).
        similarities: shape (n, P), C order.
        best: the maximum per query row and candidate, shape (n, c).
        candidates: the rows.
    """

    base: Floats
    norms: Floats
    similarities: Floats
    best: Floats
    candidates: Stacked

    @classmethod
    def of(cls, base: Floats, similarities: Floats, candidates: Stacked) -> _Pass:
        best = np.maximum.reduceat(similarities, candidates.offsets[:-1], axis=1)
        return cls(base.copy(), _norms(base), similarities, best, candidates)

    def activate(self, margin: float) -> _ActiveSet:
        """Gather the rows within ``margin`` of the maximum, or of half of it while they are too many."""
        lengths = self.candidates.lengths
        limit = max(_LARGEST_SHARE * self.similarities.size, _FEWEST * self.best.size)
        while True:
            least = (self.best - margin).astype(self.best.dtype)
            chosen = np.flatnonzero(self.similarities >= np.repeat(least, lengths, axis=1))
            if chosen.size <= limit or margin < np.finfo(self.best.dtype).eps:
                break
            margin /= 2
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
    """The gathered rows, ordered by query row and candidate, and who is ahead in each pair of these."""

    def __init__(self, rows: Floats, counts: Indices, ceilings: Floats) -> None:
        """Take the rows over.

        Args:
            rows: shape (k, d).
            counts: rows per (query row, candidate) pair, shape (n · c,), each at least 1.
            ceilings: what no inactive row exceeds at the base, shape (n, c); −∞ where there is none.
        """
        tokens, candidates = ceilings.shape
        ends = np.cumsum(counts)
        self._rows = rows
        self._ends = ends
        self._starts = ends - counts
        self._bounds = [0, *ends[candidates - 1 :: candidates].tolist()]
        self._similarities = np.empty(len(rows), dtype=rows.dtype)
        self._ahead = self._starts.copy()
        self._outdated = np.ones(counts.size, dtype=bool)
        self.ceilings = ceilings
        self.winners = np.empty((tokens, candidates, rows.shape[1]), dtype=rows.dtype)
        """The row of maximum similarity of each pair, shape (n, c, d), at the query scored last."""

    def maxima(self, query: Floats) -> Floats:
        """Return the largest inner product of each pair's active rows, (n, c), for a query of (n, d)."""
        similarities, bounds = self._similarities, self._bounds
        for token, vector in enumerate(query):
            begin, end = bounds[token], bounds[token + 1]
            np.dot(self._rows[begin:end], vector, out=similarities[begin:end])
        best = np.maximum.reduceat(similarities, self._starts)
        overtaken = np.flatnonzero((similarities[self._ahead] < best) | self._outdated)
        if overtaken.size:
            self._update(overtaken)
        maxima: Floats = best.reshape(self.ceilings.shape)
        return maxima

    def replace_winner(self, pair: int, vector: Floats) -> None:
        """Let a row from outside, shape (d,), be the winner of a pair until the next scoring."""
        self._flat_winners()[pair] = vector
        self._outdated[pair] = True

    def _update(self, pairs: Indices) -> None:
        for pair in pairs.tolist():
            begin = self._starts[pair]
            self._ahead[pair] = begin + self._similarities[begin : self._ends[pair]].argmax()
        self._flat_winners()[pairs] = self._rows[self._ahead[pairs]]
        self._outdated[pairs] = False

    def _flat_winners(self) -> Floats:
        """Return the winners as (n · c, d), a view."""
        flat: Floats = self.winners.reshape(-1, self.winners.shape[-1])
        return flat


def _norms(rows: Floats) -> Floats:
    """Return the length of each row: (n, d) → (n,)."""
    norms: Floats = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return norms


def _starts(sorted_numbers: Indices) -> Indices:
    """Return the positions at which a new value starts in a sorted array of shape (k,), k ≥ 1."""
    first = np.ones(sorted_numbers.size, dtype=bool)
    np.not_equal(sorted_numbers[1:], sorted_numbers[:-1], out=first[1:])
    return np.flatnonzero(first)
