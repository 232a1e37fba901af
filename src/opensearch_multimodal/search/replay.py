"""Rank a question again by another profile, from scores that were computed once; the cluster is not asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from ..mappings import IndexDescription, Profile
from ..refinement import Refinement
from ..types import Candidate
from .compose import Words
from .first_stage import QueryVectors
from .ranking import fuse_candidates, order, refine_candidates
from .scoring import NO_VECTOR, StoredVectors, mark_textless, scored_fields

__all__ = ["Refinements", "ScoredQuestion", "rank"]

Refinements = MutableMapping[Profile, Refinement]
"""Profile without its share of the fused scores → what its refinement of a question was."""


@dataclass(frozen=True, slots=True)
class ScoredQuestion:
    """A question with all that its first stage found.

    Attributes:
        candidates: with the exact score of every field that the profile scores; never changed.
        fields: those that score.
        vectors: vector field → the encoded query.
        words: the question in words, for BM25.
        finders: retriever → the field that it searched.
        stored: the candidates' vectors, where they were fetched.
    """

    candidates: tuple[Candidate, ...]
    fields: tuple[str, ...]
    vectors: QueryVectors
    words: Words | None
    finders: Mapping[str, str]
    stored: StoredVectors = field(default_factory=dict)


def rank(
    index: IndexDescription,
    question: ScoredQuestion,
    profile: Profile,
    refinements: Refinements | None = None,
) -> list[Candidate]:
    """Return what a search by this profile would rank, best first; reranking and cut are left out.

    Args:
        index: the index.
        question: found by a profile whose retrievers include this one's, with the same depths.
        profile: any weights, fusion and refinement of these retrievers.
        refinements: what earlier calls computed for this question, used again and added to: the refinement
            does not depend on the share of the fused scores that a profile keeps.

    Returns:
        Copies of those candidates that the profile's own retrievers found.

    Raises:
        InvalidInput: the fusion needs statistics that were not learnt.
    """
    searched = {retriever.field for retriever in profile.retrievers}
    finders = {name for name, searched_field in question.finders.items() if searched_field in searched}
    candidates = [one.copy() for one in question.candidates if not finders.isdisjoint(one.ranks)]
    weights = scored_fields(index, profile, question.vectors, question.words)
    if not candidates or not weights:
        return []
    _mark_anew(index, candidates, weights)
    statistics = index.meta.statistics
    fuse_candidates(candidates, profile, weights, statistics)
    ranked = order(candidates)
    settings = profile.refine
    if settings and settings.primary in weights and any(name in weights for name in settings.complementary):
        alike = profile.model_copy(update={"refine": settings.model_copy(update={"fused_share": 0.0})})
        refined = refine_candidates(
            ranked,
            profile,
            weights,
            question.vectors[settings.primary],
            question.stored,
            statistics,
            known=refinements.get(alike) if refinements is not None else None,
        )
        if refined is not None and refinements is not None:
            refinements[alike] = refined
        ranked = order(ranked)
    return ranked


def _mark_anew(index: IndexDescription, candidates: Sequence[Candidate], fields: Iterable[str]) -> None:
    """Tell records without text by the vectors of this profile alone, as its own search would."""
    for candidate in candidates:
        for name, score in candidate.scores.items():
            if name not in index.meta.fields and score == NO_VECTOR:
                candidate.scores[name] = 0.0
    mark_textless(index, candidates, [name for name in fields if name in index.meta.fields])
