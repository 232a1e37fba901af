"""Exports the graphs of a plan, runs them, and compares them with the originals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from opensearch_multimodal.export.convert import convert
from opensearch_multimodal.export.graphs import Batch, Graph


def session_of(graph: Graph, folder: Path) -> onnxruntime.InferenceSession:
    """Convert a graph, and open it."""
    path = folder / graph.file
    convert(graph, path)
    return onnxruntime.InferenceSession(path)


def run(session: onnxruntime.InferenceSession, batch: Batch) -> np.ndarray:
    return session.run(None, {name: batch[name] for name in (given.name for given in session.get_inputs())})[
        0
    ]


def largest_difference(
    session: onnxruntime.InferenceSession, graph: Graph, examples: Sequence[Batch], batch: Batch | None = None
) -> float:
    """Return how far the vectors of a batch are from those that the original gives one by one."""
    output = run(session, graph.collate(examples) if batch is None else batch)
    assert np.isfinite(output).all()
    differences = []
    for example, got in zip(examples, output, strict=True):
        wanted = graph.reference(example)
        got = got[None] if got.ndim == 1 else got
        assert len(wanted) > 0
        differences.append(np.abs(got[: len(wanted)] - wanted).max())
    return float(max(differences))


def check_graphs(graphs: Sequence[Graph], folder: Path, *, tolerance: float = 1e-5) -> None:
    """Assert that graphs give the original's vectors, alone, in batches of unseen sizes, and padded more."""
    for graph in graphs:
        session = session_of(graph, folder)
        assert [given.name for given in session.get_inputs()] == list(graph.inputs)
        examples = graph.example(np.random.default_rng(7), 9)
        assert len({tuple(array.shape for array in example.values()) for example in examples}) > 1
        for batch in (examples[:1], examples[1:4], examples[4:]):
            assert largest_difference(session, graph, batch) <= tolerance, (graph.file, len(batch))
        assert graph.widen is not None
        for example in examples:
            alone = run(session, example)
            wider = run(session, graph.widen(example))
            rows = slice(None) if alone.ndim == 2 else (slice(None), slice(0, alone.shape[1]))
            np.testing.assert_allclose(wider[rows], alone, atol=tolerance)
