"""What guided query refinement costs beside the published loop, and whether it ranks the same.

The reference follows the published algorithm (arXiv 2510.05038) as its authors run it: similarities by
`torch.einsum`, the gradient by autograd, `torch.optim.Adam`, all in float32. Both get the same inputs and the
same two temperatures, take 25 steps at a learning rate of 1e-3 without an early stop, take turns, and use one
thread. CPU time, milliseconds.

- Time: 20 candidates × 1,030 rows × 128 with 20 query rows, random unit vectors and real token vectors
  (passages joined to the length of a page); 20 × 2,048 single vectors.
- Order: 200 random and 200 real cases. Wherever two scores of the reference differ by more than 1e-5, ours
  must put them in the same order.
- A query of ours: 40 candidates of 128 rows, from similarities that the scoring already has; many at once.
- The shipped `gqr` without cluster and models: MaxSim, fusion, refinement, order and cut.

Needs PyTorch, which is not among the project's own dependencies: `pip install torch`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import common
import numpy as np

from opensearch_multimodal import encoder
from opensearch_multimodal.blas import single_threaded
from opensearch_multimodal.evaluation import read_queries
from opensearch_multimodal.mappings import Cut, load_template, parse_profile
from opensearch_multimodal.maxsim import Stacked, stack
from opensearch_multimodal.models import load_spec
from opensearch_multimodal.refinement import MaxSimTracker, refine, refine_many
from opensearch_multimodal.search.cut import by_size
from opensearch_multimodal.search.ranking import fuse_candidates, refine_candidates
from opensearch_multimodal.search.ranking import order as ordered
from opensearch_multimodal.search.scoring import FieldVectors
from opensearch_multimodal.types import Candidate

try:
    import torch
except ImportError:
    raise SystemExit(
        "benchmarks/refinement.py compares with PyTorch, which is not installed: pip install torch"
    ) from None

RATE, STEPS, MIX = 1e-3, 25, 0.5
GAP = 1e-5
MODEL = "all-minilm-l6-v2-tokens"


@dataclass(frozen=True)
class Case:
    """A query (n, d) or (d,), its candidates, and the complementary retriever's scores."""

    query: np.ndarray
    candidates: list[np.ndarray] | np.ndarray
    other: np.ndarray


class Reference:
    """The published loop for one case; rows of candidates are padded with zeros, as theirs are."""

    def __init__(self, case: Case, dtype: torch.dtype = torch.float32) -> None:
        self._start = torch.from_numpy(case.query).to(dtype)
        rows = [torch.from_numpy(candidate).to(dtype) for candidate in case.candidates]
        self._multi = case.query.ndim == 2
        pad = torch.nn.utils.rnn.pad_sequence
        self._candidates = pad(rows, batch_first=True) if self._multi else torch.stack(rows)
        lengths = torch.tensor([len(candidate) for candidate in rows])
        self._padding = None
        if self._multi and (lengths != lengths[0]).any():
            # Zeros would beat negative similarities, in theirs: not in the comparison.
            self._padding = torch.arange(int(lengths.max()))[None] >= lengths[:, None]
        self._other = torch.from_numpy(case.other).to(dtype)

    def scores(self, query: torch.Tensor) -> torch.Tensor:
        if not self._multi:
            return self._candidates @ query
        similarities = torch.einsum("nd,csd->cns", query, self._candidates)
        if self._padding is not None:
            similarities = similarities.masked_fill(self._padding[:, None], -math.inf)
        return similarities.max(dim=2)[0].sum(dim=1)

    def __call__(self) -> np.ndarray:
        query = self._start.clone().requires_grad_(True)
        with torch.no_grad():
            base = self.scores(query)
            second = self._other.std(correction=0) / base.std(correction=0)
            primary, guide = torch.softmax(base, -1), torch.softmax(self._other / second, -1)
            target = (1 - MIX) * primary + MIX * guide
        optimizer = torch.optim.Adam([query], lr=RATE)
        for _ in range(STEPS):
            now = torch.softmax(self.scores(query), -1)
            loss = torch.sum(target * torch.log((target + 1e-8) / (now + 1e-8)))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            scores: np.ndarray = self.scores(query).numpy()
        return scores


def ours(case: Case, **more: Any) -> np.ndarray:
    candidates = case.candidates
    if case.query.ndim == 2 and not isinstance(candidates, Stacked):
        candidates = stack(candidates)
    result = refine(case.query, candidates, case.other, learning_rate=RATE, steps=STEPS, tolerance=0, **more)
    if result.skipped is not None:
        raise SystemExit(f"a case was not refined: {result.skipped}")
    return result.scores


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--collection", choices=["cranfield", "scifact"], default="cranfield")
    parser.add_argument("--passages", type=int, default=400, help="how many are encoded")
    parser.add_argument("--cases", type=int, default=200, help="of each kind, for the order")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each, for the time")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    real = Real(arguments)
    print(f"{common.machine()}, PyTorch {torch.__version__}; real vectors: {arguments.collection}")
    with single_threaded():
        print(cost(real, arguments.rounds), flush=True)
        print(order(real, arguments.cases), flush=True)
        print(per_query(arguments.rounds), flush=True)


