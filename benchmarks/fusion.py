"""How the methods of fusion rank, whether modalities are treated alike, and where lists are cut.

Every record is scored by every retriever for every question: BM25 by the server (analyzer `english`), `dense`
and MaxSim by the default models. The rest is this package's own functions, on the union of each retriever's
best 50. What `osmm index calibrate` learns is learnt the same way here, from 100 sentences of the
collection's own records and never from the judged questions; what is learnt from judgements is learnt from
four fifths of the questions and used for the rest.

Parts:
    catalogue: nDCG@10 of every pair of methods, and the paired difference to min_max with arithmetic_mean.
    modality: no image model with real weights can be had here, so two text retrievers stand in for two
        modalities: each record is of one of them by chance, and only that retriever can score it. Scores
        differ as those of image and text do (cosines below 1, MaxSim and BM25 in the tens) while relevance
        does not, so a fair list holds each kind as often as the judgements do. This shows whether a method is
        fair to kinds of scores. It cannot show how good images are, or what is fair where one modality
        answers better.
    cut: F1 of the returned set against the judgements, at most 20 results, against every fixed size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import common
import numpy as np

from opensearch_multimodal import encoder
from opensearch_multimodal.client import Cluster, Search
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.evaluation import (
    Interval,
    Topics,
    evaluate,
    mean_intervals,
    pair,
    paired_intervals,
    read_qrels,
    read_queries,
)
from opensearch_multimodal.fusion import COMBINATIONS, NORMALIZATIONS, check_methods
from opensearch_multimodal.mappings import Cut, Moments, Profile, Relevance, Statistics, parse_profile
from opensearch_multimodal.maxsim import maxsim, stack
from opensearch_multimodal.models import DEFAULT_MODELS, load_spec
from opensearch_multimodal.search.calibration import Record, questions_from
from opensearch_multimodal.search.cut import by_relevance, by_score_curve
from opensearch_multimodal.search.ranking import fuse_candidates, order
from opensearch_multimodal.search.relevance import RESULTS_LEARNT, features, fit, probabilities
from opensearch_multimodal.types import Candidate

DENSE, TOKENS = DEFAULT_MODELS
NONE = float("-inf")
DEPTH, BEST, LARGEST, FOLDS = 50, 20, 20, 5
SENTENCES = 100
COLLECTION = {"normalization": "collection", "combination": "arithmetic_mean", "missing": "skip"}
PAIRS = (("multi_vector", "dense"), ("dense", "text"))


@dataclass(frozen=True)
class Collection:
    """Everything scored by everything.

    Attributes:
        ids: of the records.
        topics: the judged questions.
        asked: field → score of each question (row) for each record (column); −∞ where there is none.
        sentences: the same for sentences of the records.
        sources: the column that each sentence was taken from.
    """

    ids: list[str]
    topics: Topics
    asked: dict[str, np.ndarray]
    sentences: dict[str, np.ndarray]
    sources: list[int]


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--cache", type=Path, help="folder that keeps the encoded texts for the next run")
    parser.add_argument("--collection", action="append", choices=("scifact", "cranfield"))
    parser.add_argument("--part", action="append", choices=("catalogue", "modality", "cut"))
    arguments = parser.parse_args()
    parts = {"catalogue": catalogue, "modality": modality, "cut": cut}
    with common.cluster(arguments.url, arguments.heap) as used:
        print(common.machine(used))
        for name in arguments.collection or ("scifact", "cranfield"):
            collection = score(used, arguments.data, name, arguments.cache)
            for part in arguments.part or parts:
                print(f"\n### {name}, {part}\n\n{parts[part](collection)}", flush=True)


# Scores


def score(used: Cluster, data: Path, name: str, cache: Path | None) -> Collection:
    rows = [json.loads(line) for line in (data / name / "corpus.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if f"{row['title']}{row['text']}".strip()]
    topics = pair(read_queries(data / name / "queries.jsonl"), read_qrels(data / name / "qrels.tsv"))
    chosen = sentences(rows)
    texts = [*topics.texts.values(), *(row_text for _, row_text in chosen)]
    dense, tokens = (encoder.load(load_spec(model)) for model in (DENSE, TOKENS))
    passages = [f"{row['title']}\n{row['text']}" for row in rows]
    vectors = common.kept(cache, f"{name}-{DENSE}", lambda: dense.encode_passages(passages))
    rows_of = common.kept(cache, f"{name}-{TOKENS}", lambda: tokens.encode_passages(passages))
    common.say(f"{name}: scoring {len(texts)} questions …")
    stacked = stack(rows_of)
    by_field = {
        "text": bm25(used, f"benchmark-text-{name}", rows, texts),
        "dense": dense.encode_queries(texts) @ np.stack(vectors).T,
        "multi_vector": np.stack([maxsim(query, stacked) for query in tokens.encode_queries(texts)]),
    }
    count = len(topics.texts)
    return Collection(
        [row["_id"] for row in rows],
        topics,
        {field: matrix[:count] for field, matrix in by_field.items()},
        {field: matrix[count:] for field, matrix in by_field.items()},
        [column for column, _ in chosen],
    )


def sentences(rows: list[dict]) -> list[tuple[int, str]]:
    """Return (number of a row, a sentence of its text)."""
    records = [Record(str(number), "record", row["text"]) for number, row in enumerate(rows)]
    return [(int(one.source), one.text) for one in questions_from(records, SENTENCES)]


def bm25(used: Cluster, index: str, rows: list[dict], texts: list[str]) -> np.ndarray:
    analysed = {"type": "text", "analyzer": "english"}
    properties = {"text": analysed, "title": {**analysed, "copy_to": "text"}}
    if index in used.get_index(f"{index}*"):
        used.delete_index(index)
    used.create_index(index, {"settings": {"number_of_shards": 1}, "mappings": {"properties": properties}})
    for start in range(0, len(rows), 500):
        lines = []
        for number, row in enumerate(rows[start : start + 500], start):
            lines += [{"index": {"_id": str(number)}}, {"title": row["title"], "text": row["text"]}]
        used.bulk(index, "".join(json.dumps(line) + "\n" for line in lines).encode())
    used.refresh(index)
    scores = np.zeros((len(texts), len(rows)))
    for number, text in enumerate(texts):
        body = {"size": 10_000, "query": {"match": {"text": text}}, "_source": False}
        for hit in used.msearch(index, [Search(body)])[0]["hits"]["hits"]:
            scores[number, int(hit["_id"])] = hit["_score"]
    used.delete_index(index)
    return scores


# What stands in for the index: candidates, statistics


def best(scores: np.ndarray, depth: int) -> np.ndarray:
    """Return the columns of the best scores above −∞ (and above 0, for BM25), best first."""
    top = np.argsort(-scores, kind="stable")[:depth]
    return top[np.isfinite(scores[top])]


def moments(matrix: np.ndarray, kind: np.ndarray, sources: Sequence[int | None]) -> Moments:
    """Return what `osmm index calibrate` learns of one field and the records of one modality."""
    values: list[float] = []
    for row, source in zip(matrix, sources, strict=True):
        others = np.where(kind, row, NONE)
        if source is not None:
            others[source] = NONE
        values += others[best(others, max(2, round(BEST * kind.mean())))].tolist()
    return Moments(mean=np.mean(values), deviation=np.std(values, ddof=1), count=len(values))


def learnt(collection: Collection) -> Statistics:
    everything = np.ones(len(collection.ids), dtype=bool)
    return Statistics(
        scores={
            field: {"record": moments(matrix, everything, collection.sources)}
            for field, matrix in collection.sentences.items()
        }
    )


def pools(collection: Collection) -> Iterator[tuple[str, list[Candidate]]]:
    """Yield each question with the union of what the retrievers find."""
    for row, query in enumerate(collection.topics.texts):
        found = {field: best(matrix[row], DEPTH) for field, matrix in collection.asked.items()}
        union = sorted({int(column) for columns in found.values() for column in columns})
        yield (
            query,
            [
                Candidate(
                    collection.ids[column],
                    "",
                    modality="record",
                    found={field for field, columns in found.items() if column in columns},
                    scores={field: float(matrix[row, column]) for field, matrix in collection.asked.items()},
                )
                for column in union
            ],
        )


def fused_by(fields: list[str], **fusion: object) -> Profile:
    kinds = {"text": "bm25", "dense": "dense", "multi_vector": "late_interaction"}
    retrievers = [{"type": kinds[field], "field": field} for field in fields]
    return parse_profile("benchmark", {"retrievers": retrievers, "fusion": fusion})


def ranked(candidates: list[Candidate], profile: Profile, statistics: Statistics) -> list[Candidate]:
    weights = {retriever.field: retriever.weight for retriever in profile.retrievers}
    fuse_candidates(candidates, profile, weights, statistics)
    return order(candidates)


# The three parts


def catalogue(collection: Collection) -> str:
    fields, statistics = list(collection.asked), learnt(collection)
    profiles = {
        "min_max + arithmetic_mean": fused_by(fields, normalization="min_max", combination="arithmetic_mean")
    }
    for combination in COMBINATIONS:
        for normalization in (*NORMALIZATIONS, None):
            try:
                check_methods(normalization, combination)
            except InvalidInput:
                continue
            name = f"{normalization} + {combination}" if normalization else combination
            profiles[name] = fused_by(fields, normalization=normalization, combination=combination)
    runs: dict[str, dict[str, dict[str, float]]] = {name: {} for name in (*profiles, *fields)}
    for query, candidates in pools(collection):
        for name, profile in profiles.items():
            runs[name][query] = {c.id: c.score for c in ranked(candidates, profile, statistics)[:DEPTH]}
        for field in fields:
            alone = sorted(candidates, key=lambda c, field=field: -c.scores[field])[:DEPTH]
            runs[field][query] = {c.id: c.scores[field] for c in alone}
    report = evaluate(runs, collection.topics.qrels, ("ndcg@10",))
    rows = sorted(
        (
            [name, one.metrics["ndcg@10"], one.differences.get("ndcg@10")]
            for name, one in report.profiles.items()
        ),
        key=lambda row: -row[1].mean,
    )
    return common.table(
        ["", "ndcg@10", "minus min_max"],
        [
            [name, interval(mean), interval(difference, "+") if difference else "–"]
            for name, mean, difference in rows
        ],
    )


def modality(collection: Collection) -> str:
    methods = {
        "raw scores": None,
        "rrf": {"combination": "rrf"},
        "min_max": {"normalization": "min_max", "combination": "arithmetic_mean", "missing": "skip"},
        "z_score": {"normalization": "z_score", "combination": "arithmetic_mean", "missing": "skip"},
        "collection, learnt from sentences": COLLECTION,
        "collection, learnt from other questions": COLLECTION,
    }
    rows = []
    for first, second in PAIRS:
        for share in (0.5, 0.2):
            measured = {
                name: mixed(collection, first, second, share, method, questions="questions" in name)
                for name, method in methods.items()
            }
            for name, (ndcg, top, relevant) in measured.items():
                rows.append([f"{first}, {second}", f"{relevant:.2f}", name, f"{top:.2f}", f"{ndcg:.3f}"])
    return common.table(["kinds", "first kind in judgements", "", "in the top 10", "ndcg@10"], rows)


def mixed(
    collection: Collection,
    first: str,
    second: str,
    share: float,
    method: dict | None,
    *,
    questions: bool,
) -> tuple[float, float, float]:
    """Return nDCG@10, and the first kind's share in the top 10 and in the judgements, over three draws."""
    number = {record: column for column, record in enumerate(collection.ids)}
    results = []
    for seed in range(3):
        is_first = np.random.default_rng(seed).random(len(collection.ids)) < share
        kinds = {first: is_first, second: ~is_first}
        half = np.random.default_rng(seed).permutation(len(collection.topics.texts)) % 2
        learnt_for = [
            _kinds_learnt(collection, kinds, half != part if questions else None) for part in (0, 1)
        ]
        run, shares, judged = {}, [], []
        for row, query in enumerate(collection.topics.texts):
            statistics = learnt_for[half[row]]
            candidates = []
            for field, kind in kinds.items():
                scores = np.where(kind, collection.asked[field][row], NONE)
                for column in best(scores, DEPTH):
                    both = dict.fromkeys(kinds, NONE) | {field: float(scores[column])}
                    candidates.append(Candidate(collection.ids[column], "", modality=field, scores=both))
            if method is None:
                for candidate in candidates:
                    candidate.score = max(candidate.scores.values())
                result = order(candidates)
            else:
                result = ranked(candidates, fused_by([first, second], **method), statistics)
            run[query] = {c.id: c.score for c in result[:DEPTH]}
            shares.append(np.mean([c.modality == first for c in result[:10]]))
            relevant = [r for r, grade in collection.topics.qrels[query].items() if grade > 0 and r in number]
            judged += [is_first[number[record]] for record in relevant]
        report = evaluate({"run": run}, collection.topics.qrels, ("ndcg@10",), samples=10)
        results.append((report.profiles["run"].metrics["ndcg@10"].mean, np.mean(shares), np.mean(judged)))
    ndcg, top, relevant = np.mean(results, axis=0)
    return float(ndcg), float(top), float(relevant)


