"""What a search returns: hits, with an account of every stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .cut import CutPoint

__all__ = ["DocumentHit", "Hit", "SearchResult"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One result.

    Attributes:
        id: the record's ``_id``.
        index: the concrete index it lives in.
        score: what orders the hits; higher is better, comparable within one result only.
        source: the record without its vectors and image.
        snippet: the part of the text that answers best, plain text.
        link: where to look at the page, or None.
        stages: ``modality``, ``first_stage`` (retriever → rank and score), ``scores`` (field → exact score),
            ``fused``, ``refined`` (``before`` and ``after``), ``reranked`` (``rank_before`` and ``score``).
    """

    id: str
    index: str
    score: float
    source: Mapping[str, Any]
    snippet: str
    link: str | None
    stages: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the hit as ``osmm search --json`` prints it."""
        return {
            "id": self.id,
            "index": self.index,
            "score": self.score,
            "source": dict(self.source),
            "snippet": self.snippet,
            "link": self.link,
            "stages": dict(self.stages),
        }


@dataclass(frozen=True, slots=True)
class DocumentHit:
    """A document with its best pages.

    Attributes:
        id: its ``document_id``.
        index: the concrete index it lives in.
        score: what orders the documents; comparable within one result only.
        pages: its best pages, the best first.
    """

    id: str
    index: str
    score: float
    pages: tuple[Hit, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document as ``osmm search --json`` prints it."""
        pages = [page.to_json() for page in self.pages]
        return {"id": self.id, "index": self.index, "score": self.score, "pages": pages}


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Ranked hits, best first.

    Attributes:
        hits: at most k.
        timings_ms: stage → milliseconds, and ``total``.
        candidates: size of the union of the first stage.
        notes: what a stage left out and why, one sentence each.
        composition: of a composed question, per part what it is, its weight, and what it is to each field;
            None for a plain question.
        documents: the best documents with their best pages, None where the profile has no such stage.
        cut: where the list was cut and why, None where the profile does not cut.
    """

    hits: tuple[Hit, ...]
    timings_ms: Mapping[str, float]
    candidates: int
    notes: tuple[str, ...]
    composition: tuple[Mapping[str, Any], ...] | None = None
    documents: tuple[DocumentHit, ...] | None = None
    cut: CutPoint | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as ``osmm search --json`` prints it."""
        return {
            "hits": [hit.to_json() for hit in self.hits],
            "timings_ms": dict(self.timings_ms),
            "candidates": self.candidates,
            "notes": list(self.notes),
            "composition": None if self.composition is None else [dict(part) for part in self.composition],
            "documents": None if self.documents is None else [one.to_json() for one in self.documents],
            "cut": self.cut.to_json() if self.cut else None,
        }