class Real:
    """Token vectors of a collection through the default late-interaction model."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        folder: Path = arguments.data / arguments.collection
        with (folder / "corpus.jsonl").open(encoding="utf-8") as lines:
            rows = [json.loads(line) for _, line in zip(range(arguments.passages), lines, strict=False)]
        texts = list(read_queries(folder / "queries.jsonl").values())[: arguments.cases]
        model = encoder.load(load_spec(MODEL))
        common.say(f"encoding {len(rows)} passages and {len(texts)} questions …")
        encoded = model.encode_passages([f"{row['title']}\n{row['text']}" for row in rows])
        self._passages = [vectors for vectors in encoded if len(vectors)]
        self._stacked = stack(self._passages)
        self._pooled = np.stack([unit(vectors.mean(axis=0)) for vectors in self._passages])
        self.queries = list(model.encode_queries(texts))

    def case(self, number: int, count: int = 20, rows: int | None = None) -> Case:
        """Return a question with its best passages; the pooled vectors are the complementary retriever.

        Args:
            number: of the question.
            count: candidates.
            rows: joins each passage with others to this length; None leaves them as they are.
        """
        query = self.queries[number % len(self.queries)]
        best = np.argsort(-self._stacked.maxsim(self._stacked.similarities(query)))[:count]
        chosen = [self._passages[i] for i in best]
        if rows is not None:
            generator = np.random.default_rng(number)
            chosen = [self._joined(vectors, rows, generator) for vectors in chosen]
        return Case(query, chosen, (self._pooled[best] @ query.mean(axis=0)).astype(np.float32))

    def _joined(self, vectors: np.ndarray, rows: int, generator: np.random.Generator) -> np.ndarray:
        parts = [vectors]
        while sum(map(len, parts)) < rows:
            parts.append(self._passages[int(generator.integers(len(self._passages)))])
        return np.ascontiguousarray(np.concatenate(parts)[:rows])


def unit(rows: np.ndarray) -> np.ndarray:
    normal: np.ndarray = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return normal.astype(np.float32)


def random_case(number: int, *, rows: int = 1030, dimension: int = 128, count: int = 20) -> Case:
    """Return random unit vectors; ``rows`` = 0 for single vectors."""
    generator = np.random.default_rng(number)
    draw = generator.standard_normal
    other = generator.normal(20, 6, count).astype(np.float32)
    if rows == 0:
        return Case(unit(draw(dimension)), unit(draw((count, dimension))), other)
    return Case(unit(draw((20, dimension))), [unit(draw((rows, dimension))) for _ in range(count)], other)


def cost(real: Real, rounds: int) -> str:
    kinds: dict[str, tuple[Callable[[int], Case], int]] = {
        "20 × 1,030 × 128, random": (random_case, 1),
        "20 × 1,030 × 128, real": (lambda number: real.case(number, rows=1030), 1),
        "20 × 2,048 single vectors": (lambda number: random_case(number, rows=0, dimension=2048), 20),
    }
    lines = []
    for name, (make, repeat) in kinds.items():
        common.say(f"timing {name} …")
        theirs, mine = [], []
        for number in range(rounds):
            case = make(number)
            reference = Reference(case)
            prepared = case if repeat > 1 else Case(case.query, stack(case.candidates), case.other)
            for spent, run in ((theirs, reference), (mine, lambda prepared=prepared: ours(prepared))):
                spent.append(cpu_ms(run, repeat))
        ratios = np.array(theirs) / np.array(mine)
        lines.append(
            [name, spread(theirs), spread(mine), f"**{np.median(ratios):.1f}** ({ratios.min():.1f})"]
        )
    header = ["inputs", "reference: median (least) ms", "ours", "times less: median (least)"]
    return f"\n### Time, {STEPS} steps, {rounds} rounds\n\n{common.table(header, lines)}\n\n{work(real)}"


def work(real: Real) -> str:
    """Say what the proofs took, in one case of each kind: a walk of the query as long as a refinement's."""
    told = []
    for name, case in (("random", random_case(0)), ("real", real.case(0, rows=1030))):
        stacked = stack(case.candidates)
        made: list[MaxSimTracker] = []
        with recording(made):
            refine(case.query, stacked, case.other, learning_rate=RATE, steps=STEPS, tolerance=0)
        told.append(f"{name} {made[0].passes} and {made[0].repairs}")
    return (
        f"Passes over all rows, and proofs that failed and were repaired (of {STEPS + 2} scorings × 400): "
        + ", ".join(told)
        + "."
    )


