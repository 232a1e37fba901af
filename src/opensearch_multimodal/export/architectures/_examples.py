"""Generated pages to check a graph with, and how they are padded further."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from ...encoder.images import open_reader
from ...models import ImageTower
from ..graphs import Batch
from ..tokens import SourceTokenizer

__all__ = ["PageExamples", "on", "original", "widen_page"]

_TOKEN_INPUTS = {"input_ids", "attention_mask", "position_ids"}


class PageExamples:
    """Pages of coloured noise, read as the encoder will read pages.

    Args:
        tower: settings of the image tower, without ``onnx`` and ``output``.
        tokenizer: of the prompt.
        names: the inputs that the graph has a use for.
        unit: the sides of the pages vary by so many pixels.
        largest: how many of these units the longest side has.
        thin: how many the shorter side of a page has at most, the longer one having the most: for models that
            scale all pages to one length, of which the thin ones cost less.
    """

    def __init__(
        self,
        tower: Mapping[str, Any],
        tokenizer: SourceTokenizer,
        names: Sequence[str],
        unit: int,
        largest: int = 8,
        thin: int | None = None,
    ) -> None:
        whole = ImageTower(onnx="image.onnx", output="embedding", **tower)
        self._names, self._unit = tuple(names), unit
        self._largest, self._thin = largest, thin
        with tempfile.TemporaryDirectory() as folder:
            if whole.prompt is not None:
                (Path(folder) / whole.prompt.tokenizer).write_bytes(tokenizer.content)
            self._reader = open_reader(whole, Path(folder))

    def example(self, generator: np.random.Generator, count: int) -> list[Batch]:
        """Return pages of different shapes, each as a batch of one without padding."""
        sides = generator.integers(1, self._largest + 1, (count, 2))
        if self._thin:
            sides = generator.permuted(
                np.stack(
                    (np.full(count, self._largest), generator.integers(1, self._thin + 1, count)), axis=1
                ),
                axis=1,
            )
        sizes = (sides + generator.random((count, 2)) - 0.5) * self._unit
        return [self._page(generator, *(max(int(side), 8) for side in size)) for size in sizes]

    def _page(self, generator: np.random.Generator, height: int, width: int) -> Batch:
        noise = generator.integers(0, 256, (height, width, 3)).astype(np.uint8)
        read = self._reader.read(Image.fromarray(noise))
        return {name: read[name] for name in self._names}


def widen_page(example: Batch) -> Batch:
    """Pad one example further than its own size: by 16 patches and five tokens."""
    return {name: _wider(name, array) for name, array in example.items()}


def _wider(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if name == "pixel_values":
        return array
    width = [(0, 0)] * array.ndim
    width[2 if name == "position_ids" else 1] = (0, 5 if name in _TOKEN_INPUTS else 16)
    return np.pad(array, width)


def original(
    function: Callable[[dict[str, torch.Tensor]], torch.Tensor], device: str
) -> Callable[[Batch], npt.NDArray[np.float32]]:
    """Return a `Graph`'s reference: a function of tensors on a device as one of arrays."""

    def reference(example: Batch) -> npt.NDArray[np.float32]:
        given = {name: torch.from_numpy(array.copy()).to(device) for name, array in example.items()}
        with torch.inference_mode():
            return np.asarray(function(given).float().cpu().numpy())

    return reference


def on(module: Any, device: str) -> Any:
    """Return a module on a device; the one to be exported stays on the CPU."""
    return module if device == "cpu" else copy.deepcopy(module).to(device)
