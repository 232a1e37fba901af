"""A uniform sample of an index: stored vectors to learn from, and sentences that stand for queries."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..client import Cluster, Search
from ..errors import InvalidInput
from ..mappings import IndexDescription
from ..maxsim import Stacked
from ..sources.splitting import passages
from ..types import FloatArray
from .scoring import decode_vectors, vector_bodies

__all__ = ["MOST_SAMPLED", "Sample", "count_records", "draw", "sentences"]

MOST_SAMPLED = 10_000
"""The most records in a sample: what one search returns."""

_AT_ONCE = 200
_SENTENCE = 200
_WORDS = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """Some records of an index, drawn without preference.

    Attributes:
        vectors: per record its stored vector, (d,), or multi-vector, (n, d), float32.
        texts: per record its text, may be empty.
    """

    vectors: list[FloatArray]
    texts: list[str]


def count_records(cluster: Cluster, index: IndexDescription) -> int:
    """Return how many records an index has."""
    answer = cluster.search(index.name, {"size": 0, "track_total_hits": True, "search_pipeline": "_none"})
    return int(answer["hits"]["total"]["value"])


def draw(cluster: Cluster, index: IndexDescription, field: str, count: int, *, seed: int = 1) -> Sample:
    """Draw records that have a vector in ``field``.

    Args:
        cluster: the cluster.
        index: the index.
        field: a vector field with a model.
        count: how many records are drawn, 1–`MOST_SAMPLED`; those without such a vector are left out.
        seed: the same one draws the same records of an index that has not changed.

    Raises:
        InvalidInput: ``count`` is out of its range, or the field's vectors are not stored.
    """
    if not 1 <= count <= MOST_SAMPLED:
        raise InvalidInput(f"sample: {count} is outside 1–{MOST_SAMPLED}")
    index.source_field(field)
    chance = {"random_score": {"seed": seed, "field": "_seq_no"}, "boost_mode": "replace"}
    body = {
        "size": count,
        "_source": False,
        "query": {"function_score": {"query": {"match_all": {}}, **chance}},
        "search_pipeline": "_none",
    }
    found = [(hit["_index"], hit["_id"]) for hit in cluster.search(index.name, body)["hits"]["hits"]]
    sample = Sample([], [])
    for start in range(0, len(found), _AT_ONCE):
        bodies = vector_bodies(index, found[start : start + _AT_ONCE], [field])
        searches = [Search({**body, "_source": ["text"]}) for body in bodies]
        answers = cluster.msearch(index.name, searches, cbor=True)
        hits = [hit for answer in answers for hit in answer["hits"]["hits"] if field in hit.get("fields", {})]
        hits.sort(key=lambda hit: (hit["_index"], hit["_id"]))
        if hits:
            sample.vectors.extend(_apart(decode_vectors([hit["fields"][field][0] for hit in hits])))
            sample.texts.extend(hit.get("_source", {}).get("text") or "" for hit in hits)
    return sample


def sentences(texts: Sequence[str], count: int, *, seed: int = 1) -> list[tuple[int, str]]:
    """Return sentences that stand for queries where nobody has any.

    Args:
        texts: of records.
        count: how many sentences, at most one of each text.
        seed: the same one chooses the same sentences.

    Returns:
        Pairs of the text's position and the sentence: at least 5 words, at most 200 characters.
    """
    generator = random.Random(seed)  # noqa: S311 - nothing secret
    chosen: list[tuple[int, str]] = []
    for position in generator.sample(range(len(texts)), len(texts)):
        text = texts[position]
        spans = [text[start:end] for start, end in passages(text, _SENTENCE, 0)] if text.strip() else []
        fit = [span for span in spans if len(re.findall(r"\w+", span)) >= _WORDS]
        if fit:
            chosen.append((position, generator.choice(fit)))
        if len(chosen) == count:
            break
    return chosen


def _apart(vectors: Stacked | FloatArray) -> list[FloatArray]:
    if isinstance(vectors, Stacked):
        return np.split(vectors.rows, vectors.offsets[1:-1])
    return list(vectors)
