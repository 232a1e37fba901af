"""First stage: each retriever's best k in one multi-search request."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import wire
from ..client import Search
from ..encoder import DerivedFields
from ..errors import InvalidInput
from ..mappings import BinaryField, FdeField, IndexDescription, Profile, Retriever
from ..types import Candidate
from .compose import Words

__all__ = [
    "MODALITY",
    "FirstStage",
    "QueryVectors",
    "bm25_clause",
    "bm25_text",
    "knn_similarity",
    "late_interaction_clause",
    "needs_statistics",
    "plan",
    "records_clause",
    "search_body",
]

_MOST_WORDS = 1000
_IDEOGRAPHS = r"\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORDS = re.compile(rf"[{_IDEOGRAPHS}]|[^\W{_IDEOGRAPHS}]+")
_MOST_CANDIDATES = 10_000

MODALITY = "modality"
"""The field that says what kind of record it is."""

QueryVectors = Mapping[str, npt.NDArray[np.float32]]
"""Vector field with a model → the query's vector (d,) or multi-vector (n, d)."""


@dataclass(frozen=True, slots=True)
class FirstStage:
    """The retrievers that take part in a query, with the search that each of them sends."""

    names: tuple[str, ...]
    retrievers: tuple[Retriever, ...]
    searches: tuple[Search, ...]

    def collect(self, index: IndexDescription, answers: Sequence[Mapping[str, Any]]) -> list[Candidate]:
        """Return the union of what was found, with ranks, and with the scores that are exact already."""
        union: dict[tuple[str, str], Candidate] = {}
        for name, retriever, answer in zip(self.names, self.retrievers, answers, strict=True):
            for rank, hit in enumerate(answer["hits"]["hits"], start=1):
                key = (hit["_index"], hit["_id"])
                candidate = union.setdefault(key, Candidate(id=hit["_id"], index=hit["_index"]))
                candidate.modality = hit.get("fields", {}).get(MODALITY, [""])[0]
                candidate.found.add(index.scored_field(retriever.field))
                candidate.ranks[name] = rank
                candidate.first_scores[name] = float(hit["_score"])
                if retriever.type == "bm25":
                    candidate.scores[retriever.field] = float(hit["_score"])
                elif retriever.type == "dense":
                    candidate.scores[retriever.field] = knn_similarity(hit["_score"])
        if len(union) > _MOST_CANDIDATES:
            raise InvalidInput(
                f"k: the retrievers found {len(union)} candidates together, "
                f"at most {_MOST_CANDIDATES} can be scored: ask for fewer"
            )
        return list(union.values())


def plan(
    index: IndexDescription,
    profile: Profile,
    vectors: QueryVectors,
    words: Words | None,
    derived: DerivedFields,
    *,
    k: int,
    filter: Mapping[str, Any] | None,
) -> FirstStage:
    """Return the searches of the first stage.

    A retriever that cannot read the query (BM25 for an image, a text model for an image) takes no part.

    Args:
        index: the index.
        profile: names the retrievers.
        vectors: the encoded query.
        words: the question in words, for BM25.
        derived: makes codes and encodings of the query's vectors.
        k: results wanted; no retriever goes less deep.
        filter: what every candidate must match.

    Raises:
        InvalidInput: no retriever can read the query.
    """
    names: list[str] = []
    chosen: list[Retriever] = []
    searches: list[Search] = []
    for retriever in profile.retrievers:
        if retriever.type == "late_interaction":
            continue
        clause = _clause(index, retriever, vectors, words, derived, max(k, retriever.k), filter)
        if clause is None:
            continue
        same_type = sum(other.type == retriever.type for other in profile.retrievers) > 1
        names.append(f"{retriever.type}:{retriever.field}" if same_type else retriever.type)
        chosen.append(retriever)
        body = search_body(clause, max(k, retriever.k))
        if index.properties.get(MODALITY, {}).get("type") == "keyword":
            body["docvalue_fields"] = [MODALITY]
        searches.append(Search(body, global_statistics=needs_statistics(index, retriever.type)))
    if not chosen:
        asked = "text" if words is not None else "image"
        raise InvalidInput(
            f"query: no retriever of this profile reads {asked} queries in index '{index.name}'"
        )
    return FirstStage(tuple(names), tuple(chosen), tuple(searches))


