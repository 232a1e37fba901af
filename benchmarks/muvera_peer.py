"""Fixed dimensional encodings beside fastembed's MUVERA post-processor: recall and encoding speed.

Same multi-vectors, same repetitions, hyperplanes and projection; both search the whole collection by inner
products. Several seeds of each, since both draw random hyperplanes. Recall: the share of the 10 best by exact
MaxSim among the first 100. CPU milliseconds, one thread, in turns. fastembed is not among the project's
dependencies: ``pip install fastembed``; without it, only ours is measured.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import common
import numpy as np
from encoded import TOKENS, encode_collection
from first_stages import blocks_of

from opensearch_multimodal.blas import single_threaded
from opensearch_multimodal.fde import (
    FdeParameters,
    encode_document,
    encode_query,
    quantize_document,
    quantize_query,
)
from opensearch_multimodal.maxsim import maxsim

try:
    from fastembed.postprocess import Muvera
except ImportError:
    Muvera = None

Encode = Callable[[np.ndarray], np.ndarray]
SETS = ((20, 4, 16), (20, 5, 16), (20, 5, 32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=common.parser("").get_default("data"))
    parser.add_argument("--collection", choices=["cranfield", "scifact"], default="cranfield")
    parser.add_argument("--cache", type=Path, help="folder in which encodings are kept")
    parser.add_argument("--questions", type=int, help="only the first so many")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print(common.machine())
    if Muvera is None:
        print("fastembed is not installed, so it is not compared: pip install fastembed")
    given = encode_collection(
        arguments.data, arguments.collection, TOKENS, arguments.cache, arguments.questions
    )
    records, questions = given.documents, given.queries
    rows = np.mean([len(one) for one in records])
    print(
        f"\n### {arguments.collection}, {len(records)} records of {rows:.0f} rows on average, "
        f"{len(questions)} questions, {arguments.seeds} seeds\n"
    )
    with single_threaded():
        blocks = blocks_of(records)
        exact = np.stack([np.concatenate([maxsim(one, block) for block in blocks]) for one in questions])
        best = np.argsort(-exact, axis=1, kind="stable")[:, :10]
        lines = [line for size in SETS for line in compare(size, records, questions, best, arguments.seeds)]
    header = ["R · 2^k · w", "encoder", "recall, per seed", "mean", "ms per record", "ms per question"]
    print(common.table(header, lines))


def compare(
    size: tuple[int, int, int],
    records: Sequence[np.ndarray],
    questions: Sequence[np.ndarray],
    best: np.ndarray,
    seeds: int,
) -> list[list[str]]:
    """Return a line per encoder for one parameter set."""
    repetitions, bits, width = size
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(1, seeds + 1):
        common.say(f"{size}, seed {seed} …")
        ours = FdeParameters(repetitions, bits, width, seed)
        ways: dict[str, tuple[Encode, Encode]] = {
            "ours, float32": (
                lambda one, p=ours: encode_document(one, p),
                lambda one, p=ours: encode_query(one, p),
            ),
            "ours, bytes": (
                lambda one, p=ours: quantize_document(encode_document(one, p)),
                lambda one, p=ours: quantize_query(encode_query(one, p)),
            ),
        }
        if Muvera is not None:
            peer = Muvera(records[0].shape[1], bits, width, repetitions, seed)
            ways["fastembed, float64"] = peer.process_document, peer.process_query
        for name, measured in measure(ways, records, questions, best).items():
            found.setdefault(name, []).append(measured)
    lines = []
    for name, rows in found.items():
        recalls, record_ms, question_ms = np.array(rows).T
        shown = " ".join(f"{one:.3f}" for one in recalls)
        times = f"{np.median(record_ms):.2f}", f"{np.median(question_ms):.2f}"
        label = f"{repetitions} · {2**bits} · {width}"
        lines.append([label, name, shown, f"**{recalls.mean():.3f}**", *times])
    return lines


def measure(
    ways: dict[str, tuple[Encode, Encode]],
    records: Sequence[np.ndarray],
    questions: Sequence[np.ndarray],
    best: np.ndarray,
) -> dict[str, tuple[float, float, float]]:
    """Encode everything, the encoders taking turns; return recall and both times per encoder."""
    encoded: dict[str, list[list[np.ndarray]]] = {name: [[], []] for name in ways}
    spent: dict[str, list[float]] = {name: [0.0, 0.0] for name in ways}
    for side, inputs in enumerate((records, questions)):
        for one in inputs:
            for name, encoders in ways.items():
                started = time.process_time()
                encoded[name][side].append(encoders[side](one))
                spent[name][side] += time.process_time() - started
    measured = {}
    for name, (stored, asked) in encoded.items():
        scores = np.stack(asked).astype(np.float32) @ np.stack(stored).astype(np.float32).T
        found = np.argsort(-scores, axis=1, kind="stable")[:, :100]
        recall = np.mean([len(set(one) & set(two)) / 10 for one, two in zip(best, found, strict=True)])
        record_ms, question_ms = (
            1000 * total / len(side) for total, side in zip(spent[name], (records, questions), strict=True)
        )
        measured[name] = float(recall), record_ms, question_ms
    return measured


if __name__ == "__main__":
    main()
