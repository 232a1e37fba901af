"""Which roll-up of pages puts the right document first?

Ingests `pages` (PDFs, those without text by OCR) and asks every judged question, by several profiles and
every method of the stage `documents`. A document is right if one of its pages is judged relevant. Prints for
how many questions the first document is right, and for how many the best page inside it is, with 95%
bootstrap intervals, and the paired difference to the method `max` of the same profile.

`--quick` needs minutes less: BM25 alone, no vectors, no OCR (the decks without a text layer are then blank).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import common
import numpy as np
from ranking import COLLECTIONS, bring_in, check, exists, interval

from opensearch_multimodal.client import Cluster
from opensearch_multimodal.evaluation import pair, read_qrels, read_queries
from opensearch_multimodal.evaluation.intervals import mean_intervals, paired_intervals
from opensearch_multimodal.mappings import load_template
from opensearch_multimodal.search import Searcher

PROFILES = ("bm25", "dense", "late_interaction", "hybrid", "gqr")
METHODS: dict[str, dict[str, Any]] = {
    "max": {"method": "max"},
    "sum_top, n = 2": {"method": "sum_top", "n": 2},
    "sum_top, n = 3": {"method": "sum_top", "n": 3},
    "sum_top, n = 5": {"method": "sum_top", "n": 5},
    "mean_vector": {"method": "mean_vector"},
}
WITHOUT_DENSE = ("bm25", "late_interaction")
K = 10


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--limit", type=int, help="only the first so many judged questions")
    parser.add_argument(
        "--reuse", action="store_true", help="use an index that is there already (with --url)"
    )
    parser.add_argument("--quick", action="store_true", help="BM25 only: no vectors, no OCR")
    arguments = parser.parse_args()
    [pages] = [one for one in COLLECTIONS if one.name == "pages"]
    index = "benchmark-pages"
    folder = arguments.data / "pages"
    topics = pair(
        read_queries(folder / "queries.jsonl"), read_qrels(folder / "qrels.tsv"), limit=arguments.limit
    )
    with common.cluster(arguments.url, arguments.heap) as used:
        print(common.machine(used))
        if arguments.quick:
            bring_in_quickly(used, index, folder / pages.source)
        elif not (arguments.reuse and exists(used, index)):
            print(bring_in(used, pages, index, arguments.data))
        print(check(used, index, pages.expected(arguments.data)), flush=True)
        searcher = Searcher(used, index)
        rows: list[list[object]] = []
        for profile in ("bm25",) if arguments.quick else PROFILES:
            common.say(f"searching {len(topics.texts)} questions with {profile} …")
            baseline: np.ndarray | None = None
            for name, settings in METHODS.items():
                if name == "mean_vector" and profile in WITHOUT_DENSE:
                    continue
                found = np.array(
                    [
                        outcome(searcher, text, profile, settings, topics.qrels[query])
                        for query, text in topics.texts.items()
                    ]
                )
                baseline = found if baseline is None else baseline
                rows.append([profile, name, *cells(found, baseline)])
    header = ["profile", "method", "right document first", "− max", "right page first", "− max"]
    print(f"{len(topics.texts)} questions:\n\n" + common.table(header, rows))


def bring_in_quickly(used: Cluster, index: str, source: Path) -> None:
    """Ingest into an index without vector fields, without OCR."""
    body = load_template("pages")
    meta = body["mappings"]["_meta"]["multimodal"]
    for name in meta["fields"]:
        del body["mappings"]["properties"][name]
    meta["fields"], meta["profiles"] = {}, {"bm25": meta["profiles"]["bm25"]}
    with tempfile.TemporaryDirectory() as folder:
        mapping = Path(folder) / "bm25.json"
        mapping.write_text(json.dumps(body))
        common.create_index(used, index, str(mapping))
    common.run_ingest(common.ingest_command(used, source, index, "--ocr", "off"))


def outcome(
    searcher: Searcher, text: str, profile: str, settings: Mapping[str, Any], judged: Mapping[str, float]
) -> tuple[float, float]:
    """Return whether the first document is right, and whether its best page is."""
    relevant = {page for page, grade in judged.items() if grade > 0}
    result = searcher.search(text, profile=profile, k=K, overrides={"documents": settings}, fetch=False)
    if not result.documents:
        return 0.0, 0.0
    first = result.documents[0]
    return float(first.id in {page.rpartition("#p")[0] for page in relevant}), float(
        first.pages[0].id in relevant
    )


def cells(found: np.ndarray, baseline: np.ndarray) -> list[str]:
    shown = []
    means, differences = mean_intervals(found), paired_intervals(found, baseline)
    for mean, difference in zip(means, differences, strict=True):
        shown += [interval(mean), "" if found is baseline else interval(difference, sign="+")]
    return shown


if __name__ == "__main__":
    main()
