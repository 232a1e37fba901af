"""Score the union: the exact score of every candidate by every scored field.

A candidate that only one retriever found has scores in the others' eyes too. They are asked for, never
replaced by 0 or by the lowest score of the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .. import wire
from ..client import Cluster, Search
from ..errors import InvalidInput
from ..mappings import IndexDescription, Profile, SourceField
from ..maxsim import Stacked, maxsim, stack
from ..types import Candidate, FloatArray
from .compose import Words
from .first_stage import (
    QueryVectors,
    bm25_clause,
    knn_similarity,
    late_interaction_clause,
    needs_statistics,
    records_clause,
    search_body,
)

__all__ = ["NO_VECTOR", "FieldVectors", "StoredVectors", "score_union", "scored_fields"]

_Key: TypeAlias = tuple[str, str]
NO_VECTOR = float("-inf")


@dataclass(frozen=True, slots=True)
class FieldVectors:
    """The stored vectors of one field, for the candidates that have one.

    Attributes:
        positions: (index, id) → position.
        vectors: multi-vectors stacked, or single vectors, shape (c, d), one per row.
    """

    positions: Mapping[_Key, int]
    vectors: Stacked | FloatArray

    def scores(self, query: FloatArray, subtracted: FloatArray | None = None) -> dict[_Key, float]:
        """Return the exact score of every candidate: MaxSim, or the inner product.

        Args:
            query: shape (n, d) for multi-vectors, (d,) for single vectors.
            subtracted: shape (m, d): rows whose MaxSim is subtracted, see `compose`.
        """
        values = maxsim(query, self.vectors) if isinstance(self.vectors, Stacked) else self.vectors @ query
        if subtracted is not None and isinstance(self.vectors, Stacked):
            values = values - maxsim(subtracted, self.vectors)
        return dict(zip(self.positions, values.tolist(), strict=True))

    def of(self, candidates: Sequence[Candidate]) -> Stacked | FloatArray:
        """Return the vectors of some candidates, in their order; each must have one."""
        chosen = [self.positions[candidate.index, candidate.id] for candidate in candidates]
        if isinstance(self.vectors, Stacked):
            rows, offsets = self.vectors.rows, self.vectors.offsets
            return stack([rows[offsets[i] : offsets[i + 1]] for i in chosen])
        return self.vectors[chosen]


StoredVectors: TypeAlias = Mapping[str, FieldVectors]
"""Field → what was fetched of it."""


def scored_fields(
    index: IndexDescription, profile: Profile, vectors: QueryVectors, words: Words | None
) -> dict[str, float]:
    """Return the fields that score candidates of this query, each with its weight.

    Two retrievers over vectors of one source (dense and its binary codes) score by that source once, with
    the larger of their weights.
    """
    weights: dict[str, float] = {}
    for retriever in profile.retrievers:
        scored = index.scored_field(retriever.field)
        if scored in vectors or (retriever.type == "bm25" and words is not None):
            weights[scored] = max(weights.get(scored, 0.0), retriever.weight)
    return weights


def score_union(
    cluster: Cluster,
    index: IndexDescription,
    candidates: Sequence[Candidate],
    fields: Iterable[str],
    vectors: QueryVectors,
    words: Words | None,
    *,
    primary: str | None,
    preference: str,
    subtracted: QueryVectors | None = None,
) -> StoredVectors:
    """Fill in every candidate's exact score for every field, in one multi-search request.

    Args:
        cluster: the cluster.
        index: the index.
        candidates: the union of the first stage; their ``scores`` are completed in place.
        fields: the scored fields.
        vectors: the encoded query.
        words: the question in words, for BM25.
        primary: the field to be refined, whose vectors are fetched even where scores would do.
        preference: as in the first stage, since replicas differ in their BM25 statistics.
        subtracted: multi-vector field → rows whose MaxSim is subtracted from its score.

    Returns:
        The vectors that were fetched on the way.
    """
    union = _Union(index, candidates, vectors, words, subtracted or {})
    for name in fields:
        union.add(name, fetch=name == primary or name in union.subtracted)
    searches, readers = union.plan()
    if searches:
        answers = cluster.msearch(index.name, searches, preference=preference, cbor=bool(union.stored))
        for read, answer in zip(readers, answers, strict=True):
            read(answer["hits"]["hits"])
    return union.finish()


class _Union:
    """Collects what is still to be asked for, then reads the answers."""

    def __init__(
        self,
        index: IndexDescription,
        candidates: Sequence[Candidate],
        vectors: QueryVectors,
        words: Words | None,
        subtracted: QueryVectors,
    ) -> None:
        self._index = index
        self._candidates = candidates
        self._by_key = {(candidate.index, candidate.id): candidate for candidate in candidates}
        self._vectors = vectors
        self._words = words
        self.subtracted = subtracted
        self._asked: list[tuple[str, Search]] = []
        self.stored: list[str] = []
        """Fields whose vectors are fetched."""
        self._fetched: dict[str, FieldVectors] = {}

    def add(self, name: str, *, fetch: bool) -> None:
        """Plan how to complete the scores of one field."""
        described = self._index.meta.fields.get(name)
        multi = isinstance(described, SourceField) and described.encoding is not None
        in_cluster = self._index.scores_in_cluster(name)
        if not fetch and (in_cluster or not multi):
            self._ask(name)
            return
        if not in_cluster and not self._index.properties.get(name, {}).get("store"):
            raise InvalidInput(f"field '{name}' of index '{self._index.name}' needs \"store\": true")
        self.stored.append(name)

    def _ask(self, name: str) -> None:
        missing = [(c.index, c.id) for c in self._candidates if name not in c.scores]
        if not missing:
            return
        ids = records_clause(self._index, missing)
        size = len(missing)
        if self._index.scores_in_cluster(name):
            search = Search(search_body(late_interaction_clause(name, self._vectors[name], ids), size))
        elif name in self._vectors:
            knn = {"vector": self._vectors[name], "k": size, "filter": ids}
            search = Search(search_body({"knn": {name: knn}}, size))
        else:
            clause = bm25_clause(name, self._words or "", ids)
            search = Search(search_body(clause, size), needs_statistics(self._index, "bm25"))
        self._asked.append((name, search))

    def plan(self) -> tuple[list[Search], list[Any]]:
        """Return the searches to send and, for each, the function that reads its hits."""
        searches = [search for _, search in self._asked]
        readers: list[Any] = [
            lambda hits, name=name: self._read_scores(name, hits) for name, _ in self._asked
        ]
        if self.stored:
            body = search_body(records_clause(self._index, self._by_key), len(self._by_key))
            raw = [name for name in self.stored if self._index.scores_in_cluster(name)]
            if stored := [name for name in self.stored if name not in raw]:
                body["stored_fields"] = stored
            if raw:
                body["docvalue_fields"] = raw
            searches.append(Search(body))
            readers.append(self._read_vectors)
        return searches, readers

    def _read_scores(self, name: str, hits: Sequence[Mapping[str, Any]]) -> None:
        for hit in hits:
            candidate = self._by_key.get((hit["_index"], hit["_id"]))
            if candidate is not None and name not in candidate.scores:
                score = float(hit["_score"])
                by_knn = name in self._vectors and not self._index.scores_in_cluster(name)
                candidate.scores[name] = knn_similarity(score) if by_knn else score

    def _read_vectors(self, hits: Sequence[Mapping[str, Any]]) -> None:
        for name in self.stored:
            found = {
                (hit["_index"], hit["_id"]): hit["fields"][name][0]
                for hit in hits
                if (hit["_index"], hit["_id"]) in self._by_key and name in hit.get("fields", {})
            }
            if found:
                vectors = _decode(list(found.values()))
                self._fetched[name] = FieldVectors({key: i for i, key in enumerate(found)}, vectors)

    def finish(self) -> StoredVectors:
        """Compute the scores of the fetched vectors, and mark what has none."""
        for name, stored in self._fetched.items():
            for key, score in stored.scores(self._vectors[name], self.subtracted.get(name)).items():
                self._by_key[key].scores[name] = score
        for name in [*self.stored, *(name for name, _ in self._asked)]:
            absent = NO_VECTOR if name in self._vectors else 0.0
            for candidate in self._candidates:
                candidate.scores.setdefault(name, absent)
        return self._fetched


def _decode(values: Sequence[Any]) -> Stacked | FloatArray:
    """Return stored values as vectors: multi-vectors come as bytes, single vectors as lists of numbers."""
    if isinstance(values[0], bytes):
        return Stacked(*wire.unpack_many(values))
    return np.asarray(values, dtype=np.float32)