def _kinds_learnt(
    collection: Collection, kinds: dict[str, np.ndarray], questions: np.ndarray | None
) -> Statistics:
    """Return what is learnt of two kinds of records, from some of the questions or from the sentences."""
    scores = {}
    for field, kind in kinds.items():
        if questions is None:
            told = moments(collection.sentences[field], kind, collection.sources)
        else:
            asked = collection.asked[field][questions]
            told = moments(asked, kind, [None] * len(asked))
        scores[field] = {field: told}
    return Statistics(scores=scores)


def cut(collection: Collection) -> str:
    fields, statistics = list(collection.asked), learnt(collection)
    profile = fused_by(fields, normalization="min_max", combination="arithmetic_mean")
    lists = {query: ranked(candidates, profile, statistics) for query, candidates in pools(collection)}
    judged = {
        query: {record for record, grade in collection.topics.qrels[query].items() if grade > 0}
        for query in lists
    }
    fold = dict(zip(lists, np.random.default_rng(0).permutation(len(lists)) % FOLDS, strict=True))
    sizes: dict[str, dict[str, int]] = {
        f"fixed {size}": dict.fromkeys(lists, size) for size in range(1, LARGEST + 1)
    }
    sizes |= {name: {} for name in ("best fixed of other questions", "score_curve", "relevance")}
    for number in range(FOLDS):
        others = [query for query in lists if fold[query] != number]
        fixed = max(
            range(1, LARGEST + 1), key=lambda size: np.mean([f1(lists[q], judged[q], size) for q in others])
        )
        relevance = learn(others, lists, judged, fields, statistics)
        for query in (query for query in lists if fold[query] == number):
            found = lists[query]
            probability = probabilities(found[:RESULTS_LEARNT], relevance, statistics)
            curve = np.array([candidate.score for candidate in found])
            sizes["best fixed of other questions"][query] = fixed
            sizes["score_curve"][query] = by_score_curve(curve, Cut(method="score_curve"), LARGEST).size
            sizes["relevance"][query] = by_relevance(probability, Cut(method="relevance"), LARGEST).size
    values = {
        name: np.array([[f1(lists[q], judged[q], one[q])] for q in lists]) for name, one in sizes.items()
    }
    fixed = max((name for name in sizes if name.startswith("fixed")), key=lambda name: values[name].mean())
    return cut_table(values, sizes, ("fixed 5", "fixed 10", fixed, *list(sizes)[LARGEST:]), fixed)


