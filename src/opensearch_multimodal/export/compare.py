"""Does an ONNX file give what the library's model gives, on inputs of sizes it was not made with?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InvalidInput
from ..models.runtime import onnx_runtime
from ..types import FloatArray
from .graphs import Batch, Graph, Plan, Precision
from .parity import TOLERANCES, GraphParity, Parity
from .precision import NOTES, Attempt
from .rankings import compare_rankings, correlation

__all__ = ["check_parity"]

_BATCHES = (2, 3, 5, 7)
"""Sizes of batches: the graph was traced with another, and each has items of several sizes."""
_LARGE = 2_000_000_000


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
    progress: Callable[[str, int, int], None] | None = None,
    device: str = "cpu",
) -> Parity:
    """Run every ONNX file of a plan beside the original, and compare.

    Args:
        plan: what was exported.
        folder: of the ONNX files.
        precision: of the ONNX files.
        attempt: how that was written.
        seed: of the generated inputs.
        progress: called with a text, how much is done, and how much there is to do.
        device: ``cuda`` runs the files on a GPU, where ONNX Runtime has one; else the CPU does.

    Raises:
        InvalidInput: a file gives another shape, or what is not finite, or cannot be run.
    """
    provider = "CPUExecutionProvider"
    if device == "cuda" and "CUDAExecutionProvider" in onnx_runtime().get_available_providers():
        provider = "CUDAExecutionProvider"
    runs = [
        _run_graph(graph, folder / graph.file, seed=seed, progress=progress, provider=provider)
        for graph in plan.graphs
    ]
    tolerance = TOLERANCES[precision]
    ranking = compare_rankings(plan.kind, [run.original for run in runs], [run.exported for run in runs])
    return Parity(
        precision,
        tuple(run.report for run in runs),
        ranking,
        tolerance,
        (*plan.notes, *NOTES.get((precision, attempt), ())),
    )


def _run_graph(
    graph: Graph, path: Path, *, seed: int, progress: Callable[[str, int, int], None] | None, provider: str
) -> _Run:
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
    sizes: list[int] = []
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
        cosines = np.array([correlation(*scores)])
    else:
        cosines = np.sum(wanted * found, axis=1)
    spread = float(np.sqrt(np.mean((wanted - wanted.mean(axis=0)) ** 2)))
    return GraphParity(
        file=graph.file,
        logits=graph.output == "logits",
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
