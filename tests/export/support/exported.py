"""Export one graph and run it beside the library's model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from opensearch_multimodal.export import Graph, Plan
from opensearch_multimodal.export.convert import convert


def sessions(plan: Plan, folder: Path) -> dict[str, tuple[Graph, onnxruntime.InferenceSession]]:
    """Convert every graph of a plan into ``folder``; return them by tower, each with its session."""
    made = {}
    for graph in plan.graphs:
        convert(graph, folder / graph.file)
        session = onnxruntime.InferenceSession(str(folder / graph.file), providers=["CPUExecutionProvider"])
        made[graph.tower] = (graph, session)
    return made


def difference(graph: Graph, session: Any, counts: Sequence[int] = (1, 3, 5), *, unit: bool = False) -> float:
    """Return the largest difference of a component to the library's model, which reads inputs one at a time.

    Batches have other sizes than the one that the graph was made with; each is also run with more padding.

    Args:
        graph: what was converted.
        session: of the ONNX file.
        counts: the sizes of the batches.
        unit: compare vectors of unit length, as they are indexed, not as the graph gives them.
    """
    rng = np.random.default_rng(7)
    worst = 0.0
    for count in counts:
        examples = graph.example(rng, count)
        batch = graph.collate(examples)
        outputs = [session.run([graph.output], batch)[0]]
        if graph.widen is not None:
            outputs.append(session.run([graph.output], graph.widen(batch))[0])
        for position, example in enumerate(examples):
            expected = graph.reference(example)
            for output in outputs:
                found = np.atleast_2d(output[position])[: len(expected)]
                assert found.shape == expected.shape
                if unit:
                    found, wanted = (
                        rows / np.linalg.norm(rows, axis=1)[:, None] for rows in (found, expected)
                    )
                else:
                    wanted = expected
                worst = max(worst, float(np.abs(found - wanted).max()))
    return worst