def search_body(clause: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Return the body of a search that only ranks; ``_none`` keeps an index's own pipeline out of it."""
    return {
        "size": size,
        "query": clause,
        "_source": False,
        "track_total_hits": False,
        "search_pipeline": "_none",
    }


def records_clause(index: IndexDescription, records: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return a query for exactly the records named.

    Args:
        index: the index, or several behind one name.
        records: pairs of concrete index and id.
    """
    by_index: dict[str, list[str]] = {}
    for concrete, record_id in records:
        by_index.setdefault(concrete, []).append(record_id)
    if len(index.indices) == 1:
        return {"ids": {"values": [record_id for ids in by_index.values() for record_id in ids]}}
    clauses = [
        {"bool": {"filter": [{"term": {"_index": concrete}}, {"ids": {"values": ids}}]}}
        for concrete, ids in by_index.items()
    ]
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def needs_statistics(index: IndexDescription, kind: str) -> bool:
    """Return whether scores of this kind depend on the shard unless statistics are gathered first."""
    shards = sum(int(settings.get("number_of_shards", 1)) for settings in index.settings.values())
    return kind == "bm25" and shards > 1


def knn_similarity(score: float) -> float:
    """Return the inner product behind a k-NN score of space ``innerproduct``.

    The k-NN plugin scores 1 + s for s ≥ 0 and 1 / (1 − s) for s < 0, so that no score is negative.
    """
    return score - 1.0 if score >= 1.0 else 1.0 - 1.0 / score


def _clause(
    index: IndexDescription,
    retriever: Retriever,
    vectors: QueryVectors,
    words: Words | None,
    derived: DerivedFields,
    depth: int,
    condition: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    if retriever.type == "bm25":
        return None if words is None else bm25_clause(retriever.field, words, condition)
    vector = vectors.get(index.scored_field(retriever.field))
    if vector is None:
        return None
    query: Any = vector
    if isinstance(index.meta.fields[retriever.field], BinaryField | FdeField):
        query = derived.of_query(retriever.field, vector)
    clause: dict[str, Any] = {"vector": query, "k": depth}
    if condition is not None:
        clause["filter"] = condition
    return {"knn": {retriever.field: clause}}


def bm25_text(query_text: str, most: int = _MOST_WORDS) -> str:
    """Return what BM25 reads of a question: all of it, or the first ``most`` distinct words of a longer one.

    The cluster refuses a query of more than 1,024 terms, and an ideograph is a term of its own.
    """
    if len(_WORDS.findall(query_text)) <= most:
        return query_text
    return " ".join(list(dict.fromkeys(_WORDS.findall(query_text.lower())))[:most])


def bm25_clause(field: str, words: Words, condition: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a BM25 query over one text field, among what matches ``condition``.

    Several texts score by the sum of each text's BM25 times its weight.
    """
    match: dict[str, Any]
    if isinstance(words, str):
        match = {"match": {field: {"query": bm25_text(words)}}}
    else:
        most = _MOST_WORDS // len(words)
        texts = [{"query": bm25_text(text, most), "boost": weight} for text, weight in words]
        match = {"bool": {"should": [{"match": {field: text}} for text in texts]}}
    if condition is None:
        return match
    return {"bool": {"must": [match], "filter": [condition]}}


def late_interaction_clause(
    field: str, vectors: npt.NDArray[np.float32], condition: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the server plugin's query that scores what matches ``condition`` by MaxSim.

    Args:
        field: a field of type ``multi_vector``.
        vectors: the query's multi-vector, (n, d).
        condition: which records.
    """
    packed = base64.b64encode(wire.pack(vectors, "float32")).decode("ascii")
    return {"late_interaction": {"field": field, "query_vectors": packed, "query": condition}}
