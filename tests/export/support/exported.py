"""Export one graph and run it, without the rest of an export."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import torch

OPSET = 18


def source(folder: Path) -> Any:
    return SimpleNamespace(folder=folder)


def to_onnx(graph: Any, folder: Path) -> onnxruntime.InferenceSession:
    example = graph.collate(graph.example(np.random.default_rng(1), 2))
    arguments = tuple(torch.from_numpy(example[name]) for name in graph.inputs)
    axes = {name: {i: a for i, a in enumerate(named) if isinstance(a, str)} for name, named in graph.inputs.items()}
    axes[graph.output] = {i: a for i, a in enumerate(graph.output_axes) if isinstance(a, str)}
    path = folder / graph.file
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*legacy TorchScript-based.*")
        warnings.filterwarnings("ignore", category=DeprecationWarning, message="The feature will be removed")
        warnings.filterwarnings("ignore", category=UserWarning, message="Exporting aten::index operator of adv")
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        torch.onnx.export(
            graph.module, arguments, str(path), dynamo=False, opset_version=OPSET,
            input_names=list(graph.inputs), output_names=[graph.output], dynamic_axes=axes,
        )
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def differences(graph: Any, session: onnxruntime.InferenceSession, counts: Sequence[int] = (1, 3, 5)) -> float:
    """Return the largest difference to the library, in batches of several sizes, one of them widened."""
    rng = np.random.default_rng(7)
    worst = 0.0
    for count in counts:
        examples = graph.example(rng, count)
        batch = graph.collate(examples)
        outputs = [session.run(None, batch)[0]]
        if graph.widen:
            outputs.append(session.run(None, graph.widen(batch))[0])
        for position, example in enumerate(examples):
            expected = graph.reference(example)
            for output in outputs:
                found = np.atleast_2d(output[position])[: len(expected)]
                assert found.shape == expected.shape
                worst = max(worst, float(np.abs(found - expected).max()))
    return worst
