"""``/v1/rank`` and ``/v1/search``: a question in the caller's name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from PIL.Image import Image

from ..binarize import Rotation
from ..client import Cluster
from ..encoder import EncoderPool, OnnxEncoder, OnnxReranker, paced
from ..errors import ClusterNotFound, ClusterRejected, EnvironmentProblem, InvalidInput, ModelMismatch
from ..mappings import IndexDescription
from ..models import ModelSpec, RotationSpec
from ..search import Searcher, SearchResult
from .composing import decode_parts
from .descriptions import Descriptions
from .encoding import decode_image
from .lanes import Gate, Job
from .metrics import Metrics
from .refusal import Refusal
from .schemas import RankRequest
from .settings import ServiceLimits

__all__ = ["SearchService"]

_ENCODING_SHARE = 0.5
"""The share of the deadline after which a query that may degrade is no longer encoded."""

_RERANKING_SHARE = 0.8
"""The share of the deadline after which no further batch is reranked, so that what is there is answered."""

_STALE = (ModelMismatch, InvalidInput, ClusterNotFound, ClusterRejected)
"""What a search fails with where its indices have changed since their description was read."""


class SearchService:
    """Searches for callers, each in their own name; safe to use from several threads."""

    def __init__(
        self,
        cluster: Cluster,
        pool: EncoderPool,
        gate: Gate,
        metrics: Metrics,
        *,
        limits: ServiceLimits,
        description_seconds: float,
    ) -> None:
        """Prepare; nothing is read or loaded yet.

        Args:
            cluster: with the service's own credentials, which read descriptions and nothing else.
            pool: where encoders are kept.
            gate: lets queries run before passages.
            metrics: where degraded searches are counted.
            limits: what a search may cost.
            description_seconds: how long descriptions are trusted.
        """
        self.descriptions = Descriptions(cluster, description_seconds)
        self._cluster = cluster
        self._pool = pool
        self._gate = gate
        self._metrics = metrics
        self._limits = limits

    def check(self, request: RankRequest) -> None:
        """Refuse what is over a limit.

        Raises:
            Refusal: naming the limit.
        """
        if request.k > self._limits.k:
            raise Refusal(400, "invalid_input", f"k: {request.k} is over the limit of {self._limits.k}")

    def run(
        self, request: RankRequest, job: Job, authorization: str | None, *, fetch: bool
    ) -> dict[str, Any]:
        """Answer.

        Args:
            request: the question.
            job: whose deadline holds for every stage.
            authorization: the caller's own credentials, the only ones that a search is sent with.
            fetch: with sources and explanations; else ids and scores only.

        Raises:
            Refusal, InvalidInput, ModelMismatch, ClusterError: see `refusal_of`.
        """
        image = (
            decode_image("query_image", request.query_image, self._limits) if request.query_image else None
        )
        overrides = decode_parts(request.overrides, image, self._limits)
        if not fetch:
            overrides = {**(overrides or {}), "documents": None}  # ids of pages are what was asked for
        request = request.model_copy(update={"overrides": overrides})
        cluster = self._cluster.on_behalf_of(authorization, deadline=job.deadline)
        search = partial(self._search, request, image, cluster, job, fetch)
        degraded = None
        if request.on_failure == "bm25" and request.query_text is not None:
            try:
                result = search(job.started + _ENCODING_SHARE * (job.deadline - job.started))
            except _NotEncodedError:
                job.check()
                result = search(None)
                degraded = "bm25"
                self._metrics.degraded()
        else:
            result = search(job.deadline)
        job.timings_ms.update(result.timings_ms)
        return _answer(result, degraded, dict(job.timings_ms), fetch=fetch)

    def _search(
        self,
        request: RankRequest,
        image: Image | None,
        cluster: Cluster,
        job: Job,
        fetch: bool,
        encode_until: float | None,
    ) -> SearchResult:
        """Search, and once more if the indices have changed since their description was read."""
        indices = ",".join(request.indices)

        def once(index: IndexDescription) -> SearchResult:
            pool = _QueryPool(self._pool, self._gate, job, encode_until)
            with paced(pool.around):
                return Searcher(cluster, index, pool).search(
                    request.query_text,
                    query_image=image,
                    profile=request.profile,
                    k=request.k,
                    filter=request.filter,
                    overrides=(request.overrides if encode_until is not None else _bm25(index, request)),
                    fetch=fetch,
                    preference=request.preference,
                    rerank_until=job.started + _RERANKING_SHARE * (job.deadline - job.started),
                    on_encoded=pool.query_encoded,
                )

        known = self.descriptions.get(indices)
        try:
            result = once(known.index)
        except _STALE:
            if known.read > job.started:
                raise
            current = self.descriptions.get(indices, since=job.started)
            if current.index == known.index:
                raise
        else:
            foreign = {hit.index for hit in result.hits} - set(known.index.indices)
            if not foreign and (result.hits or known.read > job.started):
                return result
            current = self.descriptions.get(indices, since=time.monotonic())
            if not foreign and current.index == known.index:
                return result
        return once(current.index)


class _NotEncodedError(EnvironmentProblem):
    """The query could not be encoded, or not in time."""


class _QueryPool(EncoderPool):
    """The shared encoders for one query: run before passages, and given up where BM25 may answer instead."""

    def __init__(self, pool: EncoderPool, gate: Gate, job: Job, until: float | None) -> None:
        super().__init__()
        self._pool = pool
        self._job = job
        self._until = until
        self._urgent: Callable[[], Any] = partial(gate.urgent, job)

    def get(self, spec: ModelSpec) -> OnnxEncoder:
        self._in_time()
        try:
            return self._pool.get(spec)
        except EnvironmentProblem as error:
            raise _NotEncodedError(str(error)) from error

    def rotation(self, spec: RotationSpec) -> Rotation:
        return self._pool.rotation(spec)

    def reranker(self, spec: ModelSpec) -> OnnxReranker:
        self._in_time()
        try:
            return self._pool.reranker(spec)
        except EnvironmentProblem as error:
            raise _NotEncodedError(str(error)) from error

    @contextmanager
    def around(self) -> Iterator[None]:
        self._in_time()
        with self._urgent():
            try:
                yield
            except Exception as error:  # the runtime's exceptions have no common base but this
                raise _NotEncodedError(f"a model failed ({type(error).__name__})") from error

    def query_encoded(self) -> None:
        """Let the models that run from now on take the time that reranking has."""
        self._until = None

    def _in_time(self) -> None:
        if self._until is not None and time.monotonic() >= self._until:
            self._job.check()
            raise _NotEncodedError("the query was not encoded in time")


def _bm25(index: IndexDescription, request: RankRequest) -> dict[str, Any]:
    """Return what makes any profile one of BM25 alone; the parts of a composed question stay."""
    field = "text" if index.properties.get("text", {}).get("type") == "text" else None
    if field is None:
        raise InvalidInput("on_failure: the index has no field 'text' to search by BM25")
    retriever = {"type": "bm25", "field": field, "k": max(request.k, 50)}
    composed = {name: value for name, value in (request.overrides or {}).items() if name == "compose"}
    return {
        "retrievers": [retriever],
        "fusion": None,
        "refine": None,
        "rerank": None,
        "documents": None,
        **composed,
    }


def _answer(
    result: SearchResult, degraded: str | None, timings_ms: dict[str, float], *, fetch: bool
) -> dict[str, Any]:
    answer: dict[str, Any] = {"degraded": degraded, "timings_ms": timings_ms}
    if fetch:
        return result.to_json() | answer
    hits = [{"index": hit.index, "id": hit.id, "score": hit.score} for hit in result.hits]
    return {"hits": hits, **answer}
