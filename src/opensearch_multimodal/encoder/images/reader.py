"""The reader that a tower's layout asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt
from PIL import Image

from ...models.spec import ImageTower
from .fixed import FixedReader
from .idefics3 import Idefics3Reader
from .naflex import NaflexReader
from .qwen_vl import QwenReader

__all__ = ["Arrays", "ImageReader", "open_reader"]

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
"""Name of a graph's input → its value."""


class ImageReader(Protocol):
    """Turns images into a graph's inputs. Safe to use from several threads."""

    @property
    def inputs(self) -> frozenset[str]:
        """The names of what it yields."""
        ...

    @property
    def masks(self) -> frozenset[str]:
        """Which of them tell padding from content; a graph that lacks one takes one image at a time."""
        ...

    def cost(self, height: int, width: int) -> int:
        """Return how many pixels the model reads of an upright image of that size.

        Raises:
            InvalidInput: it cannot read an image of that shape.
        """
        ...

    def read(self, image: Image.Image) -> Arrays:
        """Return the graph's inputs for one image of any mode, as a batch of one without padding."""
        ...


def open_reader(tower: ImageTower, folder: Path) -> ImageReader:
    """Return the reader of a tower.

    Args:
        tower: says the layout and its numbers.
        folder: the model's, where the tokenizer of a prompt lies.

    Raises:
        EnvironmentProblem: the prompt's tokenizer is missing or damaged.
        InvalidInput: it does not know the image token.
    """
    if tower.layout == "naflex":
        return NaflexReader(tower)
    if tower.layout == "qwen_vl":
        return QwenReader(tower, folder)
    if tower.layout == "idefics3":
        return Idefics3Reader(tower, folder)
    return FixedReader(tower, folder)
