"""Refine queries on their candidates: check, descend, guard, report.

The gradient is closed: with p = softmax(s / T₁), dKL(m ‖ p)/ds = (p − m) / T₁ for a fixed target m (see
`targets` for the one that moves), and ds/dq is the candidate itself (single vector) or, for each query row,
the candidate's row of maximum similarity (MaxSim).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, Unpack, cast

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from ..maxsim import Stacked, stack
from ..types import FloatArray, check_multi_vector, check_vector
from .active_set import MaxSimTracker
from .descent import MultiVectorScorer, Scorer, SingleVectorScorer, minimise
from .options import Options, Settings
from .targets import Doubles, divergence, joined, make_target, softmax

__all__ = ["Candidates", "Refinement", "refine", "refine_many"]

Candidates: TypeAlias = Stacked | Sequence[npt.ArrayLike] | npt.NDArray[Any]
"""For one vector: shape (c, d). For (n, d): c arrays of shape (pᵢ, d), one of (c, p, d), or `Stacked`."""

_NO_SIGNAL = 1e-5  # relative differences between probabilities below this are rounding
_STEPS_BETWEEN_PASSES = 8  # that the tracker of multi-vectors is made ready for
_ROUNDING = 1e-3  # of a budget


@dataclass(frozen=True, slots=True)
class Refinement:
    """What `refine` did.

    Attributes:
        query: the refined query, float32, of the shape given; a copy of it where nothing was done.
        scores: shape (c,), float32: similarities of the refined query with the same candidates.
        base_scores: shape (c,), float32: similarities of the query as given.
        target: shape (c,), float64: m, recomputed ones at the refined query; empty where there is none.
        divergence_before: KL(m ‖ softmax(base_scores / T₁)), in nats.
        divergence_after: KL(m ‖ softmax(scores / T₁)).
        drift: ‖query − given‖ / ‖given‖ (Frobenius norm).
        steps: how many were taken.
        learning_rate: the step length used.
        complementary_temperatures: the T₂ of each complementary retriever, 0 for one without a say.
        skipped: why the query stayed, or None. What a dropped refinement had reached is still told by the
            divergences, the drift and the steps.
    """

    query: FloatArray
    scores: FloatArray
    base_scores: FloatArray
    target: Doubles
    divergence_before: float = 0.0
    divergence_after: float = 0.0
    drift: float = 0.0
    steps: int = 0
    learning_rate: float = 0.0
    complementary_temperatures: tuple[float, ...] = ()
    skipped: str | None = None


def refine(
    query: npt.ArrayLike,
    candidates: Candidates,
    complementary_scores: npt.ArrayLike,
    *,
    similarities: npt.ArrayLike | None = None,
    **options: Unpack[Options],
) -> Refinement:
    """Refine one query on its candidates and score them again, by the same vectors.

    Args:
        query: shape (d,), one vector, or (n, d), one token vector per row; unit rows.
        candidates: see `Candidates`; unit rows, or nearly so (as int8 and bits are when they are decoded).
        complementary_scores: shape (c,): another retriever's scores of the same candidates, in their order;
            −∞ where it has no score for one. Or (r, c), one row for each of several retrievers.
        similarities: inner products of the query with the candidates, where they are known exactly: shape
            (c,), or (P, n) for multi-vectors of P rows in all. They are not computed again.
        options: see `Options`.

    Raises:
        InvalidInput: a wrong shape, a value that is not finite, or an option outside its range.
    """
    known = None if similarities is None else [similarities]
    return refine_many([query], [candidates], [complementary_scores], similarities=known, **options)[0]


def refine_many(
    queries: Sequence[npt.ArrayLike],
    candidates: Sequence[Candidates],
    complementary_scores: Sequence[npt.ArrayLike],
    *,
    similarities: Sequence[npt.ArrayLike | None] | None = None,
    **options: Unpack[Options],
) -> list[Refinement]:
    """Refine each query on its own candidates, with the same results as `refine` one by one.

    Queries of one vector with equally many candidates descend together, which costs a fraction of the time.

    Args:
        queries: b queries.
        candidates: the candidates of each.
        complementary_scores: of each.
        similarities: of each, or None.
        options: see `Options`; they hold for all.

    Raises:
        InvalidInput: as in `refine`, or lists of different lengths.
    """
    known = similarities if similarities is not None else [None] * len(queries)
    if not len(queries) == len(candidates) == len(complementary_scores) == len(known):
        raise InvalidInput(
            f"{len(queries)} queries, {len(candidates)} sets of candidates, {len(complementary_scores)} of "
            f"complementary scores and {len(known)} of similarities: there must be equally many"
        )
    settings = Settings(**options)
    tasks = [
        _prepare(*each, settings)
        for each in zip(queries, candidates, complementary_scores, known, strict=True)
    ]
    groups: dict[Any, list[int]] = {}
    for position, task in enumerate(tasks):
        if task.skipped is None:
            alone = position if isinstance(task.candidates, MaxSimTracker) else None
            groups.setdefault((task.start.shape, task.base.size, alone), []).append(position)
    done: dict[int, Refinement] = {}
    for group in groups.values():
        done.update(zip(group, _descend([tasks[position] for position in group], settings), strict=True))
    return [
        done[position]
        if position in done
        else Refinement(task.start.copy(), task.base, task.base.copy(), np.empty(0), skipped=task.skipped)
        for position, task in enumerate(tasks)
    ]


@dataclass(frozen=True, slots=True)
class _Task:
    """One query, ready to descend, or skipped.

    Attributes:
        start: the query as given, (d,) or (n, d), float32.
        candidates: (c, d) float32, or a tracker.
        base: s₁, (c,) float32.
        part: what `make_target` returned, (c,).
        temperatures: T₂ per complementary retriever.
        skipped: why it will not descend.
    """

    start: FloatArray
    candidates: FloatArray | MaxSimTracker
    base: FloatArray
    part: Doubles
    temperatures: tuple[float, ...]
    skipped: str | None


def _prepare(
    query: npt.ArrayLike,
    candidates: Candidates,
    complementary_scores: npt.ArrayLike,
    similarities: npt.ArrayLike | None,
    settings: Settings,
) -> _Task:
    rank = np.ndim(query)
    if rank not in (1, 2):
        raise InvalidInput(f"query: expected shape (d,) or (n, d), got shape {np.shape(query)}")
    one = rank == 1
    start = check_vector("query", query) if one else check_multi_vector("query", query)
    vectors = _single_vectors(start, candidates) if one else _multi_vectors(start, candidates)
    count = len(vectors)
    others = _check_scores(complementary_scores, count)
    shares = _check_weights(settings.weights, len(others))
    expected = (count,) if isinstance(vectors, np.ndarray) else (len(vectors.rows), len(start))
    known = _check_similarities(similarities, expected)
    base = np.empty(0, dtype=np.float32)
    compared: FloatArray | MaxSimTracker
    if isinstance(vectors, np.ndarray):
        compared = vectors
        if count:
            base = vectors @ start if known is None else known.copy()
    else:
        reach = _STEPS_BETWEEN_PASSES * settings.rate(start.shape) * math.sqrt(start.shape[1])
        compared = MaxSimTracker(vectors, reach=reach, similarities=known)
        if count:
            base = compared.scores(start).astype(np.float32)
    temperatures = _temperatures(base, others, settings)
    skipped, part = _reason_to_skip(base, others, settings, temperatures), np.empty(0)
    if skipped is None:
        speaks = temperatures > 0
        logits = base / np.float64(settings.temperature)
        guides = others[speaks] / temperatures[speaks, None]
        weights = shares[speaks] / shares[speaks].sum()
        part = make_target(settings.target, logits, guides, weights, settings.mix)
        skipped = _reason_to_stay(joined(settings.target, part[None], settings.mix).at(logits[None]), logits)
    return _Task(start, compared, base, part, tuple(temperatures.tolist()), skipped)


def _descend(tasks: Sequence[_Task], settings: Settings) -> list[Refinement]:
    """Refine queries of one shape with equally many candidates."""
    start: npt.NDArray[Any] = np.stack([task.start for task in tasks])
    first = tasks[0].candidates
    scorer: Scorer
    if isinstance(first, MaxSimTracker):
        start = start.astype(np.float64)
        scorer = MultiVectorScorer(first)
    else:
        vectors = [cast("FloatArray", task.candidates) for task in tasks]
        scorer = SingleVectorScorer(np.stack(vectors) if len(vectors) > 1 else vectors[0][None])
    target = joined(settings.target, np.stack([task.part for task in tasks]), settings.mix)
    rate = settings.rate(start.shape[1:])
    queries, taken = minimise(
        scorer,
        start,
        target,
        temperature=settings.temperature,
        steps=settings.steps,
        rate=rate,
        tolerance=settings.tolerance,
    )
    scores = scorer.scores(queries).astype(np.float32)
    before = np.stack([task.base for task in tasks]) / np.float64(settings.temperature)
    after = scores / np.float64(settings.temperature)
    goals = target.at(after)
    distances = divergence(target.at(before), before), divergence(goals, after)
    drifts = np.linalg.norm(_flat(queries - start), axis=1) / np.linalg.norm(_flat(start), axis=1)
    limit = settings.limit(start.ndim - 1)
    results = []
    for i, task in enumerate(tasks):
        far, near = float(distances[0][i]), float(distances[1][i])
        drift = float(drifts[i])
        dropped = _reason_to_drop(drift, limit, far, near)
        results.append(
            Refinement(
                query=queries[i].astype(np.float32) if dropped is None else task.start.copy(),
                scores=scores[i] if dropped is None else task.base.copy(),
                base_scores=task.base,
                target=goals[i],
                divergence_before=far,
                divergence_after=near,
                drift=drift,
                steps=int(taken[i]),
                learning_rate=rate,
                complementary_temperatures=task.temperatures,
                skipped=dropped,
            )
        )
    return results


def _flat(queries: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return queries.reshape(len(queries), -1)


def _single_vectors(start: FloatArray, candidates: Candidates) -> FloatArray:
    if isinstance(candidates, Stacked):
        raise InvalidInput(
            "candidates: a query of one vector needs an array of shape (c, d), got multi-vectors"
        )
    if len(candidates) == 0:
        return np.empty((0, start.size), dtype=np.float32)
    vectors = check_multi_vector("candidates", cast("npt.ArrayLike", candidates))
    _check_dimension(start, vectors.shape[1])
    return vectors


def _multi_vectors(start: FloatArray, candidates: Candidates) -> Stacked:
    stacked = candidates if isinstance(candidates, Stacked) else stack(candidates)
    if len(stacked):
        _check_dimension(start, stacked.dimension)
    return stacked


def _check_dimension(start: FloatArray, dimension: int) -> None:
    if dimension != start.shape[-1]:
        raise InvalidInput(f"query: dimension {start.shape[-1]}, but the candidates have {dimension}")


def _check_scores(scores: npt.ArrayLike, count: int) -> Doubles:
    """Return the complementary scores as (r, c)."""
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim not in (1, 2) or array.shape[-1] != count or array.size == 0 < count:
        raise InvalidInput(
            f"complementary_scores: expected shape ({count},), one per candidate, or (r, {count}), "
            f"got shape {array.shape}"
        )
    if np.isnan(array).any() or np.isposinf(array).any():
        raise InvalidInput("complementary_scores: NaN and +∞ are not scores; −∞ means that there is none")
    return array.reshape(-1, count) if count else np.empty((1, 0))


def _check_weights(weights: Sequence[float] | None, count: int) -> Doubles:
    """Return the weights of the complementary retrievers, shape (r,)."""
    if weights is None:
        return np.ones(count)
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (count,):
        raise InvalidInput(f"weights: shape {array.shape}, but there are scores of {count} retrievers")
    if not (np.isfinite(array) & (array > 0)).all():
        raise InvalidInput(f"weights: {array.tolist()}, finite numbers greater than 0 are required")
    return array


def _check_similarities(similarities: npt.ArrayLike | None, shape: tuple[int, ...]) -> FloatArray | None:
    if similarities is None:
        return None
    array = np.asarray(similarities, dtype=np.float32)
    if array.shape != shape:
        raise InvalidInput(f"similarities: expected shape {shape}, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise InvalidInput("similarities: every inner product must be finite")
    return array


def _temperatures(base: FloatArray, others: Doubles, settings: Settings) -> Doubles:
    """Return T₂ for each complementary retriever, shape (r,); 0 for one that has nothing to say.

    They are matched, T₁ · σ₂ / σ₁, so that all retrievers speak equally loud.
    """
    first = float(base.std(dtype=np.float64)) if base.size else 0.0
    temperatures = np.zeros(len(others))
    for r, row in enumerate(others):
        scored = row[np.isfinite(row)]
        if scored.size == 0:
            continue
        if settings.complementary_temperature is not None:
            temperatures[r] = settings.complementary_temperature
        elif first > 0:
            temperatures[r] = settings.temperature * float(scored.std()) / first
    return temperatures


def _reason_to_skip(
    base: FloatArray, others: Doubles, settings: Settings, temperatures: Doubles
) -> str | None:
    if len(base) < 2:
        return f"{len(base)} candidates, at least 2 are needed"
    if settings.mix == 0:
        return "the mix is 0: the complementary retriever has no say"
    if not np.isfinite(others).any():
        return "the complementary retriever scored no candidate"
    if not temperatures.any():
        return "the candidates' scores have no spread"
    return None


def _reason_to_stay(target: Doubles, logits: Doubles) -> str | None:
    """Return why this target, shape (1, c), gives no direction to go."""
    if np.ptp(target) <= _NO_SIGNAL * target.max():
        return "the target has no spread"
    present = softmax(logits)
    if np.abs(target - present).max() <= _NO_SIGNAL * present.max():
        return "both retrievers agree on these candidates"
    return None


def _reason_to_drop(drift: float, limit: float, before: float, after: float) -> str | None:
    if not drift <= limit * (1 + _ROUNDING):
        return f"the query drifted by {drift:.3g}, further than its budget of {limit:g}"
    if not after < before:
        return f"the query moved away from its target (divergence {before:.3g} → {after:.3g})"
    return None
