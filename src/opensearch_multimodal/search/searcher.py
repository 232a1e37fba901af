"""The stages of a query, one after the other."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..blas import single_threaded
from ..client import Cluster
from ..encoder import DerivedFields, EncoderPool, IndexEncoders, Reranker, RerankerQuery
from ..errors import ClusterRejected, InvalidInput
from ..mappings import IndexDescription, describe
from ..types import Candidate, FloatArray
from .compose import Words, words_of
from .composition import Composition
from .cut import CutPoint, by_relevance, by_score_curve, by_size
from .document_stage import DocumentStage
from .documents import RankedDocument
from .first_stage import FirstStage, plan
from .presentation import bare_hit, present
from .ranking import fuse_candidates, order, refine_candidates
from .relevance import RESULTS_LEARNT, probabilities, relevance_of
from .replay import ScoredQuestion
from .request import Request
from .reranking import RerankStage
from .result import DocumentHit, Hit, SearchResult
from .scoring import NO_VECTOR, StoredVectors, score_union, scored_fields
from .statistics import unlearnt

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Searcher"]

_BAD_REQUEST = 400


class Searcher:
    """Answers questions from one index, alias or pattern.

    The index says which models and profiles to use. Safe to use from several threads.

    Example:
        >>> searcher = Searcher(Cluster("http://127.0.0.1:9200"), "manuals")  # doctest: +SKIP
        >>> searcher.search("how is the pump reset?", profile="hybrid").hits[0].id  # doctest: +SKIP
        'pump#p7'
    """

    def __init__(
        self,
        cluster: Cluster,
        index: str | IndexDescription,
        encoders: EncoderPool | None = None,
        *,
        rerankers: Mapping[str, Reranker] | None = None,
    ) -> None:
        """Read what the index says of itself; models are loaded with the first query that needs them.

        Args:
            cluster: the cluster.
            index: an index, alias or pattern, several of them with commas; or what was read of it before.
            encoders: where encoders are kept, None for a pool of its own.
            rerankers: name → a reranker of your own, which profiles then name as ``rerank.model``.

        Raises:
            InvalidInput: the index does not describe its vectors.
            ModelMismatch: the indices behind the name hold vectors of different models.
            ClusterError: the cluster did not answer, or there is no such index.
        """
        self._cluster = cluster
        self.index = (
            index if isinstance(index, IndexDescription) else describe(index, cluster.get_index(index))
        )
        self._pool = encoders or EncoderPool()
        self._encoders = IndexEncoders(self.index, self._pool)
        self._rerankers = dict(rerankers or {})

    @property
    def profiles(self) -> list[str]:
        """The names of the index's profiles."""
        return self.index.profile_names()

    def search(
        self,
        query_text: str | None = None,
        *,
        query_image: Image | None = None,
        profile: str = "default",
        k: int = 10,
        filter: Mapping[str, Any] | None = None,
        overrides: Mapping[str, Any] | None = None,
        fetch: bool = True,
        preference: str | None = None,
        rerank_until: float | None = None,
        on_encoded: Callable[[], None] | None = None,
    ) -> SearchResult:
        """Return the k best records with their sources and an account of every stage.

        Args:
            query_text: the question in words.
            query_image: an image to search by, where the index holds an image-capable model.
            profile: name of a profile of the index.
            k: how many results.
            filter: a query in OpenSearch's query DSL that every result must match.
            overrides: parts of the profile to change for this search, and ``compose``: further parts of the
                question with weights, such as ``[{"text": "in red", "weight": 0.5}, {"image": …}]``.
            fetch: False gives ids and scores only, without sources, snippets and links.
            preference: which shard copies answer; all stages use the same, a random one unless given.
            rerank_until: time by `time.monotonic` after which no further batch is reranked.
            on_encoded: called once the query has its vectors: what models run after that, reranks.

        Raises:
            InvalidInput: the request is wrong, or no retriever of the profile can read it.
            ModelMismatch: a model at hand did not make the index's vectors.
            ClusterError: the cluster failed.
        """
        request = Request(
            query_text, query_image, profile, k, filter, overrides, fetch, preference, rerank_until
        )
        with single_threaded():
            query = _Query(self._cluster, self.index, self._encoders, request)
            if settings := query.profile.rerank:
                query.reranker = RerankStage(settings, self.index, self._pool, self._rerankers)
            return query.run(on_encoded)

    def score(self, query_text: str, *, profile: str = "default", k: int = 10) -> ScoredQuestion:
        """Return a question's candidates with their exact scores, not ranked yet.

        Args:
            query_text: the question in words.
            profile: name of a profile of the index; its retrievers find the candidates.
            k: how many results are wanted; no retriever goes less deep.

        Raises:
            InvalidInput, ModelMismatch, ClusterError: as `search`.
        """
        request = Request(query_text, profile=profile, k=k)
        with single_threaded():
            return _Query(self._cluster, self.index, self._encoders, request).scored()

    def fetch_vectors(self, question: ScoredQuestion, fields: Sequence[str]) -> ScoredQuestion:
        """Return the question with its candidates' stored vectors, which a profile that refines needs.

        Args:
            question: left unchanged.
            fields: vector fields with a model.

        Raises:
            InvalidInput: a field's vectors are not stored.
            ClusterError: the cluster failed.
        """
        candidates = [one.copy() for one in question.candidates]
        with single_threaded():
            stored = score_union(
                self._cluster,
                self.index,
                candidates,
                fields,
                question.vectors,
                question.words,
                fetched=fields,
                preference=uuid.uuid4().hex,
            )
        return replace(question, candidates=tuple(candidates), stored=stored)


