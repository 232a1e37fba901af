"""A collection of texts through one model, encoded once and kept on disk where a folder is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import common
import numpy as np

from opensearch_multimodal import encoder, models
from opensearch_multimodal.evaluation import Topics, pair, read_qrels, read_queries
from opensearch_multimodal.search.sample import sentences

DENSE, TOKENS = models.DEFAULT_MODELS
SENTENCES = 100


@dataclass(frozen=True)
class Encoded:
    """One collection.

    Attributes:
        topics: the judged questions.
        ids: of the records that have a text.
        documents: per record its vector (d,) or multi-vector (n, d), float32.
        queries: the same, per question.
        sentences: the same, of sentences of the records, encoded as queries.
    """

    topics: Topics
    ids: list[str]
    documents: Sequence[np.ndarray]
    queries: Sequence[np.ndarray]
    sentences: Sequence[np.ndarray]


def encode_collection(
    data: Path, collection: str, model: str, folder: Path | None, questions: int | None = None
) -> Encoded:
    """Return a collection's vectors, from ``folder`` if an earlier run left them there.

    Args:
        data: where the collections are.
        collection: one of them.
        model: a default model.
        folder: keeps ``<collection>-<model>.npz`` and others of queries and sentences, None for nothing.
        questions: only the first so many.
    """
    source = data / collection
    topics = pair(read_queries(source / "queries.jsonl"), read_qrels(source / "qrels.tsv"))
    rows = [json.loads(line) for line in (source / "corpus.jsonl").read_text("utf-8").splitlines()]
    texts = {row["_id"]: f"{row['title']}\n{row['text']}" for row in rows}
    texts = {key: text for key, text in texts.items() if text.strip()}

    @cache
    def loaded() -> encoder.OnnxEncoder:
        return encoder.load(models.load_spec(model))

    name = f"{collection}-{model}"
    documents = common.kept(folder, name, lambda: loaded().encode_passages(list(texts.values())))
    queries = common.kept(
        folder, f"{name}-queries", lambda: loaded().encode_queries(list(topics.texts.values()))
    )
    drawn = [text for _, text in sentences(list(texts.values()), SENTENCES)]
    asked = common.kept(folder, f"{name}-sentences", lambda: loaded().encode_queries(drawn))
    if questions is not None:
        topics = pair(topics.texts, topics.qrels, limit=questions)
    return Encoded(topics, list(texts), documents, queries[: len(topics.texts)], asked)
