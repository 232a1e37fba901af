"""How well the shipped profiles rank the three collections, each ingested by one command.

For each collection: create an index, ingest (pages with OCR), check that every page or record is there
exactly once, search every judged question with every profile, and print a Markdown table: means with 95%
bootstrap intervals, and the paired difference of nDCG@10 to the best single retriever (chosen on the same
questions, which favours it). `rrf` is `hybrid` with reciprocal rank fusion in place of min_max; the default
`gqr` is compared with both, which nobody tuned. Then `osmm tune`'s search, cross-validated (`--part tune`).
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

import common
import pypdfium2

from opensearch_multimodal.client import Cluster
from opensearch_multimodal.errors import ClusterNotFound
from opensearch_multimodal.evaluation import (
    Interval,
    Row,
    Topics,
    evaluate,
    pair,
    paired_intervals,
    parse_metric,
    read_qrels,
    read_queries,
    run_profiles,
    tune,
)
from opensearch_multimodal.evaluation.selection import widening
from opensearch_multimodal.search import Searcher

SINGLE = ("bm25", "dense", "late_interaction")
PROFILES = (*SINGLE, "hybrid", "rrf", "gqr")
RRF = {"fusion": {"normalization": None, "combination": "rrf"}}
METRICS = ("ndcg@10", "recall@100", "mrr@10")
DEPTH = 100


@dataclass(frozen=True)
class Collection:
    name: str
    mapping: str
    source: str

    def expected(self, data: Path) -> set[str]:
        """Return the ids that the index must hold, parts of split records left aside."""
        path = data / self.name / self.source
        if path.is_dir():
            return {f"{pdf.stem}#p{n}" for pdf in path.glob("*.pdf") for n in range(1, page_count(pdf) + 1)}
        with path.open(encoding="utf-8") as lines:
            return {json.loads(line)["_id"] for line in lines if line.strip()}


COLLECTIONS = (
    Collection("scifact", "passages", "corpus.jsonl"),
    Collection("cranfield", "passages", "corpus.jsonl"),
    Collection("pages", "pages", "pdf"),
)


def page_count(pdf: Path) -> int:
    with pypdfium2.PdfDocument(pdf) as document:
        return len(document)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--collection", action="append", choices=[one.name for one in COLLECTIONS])
    parser.add_argument("--limit", type=int, help="only the first so many judged questions")
    parser.add_argument(
        "--reuse", action="store_true", help="use an index that is there already (with --url)"
    )
    parser.add_argument("--part", choices=("profiles", "tune"), help="default: both")
    arguments = parser.parse_args()
    chosen = [one for one in COLLECTIONS if not arguments.collection or one.name in arguments.collection]
    with common.cluster(arguments.url, arguments.heap) as used:
        print(common.machine(used))
        for collection in chosen:
            print(f"\n### {collection.name}\n")
            index = f"benchmark-{collection.name}"
            if not (arguments.reuse and exists(used, index)):
                print(bring_in(used, collection, index, arguments.data))
            print(check(used, index, collection.expected(arguments.data)), flush=True)
            folder = arguments.data / collection.name
            topics = pair(
                read_queries(folder / "queries.jsonl"),
                read_qrels(folder / "qrels.tsv"),
                limit=arguments.limit,
            )
            searcher = Searcher(used, index)
            if arguments.part != "tune":
                print(rank(searcher, topics), flush=True)
            if arguments.part != "profiles":
                print(tuned(searcher, topics), flush=True)


def exists(used: Cluster, index: str) -> bool:
    try:
        return bool(used.get_index(index))
    except ClusterNotFound:
        return False


def bring_in(used: Cluster, collection: Collection, index: str, data: Path) -> str:
    common.create_index(used, index, collection.mapping)
    common.say(f"ingesting {collection.name} …")
    started = time.monotonic()
    report = common.run_ingest(common.ingest_command(used, data / collection.name / collection.source, index))
    seconds = time.monotonic() - started
    told = {name: report[name] for name in ("written", "refused", "without_text", "truncated")}
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in told.items())
    for item in report["unreadable"]:
        common.say(f"{Path(item['path']).name}: {item['reason']}")
    return f"Ingest: {counts}, {len(report['unreadable'])} unreadable, {seconds:.0f} s.\n"


def check(used: Cluster, index: str, expected: set[str]) -> str:
    """Say whether each expected record is in the index exactly once; stop if not."""
    ids = [hit["_id"] for hit in used.scan(index, {"query": {"match_all": {}}, "_source": False})]
    whole = {re.sub(r"#c[0-9]+$", "", identity) for identity in ids}
    if len(ids) != len(set(ids)) or whole != expected:
        missing, extra = sorted(expected - whole), sorted(whole - expected)
        raise SystemExit(
            f"{index}: {len(missing)} missing {missing[:5]}, {len(extra)} unexpected {extra[:5]}"
        )
    return (
        f"Each of {len(expected)} records is there exactly once ({len(ids)} with the parts of split ones).\n"
    )


def rank(searcher: Searcher, topics: Topics) -> str:
    common.say(f"searching {len(topics.texts)} questions with {len(PROFILES)} profiles …")
    measured = run_profiles(
        lambda text, profile, k: searcher.search(
            text,
            profile="hybrid" if profile == "rrf" else profile,
            overrides=RRF if profile == "rrf" else None,
            k=k,
            fetch=False,
        ),
        topics.texts,
        PROFILES,
        k=DEPTH,
    )
    runs = {name: one.run for name, one in measured.items()}
    first = evaluate(runs, topics.qrels, METRICS)
    best = max(SINGLE, key=lambda name: first.profiles[name].metrics["ndcg@10"].mean)
    report = evaluate(runs, topics.qrels, METRICS, baseline=best)
    for warning in report.warnings:
        common.say(f"warning: {warning}")
    rows = []
    for name, profile in report.profiles.items():
        latency = measured[name].to_json()["latency_ms"]
        rows.append(
            [
                name,
                *(interval(profile.metrics[metric]) for metric in METRICS),
                interval(profile.differences["ndcg@10"], sign="+")
                if name != best
                else "best single retriever",
                f"{latency['p50']:.0f} / {latency['p95']:.0f}",
            ]
        )
    header = ["profile", *METRICS, f"ndcg@10 minus {best}", f"p50 / p95 ms for {DEPTH} hits"]
    against = [
        [
            name,
            interval(
                evaluate(runs, topics.qrels, METRICS[:1], baseline=name)
                .profiles["gqr"]
                .differences["ndcg@10"],
                "+",
            ),
        ]
        for name in ("hybrid", "rrf")
    ]
    return f"{report.queries} questions:\n\n{common.table(header, rows)}\n\n" + common.table(
        ["untuned fusion", "ndcg@10: gqr minus it"], against
    )


def tuned(searcher: Searcher, topics: Topics) -> str:
    """Return what tuning reaches, beside what nobody tuned."""
    common.say("tuning …")
    started = time.monotonic()
    found = tune(searcher, topics, parse_metric("ndcg@10"))
    seconds = time.monotonic() - started
    best = next(row for row in found.rows if row.name.startswith("best single"))

    def gain(row: Row) -> Interval:
        (difference,) = paired_intervals(row.values[:, None], best.values[:, None])
        return difference.widened(widening(found.folds)) if row.setting else difference

    rows = [
        [
            row.name,
            interval(row.mean),
            interval(row.difference, "+") if row.difference else "–",
            "–" if row is best else interval(gain(row), "+"),
            f"{row.setting.name} ({row.agreed} of {found.folds} folds)" if row.setting else "",
        ]
        for row in found.rows
    ]
    header = ["", "ndcg@10", f"minus {found.present}", "minus best single", "chosen on all questions"]
    refinement = interval(found.refinement_gain, "+") if found.refinement_gain else "–"
    verdict = "written" if found.won else "nothing is written"
    return (
        f"Tuning: {found.tried} settings in {seconds:.0f} s, cross-validated in {found.folds} folds:\n\n"
        f"{common.table(header, rows)}\n\n"
        f"Tuned gqr minus tuned fusion: {refinement}. Winner: {found.winner}, {verdict}.\n"
    )


def interval(value: Interval, sign: str = "") -> str:
    mark = " *" if sign and value.excludes_zero else ""
    return f"{value.mean:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]{mark}"


if __name__ == "__main__":
    main()
