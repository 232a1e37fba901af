"""Images as one picture of a fixed size: CLIP, SigLIP, PaliGemma, ColPali, EfficientNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...models.spec import ImageTower
from ...types import FloatArray
from .colour import Normalizer, rgb
from .prompt import PromptTokens, token_inputs

__all__ = ["FixedReader", "pixels"]

_WHITE = (255, 255, 255)
_LARGEST = 2**26
"""The most pixels that an image is scaled to before its centre is cut out; a longer one is cut first."""


class FixedReader:
    """Reads images as ``CLIPImageProcessorPil`` and ``SiglipImageProcessorPil`` of transformers do.

    Both are its ``PilBackend`` (``image_processing_backends.py``); PaliGemma and ColPali use SigLIP's, and
    ``PaliGemmaProcessor`` and ``ColPaliProcessor`` put as many image tokens as the prompt says.
    """

    def __init__(self, tower: ImageTower, folder: Path) -> None:
        """Prepare; the prompt's tokenizer, if any, lies in ``folder``."""
        self._tower = tower
        self._normalizer = Normalizer(tower)
        self._prompt: dict[str, npt.NDArray[Any]] = {}
        if tower.prompt is not None:
            tokens = PromptTokens(tower.prompt, folder)
            self._prompt = token_inputs(
                tokens.ids(tower.prompt.image_token * (tower.prompt.image_tokens or 1))
            )
        self.inputs = frozenset({"pixel_values", *self._prompt})
        self.masks = frozenset[str]()

    def cost(self, height: int, width: int) -> int:
        """Return how many pixels the model reads of an image of that size."""
        del height, width
        assert self._tower.size is not None  # noqa: S101 - the spec's check sees to it
        return self._tower.size[0] * self._tower.size[1]

    def read(self, image: Image.Image) -> dict[str, npt.NDArray[Any]]:
        """Return the graph's inputs for one image, as a batch of one."""
        picture = np.asarray(_resize(rgb(image), self._tower))
        return {"pixel_values": self._normalizer.planes(picture)[None], **self._prompt}


def pixels(image: Image.Image, tower: ImageTower) -> FloatArray:
    """Return what a model of the fixed layout reads of an image.

    Args:
        image: any mode and size; what is transparent becomes white, an EXIF rotation is applied.
        tower: how to resize, rescale and normalise.

    Returns:
        Shape (3, height, width), float32, rows from the top, channels in the tower's order.
    """
    return Normalizer(tower).planes(np.asarray(_resize(rgb(image), tower)))


def _resize(image: Image.Image, tower: ImageTower) -> Image.Image:
    assert tower.size is not None  # noqa: S101 - the spec's check sees to it
    height, width = tower.size
    resample = Image.Resampling[tower.resample.upper()]
    if tower.resize == "stretch":
        return image.resize((width, height), resample)
    if tower.resize == "crop":
        scaled = (
            _covering(image, width, height)
            if tower.shortest_edge is None
            else _shorter_side(image, tower.shortest_edge)
        )
        return _scaled_centre(image, scaled, (width, height), resample)
    if image.width * height > image.height * width:
        scaled = (width, max(1, int(width * image.height / image.width)))
    else:
        scaled = (max(1, int(height * image.width / image.height)), height)
    canvas = Image.new("RGB", (width, height), _WHITE)
    canvas.paste(image.resize(scaled, resample), (0, 0))
    return canvas


def _covering(image: Image.Image, width: int, height: int) -> tuple[int, int]:
    """Return the smallest (width, height) of the image's shape that covers the given one."""
    if image.width * height > image.height * width:
        return int(height * image.width / image.height), height
    return width, int(width * image.height / image.width)


def _shorter_side(image: Image.Image, edge: int) -> tuple[int, int]:
    """Return the (width, height) whose shorter side is ``edge``.

    ``get_resize_output_image_size`` of transformers' ``image_transforms.py``.
    """
    if image.width <= image.height:
        return edge, int(edge * image.height / image.width)
    return int(edge * image.width / image.height), edge


def _scaled_centre(
    image: Image.Image, scaled: tuple[int, int], cut: tuple[int, int], resample: Image.Resampling
) -> Image.Image:
    """Scale and cut the centre; what the image lacks is black.

    ``center_crop`` of transformers' ``image_transforms.py``. An image so long that it would be scaled to
    more than `_LARGEST` pixels is cut while it is scaled, which differs by a rounding.
    """
    left, top = ((whole - part) // 2 for whole, part in zip(scaled, cut, strict=True))
    if scaled[0] * scaled[1] <= _LARGEST:
        return image.resize(scaled, resample).crop((left, top, left + cut[0], top + cut[1]))
    across, down = image.width / scaled[0], image.height / scaled[1]
    inner = (max(0, left), max(0, top), min(scaled[0], left + cut[0]), min(scaled[1], top + cut[1]))
    box = (inner[0] * across, inner[1] * down, inner[2] * across, inner[3] * down)
    canvas = Image.new("RGB", cut)
    part = image.resize((inner[2] - inner[0], inner[3] - inner[1]), resample, box=box)
    canvas.paste(part, (inner[0] - left, inner[1] - top))
    return canvas
