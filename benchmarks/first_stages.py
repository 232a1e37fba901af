"""First stages against exact search: what each finds, what it stores per record, and what it takes.

Multi-vectors: fixed dimensional encodings (MUVERA) of several sizes, and token pooling. Single vectors:
binary codes by sign and by a learnt rotation (ITQ, fitted on the collection's own vectors and 100 of its
sentences, questions unseen), and fewer components. Everything is searched whole, by NumPy on one thread: no
approximate graph takes part.

"10 in 100" is the share of the exact 10 best (MaxSim, or inner product, of float32 vectors) among the first
100 found; "100 in 100" the same of the exact 100. nDCG@10 is that of the first 100 found, ranked exactly
(pooled vectors: by themselves). Times are CPU milliseconds. "sizing" is what ``sizing.estimate_fde``
foretells of "10 in 100" from a fifth of the records.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import common
import numpy as np
from encoded import DENSE, TOKENS, Encoded, encode_collection

from opensearch_multimodal.binarize import fit_itq, rotated_codes, rotated_query_codes, sign_codes
from opensearch_multimodal.blas import single_threaded
from opensearch_multimodal.evaluation import evaluate
from opensearch_multimodal.fde import (
    FdeParameters,
    encode_document,
    encode_query,
    quantize_document,
    quantize_query,
)
from opensearch_multimodal.maxsim import Stacked, maxsim, stack
from opensearch_multimodal.sizing import estimate_fde
from opensearch_multimodal.token_pooling import pool_tokens

DEPTH = 100
SIZES = (
    FdeParameters(10, 3, 8),
    FdeParameters(20, 3, 16),
    FdeParameters(20, 4, 16),
    FdeParameters(20, 4, 16, fill_empty=False),
    FdeParameters(20, 4, 32),
    FdeParameters(20, 5, 16),
    FdeParameters(20, 5, 32, final_dimension=5120),
)
HEADER = [
    "first stage",
    "bytes per record",
    "10 in 100",
    "100 in 100",
    "nDCG@10",
    "ms per record",
    "ms per question",
]


@dataclass
class Stage:
    """What one first stage gave: its scores (questions, records), and what it took."""

    name: str
    bytes: float
    scores: np.ndarray
    record_ms: float
    question_ms: float
    own_ranking: bool = False
    sizing: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=common.parser("").get_default("data"))
    parser.add_argument("--collection", action="append", choices=["cranfield", "scifact"])
    parser.add_argument("--cache", type=Path, help="folder in which encodings are kept")
    parser.add_argument("--questions", type=int, help="only the first so many")
    parser.add_argument("--part", choices=["multi", "single"])
    arguments = parser.parse_args()
    print(common.machine())
    for collection in arguments.collection or ["cranfield", "scifact"]:
        for part, model, stages in (("multi", TOKENS, multi), ("single", DENSE, single)):
            if arguments.part in (None, part):
                given = encode_collection(
                    arguments.data, collection, model, arguments.cache, arguments.questions
                )
                title = f"{len(given.ids)} records, {len(given.queries)} questions"
                print(f"\n### {collection}, {part}-vectors ({model}): {title}\n")
                with single_threaded():
                    print(report(given, stages(given)), flush=True)


def timed(make: Callable[[], object], count: int) -> tuple[object, float]:
    """Return the result and the CPU milliseconds for each of ``count``."""
    started = time.process_time()
    made = make()
    return made, 1000 * (time.process_time() - started) / count


def multi(given: Encoded) -> list[Stage]:
    """Return exact MaxSim, then every first stage for multi-vectors."""
    records, questions = given.documents, given.queries
    stages = [by_maxsim("exact MaxSim (bytes as int8)", records, questions, 0.0)]
    for factor in (2, 3, 4):
        common.say(f"pooling by {factor} …")
        pooled, spent = timed(
            lambda factor=factor: [pool_tokens(one, factor) for one in records], len(records)
        )
        stages.append(by_maxsim(f"token pooling by {factor} (bytes as int8)", pooled, questions, spent))
        if factor == 2:
            stages.append(by_fde("pooled by 2, then FDE", FdeParameters(20, 4, 16), pooled, questions))
    common.say("encoding FDEs …")
    stages.append(as_in_the_paper(FdeParameters(20, 4, 32), records, questions))
    stages += [by_fde("FDE", parameters, records, questions) for parameters in SIZES]
    sample = range(0, len(records), 5)
    foretold = estimate_fde(
        [records[i] for i in sample], questions, SIZES, population=len(records), depth=DEPTH
    )
    for stage, one in zip(stages[-len(SIZES) :], foretold, strict=True):
        stage.sizing = f"{one.recall:.3f} [{one.low:.2f}, {one.high:.2f}]"
    return stages


def by_maxsim(
    name: str, records: Sequence[np.ndarray], questions: Sequence[np.ndarray], spent: float
) -> Stage:
    """Score everything by MaxSim; the bytes are those of the wire format in int8."""
    blocks = blocks_of(records)
    scores, question_ms = timed(
        lambda: np.stack([np.concatenate([maxsim(one, block) for block in blocks]) for one in questions]),
        len(questions),
    )
    size = np.mean([12 + 4 * len(one) + one.size for one in records])
    return Stage(name, float(size), scores, spent, question_ms, own_ranking=True)


def blocks_of(records: Sequence[np.ndarray]) -> list[Stacked]:
    """Stack records, some thousands of rows at a time, so that similarities stay small."""
    return [stack(list(records[start : start + 500])) for start in range(0, len(records), 500)]


def label(parameters: FdeParameters) -> str:
    text = f"{parameters.repetitions} · {2**parameters.simhash_bits} · {parameters.projection}"
    text += f" → {parameters.final_dimension}" if parameters.final_dimension else ""
    return text if parameters.fill_empty else f"{text}, empty buckets left 0"


def by_fde(
    name: str, parameters: FdeParameters, records: Sequence[np.ndarray], questions: Sequence[np.ndarray]
) -> Stage:
    """Score everything by the inner products of FDEs in bytes, as an index does."""
    codes, record_ms = timed(
        lambda: np.stack([quantize_document(encode_document(one, parameters)) for one in records]),
        len(records),
    )
    stored = codes.astype(np.float32)

    def search() -> np.ndarray:
        return np.stack(
            [stored @ quantize_query(encode_query(one, parameters)).astype(np.float32) for one in questions]
        )

    scores, question_ms = timed(search, len(questions))
    return Stage(f"{name} {label(parameters)}", codes.shape[1], scores, record_ms, question_ms)


def as_in_the_paper(
    parameters: FdeParameters, records: Sequence[np.ndarray], questions: Sequence[np.ndarray]
) -> Stage:
    """Score everything by the inner products of FDEs in float32, lengths left as they are."""
    stored, record_ms = timed(
        lambda: np.stack([encode_document(one, parameters) for one in records]), len(records)
    )
    scores, question_ms = timed(
        lambda: np.stack([stored @ encode_query(one, parameters) for one in questions]), len(questions)
    )
    name = f"FDE {label(parameters)}, float32 as in the paper"
    return Stage(name, 4 * stored.shape[1], scores, record_ms, question_ms)


def single(given: Encoded) -> list[Stage]:
    """Return the exact inner product, then every first stage for single vectors."""
    records, questions = np.stack(given.documents), np.stack(given.queries)
    dimension = records.shape[1]
    scores, question_ms = timed(lambda: questions @ records.T, len(questions))
    stages = [Stage("exact inner product, float32", 4 * dimension, scores, 0.0, question_ms)]
    stages.append(by_codes("codes by sign", sign_codes, sign_codes, records, questions))
    sentences = np.stack(given.sentences)
    for bits in (dimension, dimension // 2, dimension // 3):
        common.say(f"learning {bits} bits …")
        turn, fitted = timed(lambda bits=bits: fit_itq(records[:10_000], sentences, bits=bits), 1)
        name = f"codes by ITQ, {bits} bits (learnt in {fitted / 1000:.0f} s)"
        encoders = partial(rotated_codes, rotation=turn), partial(rotated_query_codes, rotation=turn)
        stages.append(by_codes(name, *encoders, records, questions))
    for kept in (dimension * 2 // 3, dimension // 3, dimension // 6):
        cut, record_ms = timed(lambda kept=kept: unit(records[:, :kept]), len(records))
        asked = unit(questions[:, :kept])
        scores, question_ms = timed(lambda asked=asked, cut=cut: asked @ cut.T, len(questions))
        name = f"first {kept} components (the model was not trained for it)"
        stages.append(Stage(name, 4 * kept, scores, record_ms, question_ms))
    return stages


def by_codes(
    name: str, encode: Callable, encode_queries: Callable, records: np.ndarray, questions: np.ndarray
) -> Stage:
    """Score everything by minus the Hamming distance."""
    codes, record_ms = timed(lambda: encode(records).view(np.uint64), len(records))

    def search() -> np.ndarray:
        asked = encode_queries(questions).view(np.uint64)
        return np.stack([-np.bitwise_count(codes ^ one).sum(axis=1, dtype=np.int32) for one in asked])

    scores, question_ms = timed(search, len(questions))
    return Stage(name, codes.nbytes // len(codes), scores, record_ms, question_ms)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def report(given: Encoded, stages: list[Stage]) -> str:
    exact = stages[0].scores
    best = np.argsort(-exact, axis=1, kind="stable")[:, :DEPTH]
    runs, lines = {}, []
    for stage in stages:
        found = np.argsort(-stage.scores, axis=1, kind="stable")[:, :DEPTH]
        ranking = stage.scores if stage.own_ranking else exact
        runs[stage.name] = {
            key: {given.ids[i]: float(ranking[row, i]) for i in found[row]}
            for row, key in enumerate(given.topics.texts)
        }
        shares = [
            np.mean([len(set(one[:top]) & set(two)) / top for one, two in zip(best, found, strict=True)])
            for top in (10, DEPTH)
        ]
        times = f"{stage.record_ms:.3f}", f"{stage.question_ms:.2f}"
        lines.append(
            [stage.name, f"{stage.bytes:,.0f}", *(f"{one:.3f}" for one in shares), *times, stage.sizing]
        )
    measured = evaluate(runs, given.topics.qrels, ("ndcg@10",))
    for line in lines:
        line.insert(4, f"{measured.profiles[line[0]].metrics['ndcg@10'].mean:.3f}")
    header = HEADER
    if any(stage.sizing for stage in stages):
        header = [*HEADER, "sizing"]
    else:
        lines = [line[:-1] for line in lines]
    return common.table(header, lines)


if __name__ == "__main__":
    main()