def learn(
    queries: list[str],
    lists: dict[str, list[Candidate]],
    judged: dict[str, set[str]],
    fields: list[str],
    statistics: Statistics,
) -> Relevance:
    heads = [lists[query][:RESULTS_LEARNT] for query in queries]
    values = np.concatenate([features(head, fields, statistics) for head in heads])
    labels = [c.id in judged[query] for query, head in zip(queries, heads, strict=True) for c in head]
    intercept, weights = fit(values, np.array(labels))
    by_field = dict(zip(fields, weights[:-1].tolist(), strict=True))
    return Relevance(
        intercept=intercept, rank=weights[-1], fields=by_field, queries=len(queries), results=len(labels)
    )


def f1(found: list[Candidate], relevant: set[str], size: int) -> float:
    hits = sum(candidate.id in relevant for candidate in found[:size])
    return 2 * hits / (min(size, len(found)) + len(relevant))


def cut_table(
    values: dict[str, np.ndarray], sizes: dict[str, dict[str, int]], names: tuple[str, ...], fixed: str
) -> str:
    rows = []
    for name in dict.fromkeys(names):
        difference = paired_intervals(values[name], values[fixed])[0]
        rows.append(
            [
                name + (" (the best of all, chosen on these questions)" if name == fixed else ""),
                interval(mean_intervals(values[name])[0]),
                interval(difference, "+") if name != fixed else "–",
                f"{np.mean(list(sizes[name].values())):.1f}",
            ]
        )
    return common.table(["", "F1", f"minus {fixed}", "results"], rows)


def interval(value: Interval, sign: str = "") -> str:
    mark = " *" if sign and value.excludes_zero else ""
    return f"{value.mean:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]{mark}"


if __name__ == "__main__":
    main()
