"""Does an ONNX file give what the library's model gives? On generated inputs of sizes it was not made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from ..types import FloatArray
from .graphs import Batch, Graph, Plan, Precision
from .precision import NOTES, Attempt

__all__ = [
    "TOLERANCES",
    "GraphParity",
    "Parity",
    "RankingParity",
    "Tolerance",
    "check_parity",
    "refuse_outside",
]

_BATCHES = (2, 3, 5, 7)
"""Sizes of batches: the graph was traced with another, and each has items of several sizes."""
_LARGE = 2_000_000_000
_TIED = 1e-4
"""Scores of the original nearer to each other than this, per row of the query, are no ranking."""


@dataclass(frozen=True)
class Tolerance:
    """How far an ONNX file may be from the original.

    Attributes:
        cosine: the least cosine of a vector; of rerankers, the least correlation of logits.
        difference: the largest difference of a component of unit vectors; None does not limit it.
        padding: the largest change of a component by what else is in the batch; None does not limit it.
        order: the least share of decided pairs that keep their order; None does not limit it.
        batch_dependent: whether vectors of this precision change with their batch-mates by their nature.
    """

    cosine: float
    difference: float | None
    padding: float | None
    order: float | None = None
    batch_dependent: bool = False


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(0.99999, 1e-4, 1e-5, order=1.0),
    "fp16": Tolerance(0.999, 2e-2, 1e-2),
    "int8-weights": Tolerance(0.999, None, 1e-2),
    "int8-dynamic": Tolerance(0.95, None, None, batch_dependent=True),
}
"""What each precision has to reach."""


@dataclass(frozen=True)
class GraphParity:
    """One ONNX file beside the original.

    Differences are of the components of unit vectors, which is what is indexed; of logits, as they are.

    Attributes:
        file: the ONNX file.
        examples: how many generated inputs.
        rows: how many vectors they have.
        sizes: the sizes of the inputs, such as ``3–384 t``.
        batches: the sizes of the batches.
        max_difference: the largest, alone and in batches.
        mean_difference: the mean.
        cosine_min: the least; of logits, their correlation.
        cosine_mean: the mean.
        relative_error: root mean square of the differences by that of the vectors around their mean: small
            even where all vectors are alike and every cosine is therefore near 1.
        padding_difference: the largest change of a component by batch-mates or by more padding.
    """

    file: str
    examples: int
    rows: int
    sizes: str
    batches: tuple[int, ...]
    max_difference: float
    mean_difference: float
    cosine_min: float
    cosine_mean: float
    relative_error: float
    padding_difference: float


@dataclass(frozen=True)
class RankingParity:
    """Rankings of generated passages or pages by generated queries, beside the original's.

    Attributes:
        score: ``inner product``, ``MaxSim`` or ``logit``.
        queries: how many.
        passages: how many for each.
        max_difference: the largest difference of a score.
        kendall_tau: the mean over queries.
        decided_kept: the share of pairs whose original scores differ by more than 1e-4 (MaxSim: for each row of
            the query) that keep their order.
        identical: the share of queries with the whole order kept, apart from such ties.
    """

    score: str
    queries: int
    passages: int
    max_difference: float
    kendall_tau: float
    decided_kept: float
    identical: float


@dataclass(frozen=True)
class Parity:
    """The report of one export.

    Attributes:
        precision: of the ONNX files.
        graphs: each ONNX file.
        ranking: what the vectors are for.
        tolerance: what had to be reached.
        notes: what else is to be known.
    """

    precision: Precision
    graphs: tuple[GraphParity, ...]
    ranking: RankingParity
    tolerance: Tolerance
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class _Run:
    original: list[FloatArray]
    exported: list[FloatArray]
    report: GraphParity


def check_parity(
    plan: Plan,
    folder: Path,
    precision: Precision,
    *,
    attempt: Attempt = "usual",
    seed: int = 0,
    progress: Any = None,
    provider: str = "CPUExecutionProvider",
) -> Parity:
    """Run every ONNX file of a plan beside the original, and compare.

    Args:
        plan: what was exported.
        folder: of the ONNX files.
        precision: of the ONNX files.
        attempt: how that was written.
        seed: of the generated inputs.
        progress: called with a text, how much is done, and how much there is to do.
        provider: ONNX Runtime's name of the execution provider.

    Raises:
        InvalidInput: a file gives another shape, or what is not finite, or cannot be run.
    """
    runs = [
        _run_graph(graph, folder / graph.file, seed=seed, progress=progress, provider=provider)
        for graph in plan.graphs
    ]
    tolerance = TOLERANCES[precision]
    ranking = _ranking(plan, runs)
    return Parity(precision, tuple(run.report for run in runs), ranking, tolerance, (*plan.notes, *NOTES.get((precision, attempt), ())))


def refuse_outside(parity: Parity, name: str) -> None:
    """Raise `InvalidInput` if a report is outside the tolerance of its precision."""
    limits = parity.tolerance
    for graph in parity.graphs:
        where = f"parity: {graph.file} of '{name}' in {parity.precision}"
        if not graph.cosine_min >= limits.cosine:
            raise InvalidInput(
                f"{where} reaches a cosine of {graph.cosine_min:.6f} to the original, less than "
                f"{limits.cosine}: nothing was kept{_remedy(parity.precision)}"
            )
        if limits.difference is not None and not graph.max_difference <= limits.difference:
            raise InvalidInput(
                f"{where} differs from the original by up to {graph.max_difference:.2g}, more than "
                f"{limits.difference:g}: nothing was kept{_remedy(parity.precision)}"
            )
        if limits.padding is not None and not graph.padding_difference <= limits.padding:
            raise InvalidInput(
                f"{where} gives vectors that change by up to {graph.padding_difference:.2g} with padding or "
                f"batch-mates, more than {limits.padding:g}: nothing was kept"
            )
    if limits.order is not None and not parity.ranking.decided_kept >= limits.order:
        raise InvalidInput(
            f"parity: '{name}' in {parity.precision} keeps the order of {parity.ranking.decided_kept:.2%} of the "
            f"pairs that the original ranks, less than {limits.order:.2%}: nothing was kept"
        )


def _remedy(precision: Precision) -> str:
    return "" if precision == "fp32" else "; try --precision fp32"


def _run_graph(graph: Graph, path: Path, *, seed: int, progress: Any, provider: str) -> _Run:
    session = _Session(graph, path, provider)
    large = sum(parameter.numel() for parameter in graph.module.parameters()) > _LARGE
    count = 6 if large else 24
    rng = np.random.default_rng([seed, 1])
    examples = graph.example(rng, count)
    original: list[FloatArray] = []
    for number, example in enumerate(examples):
        original.append(np.atleast_2d(graph.reference(example)))
        if progress:
            progress(f"comparing {graph.file}", number + 1, len(examples))
    exported: list[FloatArray] = [np.empty(0, np.float32)] * count
    padding = 0.0
    order = rng.permutation(count)
    sizes = []
    start = 0
    while start < count:
        size = min(_BATCHES[len(sizes) % len(_BATCHES)], count - start)
        members = [int(i) for i in order[start : start + size]]
        for member, rows in zip(
            members, session.run([examples[i] for i in members], original, members), strict=True
        ):
            exported[member] = rows
        sizes.append(size)
        start += size
    alone = [session.run([example], original, [i])[0] for i, example in enumerate(examples)]
    widened = [
        session.run([graph.widen(example)], original, [i], of=[example])[0]
        for i, example in enumerate(examples[: count // 2])
        if graph.widen is not None
    ]
    unit = graph.output != "logits"
    shown = [
        [_unit(rows) if unit else rows for rows in some] for some in (original, exported, alone, widened)
    ]
    for first, *others in zip(shown[2], shown[1], strict=True):
        padding = max(padding, *(float(np.abs(first - other).max()) for other in others))
    for first, other in zip(shown[2], shown[3], strict=False):
        padding = max(padding, float(np.abs(first - other).max()))
    report = _compared(graph, examples, shown[0], shown[1], shown[2], tuple(sorted(set(sizes))), padding)
    return _Run(shown[0], shown[1], report)


def _compared(
    graph: Graph,
    examples: Sequence[Batch],
    original: Sequence[FloatArray],
    exported: Sequence[FloatArray],
    alone: Sequence[FloatArray],
    batches: tuple[int, ...],
    padding: float,
) -> GraphParity:
    wanted = np.concatenate([*original, *original]).astype(np.float64)
    found = np.concatenate([*exported, *alone]).astype(np.float64)
    difference = np.abs(wanted - found)
    if graph.output == "logits":
        scores = wanted.ravel(), found.ravel()
        cosines = np.array([_correlation(*scores)])
    else:
        cosines = np.sum(wanted * found, axis=1)
    spread = float(np.sqrt(np.mean((wanted - wanted.mean(axis=0)) ** 2)))
    return GraphParity(
        file=graph.file,
        examples=len(examples),
        rows=sum(len(rows) for rows in original),
        sizes=_sizes(graph, examples),
        batches=batches,
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        cosine_min=float(cosines.min()),
        cosine_mean=float(cosines.mean()),
        relative_error=float(np.sqrt(np.mean(difference**2))) / max(spread, 1e-30),
        padding_difference=padding,
    )


class _Session:
    """Runs one ONNX file and takes from its output the rows of each example."""

    def __init__(self, graph: Graph, path: Path, provider: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
        except Exception as error:  # the runtime's exceptions have no common base but this
            reason = " ".join(str(error).split())[:300]
            raise InvalidInput(f"parity: ONNX Runtime cannot load {graph.file}: {reason}") from None
        self._graph = graph
        self._names = [node.name for node in self._session.get_inputs()]

    def run(
        self,
        examples: Sequence[Batch],
        original: Sequence[FloatArray],
        members: Sequence[int],
        *,
        of: Sequence[Batch] | None = None,
    ) -> list[FloatArray]:
        """Return the rows of each example, run as one batch.

        Args:
            examples: what to run.
            original: the original's rows of all examples.
            members: which of these the examples are.
            of: the examples as they were before they were padded further.
        """
        graph = self._graph
        batch = graph.collate(examples)
        try:
            [output] = self._session.run([graph.output], {name: batch[name] for name in self._names})
        except Exception as error:  # the runtime's exceptions have no common base but this
            shapes = {name: batch[name].shape for name in self._names}
            reason = " ".join(str(error).split())[:300]
            raise InvalidInput(f"parity: {graph.file} fails on inputs of shapes {shapes}: {reason}") from None
        rows = self._rows(np.asarray(output, np.float32), of or examples, [original[i] for i in members])
        for found, wanted in zip(rows, (original[i] for i in members), strict=True):
            if found.shape != wanted.shape:
                raise InvalidInput(
                    f"parity: {graph.file} gives vectors of shape {found.shape} where the original gives "
                    f"{wanted.shape}"
                )
            if not np.isfinite(found).all():
                raise InvalidInput(f"parity: {graph.file} gives a value that is NaN or infinite")
        return rows

    def _rows(
        self, output: FloatArray, examples: Sequence[Batch], original: Sequence[FloatArray]
    ) -> list[FloatArray]:
        if self._graph.rows is not None:
            flat = output.reshape(-1, output.shape[-1])
            return [flat[rows] for rows in self._graph.rows(examples)]
        if output.ndim == 2:
            return [output[i : i + 1] for i in range(len(original))]
        return [output[i, : len(rows)] for i, rows in enumerate(original)]


def _ranking(plan: Plan, runs: Sequence[_Run]) -> RankingParity:
    """Compare rankings: texts rank images where there are both, else the first third ranks the rest."""
    if plan.kind == "reranker":
        [run] = runs
        scores = [np.array([_score(rows) for rows in some])[None] for some in (run.original, run.exported)]
        return _agreement("logit", *scores, np.array([_TIED]))
    first, last = runs[0], runs[-1]
    cut = len(first.original) // 3 if first is last else len(first.original)
    skip = cut if first is last else 0
    both = []
    for queries, passages in (
        (first.original[:cut], last.original[skip:]),
        (first.exported[:cut], last.exported[skip:]),
    ):
        both.append(np.array([[_maxsim(q, p) for p in passages] for q in queries]))
    ties = np.array([_TIED * len(query) for query in first.original[:cut]])
    return _agreement("MaxSim" if plan.kind == "multi_vector" else "inner product", *both, ties)


def _maxsim(query: FloatArray, passage: FloatArray) -> float:
    """Return the sum over query rows of the largest inner product; for one row each, the inner product."""
    return float((query @ passage.T).max(axis=1).sum())


def _score(logits: FloatArray) -> float:
    return float(logits[0, 0] if logits.shape[1] == 1 else logits[0, 1] - logits[0, 0])


def _agreement(
    name: str,
    original: npt.NDArray[np.float64],
    exported: npt.NDArray[np.float64],
    ties: npt.NDArray[np.float64],
) -> RankingParity:
    kept = decided = 0
    taus = []
    whole = []
    for wanted, found, tied in zip(original, exported, ties, strict=True):
        pairs = list(combinations(range(len(wanted)), 2))
        signs = np.array([np.sign((wanted[a] - wanted[b]) * (found[a] - found[b])) for a, b in pairs])
        clear = np.array([abs(wanted[a] - wanted[b]) > tied for a, b in pairs])
        taus.append(float(signs.mean()))
        kept += int((signs[clear] > 0).sum())
        decided += int(clear.sum())
        whole.append(bool((signs[clear] > 0).all()))
    return RankingParity(
        score=name,
        queries=len(original),
        passages=original.shape[1],
        max_difference=float(np.abs(original - exported).max()),
        kendall_tau=float(np.mean(taus)),
        decided_kept=kept / decided if decided else 1.0,
        identical=float(np.mean(whole)),
    )


def _correlation(wanted: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    wanted, found = wanted - wanted.mean(), found - found.mean()
    return float(wanted @ found / max(float(np.linalg.norm(wanted) * np.linalg.norm(found)), 1e-30))


def _unit(rows: FloatArray) -> FloatArray:
    unit: FloatArray = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-30)
    return unit


def _sizes(graph: Graph, examples: Sequence[Batch]) -> str:
    """Return the range of each open axis but that of batches."""
    found: dict[str, set[int]] = {}
    for name, axes in graph.inputs.items():
        for position, axis in enumerate(axes):
            if isinstance(axis, str) and axis != "n":
                found.setdefault(axis, set()).update(example[name].shape[position] for example in examples)
    return ", ".join(f"{min(sizes)}–{max(sizes)} {axis}" for axis, sizes in found.items()) or "fixed"
