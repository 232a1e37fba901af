"""The stages of a query, one after the other."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..blas import single_threaded
from ..client import Cluster
from ..encoder import EncoderPool, IndexEncoders
from ..errors import ClusterRejected, InvalidInput
from ..mappings import IndexDescription, Profile, describe
from ..types import Candidate, FloatArray
from .compose import Words, words_of
from .composition import Composition
from .first_stage import plan
from .presentation import bare_hit, present
from .ranking import fuse_candidates, order, refine_candidates
from .request import Request
from .result import SearchResult
from .scoring import score_union, scored_fields

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
        self, cluster: Cluster, index: str | IndexDescription, encoders: EncoderPool | None = None
    ) -> None:
        """Read what the index says of itself; models are loaded with the first query that needs them.

        Args:
            cluster: the cluster.
            index: an index, alias or pattern, several of them with commas; or what was read of it before.
            encoders: where encoders are kept, None for a pool of its own.

        Raises:
            InvalidInput: the index does not describe its vectors.
            ModelMismatch: the indices behind the name hold vectors of different models.
            ClusterError: the cluster did not answer, or there is no such index.
        """
        self._cluster = cluster
        self.index = (
            index if isinstance(index, IndexDescription) else describe(index, cluster.get_index(index))
        )
        self._encoders = IndexEncoders(self.index, encoders)

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

        Raises:
            InvalidInput: the request is wrong, or no retriever of the profile can read it.
            ModelMismatch: a model at hand did not make the index's vectors.
            ClusterError: the cluster failed.
        """
        request = Request(query_text, query_image, profile, k, filter, overrides, fetch, preference)
        with single_threaded():
            return _Query(self._cluster, self.index, self._encoders, request).run()


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
        self._profile: Profile = request.resolve_profile(index)
        self._preference = request.preference or uuid.uuid4().hex
        self._timings: dict[str, float] = {}
        self._notes: list[str] = []

    def run(self) -> SearchResult:
        started = time.perf_counter()
        request, profile = self._request, self._profile
        with self._timed("encode"):
            vectors = self._encode()
        candidates = self._first_stage(vectors)
        found = len(candidates)
        if candidates:
            candidates = self._rank(candidates, vectors)
        size = min(request.k, profile.cut.size) if profile.cut else request.k
        refined_field = profile.refine.primary if profile.refine else None
        if request.fetch:
            with self._timed("fetch"):
                hits = present(
                    self._cluster,
                    self._index,
                    candidates[:size],
                    self._words,
                    refined_field=refined_field,
                    preference=self._preference,
                )
        else:
            hits = [bare_hit(candidate, refined_field) for candidate in candidates[:size]]
        self._timings["total"] = (time.perf_counter() - started) * 1000
        told = self._composition.account(self._index, self._profile)
        return SearchResult(tuple(hits), self._timings, found, tuple(self._notes), composition=told)

    def _encode(self) -> dict[str, FloatArray]:
        """Encode the query once per model; a field whose model cannot read it is left out."""
        encoded: dict[str, FloatArray] = {}
        by_model: dict[str, FloatArray] = {}
        for name in sorted(
            {self._index.scored_field(r.field) for r in self._profile.retrievers if r.type != "bm25"}
        ):
            model = self._index.source_field(name).model
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
            stage = plan(
                self._index,
                self._profile,
                vectors,
                self._words,
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

    def _rank(self, candidates: list[Candidate], vectors: Mapping[str, FloatArray]) -> list[Candidate]:
        profile, words, subtracted = self._profile, self._words, self._composition.subtracted
        weights = scored_fields(self._index, profile, vectors, words)
        primary = profile.refine.primary if profile.refine and self._can_refine(weights) else None
        with self._timed("score"):
            stored = score_union(
                self._cluster,
                self._index,
                candidates,
                weights,
                vectors,
                words,
                primary=primary,
                preference=self._preference,
                subtracted=subtracted,
            )
        with self._timed("fuse"):
            fuse_candidates(candidates, profile, weights)
            ranked = order(candidates)
        if primary is not None:
            with self._timed("refine"):
                refined = refine_candidates(ranked, profile, weights, vectors[primary], stored)
                if refined is None or refined.skipped:
                    reason = refined.skipped if refined else "fewer than two candidates have its vector"
                    self._notes.append(f"not refined: {reason}")
                ranked = order(ranked)
        return ranked

    def _can_refine(self, weights: Mapping[str, float]) -> bool:
        settings = self._profile.refine
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
