"""The documents stage of a query: what it asks of the cluster, and who rolls up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..client import Cluster, Search
from ..errors import InvalidInput
from ..mappings import DOCUMENT, Documents, IndexDescription, Profile
from ..types import Candidate, FloatArray
from .documents import RankedDocument, by_best_page, by_mean_vector, by_sum, mean_vectors
from .first_stage import FirstStage, knn_similarity, needs_statistics, records_clause, search_body
from .scoring import check_stored

__all__ = ["DocumentStage"]

_MOST_PAGES = 10_000
"""Pages of one search: OpenSearch's ``max_result_window``."""


class DocumentStage:
    """Rolls ranked pages up to documents; OpenSearch does it where it gives the same."""

    def __init__(
        self, cluster: Cluster, index: IndexDescription, settings: Documents, *, preference: str
    ) -> None:
        """Prepare.

        Args:
            cluster: the cluster.
            index: the index.
            settings: of the profile.
            preference: as in the other stages.
        """
        self._cluster = cluster
        self._index = index
        self._settings = settings
        self._preference = preference

    def run(
        self,
        ranked: Sequence[Candidate],
        profile: Profile,
        stage: FirstStage,
        vectors: Mapping[str, FloatArray],
        condition: Mapping[str, Any] | None,
        k: int,
    ) -> list[RankedDocument]:
        """Return the k best documents, the best first.

        Args:
            ranked: pages, best first.
            profile: of the query.
            stage: the first stage that found them.
            vectors: vector field → the encoded query.
            condition: what every page must match.
            k: how many documents.

        Raises:
            InvalidInput: ``mean_vector`` would read too many pages, or the query has no vector for it.
        """
        if not ranked:
            return []
        if self._collapses(profile):
            documents = self._collapse(ranked, stage, k)
            if documents is not None:
                return documents
        document_ids = self._document_ids(ranked)
        if self._settings.method == "max":
            return by_best_page(ranked, document_ids)[:k]
        if self._settings.method == "sum_top":
            return by_sum(ranked, document_ids, self._settings.n)[:k]
        field = self._index.document_field("documents", profile)
        if field not in vectors:
            raise InvalidInput(f"documents: this query has no vector for '{field}', which mean_vector needs")
        means = self._mean_vectors(field, ranked, document_ids, condition)
        return by_mean_vector(ranked, document_ids, means, vectors[field])[:k]

    def _collapses(self, profile: Profile) -> bool:
        """Return whether OpenSearch's ``collapse`` gives what `by_best_page` does.

        One retriever has to give the final scores, of one index whose pages are compared as they are in the
        first stage: inner hits know no statistics of other shards. BM25 then even finds the documents whose
        pages are not among the first k.
        """
        [first, *more] = profile.retrievers
        return (
            self._settings.method == "max"
            and not more
            and first.type in ("bm25", "dense")
            and profile.refine is None
            and profile.rerank is None
            and len(self._index.indices) == 1
            and not needs_statistics(self._index, first.type)
        )

    def _collapse(
        self, ranked: Sequence[Candidate], stage: FirstStage, k: int
    ) -> list[RankedDocument] | None:
        """Return the documents, None if some records have none: to OpenSearch these are one group."""
        [search], [retriever] = stage.searches, stage.retrievers
        inner = {"name": "pages", "size": self._settings.pages, "_source": False}
        body = {**search.body, "size": k, "collapse": {"field": DOCUMENT, "inner_hits": inner}}
        known = {(candidate.index, candidate.id): candidate for candidate in ranked}
        documents = []
        for group in self._ask(body):
            pages = []
            for hit in group["inner_hits"]["pages"]["hits"]["hits"]:
                score = float(hit["_score"])
                exact = score if retriever.type == "bm25" else knn_similarity(score)
                page = Candidate(hit["_id"], group["_index"], scores={retriever.field: exact}, score=exact)
                pages.append(known.get((page.index, page.id), page))
            pages.sort(key=lambda page: (-page.score, page.id))
            names = group.get("fields", {}).get(DOCUMENT)
            if not names:
                return None
            documents.append(RankedDocument(names[0], group["_index"], pages[0].score, tuple(pages)))
        return sorted(documents, key=lambda document: (-document.score, document.pages[0].id))[:k]

    def _document_ids(self, ranked: Sequence[Candidate]) -> dict[tuple[str, str], str]:
        body = search_body(records_clause(self._index, [(c.index, c.id) for c in ranked]), len(ranked))
        body["docvalue_fields"] = [DOCUMENT]
        return {
            (hit["_index"], hit["_id"]): hit["fields"][DOCUMENT][0]
            for hit in self._ask(body)
            if "fields" in hit
        }

    def _mean_vectors(
        self,
        field: str,
        ranked: Sequence[Candidate],
        document_ids: Mapping[tuple[str, str], str],
        condition: Mapping[str, Any] | None,
    ) -> dict[tuple[str, str], FloatArray]:
        """Return (index, document) → the mean of the vectors of all pages that the caller may see."""
        check_stored(self._index, field)
        documents = set(document_ids.values())
        alone = [key for page in ranked if (key := (page.index, page.id)) not in document_ids]
        wanted: list[Mapping[str, Any]] = [{"terms": {DOCUMENT: sorted(documents)}}]
        if alone:
            wanted.append(records_clause(self._index, alone))
        clauses: list[Mapping[str, Any]] = [
            {"bool": {"should": wanted, "minimum_should_match": 1}},
            {"exists": {"field": field}},
        ]
        if condition is not None:
            clauses.append(condition)
        body = search_body({"bool": {"filter": clauses}}, _MOST_PAGES)
        body |= {"stored_fields": [field], "docvalue_fields": [DOCUMENT], "track_total_hits": _MOST_PAGES + 1}
        answer = self._cluster.msearch(
            self._index.name, [Search(body)], preference=self._preference, cbor=True
        )[0]
        if answer["hits"]["total"]["value"] > _MOST_PAGES:
            raise InvalidInput(
                f"documents: mean_vector reads every page of {len(documents)} documents, more than "
                f"{_MOST_PAGES}: use max or sum_top, or retrievers of less depth"
            )
        hits = answer["hits"]["hits"]
        keys = [(hit["_index"], hit["fields"].get(DOCUMENT, [hit["_id"]])[0]) for hit in hits]
        rows = [np.asarray(hit["fields"][field], dtype=np.float32).ravel() for hit in hits]
        return mean_vectors(keys, np.stack(rows)) if rows else {}

    def _ask(self, body: Mapping[str, Any]) -> list[Any]:
        answer = self._cluster.msearch(self._index.name, [Search(body)], preference=self._preference)[0]
        hits: list[Any] = answer["hits"]["hits"]
        return hits
