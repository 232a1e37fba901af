"""Read what an ONNX file says of itself: its inputs and outputs, and where its external data lies.

The ``onnx`` package is no run-time dependency, so the names of external data files are read from the
protocol buffer directly: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto has the field numbers.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidInput
from ..types import Input
from .runtime import onnx_runtime

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = [
    "IMAGE_INPUTS",
    "TEXT_INPUTS",
    "Node",
    "Signature",
    "batch_axis",
    "external_data",
    "read_signature",
    "signature_of",
    "tower_of",
]

TEXT_INPUTS = {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
"""What a text tower may take; input_ids it must."""

IMAGE_INPUTS = {
    "pixel_values",
    "patches",
    "patch_mask",
    "row_weights",
    "column_weights",
    "patch_positions",
    "patch_windows",
    "position_indices",
    "position_weights",
    "input_ids",
    "attention_mask",
    "position_ids",
}
"""What an image tower may take, see `encoder.images`: it must take pixel_values or patches, unless it takes
nothing but pixels under a name of its own."""

_CHILDREN = {
    ("model", 7): "graph",
    ("model", 25): "function",
    ("function", 7): "node",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("graph", 15): "sparse",
    ("sparse", 1): "tensor",
    ("sparse", 2): "tensor",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
    ("attribute", 6): "graph",
    ("attribute", 10): "tensor",
    ("attribute", 11): "graph",
    ("attribute", 22): "sparse",
    ("attribute", 23): "sparse",
    ("tensor", 13): "entry",
}
"""(message, field number) → the message that the field holds, on every way to an external data entry."""


@dataclass(frozen=True)
class Node:
    """One input or output of a model.

    Attributes:
        name: its name.
        type: ONNX Runtime's name of its type, such as ``tensor(float)``.
        shape: a number, or a name or None for an axis of any length, per axis.
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of an ONNX file."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]


def read_signature(path: Path) -> Signature:
    """Return the inputs and outputs of an ONNX file, by loading it.

    Raises:
        InvalidInput: ONNX Runtime cannot load it.
    """
    onnxruntime = onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions have no common base but this
        reason = " ".join(str(error).split())[:300]
        raise InvalidInput(f"{path}: ONNX Runtime cannot load it: {reason}") from None
    return signature_of(session)


def signature_of(session: InferenceSession) -> Signature:
    """Return the inputs and outputs of a loaded model."""
    return Signature(
        tuple(Node(n.name, n.type, tuple(n.shape)) for n in session.get_inputs()),
        tuple(Node(n.name, n.type, tuple(n.shape)) for n in session.get_outputs()),
    )


def tower_of(signature: Signature, where: str) -> Input:
    """Say what a model reads, by its inputs; ``where`` names the model in errors.

    Raises:
        InvalidInput: its inputs are neither a text tower's nor an image tower's.
    """
    names = {node.name for node in signature.inputs}
    if "input_ids" in names and names <= TEXT_INPUTS:
        return "text"
    if names & {"pixel_values", "patches"} and len(names) > 1 and names <= IMAGE_INPUTS:
        return "image"
    if len(names) == 1 and len(signature.inputs[0].shape) == 4 and "float" in signature.inputs[0].type:
        return "image"
    shown = ", ".join(f"{node.name} {list(node.shape)}" for node in signature.inputs)
    raise InvalidInput(
        f"{where}: its inputs are {shown}; a text tower takes input_ids and of the others only "
        "attention_mask, token_type_ids and position_ids, an image tower takes pixels of shape (n, 3, h, w), "
        f"or pixel_values or patches and of the others only {', '.join(sorted(IMAGE_INPUTS))}"
    )


def batch_axis(signature: Signature) -> int | str | None:
    """Return the axis of a tower's inputs along which the items of a batch lie.

    ``pixel_values`` may be tiles, several of an image, so it is the last to be asked.
    """
    shapes = {node.name: node.shape for node in signature.inputs}
    for name in ("input_ids", "patches", "pixel_values"):
        if name in shapes:
            return shapes[name][0]
    return signature.inputs[0].shape[0]


def external_data(path: Path) -> tuple[str, ...]:
    """Return the files, relative to the ONNX file's folder, in which it keeps tensors; sorted, each once.

    Raises:
        InvalidInput: the file is not ONNX.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return tuple(sorted(set(_locations(content, "model", 0, len(content)))))
    except (ValueError, IndexError) as error:
        raise InvalidInput(f"{path}: not an ONNX file: {error}") from None


def _locations(content: mmap.mmap, message: str, start: int, end: int) -> Iterator[str]:
    if message == "entry":
        entry = dict(_fields(content, start, end))
        if content[slice(*entry.get(1, (0, 0)))] == b"location":
            yield content[slice(*entry.get(2, (0, 0)))].decode("utf-8")
        return
    for number, (first, last) in _fields(content, start, end):
        if child := _CHILDREN.get((message, number)):
            yield from _locations(content, child, first, last)


def _fields(content: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield (field number, (start, end) of its content) of each length-delimited field of a message."""
    at = start
    while at < end:
        key, at = _varint(content, at)
        wire = key & 7
        if wire == 0:
            _, at = _varint(content, at)
        elif wire == 1:
            at += 8
        elif wire == 5:
            at += 4
        elif wire == 2:
            length, at = _varint(content, at)
            if at + length > end:
                raise ValueError(f"it ends within a field, at byte {end}")
            yield key >> 3, (at, at + length)
            at += length
        else:
            raise ValueError(f"wire type {wire} at byte {at}")


def _varint(content: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
