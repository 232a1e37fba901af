"""What the projection of the late-interaction stand-in costs in nDCG@10, by exact MaxSim over a collection.

Every text is encoded once without the projection (384 dimensions); the shipped projection to 128 is then
applied to the same vectors, and the result stored as int8 as an index stores it. No cluster takes part.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import common
import numpy as np

from opensearch_multimodal import encoder, wire
from opensearch_multimodal.blas import single_threaded
from opensearch_multimodal.evaluation import evaluate, pair, read_qrels, read_queries
from opensearch_multimodal.maxsim import Stacked, maxsim
from opensearch_multimodal.models import load_spec, locate

MODEL = "all-minilm-l6-v2-tokens"
FULL_DIMENSION = 384


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--collection", choices=["cranfield", "scifact"], default="cranfield")
    arguments = parser.parse_args()
    folder = arguments.data / arguments.collection
    topics = pair(read_queries(folder / "queries.jsonl"), read_qrels(folder / "qrels.tsv"))
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text("utf-8").splitlines()]
    texts = [f"{row['title']}\n{row['text']}" for row in rows]
    spec = load_spec(MODEL)
    matrix = np.load(locate(spec) / spec.projection.file).astype(np.float32)
    plain = spec.model_copy(update={"projection": None, "dimension": FULL_DIMENSION})
    model = encoder.load(plain)
    common.say(f"encoding {len(texts)} texts …")
    documents = [vectors.astype(np.float16) for vectors in model.encode_passages(texts)]
    queries = model.encode_queries(list(topics.texts.values()))
    kept = [i for i, vectors in enumerate(documents) if len(vectors)]
    ids = [rows[i]["_id"] for i in kept]
    full = [documents[i].astype(np.float32) for i in kept]
    projected = [unit(vectors @ matrix) for vectors in full]
    stored = [wire.unpack(wire.pack(vectors, "int8")) for vectors in projected]
    variants = {
        "384 dimensions, float32": (full, queries),
        "128 dimensions, float32": (projected, [unit(q @ matrix) for q in queries]),
        "128 dimensions, int8 (as shipped)": (stored, [unit(q @ matrix) for q in queries]),
    }
    runs = {name: run(topics.texts, ids, *vectors) for name, vectors in variants.items()}
    report = evaluate(runs, topics.qrels, ("ndcg@10",))
    lines = []
    for name in variants:
        value = report.profiles[name].metrics["ndcg@10"]
        lines.append([name, f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"])
    print(common.machine())
    print(f"\n### {arguments.collection}, {len(topics.texts)} questions\n")
    print(common.table(["multi-vectors", "nDCG@10"], lines))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def run(
    questions: dict[str, str],
    ids: Sequence[str],
    documents: Sequence[np.ndarray],
    queries: Sequence[np.ndarray],
) -> dict[str, dict[str, float]]:
    """Return question → the best hundred records by exact MaxSim."""
    offsets = np.concatenate([[0], np.cumsum([len(vectors) for vectors in documents])]).astype(np.intp)
    stacked = Stacked(np.concatenate(documents), offsets)
    found = {}
    with single_threaded():
        for key, query in zip(questions, queries, strict=True):
            scores = maxsim(query, stacked)
            best = np.argsort(-scores)[:100]
            found[key] = {ids[i]: float(scores[i]) for i in best}
    return found


if __name__ == "__main__":
    main()
