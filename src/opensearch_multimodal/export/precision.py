"""Lower precisions of an ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from ..errors import InvalidInput
from .convert import load_proto, save_proto
from .graphs import Precision
from .int8_weights import quantize_weights

__all__ = ["ATTEMPTS", "NOTES", "Attempt", "write_precision"]

Attempt = Literal["usual", "float_arithmetic"]
"""How a precision is written."""

ATTEMPTS: dict[Precision, tuple[Attempt, ...]] = {
    "fp32": ("usual",),
    "fp16": ("usual",),
    "int8-weights": ("usual", "float_arithmetic"),
    "int8-dynamic": ("usual",),
}
"""What is tried in turn until one is within the tolerance of its precision."""

NOTES: dict[tuple[Precision, Attempt], tuple[str, ...]] = {
    ("fp16", "usual"): (
        "Weights and most arithmetic are float16; layer norms, softmax, means and powers stay float32, as do "
        "inputs and outputs. A CPU has few float16 kernels: the runtime computes in float32 there, so that "
        "the file is half as large and no faster, and a number too large for float16 goes unseen: compare "
        "with --device cuda before a GPU runs it.",
    ),
    ("int8-weights", "usual"): (
        "Weights are int8 with a scale for each 16 numbers; the runtime gives each 16 numbers of an "
        "activation's row a scale of their own, so that a vector does not depend on its batch-mates.",
    ),
    ("int8-weights", "float_arithmetic"): (
        "Weights are int8 with a scale for each 16 numbers, and become float32 when the model is loaded: "
        "with arithmetic on int8 this model's vectors were too far from the original. The files are small, "
        "memory and time are those of fp32.",
    ),
    ("int8-dynamic", "usual"): (
        "Vectors change with what else is in their batch: the scale of activations is that of the whole "
        "batch. The spec says so (batch_dependent), and indexing refuses it unless asked.",
    ),
}
"""What is to be known of each precision, for the report."""

_FLOAT32_OPS = (
    *("LayerNormalization", "InstanceNormalization", "GroupNormalization", "Softmax", "LogSoftmax"),
    *("ReduceMean", "ReduceSum", "ReduceL2", "ReduceSumSquare", "Pow", "Sqrt", "Reciprocal", "Exp"),
    *("Range", "CumSum", "Resize", "Sin", "Cos", "NonZero", "ScatterND", "Max", "Min", "Clip"),
)
"""Operators whose sums or powers leave the range of float16, or which have no kernel for it."""


def write_precision(
    source: Path, target: Path, precision: Precision, *, attempt: Attempt = "usual", external_above: int
) -> tuple[Path, ...]:
    """Write an ONNX file of float32 in another precision.

    Args:
        source: the file, in a folder where more can be written.
        target: in another folder.
        precision: what to write.
        attempt: how.
        external_above: the size in bytes above which weights lie in a file beside it.

    Returns:
        The files written.

    Raises:
        InvalidInput: the tools cannot convert it.
    """
    try:
        with _quiet():
            model = _converted(source, precision, attempt, external_above)
    except OSError:
        raise
    except Exception as error:  # the tools raise many kinds
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InvalidInput(f"precision: {source.name} cannot be written as {precision}: {reason}") from None
    return save_proto(model, target, external_above=external_above)


def _converted(source: Path, precision: Precision, attempt: Attempt, external_above: int) -> Any:
    if precision == "fp16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        # By its path: shapes of a model above 2 GB are inferred in a file.
        kept = _float32_nodes(source)
        model = convert_float_to_float16(
            str(source), keep_io_types=True, op_block_list=list(_FLOAT32_OPS), node_block_list=sorted(kept)
        )
        _drop_round_trips(model, kept)
        return model
    if precision == "int8-dynamic":
        from onnxruntime.quantization import QuantType, quantize_dynamic

        between = source.with_name(f"dynamic-{source.name}")
        large = sum(path.stat().st_size for path in source.parent.iterdir()) > external_above
        quantize_dynamic(
            str(source),
            str(between),
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=large,
        )
        return load_proto(between)
    model = load_proto(source)
    if precision == "int8-weights":
        quantize_weights(model, float_arithmetic=attempt == "float_arithmetic")
    return model


def _float32_nodes(path: Path) -> set[str]:
    """Return the names of nodes that stay float32 because of what they are for.

    These lead to a sine or cosine (a position of 3000 times a frequency has no digit behind the point in
    float16), or are in the middle of a root mean square (a square of more than 255² is infinite in float16).
    """
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    made_by = {output: node for node in graph.node for output in node.output}
    roots = {node.output[0] for node in graph.node if node.op_type == "Sqrt"}
    found = {node.name for node in graph.node if node.op_type == "Div" and roots.intersection(node.input)}
    found |= {made_by[node.input[0]].name for node in graph.node if node.op_type == "Sqrt"}
    waiting = [node for node in graph.node if node.op_type in ("Sin", "Cos")]
    while waiting:
        node = waiting.pop()
        if node.op_type != "Shape":
            before = [made_by[name] for name in node.input if name in made_by]
            waiting += [one for one in before if one.name not in found]
            found |= {one.name for one in before}
    return found


def _drop_round_trips(model: Any, nodes: Collection[str]) -> None:
    """Let what stays float32 because of what it is for pass from one operator to the next as it is.

    The converter rounds what stays float32 to float16 and back between any two operators.

    Args:
        model: changed in place.
        nodes: the names that `_float32_nodes` gave.
    """
    made_by = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.name not in nodes and node.op_type not in ("Sin", "Cos", "Sqrt", "ReduceMean"):
            continue
        for place, name in enumerate(node.input):
            back = made_by.get(name)
            there = made_by.get(back.input[0]) if back and back.name.endswith("_cast_to_fp32_node") else None
            if there and there.name.endswith("_cast_to_fp16_node"):
                node.input[place] = there.input[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tools' log lines and warnings to themselves: what they made is compared with the original."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
