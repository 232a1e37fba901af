"""What an architecture hands over to be exported: one record per ONNX file, and one for the whole model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ..models import Kind
from ..types import Input

if TYPE_CHECKING:
    import torch

    from .source import Source

__all__ = ["Architecture", "Axes", "Batch", "ExportOptions", "Graph", "Plan", "Precision"]

Axes = Mapping[str, tuple[str | int, ...]]
"""Tensor name → the names of its axes, a number where an axis is fixed."""

Batch = dict[str, npt.NDArray[Any]]
"""Input name → array: integers as int64, everything else as float32."""

Precision = Literal["fp32", "fp16", "int8-weights", "int8-dynamic"]


@dataclass(frozen=True)
class ExportOptions:
    """What the user says about an export; None lets the folder decide.

    Attributes:
        kind: what the model is to yield.
        precision: of weights and arithmetic.
        device: on which PyTorch gives the reference vectors.
        pooling: how token states become one vector: ``cls``, ``mean``, ``last`` or ``max``.
        max_tokens: the longest text.
        query_prefix: put before queries.
        passage_prefix: put before passages.
        mrl_dimensions: to how many first components vectors may be cut.
        description: one line for ``osmm models list``.
        licence: SPDX id.
        source: where the weights were published.
        revision: of the source.
        seed: of the generated inputs of the parity report.
        external_above: the size in bytes above which weights lie in a file beside the ONNX file. A protocol
            buffer holds less than 2 GiB.
    """

    kind: Kind = "dense"
    precision: Precision = "fp32"
    device: Literal["cpu", "cuda"] = "cpu"
    pooling: Literal["cls", "mean", "last", "max"] | None = None
    max_tokens: int | None = None
    query_prefix: str | None = None
    passage_prefix: str | None = None
    mrl_dimensions: Sequence[int] | None = None
    description: str = ""
    licence: str | None = None
    source: str | None = None
    revision: str | None = None
    seed: int = 0
    external_above: int = 1_800_000_000


@dataclass(frozen=True)
class Graph:
    """One ONNX file to be: a module whose forward takes ``inputs`` in their order and returns ``output``.

    Attributes:
        tower: what it reads.
        file: its name, such as ``text.onnx`` or ``image.onnx``.
        module: in evaluation mode, float32, on the CPU.
        inputs: name → axes of each input, in the order of the module's arguments.
        output: ``embedding`` (n, d), ``embeddings`` (n, rows, d) or ``logits`` (n, labels).
        output_axes: the axes of the output.
        example: called with a generator and a count: so many inputs of different sizes, each as a batch of
            one without padding.
        collate: pads examples into one batch.
        reference: the vectors (rows, d), (1, d) or (1, labels) that the original model of transformers gives
            for one example: not what ``module`` gives.
        rows: which rows of the output (n, rows, d) belong to the examples of a batch, one array of row
            numbers per example; by default the first ones of each item, as many as the reference has. An
            image model whose tiles are flattened over the batch says otherwise.
        widen: pads one example further than its own size, for the check that padding changes nothing; None
            where a graph has no padding.
        dynamo: whether torch.export makes the graph, instead of tracing.
    """

    tower: Literal["text", "image"]
    file: str
    module: torch.nn.Module
    inputs: Axes
    output: str
    output_axes: tuple[str | int, ...]
    example: Callable[[np.random.Generator, int], list[Batch]]
    collate: Callable[[Sequence[Batch]], Batch]
    reference: Callable[[Batch], npt.NDArray[np.float32]]
    rows: Callable[[Sequence[Batch]], list[npt.NDArray[np.int64]]] | None = None
    widen: Callable[[Batch], Batch] | None = None
    dynamo: bool = False


@dataclass(frozen=True)
class Plan:
    """A model taken apart: its graphs, and what its spec says besides.

    Attributes:
        kind: what it yields.
        dimension: d of its vectors; of a reranker, its labels.
        graphs: the ONNX files to make; no two of the same tower.
        text: settings of the text tower other than ``onnx`` and ``output``; None without one.
        image: settings of the image tower other than ``onnx`` and ``output``; None without one.
        files: further files: name in the exported folder → where it is now, or its content.
        mrl_dimensions: to how many first components vectors may be cut.
        session: options of ONNX Runtime for the spec.
        inputs: what is indexed by it; every tower by default. A model that only finds pages has a text tower
            for queries, and yet ``("image",)`` here.
        notes: sentences for the report about what differs from how the library uses the model.
        processor_settings: of the folder's image processor, what the program that the model was trained by
            sets itself, whatever the folder says.
        own_prompts: what stands around queries and pages is that program's, not the folder's processor's.
    """

    kind: Kind
    dimension: int
    graphs: tuple[Graph, ...]
    text: dict[str, Any] | None = None
    image: dict[str, Any] | None = None
    files: Mapping[str, Path | bytes] = field(default_factory=dict)
    mrl_dimensions: tuple[int, ...] = ()
    session: dict[str, Any] | None = None
    inputs: tuple[Input, ...] = ()
    notes: tuple[str, ...] = ()
    processor_settings: Mapping[str, Any] = field(default_factory=dict)
    own_prompts: bool = False

    def write_files(self, folder: Path) -> list[Path]:
        """Write ``files`` into a folder, and return where they are."""
        written = []
        for name, content in self.files.items():
            written.append(folder / name)
            written[-1].write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        return written


class Architecture(Protocol):
    """One family of models: how to recognise it, and how to take a model of it apart.

    A module of `architectures` has one as ``ARCHITECTURE``. Importing the module must not import torch:
    `plan` does.

    Attributes:
        name: for people, such as ``BERT family``.
        model_types: what ``config.json`` says as ``model_type``.
        kinds: what can be made of it.
    """

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def model_types(self) -> frozenset[str]:
        """What ``config.json`` says as ``model_type``."""
        ...

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What can be made of it."""
        ...

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Read the weights and take the model apart.

        Raises:
            InvalidInput: the folder is not a whole model of this architecture.
        """
        ...
