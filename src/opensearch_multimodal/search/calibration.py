"""Learn what scores of an index look like: per field and modality, and what they say of relevance."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..client import Cluster
from ..encoder import EncoderPool, IndexEncoders
from ..errors import InvalidInput
from ..mappings import Fusion, IndexDescription, Moments, Profile, Relevance, Statistics
from ..types import Candidate, judges_wholes, whole_record
from .first_stage import MODALITY
from .relevance import RESULTS_LEARNT, features, fit
from .scoring import NO_VECTOR
from .searcher import Searcher

__all__ = [
    "Progress",
    "Question",
    "Record",
    "count_records",
    "learn_relevance",
    "learn_scores",
    "questions_from",
    "sample_records",
    "with_statistics",
]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_FEWEST_WORDS, _MOST_WORDS = 5, 40
_FEWEST_SCORES = 30
_BEST = 20
_LOOKED_AT = 50

Progress = Callable[[], None]
"""Called after each question."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record that was drawn at random."""

    id: str
    modality: str
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question to learn from.

    Attributes:
        text: its words.
        source: the record that it was taken from, which answers it too well to count; None for a real one.
    """

    text: str
    source: str | None = None


def sample_records(cluster: Cluster, index: IndexDescription, count: int, *, seed: int = 0) -> list[Record]:
    """Draw records at random, as many of each modality.

    Args:
        cluster: the cluster.
        index: the index.
        count: how many of each modality.
        seed: the same seed draws the same records of an index that has not changed.

    Raises:
        InvalidInput: the index is empty, or does not say what its records are.
        ClusterError: the cluster failed.
    """
    records = []
    for modality in count_records(cluster, index):
        body = {
            "size": count,
            "query": {
                "function_score": {
                    "query": {"term": {MODALITY: modality}},
                    "random_score": {"seed": seed, "field": "_seq_no"},
                }
            },
            "_source": ["text"],
            "search_pipeline": "_none",
        }
        for hit in cluster.search(index.name, body)["hits"]["hits"]:
            text = hit.get("_source", {}).get("text") or ""
            records.append(Record(hit["_id"], modality, text))
    return records


def questions_from(records: Sequence[Record], count: int, *, seed: int = 0) -> list[Question]:
    """Return sentences of the records as questions, at most one of each record.

    Args:
        records: in any order.
        count: at most so many.
        seed: the same seed chooses the same sentences.

    Raises:
        InvalidInput: no record has a sentence.
    """
    generator = random.Random(seed)  # noqa: S311 - a sample, not a secret
    found: list[Question] = []
    for record in generator.sample(list(records), len(records)):
        sentences = [part.strip() for part in _SENTENCE_END.split(record.text)]
        usable = [part for part in sentences if _FEWEST_WORDS <= len(_WORD.findall(part)) <= _MOST_WORDS]
        if usable and len(found) < count:
            found.append(Question(" ".join(generator.choice(usable).split()), record.id))
    if not found:
        raise InvalidInput(
            f"none of {len(records)} records has a sentence of {_FEWEST_WORDS}–{_MOST_WORDS} words to ask: "
            "give --queries"
        )
    return found


def learn_scores(
    cluster: Cluster,
    index: IndexDescription,
    questions: Sequence[Question],
    *,
    encoders: EncoderPool | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Moments]]:
    """Return mean and deviation of the best scores of each field, for each modality by itself.

    What a retriever says of the best records is the nearest thing to what it says of relevant ones that can
    be had without judgements (pseudo-positives: Yamashita and others, 2025, arXiv:2511.22141). Of the best 20
    records per question each modality has as many as it has in the index: it is taken to hold its share of
    the answers, and a small one is measured by its few best. A record that a question was taken from does not
    count.

    Args:
        cluster: the cluster.
        index: the index.
        questions: what to ask.
        encoders: where encoders are kept.
        progress: called after each question.

    Returns:
        Field → modality → moments; pairs with fewer than 30 scores, or without any spread, are left out.

    Raises:
        InvalidInput: the index is empty, or does not say what its records are.
        ModelMismatch: a model at hand did not make the index's vectors.
        ClusterError: the cluster failed.
    """
    depths = _depths(count_records(cluster, index))
    opened = IndexEncoders(index, encoders)
    finders = {
        field: profile
        for field, profile in _finders(index).items()
        if field not in index.meta.fields or "text" in opened.query_inputs(field)
    }
    asking = replace(index, meta=index.meta.model_copy(update={"profiles": finders}))
    searcher = Searcher(cluster, asking, encoders)
    samples: dict[tuple[str, str], list[float]] = {}
    for question in questions:
        for field in finders:
            for modality, depth in depths.items():
                scores = _best(searcher, question, field, modality, depth)
                samples.setdefault((field, modality), []).extend(scores)
        if progress is not None:
            progress()
    learnt: dict[str, dict[str, Moments]] = {}
    for (field, modality), values in sorted(samples.items()):
        deviation = float(np.std(values, ddof=1)) if len(values) >= _FEWEST_SCORES else 0.0
        if deviation > 0:
            moments = Moments(mean=float(np.mean(values)), deviation=deviation, count=len(values))
            learnt.setdefault(field, {})[modality] = moments
    return learnt


def count_records(cluster: Cluster, index: IndexDescription) -> dict[str, int]:
    """Return modality → number of records.

    Raises:
        InvalidInput: the index is empty, or does not say what its records are.
        ClusterError: the cluster failed.
    """
    if index.properties.get(MODALITY, {}).get("type") != "keyword":
        raise InvalidInput(
            f"index '{index.name}' has no keyword field '{MODALITY}' to tell its records apart"
        )
    body = {"size": 0, "aggs": {"all": {"terms": {"field": MODALITY, "size": 100}}}}
    told = cluster.search(index.name, {**body, "search_pipeline": "_none"})
    counts = {bucket["key"]: bucket["doc_count"] for bucket in told["aggregations"]["all"]["buckets"]}
    if not counts:
        raise InvalidInput(f"index '{index.name}' holds no records to learn from")
    return counts


def learn_relevance(
    cluster: Cluster,
    index: IndexDescription,
    profile: str,
    questions: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    *,
    encoders: EncoderPool | None = None,
    progress: Progress | None = None,
) -> Relevance:
    """Learn how scores and ranks of a profile's results tell relevance.

    Args:
        cluster: the cluster.
        index: with `Statistics.scores`.
        profile: which results.
        questions: query id → text.
        qrels: query id → record id → grade; what is not judged is not relevant. Where they name whole
            records, the parts ``X#c1``, ``X#c2`` … of a split record are judged as ``X``.
        encoders: where encoders are kept.
        progress: called after each question.

    Raises:
        InvalidInput: there is nothing to learn from, or the scores were not calibrated before.
        ModelMismatch: a model at hand did not make the index's vectors.
        ClusterError: the cluster failed.
    """
    searcher = Searcher(cluster, index, encoders)
    whole = judges_wholes(qrels)
    rows: list[npt.NDArray[np.float64]] = []
    labels: list[bool] = []
    names: list[str] = []
    for query, text in questions.items():
        hits = searcher.search(
            text, profile=profile, k=RESULTS_LEARNT, fetch=False, overrides={"cut": None}
        ).hits
        if hits:
            names = names or list(hits[0].stages["scores"])
            rows.append(features([_candidate(hit.stages) for hit in hits], names, index.meta.statistics))
            labels += [_judged(hit.id, qrels.get(query, {}), whole=whole) > 0 for hit in hits]
        if progress is not None:
            progress()
    if not rows:
        raise InvalidInput(f"queries: profile '{profile}' found nothing for any of {len(questions)} queries")
    intercept, coefficients = fit(np.concatenate(rows), np.array(labels, dtype=np.bool_))
    return Relevance(
        intercept=intercept,
        rank=float(coefficients[-1]),
        fields=dict(zip(names, coefficients[:-1].tolist(), strict=True)),
        queries=len(rows),
        results=len(labels),
    )


def with_statistics(index: IndexDescription, statistics: Statistics) -> IndexDescription:
    """Return the description with other statistics."""
    return replace(index, meta=index.meta.model_copy(update={"statistics": statistics}))


def _depths(counts: Mapping[str, int]) -> dict[str, int]:
    """Return how many of the best records of each modality are looked at."""
    total = sum(counts.values())
    return {modality: max(2, round(_BEST * count / total)) for modality, count in counts.items()}


def _finders(index: IndexDescription) -> dict[str, Profile]:
    """Return, for each field that a profile scores, a profile that finds its best records.

    That is one retriever, or all of a profile where the field only scores what the others found.
    """
    profiles = [value for value in index.meta.profiles.values() if isinstance(value, Profile)]
    finders: dict[str, Profile] = {}
    for profile in profiles:
        for one in profile.retrievers:
            if one.type != "late_interaction":
                finders.setdefault(index.scored_field(one.field), Profile(retrievers=(one,)))
    for profile in profiles:
        together = Profile(retrievers=profile.retrievers, fusion=Fusion(combination="rrf"))
        for one in profile.retrievers:
            finders.setdefault(index.scored_field(one.field), together)
    return finders


def _best(searcher: Searcher, question: Question, field: str, modality: str, depth: int) -> list[float]:
    """Return the field's best scores for a question among the records of a modality."""
    only = {"term": {MODALITY: modality}}
    hits = searcher.search(question.text, profile=field, k=_LOOKED_AT, filter=only, fetch=False).hits
    scores = [hit.stages["scores"].get(field) for hit in hits if hit.id != question.source]
    return sorted((score for score in scores if score is not None), reverse=True)[:depth]


def _candidate(stages: Mapping[str, Any]) -> Candidate:
    scores = {name: NO_VECTOR if score is None else score for name, score in stages["scores"].items()}
    return Candidate(id="", index="", modality=stages["modality"] or "", scores=scores)


def _judged(record: str, judged: Mapping[str, int], *, whole: bool) -> int:
    return judged.get(whole_record(record) if whole else record, 0)
