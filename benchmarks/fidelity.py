"""What each encoding of token vectors costs in nDCG@10, on real ones: scifact through the default model.

Every abstract is encoded once and written as ``float32``, ``int8`` and ``bit`` into three fields of the
server plugin's type. Each question is scored over everything, by the query ``late_interaction`` in the
cluster, and by NumPy over the float32 vectors, which is exact. Differences are paired question by question.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import common
import numpy as np
from projection import run as exact_run

from opensearch_multimodal import encoder, wire
from opensearch_multimodal.client import Cluster, Search
from opensearch_multimodal.evaluation import evaluate, pair, read_qrels, read_queries
from opensearch_multimodal.models import load_spec

ENCODINGS = ("float32", "int8", "bit")
INDEX = "benchmark-fidelity"
MODEL = "all-minilm-l6-v2-tokens"
EXACT = "exact (NumPy)"
BATCH = 25
METRIC = "ndcg@10"


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--collection", choices=["cranfield", "scifact"], default="scifact")
    parser.add_argument("--cache", type=Path, help="folder that keeps the encoded texts for the next run")
    arguments = parser.parse_args()
    folder = arguments.data / arguments.collection
    topics = pair(read_queries(folder / "queries.jsonl"), read_qrels(folder / "qrels.tsv"))
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text("utf-8").splitlines()]
    model = encoder.load(load_spec(MODEL))
    texts = [f"{row['title']}\n{row['text']}" for row in rows]
    documents = common.kept(
        arguments.cache, f"{arguments.collection}-{MODEL}", lambda: model.encode_passages(texts)
    )
    queries = model.encode_queries(list(topics.texts.values()))
    kept = [i for i, vectors in enumerate(documents) if len(vectors)]
    ids = [rows[i]["_id"] for i in kept]
    vectors = [documents[i] for i in kept]
    with common.cluster(arguments.url, arguments.heap) as used:
        fill(used, ids, vectors, model.dimension)
        runs = {EXACT: exact_run(topics.texts, ids, vectors, queries)}
        for encoding in ENCODINGS:
            runs[encoding] = search(used, encoding, list(topics.texts), queries)
        print(common.machine(used))
        used.delete_index(INDEX)
    report = evaluate(runs, topics.qrels, (METRIC,), baseline=EXACT)
    lines = []
    for name, profile in report.profiles.items():
        value, change = profile.metrics[METRIC], profile.differences.get(METRIC)
        lines.append(
            [
                name,
                f"{value.mean:.4f} [{value.low:.3f}, {value.high:.3f}]",
                "" if change is None else f"{change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}]",
            ]
        )
    print(f"\n### {arguments.collection}, {len(ids)} texts, {len(topics.texts)} questions, over everything\n")
    print(common.table(["encoding", METRIC, "minus exact"], lines))


def fill(used: Cluster, ids: Sequence[str], vectors: Sequence[np.ndarray], dimension: int) -> None:
    """Write every text's vectors once per encoding."""
    fields = {name: {"type": "multi_vector", "dimension": dimension, "encoding": name} for name in ENCODINGS}
    settings = {"codec": "multimodal", "number_of_replicas": 0, "refresh_interval": -1}
    used.create_index(INDEX, {"settings": {"index": settings}, "mappings": {"properties": fields}})
    common.say("writing …")
    for begin in range(0, len(ids), BATCH):
        lines = []
        for key, rows in zip(ids[begin : begin + BATCH], vectors[begin : begin + BATCH], strict=True):
            packed = base64.b64encode(wire.pack(rows, "float32")).decode()
            lines += [json.dumps({"index": {"_id": key}}), json.dumps(dict.fromkeys(ENCODINGS, packed))]
        refused = [item for item in used.bulk(INDEX, "\n".join([*lines, ""]).encode()) if not item.written]
        if refused:
            raise SystemExit(f"{len(refused)} texts were refused: {refused[0].reason}")
    used.refresh(INDEX)


def search(
    used: Cluster, field: str, keys: Sequence[str], queries: Sequence[np.ndarray]
) -> dict[str, dict[str, float]]:
    """Return question → the best hundred by the cluster's MaxSim."""
    found = {}
    for key, query in zip(keys, queries, strict=True):
        clause = {"field": field, "query_vectors": base64.b64encode(wire.pack(query, "float32")).decode()}
        body = {"size": 100, "_source": False, "query": {"late_interaction": clause}}
        (answer,) = used.msearch(INDEX, [Search(body)])
        found[key] = {hit["_id"]: hit["_score"] for hit in answer["hits"]["hits"]}
    return found


if __name__ == "__main__":
    main()
