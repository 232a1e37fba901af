"""Documents from pages: ranked pages rolled up to the documents that they belong to.

A document's score is that of its best page, the sum of its n best, or the similarity of one vector for the
whole document: the normalised mean of its pages' vectors, after Lee and others, "Unified multimodal
interleaved document representation for retrieval", 2024, arXiv:2410.02729, who average the representations of
a document's sections. The roll-up functions are pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..types import Candidate, FloatArray

__all__ = ["RankedDocument", "by_best_page", "by_mean_vector", "by_sum", "mean_vectors"]


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document and its pages.

    Attributes:
        id: its ``document_id``.
        index: the concrete index it lives in.
        score: what orders the documents.
        pages: its candidates, the best first.
    """

    id: str
    index: str
    score: float
    pages: tuple[Candidate, ...]


def by_best_page(
    ranked: Sequence[Candidate], document_ids: Mapping[tuple[str, str], str]
) -> list[RankedDocument]:
    """Return the documents in the order of their best pages.

    Args:
        ranked: pages, best first.
        document_ids: (index, id) → the page's document; a page that is absent is a document of its own.
    """
    return [
        RankedDocument(document, index, pages[0].score, tuple(pages))
        for (index, document), pages in _grouped(ranked, document_ids).items()
    ]


def by_sum(
    ranked: Sequence[Candidate], document_ids: Mapping[tuple[str, str], str], n: int
) -> list[RankedDocument]:
    """Return the documents by the sum of the scores of their ``n`` best pages.

    Scores are counted from the lowest of all candidates, so a page that is no candidate adds as much as the
    worst one that is, nothing; negative scores (logits, inner products) would otherwise make every further
    page a loss.

    Args:
        ranked: pages, best first.
        document_ids: as in `by_best_page`.
        n: how many pages count.
    """
    lowest = min((page.score for page in ranked), default=0.0)
    documents = [
        RankedDocument(document, index, sum(page.score - lowest for page in pages[:n]), tuple(pages))
        for (index, document), pages in _grouped(ranked, document_ids).items()
    ]
    return sorted(documents, key=lambda document: -document.score)


def by_mean_vector(
    ranked: Sequence[Candidate],
    document_ids: Mapping[tuple[str, str], str],
    vectors: Mapping[tuple[str, str], FloatArray],
    query: FloatArray,
) -> list[RankedDocument]:
    """Return the documents by the inner product of their vectors with the query's.

    A document without a vector comes after those that have one, in the order of its best page.

    Args:
        ranked: pages, best first.
        document_ids: as in `by_best_page`.
        vectors: (index, document) → its vector, shape (d,), float32, unit length.
        query: shape (d,), float32, unit length.
    """
    documents = []
    for (index, document), pages in _grouped(ranked, document_ids).items():
        vector = vectors.get((index, document))
        score = float(vector @ query) if vector is not None else -1.0
        documents.append((vector is None, RankedDocument(document, index, score, tuple(pages))))
    return [document for _, document in sorted(documents, key=lambda pair: (pair[0], -pair[1].score))]


def mean_vectors(
    keys: Sequence[tuple[str, str]], pages: npt.NDArray[np.float32]
) -> dict[tuple[str, str], FloatArray]:
    """Return the normalised mean of each document's page vectors.

    Args:
        keys: per page its (index, document).
        pages: shape (p, d), float32: a page's vector per row, in the order of ``keys``.

    Returns:
        (index, document) → shape (d,), float32, unit length; a document whose pages cancel out is absent.
    """
    sums: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
    for key, page in zip(keys, pages.astype(np.float64), strict=True):
        sums[key] = sums[key] + page if key in sums else page
    means: dict[tuple[str, str], FloatArray] = {}
    for key, total in sums.items():
        norm = float(np.linalg.norm(total))
        if norm > 1e-9:
            means[key] = (total / norm).astype(np.float32)
    return means


def _grouped(
    ranked: Sequence[Candidate], document_ids: Mapping[tuple[str, str], str]
) -> dict[tuple[str, str], list[Candidate]]:
    """Return (index, document) → its pages, both in the order of the pages."""
    groups: dict[tuple[str, str], list[Candidate]] = {}
    for page in ranked:
        document = document_ids.get((page.index, page.id), page.id)
        groups.setdefault((page.index, document), []).append(page)
    return groups
