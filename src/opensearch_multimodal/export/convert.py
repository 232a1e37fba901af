"""Modules to ONNX files."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidInput
from .graphs import Batch, Graph

if TYPE_CHECKING:
    import onnx

__all__ = ["OPSET", "convert", "load_proto", "save_proto", "torch_batch"]

OPSET = 18

_FREE = "the_one_output"
"""torch.export names values by operators and never looks whether an output's name, `embedding`, is one."""


def convert(graph: Graph, path: Path) -> None:
    """Write a graph's module as ONNX, float32, its weights wherever torch puts them beside ``path``.

    Args:
        graph: what to convert; traced on two of its examples in one batch.
        path: of the ONNX file, in an empty folder of its own.

    Raises:
        InvalidInput: torch cannot convert it.
    """
    import torch

    batch = graph.collate(graph.example(np.random.default_rng(0), 2))
    missing = [name for name in graph.inputs if name not in batch]
    if missing:
        raise InvalidInput(f"{graph.file}: its examples lack {', '.join(missing)}")
    tensors = tuple(torch_batch({name: batch[name] for name in graph.inputs}).values())
    axes = {**graph.inputs, graph.output: graph.output_axes}
    dynamic = {
        name: {position: axis for position, axis in enumerate(named) if isinstance(axis, str)}
        for name, named in axes.items()
    }
    # Tracing puts a module back into the mode it was in: dropout must not come back with it.
    module = graph.module.eval().requires_grad_(False)
    settings: dict[str, Any] = {
        "input_names": list(graph.inputs),
        "output_names": [_FREE if graph.dynamo else graph.output],
        "opset_version": OPSET,
        "dynamo": graph.dynamo,
    }
    if graph.dynamo:
        settings["verbose"] = False
        settings["dynamic_shapes"] = tuple(
            dict.fromkeys(dynamic[name], torch.export.Dim.DYNAMIC) for name in graph.inputs
        )
    else:
        settings["dynamic_axes"] = dynamic
        settings["do_constant_folding"] = True
    try:
        with torch.no_grad(), _quiet():
            torch.onnx.export(module, tensors, str(path), **settings)
            if graph.dynamo:
                _name_output(path, graph.output)
    except OSError:
        raise
    except Exception as error:  # torch raises many kinds
        if "No space left" in str(error) or "File too large" in str(error):
            raise OSError(28, "No space left on device", str(path)) from None
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InvalidInput(f"{graph.file}: torch cannot convert the model: {reason}") from None


def _name_output(path: Path, name: str) -> None:
    """Name the output of a file, and whatever has that name already otherwise; weights outside stay there."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    names = {name: f"{name}_inside", _FREE: name}
    graph = model.graph
    for node in graph.node:
        for values in (node.input, node.output):
            renamed = [names.get(value, value) for value in values]
            del values[:]
            values.extend(renamed)
    for value in (*graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    onnx.save_model(model, str(path))


def torch_batch(batch: Batch) -> dict[str, Any]:
    """Return the arrays as tensors of torch."""
    import torch

    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in batch.items()}


def load_proto(path: Path) -> onnx.ModelProto:
    """Return an ONNX file with all its weights in memory."""
    import onnx

    return onnx.load(str(path))


def save_proto(model: onnx.ModelProto, path: Path, *, external_above: int) -> tuple[Path, ...]:
    """Write an ONNX file, with one file ``<name>.data`` beside it where the weights are too large for one.

    Args:
        model: changed where weights lie outside: do not use it further.
        path: of the ONNX file.
        external_above: the size in bytes above which weights lie outside.

    Returns:
        The files written.
    """
    import onnx

    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)  # of an attempt before: onnx would append
    size = sum(tensor.ByteSize() for tensor in model.graph.initializer)
    if size <= external_above:
        onnx.save_model(model, str(path))
        return (path,)
    onnx.save_model(
        model,
        str(path),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=data.name,
        size_threshold=1024,
        convert_attribute=False,
    )
    return (path, data)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' warnings to themselves: whether a graph is right is shown by running it."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