class _Query:
    def __init__(
        self, cluster: Cluster, index: IndexDescription, encoders: IndexEncoders, request: Request
    ) -> None:
        request.check()
        self._cluster = cluster
        self._index = index
        self._encoders = encoders
        self._request = request
        self._composition = Composition(request.parts())
        self._words: Words | None = words_of(self._composition.parts) or request.query_text
        self.profile = request.resolve_profile(index)
        self.reranker: RerankStage | None = None
        self._preference = request.preference or uuid.uuid4().hex
        self._stage: FirstStage
        self._timings: dict[str, float] = {}
        self._notes: list[str] = []

    def run(self, on_encoded: Callable[[], None] | None) -> SearchResult:
        started = time.perf_counter()
        request = self._request
        with self._timed("encode"):
            vectors = self._encode()
        if on_encoded:
            on_encoded()
        candidates = self._first_stage(vectors)
        found = len(candidates)
        if candidates:
            candidates = self._rank(candidates, vectors)
        if candidates and self.reranker:
            candidates = self._rerank(candidates, vectors, self.reranker)
        cut = self._cut(candidates)
        size = cut.size if cut else request.k
        documents = self._documents(candidates, vectors)
        hits, shown = self._present(candidates[:size], documents)
        self._timings["total"] = (time.perf_counter() - started) * 1000
        told = self._composition.account(self._index, self.profile)
        return SearchResult(
            hits, self._timings, found, tuple(self._notes), cut=cut, composition=told, documents=shown
        )

    def scored(self) -> ScoredQuestion:
        vectors = self._encode()
        candidates = self._first_stage(vectors)
        fields = scored_fields(self._index, self.profile, vectors, self._words)
        if candidates:
            self._score(candidates, fields, vectors)
        finders = {
            name: one.field for name, one in zip(self._stage.names, self._stage.retrievers, strict=True)
        }
        return ScoredQuestion(tuple(candidates), tuple(fields), vectors, self._words, finders)

    def _documents(
        self, ranked: Sequence[Candidate], vectors: Mapping[str, FloatArray]
    ) -> list[RankedDocument] | None:
        settings, request = self.profile.documents, self._request
        if settings is None:
            return None
        with self._timed("documents"):
            stage = DocumentStage(self._cluster, self._index, settings, preference=self._preference)
            found = stage.run(ranked, self.profile, self._stage, vectors, request.filter, request.k)
        if 0 < len(found) < request.k:
            self._notes.append(f"{len(found)} documents: the {len(ranked)} candidates belong to no more")
        return found

    def _present(
        self, best: Sequence[Candidate], documents: Sequence[RankedDocument] | None
    ) -> tuple[tuple[Hit, ...], tuple[DocumentHit, ...] | None]:
        """Return the hits, and the documents with theirs, after one look at the sources of both."""
        refined_field = self.profile.refine.primary if self.profile.refine else None
        settings = self.profile.documents
        shown = settings.pages if settings else 0
        pages = [page for document in documents or () for page in document.pages[:shown]]
        wanted = {(candidate.index, candidate.id): candidate for candidate in (*best, *pages)}
        if self._request.fetch:
            with self._timed("fetch"):
                found = present(
                    self._cluster,
                    self._index,
                    list(wanted.values()),
                    self._words,
                    refined_field=refined_field,
                    preference=self._preference,
                )
        else:
            found = [bare_hit(candidate, refined_field) for candidate in wanted.values()]
        hits = {(hit.index, hit.id): hit for hit in found}

        def chosen(candidates: Sequence[Candidate]) -> tuple[Hit, ...]:
            return tuple(hits[key] for one in candidates if (key := (one.index, one.id)) in hits)

        if documents is None:
            return chosen(best), None
        rolled = (DocumentHit(d.id, d.index, d.score, chosen(d.pages[:shown])) for d in documents)
        return chosen(best), tuple(document for document in rolled if document.pages)

    def _encode(self) -> dict[str, FloatArray]:
        """Encode the query once per model; a field whose model cannot read it is left out."""
        encoded: dict[str, FloatArray] = {}
        by_model: dict[tuple[str, int | None], FloatArray] = {}
        for name in sorted(
            {self._index.scored_field(r.field) for r in self.profile.retrievers if r.type != "bm25"}
            | (self.reranker.query_fields if self.reranker else set())
        ):
            field = self._index.source_field(name)
            model = field.model, field.dimension
            if model not in by_model or self._composition.parts:
                vector = self._encode_with(name)
                if vector is None:
                    continue
                by_model[model] = vector
            encoded[name] = by_model[model]
        return encoded

    def _encode_with(self, field: str) -> FloatArray | None:
        inputs = self._encoders.query_inputs(field)
        image, text = self._request.query_image, self._request.query_text
        if self._composition.parts:
            return self._composition.encode(self._index, field, self._encoders, self._notes)
        if image is not None and "image" in inputs:
            vectors: Sequence[FloatArray] = self._encoders.get(field).encode_pages([image])
        elif text is not None and "text" in inputs:
            vectors = self._encoders.get(field).encode_queries([text])
        else:
            self._notes.append(f"field '{field}' takes no part: its model reads {' and '.join(inputs)} only")
            return None
        return np.ascontiguousarray(vectors[0], dtype=np.float32)

    def _first_stage(self, vectors: Mapping[str, FloatArray]) -> list[Candidate]:
        request = self._request
        with self._timed("first_stage"):
            stage = self._stage = plan(
                self._index,
                self.profile,
                vectors,
                self._words,
                DerivedFields(self._index, self._encoders),
                k=request.k,
                filter=request.filter,
            )
            try:
                answers = self._cluster.msearch(self._index.name, stage.searches, preference=self._preference)
            except ClusterRejected as error:
                if request.filter is None or error.status != _BAD_REQUEST:
                    raise
                raise InvalidInput(f"filter: {error}") from error
            return stage.collect(self._index, answers)

    def _score(
        self,
        candidates: Sequence[Candidate],
        fields: Iterable[str],
        vectors: Mapping[str, FloatArray],
        fetched: Collection[str] = (),
    ) -> StoredVectors:
        return score_union(
            self._cluster,
            self._index,
            candidates,
            fields,
            vectors,
            self._words,
            fetched=fetched,
            preference=self._preference,
            subtracted=self._composition.subtracted,
        )

    def _rank(self, candidates: list[Candidate], vectors: Mapping[str, FloatArray]) -> list[Candidate]:
        profile = self.profile
        weights = scored_fields(self._index, profile, vectors, self._words)
        primary = profile.refine.primary if profile.refine and self._can_refine(weights) else None
        with self._timed("score"):
            stored = self._score(candidates, weights, vectors, [primary] if primary else [])
        with self._timed("fuse"):
            statistics = self._index.meta.statistics
            fuse_candidates(candidates, profile, weights, statistics)
            if profile.fusion and profile.fusion.normalization == "collection" and len(weights) > 1:
                self._notes += [
                    f"field '{field}' of modality '{modality}' is measured by that of others: "
                    f"run 'osmm index calibrate {self._index.name}'"
                    for field, modality in unlearnt(candidates, weights, statistics)
                ]
            ranked = order(candidates)
        if primary is not None:
            with self._timed("refine"):
                refined = refine_candidates(ranked, profile, weights, vectors[primary], stored, statistics)
                if refined is None or refined.skipped:
                    reason = refined.skipped if refined else "fewer than two candidates have its vector"
                    self._notes.append(f"not refined, the fused order stays: {reason}")
                elif without := sum(one.scores[primary] == NO_VECTOR for one in ranked):
                    self._notes.append(
                        f"{without} candidates without a vector of '{primary}' stand below the refined ones"
                    )
                ranked = order(ranked)
        return ranked

    def _rerank(
        self, candidates: list[Candidate], vectors: Mapping[str, FloatArray], stage: RerankStage
    ) -> list[Candidate]:
        words = self._words if isinstance(self._words, str | None) else "\n".join(t for t, _ in self._words)
        unread = sum(part.weight < 0 or part.image is not None for part in self._composition.parts)
        if unread and self.profile.rerank and self.profile.rerank.type == "cross_encoder":
            self._notes.append(f"the reranker reads positive texts only: {unread} parts take no part")
        with self._timed("rerank"):
            return stage.run(
                candidates,
                RerankerQuery(words, self._request.query_image),
                vectors,
                self._composition.subtracted,
                cluster=self._cluster,
                encoders=self._encoders,
                preference=self._preference,
                until=self._request.rerank_until,
                notes=self._notes,
            )

    def _cut(self, ranked: Sequence[Candidate]) -> CutPoint | None:
        settings, k = self.profile.cut, self._request.k
        if settings is None or not ranked:
            return None
        with self._timed("cut"):
            if settings.method == "size":
                return by_size(len(ranked), settings, k)
            if settings.method == "score_curve":
                scores = np.array([candidate.score for candidate in ranked], dtype=np.float64)
                return by_score_curve(scores, settings, k)
            statistics = self._index.meta.statistics
            learnt = relevance_of(self._index, self._request.profile)
            if set(learnt.fields) != set(ranked[0].scores):
                self._notes.append(
                    f"not cut: relevance was learnt from scores of {', '.join(learnt.fields)}, "
                    f"this search has those of {', '.join(ranked[0].scores)}"
                )
                return None
            head = ranked[: max(k, RESULTS_LEARNT)]
            return by_relevance(probabilities(head, learnt, statistics), settings, k)

    def _can_refine(self, weights: Mapping[str, float]) -> bool:
        settings = self.profile.refine
        if settings is None:
            return False
        if settings.primary in self._composition.subtracted:
            self._notes.append(f"not refined: no query of '{settings.primary}' alone subtracts a part")
            return False
        if settings.primary in weights and any(name in weights for name in settings.complementary):
            return True
        self._notes.append("not refined: this query has no scores to guide it")
        return False

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._timings[stage] = (time.perf_counter() - started) * 1000