@contextmanager
def recording(made: list[MaxSimTracker]) -> Iterator[None]:
    """Keep the trackers that are made inside the block."""
    plain = MaxSimTracker.__init__

    def keeping(self: MaxSimTracker, *values: Any, **named: Any) -> None:
        plain(self, *values, **named)
        made.append(self)

    MaxSimTracker.__init__ = keeping  # type: ignore[method-assign]
    try:
        yield
    finally:
        MaxSimTracker.__init__ = plain  # type: ignore[method-assign]


def order(real: Real, cases: int) -> str:
    lines = []
    for name, make in (("random, 20 × 1,030", random_case), ("real, 20 passages", real.case)):
        common.say(f"comparing {cases} cases, {name} …")
        wrong, unsure, pairs, worst = [], 0, 0, 0.0
        for number in range(cases):
            case = make(number)
            theirs, mine = Reference(case)(), ours(case)
            worst = max(worst, float(np.abs(theirs - mine).max()))
            apart = theirs[:, None] - theirs > GAP
            pairs += int(apart.sum())
            if swapped(apart, mine):
                wrong.append(number)
                exact = Reference(case, torch.float64)()
                unsure += not swapped(exact[:, None] - exact > GAP, mine)
        lines.append([name, cases, f"{pairs:,}", f"**{len(wrong)}**", unsure, f"{worst:.1e}"])
    header = [
        "cases",
        "number",
        f"pairs more than {GAP:g} apart",
        "cases with a pair in another order",
        "of these, ours as in float64",
        "largest difference of a score",
    ]
    return "\n### Order\n\n" + common.table(header, lines)


def swapped(apart: np.ndarray, scores: np.ndarray) -> bool:
    return bool((scores[:, None] <= scores)[apart].any())


def per_query(rounds: int) -> str:
    lines = []
    for count, rows in ((40, 128), (20, 1030)):
        case = random_case(1, rows=rows, count=count)
        stacked = stack(case.candidates)
        run = partial(refine, case.query, stacked, case.other, similarities=stacked.similarities(case.query))
        spent = [cpu_ms(run, 1) for _ in range(rounds)]
        lines.append([f"{count} × {rows:,} × 128, similarities known", spread(spent)])
    spent = [cpu_ms(WholeQuery(number), 1) for number in range(rounds)]
    lines.append(["MaxSim of 40 × 128 × 128, fusion, refinement of `dense`, order, cut", spread(spent)])
    singles = [random_case(number, rows=0, dimension=384, count=50) for number in range(100)]
    parts = ([c.query for c in singles], [c.candidates for c in singles], [c.other for c in singles])
    alone = [cpu_ms(lambda: [refine(*each) for each in zip(*parts, strict=True)], 1) for _ in range(5)]
    together = [cpu_ms(lambda: refine_many(*parts), 1) for _ in range(5)]
    lines.append(["50 × 384 single vectors, one by one", spread([value / 100 for value in alone])])
    lines.append(["50 × 384 single vectors, 100 at once", spread([value / 100 for value in together])])
    return "\n### One query, default options\n\n" + common.table(["inputs", "median (least) ms"], lines)


class WholeQuery:
    """A question and its 40 candidates, with the vectors as they are fetched."""

    def __init__(self, number: int) -> None:
        multi = random_case(number, rows=128, count=40)
        self._single = random_case(number, rows=0, dimension=384, count=40)
        self._multi = replace(multi, candidates=stack(multi.candidates))
        self._positions = {("index", str(i)): i for i in range(40)}
        profiles = load_template("passages")["mappings"]["_meta"]["multimodal"]["profiles"]
        self._profile = parse_profile("gqr", profiles["gqr"])

    def __call__(self) -> list[Candidate]:
        """Rank them as the shipped profile does, and return the best ten."""
        stored = {
            "multi_vector": FieldVectors.compared(self._positions, self._multi.candidates, self._multi.query),
            "dense": FieldVectors.compared(self._positions, self._single.candidates, self._single.query),
        }
        scores = {name: one.scores() for name, one in stored.items()}
        candidates = [
            Candidate(
                id=key[1],
                index=key[0],
                scores={
                    "text": float(self._multi.other[i]),
                    **{name: one[key] for name, one in scores.items()},
                },
            )
            for key, i in self._positions.items()
        ]
        weights = dict.fromkeys(("text", "dense", "multi_vector"), 1.0)
        fuse_candidates(candidates, self._profile, weights)
        ranked = ordered(candidates)
        refined = refine_candidates(ranked, self._profile, weights, self._single.query, stored)
        if refined is None or refined.skipped:
            raise SystemExit("a query was not refined")
        ranked = ordered(ranked)
        return ranked[: by_size(len(ranked), Cut(size=10), 10).size]


def cpu_ms(run: Callable[[], object], repeat: int) -> float:
    started = time.process_time()
    for _ in range(repeat):
        run()
    return (time.process_time() - started) * 1000 / repeat


def spread(values: list[float]) -> str:
    return f"{np.median(values):.2f} ({min(values):.2f})"


if __name__ == "__main__":
    main()
