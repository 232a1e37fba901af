"""Answer questions: first stage, exact scores, fusion, refinement, cut; and learn from an index's scores."""

from .calibration import (
    Question,
    learn_relevance,
    learn_scores,
    questions_from,
    sample_records,
    with_statistics,
)
from .compose import MAX_IMAGES
from .cut import CutPoint
from .first_stage import late_interaction_clause
from .presentation import look_up
from .replay import Refinements, ScoredQuestion, rank
from .request import MAX_RESULTS, Request, metadata_filter
from .result import DocumentHit, Hit, SearchResult
from .searcher import Searcher

__all__ = [
    "MAX_IMAGES",
    "MAX_RESULTS",
    "CutPoint",
    "DocumentHit",
    "Hit",
    "Question",
    "Refinements",
    "Request",
    "ScoredQuestion",
    "SearchResult",
    "Searcher",
    "late_interaction_clause",
    "learn_relevance",
    "learn_scores",
    "look_up",
    "metadata_filter",
    "questions_from",
    "rank",
    "sample_records",
    "with_statistics",
]
