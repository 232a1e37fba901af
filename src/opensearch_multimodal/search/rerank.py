"""Rerank: score the best candidates once more, as many as the time allows."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from ..client import Cluster, Search
from ..encoder import RerankerQuery, UnencodableInput
from ..encoder.content import Content, text_to_encode
from ..errors import EnvironmentProblem, InvalidInput
from ..mappings import IndexDescription, Rerank
from ..maxsim import maxsim, stack
from ..sources import SourceOptions
from ..sources.images import read_image
from ..types import Candidate, Encoder, FloatArray, Input
from .first_stage import records_clause, search_body

__all__ = ["FullMaxSim", "RecordContent", "Reranked", "fetch_contents", "rerank"]

_Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class RecordContent:
    """What rerankers read of a record."""

    title: str
    text: str
    image: Image.Image | None = None


@dataclass(frozen=True, slots=True)
class Reranked:
    """What the stage did.

    Attributes:
        candidates: all of them, in their new order.
        scored: how many have a new score.
        head: how many were to have one.
        reason: why some have none, None where all have one.
    """

    candidates: list[Candidate]
    scored: int
    head: int
    reason: str | None


class FullMaxSim:
    """The reranker that needs no model but the index's own: MaxSim of texts encoded anew, in float32.

    An index keeps multi-vectors as ``int8`` or ``bit``, and maybe pooled; here every token vector counts in
    full precision. A candidate costs one encoding.

    Attributes:
        query_inputs: texts and images: the query is encoded already.
        inputs: what the field's model reads of records.
    """

    query_inputs: tuple[Input, ...] = ("text", "image")

    def __init__(
        self, encoder: Encoder, read: Input, query: FloatArray, subtracted: FloatArray | None
    ) -> None:
        """Take the query.

        Args:
            encoder: of the field.
            read: what the field holds of records.
            query: shape (n, d), float32: its token vectors.
            subtracted: shape (m, d), float32: rows whose MaxSim is subtracted, see `composition`.
        """
        self.inputs: tuple[Input, ...] = (read,)
        self._encoder = encoder
        self._query = query
        self._subtracted = subtracted

    def score(self, query: RerankerQuery, contents: Sequence[Content]) -> FloatArray:
        """Return one score per record, shape (n,), float32; see `encoder.Reranker`."""
        if self.inputs == ("text",):
            vectors = self._encoder.encode_passages([text_to_encode(one) for one in contents])
        else:
            vectors = self._encoder.encode_pages([one.image for one in contents if one.image is not None])
        stacked = stack(list(vectors))
        scores = maxsim(self._query, stacked)
        return scores if self._subtracted is None else scores - maxsim(self._subtracted, stacked)


def rerank(
    candidates: Sequence[Candidate],
    read: Callable[[Sequence[Candidate]], Mapping[_Key, RecordContent]],
    score: Callable[[Sequence[RecordContent]], FloatArray],
    settings: Rerank,
    *,
    until: float | None = None,
    images: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Reranked:
    """Order the best candidates by new scores; the others keep their order below them.

    Candidates are read and scored in their present order, ``settings.batch`` at a time where there is a limit
    on time: so what the time suffices for is always the head of the list, and none of it is lost for a longer
    text behind it. A batch is not begun if one like the last would end too late.

    Args:
        candidates: in their present order; ``reranked``, ``rank_before`` and ``score`` are set in place.
        read: gives (index, id) → what is read of the candidates; one with nothing to read is absent.
        score: gives one score per content; it may raise `UnencodableInput` for one that it cannot read.
        settings: depth and batch.
        until: time by ``clock`` by which it should end.
        images: whether images are read: then no more than a batch of them is held at once.
        clock: seconds.

    Raises:
        InvalidInput: the reranker gives another number of scores, or one that is not finite.
    """
    head = list(candidates[: settings.depth])
    size = settings.batch if images or until is not None else max(1, len(head))
    stopped: str | None = None
    blank = unread = 0
    lasted = 0.0
    done: list[Candidate] = []
    for start in range(0, len(head), size):
        began = clock()
        if until is not None and began + lasted >= until:
            stopped = "the time was up"
            break
        batch = head[start : start + size]
        contents = read(batch)
        readable = [candidate for candidate in batch if (candidate.index, candidate.id) in contents]
        try:
            fresh = _score_batch(readable, contents, score)
        except EnvironmentProblem as error:
            stopped = str(error)
            break
        blank += len(batch) - len(readable)
        unread += len(readable) - len(fresh)
        done += fresh
        lasted = clock() - began
    without = f"{blank} have nothing to read" if blank else None
    reason = stopped or without or (f"{unread} cannot be read by the model" if unread else None)
    for rank, candidate in enumerate(candidates, start=1):
        candidate.rank_before = rank if candidate.reranked is not None else None
    ordered = sorted(done, key=lambda candidate: -candidate.score)
    rest = [candidate for candidate in candidates if candidate.reranked is None]
    if ordered and rest:
        shift = min(0.0, ordered[-1].score - rest[0].score)
        for candidate in rest:
            candidate.score += shift
    return Reranked([*ordered, *rest], len(done), len(head), reason)


def _score_batch(
    batch: Sequence[Candidate],
    contents: Mapping[_Key, RecordContent],
    score: Callable[[Sequence[RecordContent]], FloatArray],
) -> list[Candidate]:
    """Score a batch and return what could be read of it."""
    chosen = list(batch)
    while chosen:
        try:
            values = score([contents[candidate.index, candidate.id] for candidate in chosen])
        except UnencodableInput as error:
            del chosen[error.index]
            continue
        if len(values) != len(chosen):
            raise InvalidInput(f"rerank: the reranker gave {len(values)} scores for {len(chosen)} records")
        if not np.isfinite(values).all():
            raise InvalidInput("rerank: the reranker gave scores that are not finite")
        for candidate, value in zip(chosen, values, strict=True):
            candidate.reranked = candidate.score = float(value)
        break
    return chosen


def fetch_contents(
    cluster: Cluster,
    index: IndexDescription,
    candidates: Sequence[Candidate],
    *,
    inputs: Sequence[Input],
    field: str,
    preference: str,
) -> dict[_Key, RecordContent]:
    """Return what a reranker reads of the candidates; a candidate without any of it is absent.

    Args:
        cluster: the cluster.
        index: the index.
        candidates: those that are reranked.
        inputs: what the reranker reads.
        field: where the text is.
        preference: as in the other stages.
    """
    if not candidates:
        return {}
    clause = records_clause(index, [(candidate.index, candidate.id) for candidate in candidates])
    body = search_body(clause, len(candidates))
    body["_source"] = ["title", field, *(["image"] if "image" in inputs else [])]
    answer = cluster.msearch(index.name, [Search(body)], preference=preference)[0]
    contents: dict[_Key, RecordContent] = {}
    for hit in answer["hits"]["hits"]:
        source = hit.get("_source", {})
        image = _image(source.get("image")) if "image" in inputs else None
        text = _text(source.get(field)) if "text" in inputs else ""
        if text.strip() or image is not None:
            contents[hit["_index"], hit["_id"]] = RecordContent(_text(source.get("title")), text, image)
    return contents


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _image(value: Any) -> Image.Image | None:
    """Return a stored page image; one that cannot be read counts as none."""
    if not isinstance(value, str):
        return None
    try:
        return read_image(base64.b64decode(value), SourceOptions())
    except (binascii.Error, ValueError, InvalidInput):
        return None
