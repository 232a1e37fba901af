"""Adam down the divergence between a target and a query's distribution over its candidates."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from .active_set import MaxSimTracker
from .targets import Target

__all__ = ["MultiVectorScorer", "Scorer", "SingleVectorScorer", "minimise"]

Floats: TypeAlias = npt.NDArray[Any]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Adam's own defaults (arXiv:1412.6980)


class Scorer(Protocol):
    """Similarities of b queries with c candidates each, and their gradient at the queries scored last."""

    def scores(self, queries: Floats) -> Floats:
        """Return s, shape (b, c), of queries of shape (b, d) or (b, n, d)."""
        ...

    def gradient(self, weights: Floats) -> Floats:
        """Return Σᵢ weightsᵢ · dsᵢ/dq, of the queries' shape, for weights of shape (b, c)."""
        ...


class SingleVectorScorer:
    """Inner products with one vector per candidate."""

    def __init__(self, candidates: Floats) -> None:
        """Take candidates of shape (b, c, d)."""
        self._candidates = candidates

    def scores(self, queries: Floats) -> Floats:
        """Return s, shape (b, c), of queries of shape (b, d)."""
        scores: Floats = np.matmul(self._candidates, queries[:, :, None])[:, :, 0]
        return scores

    def gradient(self, weights: Floats) -> Floats:
        """Return Σᵢ weightsᵢ · candidateᵢ, shape (b, d)."""
        gradient: Floats = np.matmul(weights[:, None, :], self._candidates)[:, 0, :]
        return gradient


class MultiVectorScorer:
    """MaxSim of one query: b = 1."""

    def __init__(self, tracker: MaxSimTracker) -> None:
        """Take a tracker of the candidates."""
        self._tracker = tracker

    def scores(self, queries: Floats) -> Floats:
        """Return s, shape (1, c), float64, of a query of shape (1, n, d)."""
        return self._tracker.scores(queries[0])[None]

    def gradient(self, weights: Floats) -> Floats:
        """Return the gradient, shape (1, n, d)."""
        return self._tracker.gradient(weights[0])[None]


def minimise(
    scorer: Scorer,
    start: Floats,
    target: Target,
    *,
    temperature: float,
    steps: int,
    rate: float,
    tolerance: float,
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Take up to ``steps`` steps of Adam (Kingma and Ba, 2015, arXiv:1412.6980) for b queries at once.

    Every query is on its own: what it does, and when it stops, does not depend on the others. Works in the
    dtype of ``start``, which stays unchanged.

    Args:
        scorer: the candidates.
        start: the queries, shape (b, d) or (b, n, d).
        target: what their distributions are drawn to.
        temperature: T₁.
        steps: at most so many.
        rate: the step length.
        tolerance: a query stops where the gradient at its scores has become so small a share of that at the
            start (Euclidean norms); 0 never stops.

    Returns:
        The queries, of the shape of ``start``, and the number of steps of each, shape (b,).
    """
    queries, mean, square = start.copy(), np.zeros_like(start), np.zeros_like(start)
    work, result = np.empty_like(start), start.copy()
    taken = np.full(len(start), steps, dtype=np.intp)
    going = np.ones(len(start), dtype=bool)
    enough = np.zeros(len(start))
    scaled = temperature != 1
    for t in range(1, steps + 1):
        logits = scorer.scores(queries).astype(np.float64)
        if scaled:
            logits /= temperature
        weights = target.gradient(logits)
        if tolerance > 0:
            squares = np.einsum("bc,bc->b", weights, weights)
            if t == 1:
                enough = tolerance**2 * squares
            elif (reached := going & (squares <= enough)).any():
                result[reached], taken[reached], going[reached] = queries[reached], t - 1, False
                if not going.any():
                    return result, taken
        if scaled:
            weights /= temperature
        gradient = scorer.gradient(weights.astype(start.dtype, copy=False))
        # The means are kept without their factors 1 − β, which are constant and enter only here.
        mean *= _BETA1
        mean += gradient
        np.multiply(gradient, gradient, out=work)
        square *= _BETA2
        square += work
        np.sqrt(square, out=work)
        scale = ((1 - _BETA2) / (1 - _BETA2**t)) ** 0.5
        work += _EPSILON / scale
        np.divide(mean, work, out=work)
        work *= rate * (1 - _BETA1) / ((1 - _BETA1**t) * scale)
        queries -= work
    result[going] = queries[going]
    return result, taken
