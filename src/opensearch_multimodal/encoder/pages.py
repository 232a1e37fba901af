"""The image tower: page images in, states of a graph out, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import InvalidInput
from ..models import ModelSpec
from ..types import FloatArray
from .batches import plan_batches
from .images import collate, open_reader, upright_size
from .session import OnnxSession
from .text import UnencodableInput

__all__ = ["PageStates", "PageTower"]


@dataclass(frozen=True, slots=True)
class PageStates:
    """What the graph gives for a batch of images.

    Attributes:
        positions: which images they are.
        states: shape (n, d), or (n, rows, d), float32.
        mask: shape (n, rows), which rows are no padding; (n, 1) where there are none.
    """

    positions: list[int]
    states: FloatArray
    mask: npt.NDArray[np.bool_]


class PageTower:
    """A model's image tower. Safe to use from several threads.

    Images are prepared when their batch runs, so that memory holds one batch of arrays beside the images;
    `batches.Budget` says how large one is.
    """

    def __init__(self, spec: ModelSpec, folder: Path, *, provider: str, threads: int | None) -> None:
        """Load the graph and what prepares images for it.

        Raises:
            InvalidInput: the spec has no image tower, or does not fit its graph.
            EnvironmentProblem: a file is missing, damaged, or cannot be loaded.
        """
        tower = spec.image
        if tower is None:
            raise InvalidInput(f"model '{spec.name}' does not read images")
        self._model = spec.name
        path = folder / tower.onnx
        self._reader = open_reader(tower, folder)
        self._session = OnnxSession(
            path, "image", tower.output, provider=provider, threads=threads, settings=spec.session
        )
        taken = self._session.inputs
        self._rename: str | None = None
        if len(taken) == 1 and self._reader.inputs == {"pixel_values"}:
            [self._rename] = taken
        elif lacking := sorted(taken - self._reader.inputs):
            raise InvalidInput(
                f"{path}: it takes {', '.join(lacking)}, which layout '{tower.layout}' "
                f"{'with' if tower.prompt else 'without'} a prompt does not have"
            )
        # A graph without a mask cannot tell padding from content.
        self._alone = not self._reader.masks <= taken

    def run(self, images: Sequence[Image.Image]) -> Iterator[PageStates]:
        """Yield the states of all images, the largest ones first.

        Raises:
            UnencodableInput: one is no image, or of a shape that the model cannot read.
            InvalidInput: the graph's output has another shape than it should.
        """
        costs = [self._cost(index, image) for index, image in enumerate(images)]
        budget = self._session.budget
        for batch in plan_batches(costs, budget=budget.pixels, most=1 if self._alone else budget.items):
            feed = collate([self._reader.read(images[position]) for position in batch])
            if self._rename is not None:
                feed = {self._rename: feed["pixel_values"]}
            states = self._session.run(feed)
            yield PageStates(batch, states, self._mask(states, feed, len(batch)))

    def _cost(self, index: int, image: Any) -> int:
        if not isinstance(image, Image.Image):
            raise UnencodableInput("images", index, f"expected an image, got {type(image).__name__}")
        if not image.width * image.height:
            raise UnencodableInput("images", index, f"{image.width} × {image.height} pixels are no image")
        try:
            return self._reader.cost(*upright_size(image))
        except InvalidInput as error:
            raise UnencodableInput("images", index, str(error)) from None

    def _mask(
        self, states: FloatArray, feed: dict[str, npt.NDArray[Any]], count: int
    ) -> npt.NDArray[np.bool_]:
        """Return which rows are no padding: those of tokens where there are tokens, else those of patches."""
        if states.ndim not in (2, 3) or len(states) != count:
            raise InvalidInput(
                f"model '{self._model}': its output has shape {states.shape} for {count} images"
            )
        shape = states.shape[:2] if states.ndim == 3 else (count, 1)
        masks = [feed[name] for name in ("attention_mask", "patch_mask") if name in feed]
        for mask in masks if states.ndim == 3 else ():
            if mask.shape == shape:
                return mask.astype(bool)
        if states.ndim == 2 or not self._reader.masks:
            return np.ones(shape, dtype=bool)
        raise InvalidInput(
            f"model '{self._model}': its output has {shape[1]} rows per image, its input "
            f"{' or '.join(str(mask.shape[1]) for mask in masks)}"
        )
