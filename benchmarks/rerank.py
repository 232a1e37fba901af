"""What does full-precision MaxSim as a reranker give back that a field of bits or int8 has lost?

Encodes a collection by the default late-interaction model, keeps its multi-vectors as the index would, ranks
every record by their MaxSim, and reranks the best by the token vectors in float32, as `{"type": "maxsim"}`
does. Prints nDCG@10 with 95% bootstrap intervals and the paired difference to the same without reranking, and
what a candidate costs: the time to encode it anew. No server.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import common
import numpy as np
from ranking import interval

from opensearch_multimodal import wire
from opensearch_multimodal.blas import single_threaded
from opensearch_multimodal.encoder import RerankerQuery, load
from opensearch_multimodal.evaluation import evaluate, pair, read_qrels, read_queries
from opensearch_multimodal.maxsim import Stacked, maxsim, stack
from opensearch_multimodal.models import load_spec, pull
from opensearch_multimodal.search.rerank import FullMaxSim, RecordContent

MODEL = "all-minilm-l6-v2-tokens"
ENCODINGS = ("int8", "bit")
METRIC = "ndcg@10"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(os.environ.get("OSMM_DATA", common.CHECKOUT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="folder with the collections")
    parser.add_argument("--collection", choices=["cranfield", "scifact"], default="cranfield")
    parser.add_argument("--depth", type=int, default=50, help="how many are reranked (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="only the first so many judged questions")
    parser.add_argument("--cache", type=Path, help="folder in which the token vectors are kept")
    arguments = parser.parse_args()
    folder = arguments.data / arguments.collection
    topics = pair(
        read_queries(folder / "queries.jsonl"), read_qrels(folder / "qrels.tsv"), limit=arguments.limit
    )
    with (folder / "corpus.jsonl").open(encoding="utf-8") as lines:
        records = {row["_id"]: RecordContent(row["title"], row["text"]) for row in map(json.loads, lines)}
    records = {key: one for key, one in records.items() if one.text.strip()}
    spec = load_spec(MODEL)
    pull(spec)
    encoder = load(spec)
    print(common.machine())
    texts = [f"{one.title}\n{one.text}" if one.title else one.text for one in records.values()]
    exact = common.kept(
        arguments.cache, f"{arguments.collection}-{MODEL}", lambda: encoder.encode_passages(texts)
    )
    queries = dict(zip(topics.texts, encoder.encode_queries(list(topics.texts.values())), strict=True))
    with single_threaded():
        runs = {}
        for encoding in ENCODINGS:
            stored = Stacked(*wire.unpack_many([wire.pack(one, encoding) for one in exact]))
            runs |= ranked(encoding, stored, exact, list(records), queries, arguments.depth)
        runs["float32"] = {
            query: top(maxsim(vectors, stack(exact)), list(records)) for query, vectors in queries.items()
        }
    table = []
    for encoding in ENCODINGS:
        report = evaluate(runs, topics.qrels, [METRIC], baseline=encoding)
        name = f"{encoding}, best {arguments.depth} reranked"
        table.append([encoding, interval(report.profiles[encoding].metrics[METRIC]), ""])
        better = report.profiles[name]
        table.append([name, interval(better.metrics[METRIC]), interval(better.differences[METRIC], sign="+")])
    whole = report.profiles["float32"]
    table.append(["float32, every record", interval(whole.metrics[METRIC]), ""])
    print(f"\n{arguments.collection}, {len(queries)} questions, {len(records)} records:\n")
    print(common.table(["multi-vectors kept as", METRIC, "gained"], table))
    print(f"\n{cost(list(records.values()), list(queries.values())[:3], arguments.depth)}")


def ranked(
    encoding: str,
    stored: Stacked,
    exact: Sequence[np.ndarray],
    ids: Sequence[str],
    queries: dict[str, np.ndarray],
    depth: int,
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the run of the stored vectors, and the one whose head float32 has ordered anew."""
    plain, reranked = {}, {}
    for query, vectors in queries.items():
        scores = maxsim(vectors, stored)
        plain[query] = top(scores, ids)
        head = np.argsort(-scores, kind="stable")[:depth]
        fresh = maxsim(vectors, stack([exact[i] for i in head]))
        reranked[query] = top(fresh, [ids[i] for i in head])
    return {encoding: plain, f"{encoding}, best {depth} reranked": reranked}


def top(scores: np.ndarray, ids: Sequence[str], size: int = 100) -> dict[str, float]:
    return {ids[i]: float(scores[i]) for i in np.argsort(-scores, kind="stable")[:size]}


def cost(contents: Sequence[RecordContent], queries: Sequence[np.ndarray], depth: int) -> str:
    encoder = load(load_spec(MODEL), threads=1)  # others would wait for work, and waiting counts as CPU
    step = max(1, len(contents) // depth)
    spent = []
    for vectors in queries:
        made = FullMaxSim(encoder, "text", vectors, None)
        started = time.process_time()
        made.score(RerankerQuery(), contents[::step][:depth])
        spent.append((time.process_time() - started) * 1000 / depth)
    each = f"{np.median(spent):.1f} CPU ms per candidate on one core"
    return f"Reranking costs {each} ({len(queries)} times {depth})."


if __name__ == "__main__":
    main()
