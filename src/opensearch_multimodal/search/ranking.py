"""Fuse, refine and cut: from exact scores to an order. Pure functions, nothing is asked of the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from ..fusion import fuse
from ..mappings import Profile, Refine, Statistics
from ..refinement import Options, Refinement, refine
from ..types import Candidate, FloatArray
from .scoring import NO_VECTOR, FieldVectors, StoredVectors
from .statistics import scales

__all__ = ["fuse_candidates", "order", "refine_candidates"]

_NOTHING_LEARNT = Statistics()


def fuse_candidates(
    candidates: Sequence[Candidate],
    profile: Profile,
    weights: Mapping[str, float],
    statistics: Statistics = _NOTHING_LEARNT,
) -> None:
    """Set every candidate's fused score, and the score that orders it, in place.

    Args:
        candidates: with exact scores of every field in ``weights``.
        profile: names the normalization and the combination.
        weights: scored field → weight.
        statistics: what was learnt of the collection.

    Raises:
        InvalidInput: the normalization needs statistics that were not learnt.
    """
    if len(weights) == 1:
        (name,) = weights
        for candidate in candidates:
            candidate.score = candidate.scores[name]
        return
    fused = _fuse(candidates, profile, weights, statistics)
    for candidate, score in zip(candidates, fused.tolist(), strict=True):
        candidate.fused = candidate.score = score


def refine_candidates(
    candidates: Sequence[Candidate],
    profile: Profile,
    weights: Mapping[str, float],
    query: FloatArray,
    vectors: StoredVectors,
    statistics: Statistics = _NOTHING_LEARNT,
    *,
    known: Refinement | None = None,
) -> Refinement | None:
    """Refine the primary retriever's query on the best candidates and rescore them (GQR, arXiv 2510.05038).

    The scores of the head are set in place. The others keep their order below it: rescoring them by a query
    that was refined without them ranks worse.

    Args:
        candidates: in their present order.
        profile: with a ``refine`` stage.
        weights: scored field → weight.
        query: the primary's query, (d,) or (n, d) float32.
        vectors: the candidates' stored vectors of the primary field.
        statistics: what was learnt of the collection.
        known: what an earlier call returned for the same candidates and the same settings but
            ``fused_share``; it is used again.

    Returns:
        The refinement, or None if fewer than two candidates have the primary's vector.
    """
    settings = profile.refine
    assert settings is not None  # noqa: S101 - the caller looked
    head = [c for c in candidates if c.scores[settings.primary] != NO_VECTOR][: settings.depth]
    if len(head) < 2:
        return None
    refined = known or _refine(head, profile, weights, query, vectors[settings.primary], statistics)
    if refined.skipped is None:
        for candidate, score in zip(head, refined.scores.tolist(), strict=True):
            candidate.refined = candidate.score = score
        if settings.fused_share > 0:
            _blend(head, settings.fused_share)
        _move_below(min(c.score for c in head), [c for c in candidates if c.refined is None])
    return refined


def _refine(
    head: Sequence[Candidate],
    profile: Profile,
    weights: Mapping[str, float],
    query: FloatArray,
    stored: FieldVectors,
    statistics: Statistics,
) -> Refinement:
    settings = profile.refine
    assert settings is not None  # noqa: S101 - the caller looked
    vectors, similarities = stored.of(head)
    guides, shares = _complementary(head, profile, settings, weights, statistics)
    return refine(query, vectors, guides, similarities=similarities, **_options(settings, shares))


def _options(settings: Refine, weights: Sequence[float] | None) -> Options:
    """Return what the profile sets; the rest has the defaults of `refine`."""
    names = ("steps", "mix", "budget", "target")
    given = {name: value for name in names if (value := getattr(settings, name)) is not None}
    return cast("Options", {**given, "weights": weights})


def _blend(head: Sequence[Candidate], fused_share: float) -> None:
    """Average the refined and the fused scores, both normalized over the refined candidates."""
    scores = {
        "refined": np.array([candidate.refined for candidate in head], dtype=np.float64),
        "fused": np.array([candidate.fused for candidate in head], dtype=np.float64),
    }
    blended = fuse(
        scores,
        normalization="min_max",
        combination="arithmetic_mean",
        weights={"refined": 1 - fused_share, "fused": fused_share},
    )
    for candidate, score in zip(head, blended.tolist(), strict=True):
        candidate.score = score


def _move_below(floor: float, rest: Sequence[Candidate]) -> None:
    """Shift scores so that the best of ``rest`` is not above ``floor``; their order stays."""
    shift = floor - max((candidate.score for candidate in rest), default=floor)
    for candidate in rest:
        candidate.score += shift


def order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates best first, those without any score left out; ties are broken by id."""
    scored = [candidate for candidate in candidates if candidate.score != NO_VECTOR]
    return sorted(scored, key=lambda c: (-c.score, c.refined is None, c.id, c.index))


def _complementary(
    head: Sequence[Candidate],
    profile: Profile,
    settings: Refine,
    weights: Mapping[str, float],
    statistics: Statistics,
) -> tuple[npt.NDArray[np.float64], list[float] | None]:
    """Return what guides the refinement: scores, (c,) or (r, c), and the weights of several retrievers."""
    names = [name for name in settings.complementary if name in weights]
    if len(names) == 1:
        return _scores(head, names[0]), None
    if settings.guide == "fusion":
        return _fuse(head, profile, {name: weights[name] for name in names}, statistics), None
    return np.stack([_scores(head, name) for name in names]), [weights[name] for name in names]


def _fuse(
    candidates: Sequence[Candidate], profile: Profile, weights: Mapping[str, float], statistics: Statistics
) -> npt.NDArray[np.float64]:
    fusion = profile.fusion
    assert fusion is not None  # noqa: S101 - a profile with several scored fields has it
    finders = {name for candidate in candidates for name in candidate.found} & set(weights)
    return fuse(
        {name: _scores(candidates, name) for name in weights},
        normalization=fusion.normalization,
        combination=fusion.combination,
        weights=weights,
        rank_constant=fusion.rank_constant,
        missing=fusion.missing,
        found={name: np.array([name in candidate.found for candidate in candidates]) for name in finders},
        statistics=scales(candidates, weights, statistics) if fusion.normalization == "collection" else None,
    )


def _scores(candidates: Sequence[Candidate], name: str) -> npt.NDArray[np.float64]:
    return np.array([candidate.scores[name] for candidate in candidates], dtype=np.float64)
