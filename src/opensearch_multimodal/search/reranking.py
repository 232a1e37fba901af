"""Which reranker a profile asks for, and its stage in a query."""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableSequence, Sequence

from ..client import Cluster
from ..encoder import EncoderPool, IndexEncoders, Reranker, RerankerQuery
from ..errors import EnvironmentProblem
from ..mappings import IndexDescription, Rerank
from ..models import load_spec
from ..types import Candidate, FloatArray
from .rerank import FullMaxSim, fetch_contents, rerank

__all__ = ["RerankStage"]


class RerankStage:
    """The rerank stage of one query."""

    def __init__(
        self,
        settings: Rerank,
        index: IndexDescription,
        pool: EncoderPool,
        rerankers: Mapping[str, Reranker],
    ) -> None:
        """Load the cross-encoder, so that one that is missing is known before anything is searched.

        Args:
            settings: of the profile.
            index: the index.
            pool: where cross-encoders are kept.
            rerankers: name → a reranker handed in, which comes before a model of that name.

        Raises:
            InvalidInput: there is no such model, or it is no reranker.
            EnvironmentProblem: its files are missing or damaged.
        """
        self.settings = settings
        self._index = index
        self._reranker: Reranker | None = None
        if settings.model is not None:
            handed = rerankers.get(settings.model)
            self._reranker = handed or pool.reranker(load_spec(settings.model))

    @property
    def query_fields(self) -> frozenset[str]:
        """The vector fields for which the query must be encoded."""
        settings = self.settings
        return frozenset({settings.field} if settings.type == "maxsim" and settings.field else ())

    def run(
        self,
        candidates: list[Candidate],
        query: RerankerQuery,
        vectors: Mapping[str, FloatArray],
        subtracted: Mapping[str, FloatArray],
        *,
        cluster: Cluster,
        encoders: IndexEncoders,
        preference: str,
        until: float | None,
        notes: MutableSequence[str],
    ) -> list[Candidate]:
        """Return the candidates in their new order.

        Args:
            candidates: in their present order.
            query: the question.
            vectors: vector field → the encoded query.
            subtracted: vector field → rows whose MaxSim is subtracted.
            cluster: gives the texts.
            encoders: of the index.
            preference: as in the other stages.
            until: time by `time.monotonic` by which it should end, None for no such limit.
            notes: takes a sentence where not everything was reranked.
        """
        settings = self.settings
        ends = [until] if until is not None else []
        if settings.budget_ms is not None:
            ends.append(time.monotonic() + settings.budget_ms / 1000)
        try:
            reranker, problem = self._choose(query, vectors, subtracted, encoders)
        except EnvironmentProblem as error:  # too late to encode, for instance: what is ranked stays
            reranker, problem = None, str(error)
        if reranker is None:
            notes.append(f"not reranked: {problem}")
            return candidates
        done = rerank(
            candidates,
            lambda batch: fetch_contents(
                cluster,
                self._index,
                batch,
                inputs=reranker.inputs,
                field=(settings.field or "text") if settings.type == "cross_encoder" else "text",
                preference=preference,
            ),
            lambda batch: reranker.score(query, batch),
            settings,
            until=min(ends) if ends else None,
            images="image" in reranker.inputs,
        )
        if done.reason is not None:
            notes.append(f"reranked {done.scored} of {done.head}: {done.reason}; the others keep their order")
        return done.candidates

    def _choose(
        self,
        query: RerankerQuery,
        vectors: Mapping[str, FloatArray],
        subtracted: Mapping[str, FloatArray],
        encoders: IndexEncoders,
    ) -> tuple[Reranker | None, str]:
        field = self.settings.field
        if self._reranker is not None:
            asked: Sequence[str] = [name for name in ("text", "image") if getattr(query, name) is not None]
            reads = self._reranker.query_inputs
            missing = f"'{self.settings.model}' reads {' and '.join(reads)} questions only"
            return (self._reranker if set(asked) & set(reads) else None), missing
        if field is None or field not in vectors:
            return None, f"this query has no vectors for '{field}'"
        read = self._index.source_field(field).input
        return FullMaxSim(encoders.get(field), read, vectors[field], subtracted.get(field)), ""
