"""Score the union: the exact score of every candidate by every scored field.

A candidate that only one retriever found has scores in the others' eyes too. They are asked for, never
replaced by 0 or by the lowest score of the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .. import wire
from ..client import Cluster, Search
from ..errors import InvalidInput
from ..mappings import IndexDescription, Profile, SourceField
from ..maxsim import Stacked, maxsim
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

__all__ = [
    "NO_VECTOR",
    "FieldVectors",
    "StoredVectors",
    "check_stored",
    "decode_vectors",
    "mark_textless",
    "score_union",
    "scored_fields",
    "vector_bodies",
]

_Key: TypeAlias = tuple[str, str]
NO_VECTOR = float("-inf")


@dataclass(frozen=True, slots=True)
class FieldVectors:
    """The stored vectors of one field, for the candidates that have one.

    Attributes:
        positions: (index, id) → position.
        vectors: multi-vectors stacked, or single vectors, shape (c, d), one per row.
        similarities: their inner products with the query's rows: (P, n) for P stacked rows, or (c,).
    """

    positions: Mapping[_Key, int]
    vectors: Stacked | FloatArray
    similarities: FloatArray

    @classmethod
    def compared(
        cls, positions: Mapping[_Key, int], vectors: Stacked | FloatArray, query: FloatArray
    ) -> FieldVectors:
        """Compare vectors with a query: shape (n, d) for multi-vectors, (d,) for single vectors."""
        known = vectors.similarities(query) if isinstance(vectors, Stacked) else vectors @ query
        return cls(positions, vectors, known)

    def scores(self, subtracted: FloatArray | None = None) -> dict[_Key, float]:
        """Return the exact score of every candidate: MaxSim, or the inner product.

        Args:
            subtracted: shape (m, d): rows whose MaxSim is subtracted, see `composition`.
        """
        values = self.similarities
        if isinstance(self.vectors, Stacked):
            values = self.vectors.maxsim(values)
            if subtracted is not None:
                values = values - maxsim(subtracted, self.vectors)
        return dict(zip(self.positions, values.tolist(), strict=True))

    def of(self, candidates: Sequence[Candidate]) -> tuple[Stacked | FloatArray, FloatArray]:
        """Return the vectors and the similarities of some candidates, in their order; each must have one."""
        chosen = [self.positions[candidate.index, candidate.id] for candidate in candidates]
        if isinstance(self.vectors, Stacked):
            rows = self.vectors.rows_of(chosen)
            return self.vectors.select(chosen), self.similarities.take(rows, axis=0)
        return self.vectors[chosen], self.similarities[chosen]


StoredVectors: TypeAlias = Mapping[str, FieldVectors]
"""Field → what was fetched of it."""


def scored_fields(
    index: IndexDescription, profile: Profile, vectors: QueryVectors, words: Words | None
) -> dict[str, float]:
    """Return the fields that score candidates of this query, each with its weight."""
    texts = {retriever.field for retriever in profile.retrievers if retriever.type == "bm25"}
    return {
        name: weight
        for name, weight in index.weights(profile).items()
        if name in vectors or (name in texts and words is not None)
    }


def score_union(
    cluster: Cluster,
    index: IndexDescription,
    candidates: Sequence[Candidate],
    fields: Iterable[str],
    vectors: QueryVectors,
    words: Words | None,
    *,
    fetched: Collection[str],
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
        fetched: those of them whose vectors are fetched even where scores would do.
        preference: as in the first stage, since replicas differ in their BM25 statistics.
        subtracted: multi-vector field → rows whose MaxSim is subtracted from its score.

    Returns:
        The vectors that were fetched on the way.
    """
    union = _Union(index, candidates, vectors, words, subtracted or {})
    for name in fields:
        union.add(name, fetch=name in fetched or name in union.subtracted)
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
        self._hits: list[Mapping[str, Any]] = []
        """What was fetched, with the vectors still in bytes."""
        self._fetched: dict[str, FieldVectors] = {}
        self._scored: list[str] = []

    def add(self, name: str, *, fetch: bool) -> None:
        """Plan how to complete the scores of one field."""
        self._scored.append(name)
        described = self._index.meta.fields.get(name)
        multi = isinstance(described, SourceField) and described.encoding is not None
        in_cluster = self._index.scores_in_cluster(name)
        if not fetch and (in_cluster or not multi):
            self._ask(name)
            return
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
        for body in vector_bodies(self._index, self._by_key, self.stored):
            searches.append(Search(body))
            readers.append(self._hits.extend)
        return searches, readers

    def _read_scores(self, name: str, hits: Sequence[Mapping[str, Any]]) -> None:
        for hit in hits:
            candidate = self._by_key.get((hit["_index"], hit["_id"]))
            if candidate is not None and name not in candidate.scores:
                score = float(hit["_score"])
                by_knn = name in self._vectors and not self._index.scores_in_cluster(name)
                candidate.scores[name] = knn_similarity(score) if by_knn else score

    def _read_vectors(self) -> None:
        for name in self.stored:
            found = {
                (hit["_index"], hit["_id"]): hit["fields"][name][0]
                for hit in self._hits
                if (hit["_index"], hit["_id"]) in self._by_key and name in hit.get("fields", {})
            }
            if found:
                vectors = decode_vectors(list(found.values()))
                positions = {key: i for i, key in enumerate(found)}
                self._fetched[name] = FieldVectors.compared(positions, vectors, self._vectors[name])

    def finish(self) -> StoredVectors:
        """Compute the scores of the fetched vectors, and mark what has none."""
        self._read_vectors()
        for name, stored in self._fetched.items():
            for key, score in stored.scores(self.subtracted.get(name)).items():
                self._by_key[key].scores[name] = score
        for name in self.stored:
            positions = self._fetched[name].positions if name in self._fetched else {}
            for key, candidate in self._by_key.items():
                if key not in positions:  # found a moment ago, and gone since
                    candidate.scores[name] = NO_VECTOR
        for name, _ in self._asked:
            absent = NO_VECTOR if name in self._vectors else 0.0
            for candidate in self._candidates:
                candidate.scores.setdefault(name, absent)
        mark_textless(self._index, self._candidates, [n for n in self._scored if n in self._vectors])
        return self._fetched


