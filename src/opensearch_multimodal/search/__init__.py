"""Answer questions: first stage, exact scores, fusion, refinement, cut."""

from .compose import MAX_IMAGES
from .first_stage import late_interaction_clause
from .request import Request, metadata_filter
from .result import DocumentHit, Hit, SearchResult
from .searcher import Searcher

__all__ = [
    "MAX_IMAGES",
    "DocumentHit",
    "Hit",
    "Request",
    "SearchResult",
    "Searcher",
    "late_interaction_clause",
    "metadata_filter",
]
