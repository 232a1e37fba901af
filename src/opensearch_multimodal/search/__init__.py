"""Answer questions: first stage, exact scores, fusion, refinement, cut."""

from .request import Request, metadata_filter
from .result import Hit, SearchResult
from .searcher import Searcher

__all__ = ["Hit", "Request", "SearchResult", "Searcher", "metadata_filter"]