def mark_textless(
    index: IndexDescription, candidates: Sequence[Candidate], vector_fields: Iterable[str]
) -> None:
    """Take BM25's 0 from records that have no text: no vector was ever made of it. In place.

    Args:
        index: the index.
        candidates: with their scores.
        vector_fields: the vector fields that score; only those made of text tell.
    """
    fields = index.meta.fields
    read = [n for n in vector_fields if isinstance(f := fields[n], SourceField) and f.input == "text"]
    if not read:
        return
    for candidate in candidates:
        if all(candidate.scores.get(name, 0.0) == NO_VECTOR for name in read):
            for name, score in candidate.scores.items():
                if name not in fields and score == 0:
                    candidate.scores[name] = NO_VECTOR


def check_stored(index: IndexDescription, field: str) -> None:
    """Refuse a vector field whose vectors cannot be fetched.

    Raises:
        InvalidInput: they are not stored.
    """
    mapping = index.properties.get(field, {})
    if mapping.get("type") != "multi_vector" and not mapping.get("store"):
        raise InvalidInput(f"field '{field}' of index '{index.name}' needs \"store\": true")


def vector_bodies(
    index: IndexDescription, records: Iterable[_Key], fields: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the searches that fetch the stored vectors of the records named; ask for them in CBOR.

    Records are grouped by the fields that their index keeps in the plugin's type.

    Args:
        index: the index, or several behind one name.
        records: pairs of concrete index and id.
        fields: vector fields with a model; no search where there are none.

    Raises:
        InvalidInput: a field's vectors are not stored.
    """
    for name in fields:
        check_stored(index, name)
    ways: dict[frozenset[str], list[_Key]] = {}
    for key in records if fields else ():
        plugin_fields = index.plugin_fields.get(key[0], frozenset())
        ways.setdefault(plugin_fields & set(fields), []).append(key)
    bodies = []
    for raw, keys in ways.items():
        body = search_body(records_clause(index, keys), len(keys))
        if stored := [name for name in fields if name not in raw]:
            body["stored_fields"] = stored
        if raw:
            body["docvalue_fields"] = sorted(raw)
        bodies.append(body)
    return bodies


def decode_vectors(values: Sequence[Any]) -> Stacked | FloatArray:
    """Return stored values as vectors: multi-vectors come as bytes, single vectors as lists of numbers."""
    if isinstance(values[0], bytes):
        return Stacked(*wire.unpack_many(values))
    return np.asarray(values, dtype=np.float32)
