"""Guided query refinement (GQR): move the query's vectors towards what a second retriever knows.

Uzan and others, "Guided Query Refinement: Multimodal Hybrid Retrieval with Test-Time Optimization",
2025, arXiv:2510.05038. The target is the fixed mixture of the two retrievers' distributions over the same
candidates, m = (1 − a)·softmax(primary / T₁) + a·softmax(complementary / T₂); Adam minimises
KL(m ‖ softmax(s(q) / T₁)) over the query q, and the refined query scores the candidates again.

The gradient is closed: with p = softmax(s / T₁), dL/ds = (p − m) / T₁, and ds/dq is the candidate itself
(single vector) or, for each query row, the candidate's row of maximum similarity (MaxSim).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from .errors import InvalidInput
from .maxsim import MaxSimTracker, Stacked, stack
from .types import FloatArray, check_multi_vector, check_vector

__all__ = ["MULTI_VECTOR_BUDGET", "SINGLE_VECTOR_BUDGET", "Refinement", "refine"]

SINGLE_VECTOR_BUDGET = 0.5
"""Default budget for one vector per candidate."""

MULTI_VECTOR_BUDGET = 0.3
"""Default budget for each row of a multi-vector query."""

Floats: TypeAlias = npt.NDArray[Any]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Adam's own defaults (arXiv:1412.6980)
_NO_SIGNAL = 1e-6  # differences between target and start below this are rounding


@dataclass(frozen=True, slots=True)
class Refinement:
    """What `refine` did.

    Attributes:
        query: the refined query, float32, of the shape given; a copy of it where nothing was done.
        scores: shape (c,), float32: similarities of the refined query with the same candidates.
        base_scores: shape (c,), float32: similarities of the query as given.
        target: shape (c,), float64: the mixture m; empty where nothing was done.
        divergence_before: KL(m ‖ softmax(base_scores / T₁)), in nats.
        divergence_after: KL(m ‖ softmax(scores / T₁)).
        drift: ‖query − given‖ / ‖given‖ (Frobenius norm).
        learning_rate: the step length used.
        complementary_temperature: the T₂ used.
        skipped: why nothing was done, or None.
    """

    query: FloatArray
    scores: FloatArray
    base_scores: FloatArray
    target: npt.NDArray[np.float64]
    divergence_before: float = 0.0
    divergence_after: float = 0.0
    drift: float = 0.0
    learning_rate: float = 0.0
    complementary_temperature: float = 0.0
    skipped: str | None = None


def refine(
    query: npt.ArrayLike,
    candidates: Stacked | Sequence[npt.ArrayLike] | npt.NDArray[Any],
    complementary_scores: npt.ArrayLike,
    *,
    steps: int = 25,
    mix: float = 0.5,
    budget: float | None = None,
    temperature: float = 1.0,
    complementary_temperature: float | None = None,
    learning_rate: float | None = None,
) -> Refinement:
    """Refine one query on its candidates and score them again.

    Args:
        query: shape (d,), one vector, or (n, d), one token vector per row; unit rows.
        candidates: for one vector: shape (c, d), one unit vector per row. For (n, d): c arrays of shape
            (pᵢ, d), an array of shape (c, p, d), or a `Stacked`.
        complementary_scores: shape (c,): the other retriever's scores of the same candidates, in the same
            order; −∞ where it has no score for one.
        steps: steps of Adam, at least 1.
        mix: the share a of the complementary retriever in the target, 0–1.
        budget: how far a vector may move in all, B = learning rate · steps · √d. A fixed learning rate does
            not transfer between dimensions, a budget does. None: `SINGLE_VECTOR_BUDGET` or
            `MULTI_VECTOR_BUDGET`.
        temperature: T₁.
        complementary_temperature: T₂; None matches it: T₁ · σ₂ / σ₁, the standard deviations of the two
            retrievers' scores over these candidates.
        learning_rate: overrides ``budget``.

    Raises:
        InvalidInput: a wrong shape, a value that is not finite, or an option outside its range.
    """
    scorer, start = _scorer(query, candidates)
    other = _check_scores(complementary_scores, len(scorer))
    _check_options(steps, mix, budget, temperature, complementary_temperature, learning_rate)
    base = scorer.scores(start) if len(scorer) else np.empty(0, dtype=np.float32)
    second = complementary_temperature or _matched_temperature(base, other, temperature)
    reason = _reason_to_skip(base, other, mix, second)
    if reason is None:
        target = (1 - mix) * _softmax(base / temperature) + mix * _softmax(other / second)
        if np.abs(target - _softmax(base / temperature)).max() <= _NO_SIGNAL:
            reason = "both retrievers agree on these candidates"
    if reason is not None:
        return Refinement(start.copy(), base, base.copy(), np.empty(0), skipped=reason)
    if budget is None:
        budget = SINGLE_VECTOR_BUDGET if start.ndim == 1 else MULTI_VECTOR_BUDGET
    rate = learning_rate or budget / (steps * math.sqrt(start.shape[-1]))
    refined = _minimise(scorer, start, target, temperature, steps, rate)
    scores = scorer.scores(refined)
    return Refinement(
        query=refined,
        scores=scores,
        base_scores=base,
        target=target,
        divergence_before=_divergence(target, base / temperature),
        divergence_after=_divergence(target, scores / temperature),
        drift=float(np.linalg.norm(refined - start) / np.linalg.norm(start)),
        learning_rate=rate,
        complementary_temperature=second,
    )


class _Scorer(Protocol):
    """Similarities of a query with fixed candidates, and their gradient at the query scored last."""

    def __len__(self) -> int: ...

    def scores(self, query: Floats) -> Floats: ...

    def gradient(self, weights: Floats) -> Floats: ...


class _SingleVector:
    """Inner products with one vector per candidate, shape (c, d)."""

    def __init__(self, candidates: Floats) -> None:
        self._candidates = candidates

    def __len__(self) -> int:
        return len(self._candidates)

    def scores(self, query: Floats) -> Floats:
        """Return s, shape (c,)."""
        scores: Floats = self._candidates @ query
        return scores

    def gradient(self, weights: Floats) -> Floats:
        """Return Σᵢ wᵢ · dsᵢ/dq, shape (d,)."""
        gradient: Floats = weights @ self._candidates
        return gradient


def _minimise(
    scorer: _Scorer, start: Floats, target: Floats, temperature: float, steps: int, rate: float
) -> Floats:
    """Return the query after ``steps`` steps of Adam on KL(target ‖ softmax(scores / temperature)).

    Works in the dtype of ``start``, which stays unchanged.
    """
    query, mean, square = start.copy(), np.zeros_like(start), np.zeros_like(start)
    step, scratch = np.empty_like(start), np.empty_like(start)
    for t in range(1, steps + 1):
        weights = (_softmax(scorer.scores(query) / temperature) - target) / temperature
        gradient = scorer.gradient(weights.astype(start.dtype))
        mean *= _BETA1
        mean += np.multiply(gradient, 1 - _BETA1, out=scratch)
        square *= _BETA2
        square += np.multiply(np.multiply(gradient, gradient, out=scratch), 1 - _BETA2, out=scratch)
        np.sqrt(np.divide(square, 1 - _BETA2**t, out=scratch), out=scratch)
        scratch += _EPSILON
        query -= np.divide(np.multiply(mean, rate / (1 - _BETA1**t), out=step), scratch, out=step)
    return query


def _scorer(
    query: npt.ArrayLike, candidates: Stacked | Sequence[npt.ArrayLike] | npt.NDArray[Any]
) -> tuple[_Scorer, FloatArray]:
    rank = np.ndim(query)
    if rank not in (1, 2):
        raise InvalidInput(f"query: expected shape (d,) or (n, d), got shape {np.shape(query)}")
    scorer: _Scorer
    if rank == 1:
        if isinstance(candidates, Stacked):
            raise InvalidInput(
                "candidates: a query of one vector needs an array of shape (c, d), got multi-vectors"
            )
        start = check_vector("query", query)
        vectors = np.empty((0, start.size), dtype=np.float32)
        if len(candidates) > 0:
            vectors = check_multi_vector("candidates", cast("npt.ArrayLike", candidates))
        scorer, dimension = _SingleVector(vectors), vectors.shape[1]
    else:
        start = check_multi_vector("query", query)
        stacked = candidates if isinstance(candidates, Stacked) else stack(candidates)
        scorer, dimension = MaxSimTracker(stacked), stacked.dimension if len(stacked) else start.shape[1]
    if dimension != start.shape[-1]:
        raise InvalidInput(f"query: dimension {start.shape[-1]}, but the candidates have {dimension}")
    return scorer, start


def _check_scores(scores: npt.ArrayLike, count: int) -> npt.NDArray[np.float64]:
    array = np.asarray(scores, dtype=np.float64)
    if array.shape != (count,):
        raise InvalidInput(
            f"complementary_scores: expected shape ({count},), one per candidate, got shape {array.shape}"
        )
    if np.isnan(array).any() or np.isposinf(array).any():
        raise InvalidInput("complementary_scores: NaN and +∞ are not scores; −∞ means that there is none")
    return array


def _check_options(
    steps: int,
    mix: float,
    budget: float | None,
    temperature: float,
    complementary_temperature: float | None,
    learning_rate: float | None,
) -> None:
    if steps < 1:
        raise InvalidInput(f"steps: {steps}, at least 1 is required")
    if not 0 <= mix <= 1:
        raise InvalidInput(f"mix: {mix} is outside 0–1")
    positive = {
        "budget": budget,
        "temperature": temperature,
        "complementary_temperature": complementary_temperature,
        "learning_rate": learning_rate,
    }
    for name, value in positive.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise InvalidInput(f"{name}: {value}, a finite number greater than 0 is required")


def _matched_temperature(base: Floats, other: Floats, temperature: float) -> float:
    """Return T₂ = T₁ · σ₂ / σ₁, so that both retrievers speak equally loud; 0 where a spread is missing."""
    scored = other[np.isfinite(other)]
    first = float(base.std(dtype=np.float64)) if base.size else 0.0
    second = float(scored.std()) if scored.size else 0.0
    return temperature * second / first if first > 0 else 0.0


def _reason_to_skip(base: Floats, other: Floats, mix: float, complementary_temperature: float) -> str | None:
    if len(base) < 2:
        return f"{len(base)} candidates, at least 2 are needed"
    if mix == 0:
        return "the mix is 0: the complementary retriever has no say"
    if not np.isfinite(other).any():
        return "the complementary retriever scored no candidate"
    if complementary_temperature == 0:
        return "the candidates' scores have no spread"
    return None


def _softmax(logits: Floats) -> npt.NDArray[np.float64]:
    """Return the softmax of finite logits or −∞, computed in float64."""
    shifted = np.asarray(logits, dtype=np.float64)
    powers = np.exp(shifted - shifted.max())
    probabilities: npt.NDArray[np.float64] = powers / powers.sum()
    return probabilities


def _divergence(target: npt.NDArray[np.float64], logits: Floats) -> float:
    """Return KL(target ‖ softmax(logits)) in nats; 0 · log 0 is 0."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = shifted - shifted.max()
    log_probabilities = shifted - math.log(float(np.exp(shifted).sum()))
    positive = target > 0
    return float((target[positive] * (np.log(target[positive]) - log_probabilities[positive])).sum())
