"""Weights that several ONNX files of one model hold, such as a language model's, in one file beside them."""

from __future__ import annotations

import hashlib
import mmap
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import onnx

__all__ = ["SHARED_FILE", "share_weights"]

SHARED_FILE = "weights.data"
"""The name of the file that is shared."""

_LEAST_TENSOR = 4096
_LEAST_SAVING = 1_000_000
_PAGE = 4096
"""Where each tensor begins, so that the runtime can map it into memory."""

_Key: TypeAlias = tuple[int, tuple[int, ...], int, bytes]
"""Data type, dimensions, bytes, and the digest of these."""


def share_weights(files: Sequence[Path]) -> tuple[Path, ...]:
    """Keep equal weights of the ONNX files of a folder once, in a file that all of them name.

    Nothing is done where that saves less than a megabyte, nor where tensors of inner graphs lie outside.

    Args:
        files: ONNX files, and the files of their weights beside them; all in one folder.

    Returns:
        The files that there are afterwards.
    """
    import onnx

    paths = [path for path in files if path.suffix == ".onnx"]
    target = paths[0].with_name(SHARED_FILE)
    target.unlink(missing_ok=True)
    models = {path: onnx.load(str(path), load_external_data=False) for path in paths}
    if any(_lies_outside(tensor) for model in models.values() for tensor in _inner_tensors(model.graph)):
        return tuple(files)
    with _opened(files) as maps:
        keys = {
            path: [_key(tensor, maps) for tensor in model.graph.initializer] for path, model in models.items()
        }
        counts = Counter(key for found in keys.values() for key in found if key is not None)
        if sum(key[2] * (count - 1) for key, count in counts.items()) < _LEAST_SAVING:
            return tuple(files)
        places: dict[_Key, int] = {}
        with target.open("wb") as file:
            for path, model in models.items():
                for key, tensor in zip(keys[path], model.graph.initializer, strict=True):
                    if key is None or (counts[key] == 1 and not _lies_outside(tensor)):
                        continue
                    if key not in places:
                        file.seek(-(-file.tell() // _PAGE) * _PAGE)
                        places[key] = file.tell()
                        file.write(_bytes(tensor, maps))
                    _point(tensor, places[key], key[2])
    for path, model in models.items():
        path.write_bytes(model.SerializeToString())
    for path in files:
        if path not in models:
            path.unlink()
    return (*paths, target)


def _inner_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield the tensors that are no initializers of the graph itself: of attributes and inner graphs."""
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from inner.initializer
                yield from _inner_tensors(inner)


@contextmanager
def _opened(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield name → content of the files of weights."""
    with ExitStack() as stack:
        maps = {}
        for path in files:
            if path.suffix != ".onnx" and path.stat().st_size:
                file = stack.enter_context(path.open("rb"))
                maps[path.name] = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        yield maps


def _lies_outside(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_location == tensor.EXTERNAL)


def _bytes(tensor: onnx.TensorProto, maps: dict[str, Any]) -> bytes:
    if not _lies_outside(tensor):
        return bytes(tensor.raw_data)
    told = {entry.key: entry.value for entry in tensor.external_data}
    start = int(told.get("offset", 0))
    content = maps[told["location"]]
    return bytes(content[start : start + int(told["length"])] if "length" in told else content[start:])


def _key(tensor: onnx.TensorProto, maps: dict[str, Any]) -> _Key | None:
    """Return what tells a tensor from others; None of one that stays where it is."""
    if not _lies_outside(tensor) and len(tensor.raw_data) < _LEAST_TENSOR:
        return None
    content = _bytes(tensor, maps)
    return tensor.data_type, tuple(tensor.dims), len(content), hashlib.sha256(content).digest()


def _point(tensor: onnx.TensorProto, offset: int, length: int) -> None:
    tensor.ClearField("raw_data")
    del tensor.external_data[:]
    tensor.data_location = tensor.EXTERNAL
    for key, value in (("location", SHARED_FILE), ("offset", offset), ("length", length)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
