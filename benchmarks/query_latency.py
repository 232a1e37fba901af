"""Where the time of a query goes: stages at the median and the 95th percentile, and what of it is ours.

Passages of exactly 128 token vectors (cut from scifact abstracts) are ingested; 100 scifact questions are
searched for ten hits with every shipped profile, the profiles taking turns. Printed per profile:

- wall time of the whole search and of each stage;
- "ours": CPU time of this process during the search, minus that of the model encoding the question. It
  contains everything else: building requests, decoding responses, exact scores, fusion, refinement. Models
  run with one thread here, so that no idle thread of theirs is counted.

Two depths: the union that comes from ten candidates per retriever (about 20), and the profiles as shipped.
"""

from __future__ import annotations

import json
import string
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import common
import numpy as np
from tokenizers import Tokenizer

from opensearch_multimodal.client import Cluster
from opensearch_multimodal.encoder import EncoderPool, IndexEncoders
from opensearch_multimodal.evaluation import read_queries, run_profiles
from opensearch_multimodal.mappings import describe
from opensearch_multimodal.models import ModelSpec, load_spec, locate
from opensearch_multimodal.search import Searcher, SearchResult
from opensearch_multimodal.types import Encoder

PROFILES = ("bm25", "dense", "late_interaction", "hybrid", "gqr")
INDEX = "benchmark-latency"
FIELD = "multi_vector"
TARGET_MS = 15


class MeteredEncoder:
    """An encoder that adds up the CPU time of this process while it encodes questions."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode_queries(self, texts: list[str]) -> Any:
        started = time.process_time()
        try:
            return self._encoder.encode_queries(texts)
        finally:
            self.seconds += time.process_time() - started


class MeteredSearch:
    """Searches, and keeps what each search cost this process outside the models."""

    def __init__(self, used: Cluster, depth: int | None) -> None:
        self._searcher = Searcher(used, INDEX, EncoderPool(threads=1))
        self._depth = depth
        self._encoders: dict[str, MeteredEncoder] = {}
        self._load = self._searcher._encoders.get
        self._searcher._encoders.get = self._metered  # type: ignore[method-assign]
        self.ours_ms: dict[str, list[float]] = {}
        self.candidates: dict[str, list[int]] = {}

    def __call__(self, text: str, profile: str, k: int) -> SearchResult:
        encoding = self._encoding_seconds()
        started = time.process_time()
        result = self._searcher.search(text, profile=profile, k=k, overrides=self._overrides(profile))
        spent = time.process_time() - started - (self._encoding_seconds() - encoding)
        self.ours_ms.setdefault(profile, []).append(spent * 1000)
        self.candidates.setdefault(profile, []).append(result.candidates)
        return result

    def _overrides(self, profile: str) -> dict[str, Any] | None:
        if self._depth is None:
            return None
        retrievers = self._searcher.index.profile(profile).model_dump()["retrievers"]
        return {"retrievers": [{**retriever, "k": self._depth} for retriever in retrievers]}

    def _metered(self, field: str) -> Encoder:
        encoder = self._load(field)
        return self._encoders.setdefault(encoder.fingerprint, MeteredEncoder(encoder))  # type: ignore[return-value]

    def _encoding_seconds(self) -> float:
        return sum(encoder.seconds for encoder in self._encoders.values())


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--questions", type=int, default=100, help="how many (default: %(default)s)")
    parser.add_argument("--passages", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument(
        "--tokens", type=int, default=128, help="token vectors of each (default: %(default)s)"
    )
    parser.add_argument("--warm-up", type=int, default=5, help="unmeasured questions (default: %(default)s)")
    arguments = parser.parse_args()
    scifact = arguments.data / "scifact"
    queries = dict(list(read_queries(scifact / "queries.jsonl").items())[: arguments.questions])
    with common.cluster(arguments.url, arguments.heap) as used:
        fill(used, scifact / "corpus.jsonl", arguments.passages, arguments.tokens)
        print(common.machine(used))
        for depth in (10, None):
            print(report(used, queries, depth, arguments.warm_up), flush=True)


def fill(used: Cluster, corpus: Path, passages: int, tokens: int) -> None:
    """Create the index and ingest passages with exactly ``tokens`` token vectors."""
    common.create_index(used, INDEX, "passages")
    index = describe(INDEX, used.get_index(INDEX))
    common.say(f"cutting {passages} passages to {tokens} token vectors …")
    counter = RowCounter(load_spec(index.source_field(FIELD).model))
    found = list(islice(cut_texts(corpus, counter, tokens), passages))
    if len(found) < passages:
        raise SystemExit(f"only {len(found)} abstracts can be cut to {tokens} token vectors")
    rows = {len(vectors) for vectors in IndexEncoders(index).get(FIELD).encode_passages(found[:16])}
    if rows != {tokens}:
        raise SystemExit(f"the model gives {rows} token vectors instead of {tokens}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "passages.jsonl"
        lines = (json.dumps({"_id": str(number), "text": text}) for number, text in enumerate(found))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        common.say("ingesting …")
        written = common.run_ingest(common.ingest_command(used, path, INDEX))["written"]
    if written != passages:
        raise SystemExit(f"only {written} of {passages} passages were written")


class RowCounter:
    """Counts the token vectors of a text without running the model."""

    def __init__(self, spec: ModelSpec) -> None:
        self._tokenizer = Tokenizer.from_file(str(locate(spec) / spec.text.tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._special = 0 if spec.text.skip_special else self._tokenizer.num_special_tokens_to_add(False)
        self._skipped = set(string.punctuation) if spec.text.skip_punctuation else set()

    def __call__(self, text: str) -> int:
        tokens = self._tokenizer.encode(text, add_special_tokens=False).tokens
        return self._special + sum(token not in self._skipped for token in tokens)


def cut_texts(corpus: Path, count: Callable[[str], int], tokens: int) -> Iterator[str]:
    """Yield the beginnings of the corpus's texts that give exactly ``tokens`` token vectors."""
    with corpus.open(encoding="utf-8") as lines:
        for line in lines:
            words = json.loads(line)["text"].split()
            size = bisect_left(range(1, len(words) + 1), tokens, key=lambda n: count(" ".join(words[:n]))) + 1
            text = " ".join(words[:size])
            if count(text) == tokens:
                yield text


def report(used: Cluster, queries: dict[str, str], depth: int | None, warm_up: int) -> str:
    common.say(f"searching with {'the shipped depths' if depth is None else f'depth {depth}'} …")
    search = MeteredSearch(used, depth)
    measured = run_profiles(search, queries, PROFILES, k=10, warm_up=warm_up)
    stages = list(
        dict.fromkeys(stage for one in measured.values() for stage in one.stages_ms if stage != "total")
    )
    rows = []
    for name, one in measured.items():
        ours = search.ours_ms[name][-len(queries) :]
        rows.append(
            [
                name,
                f"{np.mean(search.candidates[name][-len(queries) :]):.1f}",
                *(percentiles(one.stages_ms.get(stage, [])) for stage in stages),
                percentiles(one.latencies_ms),
                f"**{percentiles(ours)}**",
            ]
        )
    header = ["profile", "candidates", *stages, "whole search", f"ours, CPU (target p50 < {TARGET_MS})"]
    title = "as shipped" if depth is None else f"{depth} candidates per retriever"
    return f"\n### {title}: p50 / p95 in ms of {len(queries)} questions\n\n" + common.table(header, rows)


def percentiles(values: list[float]) -> str:
    if not values:
        return "–"
    low, high = np.percentile(values, [50, 95])
    return f"{low:.1f} / {high:.1f}"


if __name__ == "__main__":
    main()
