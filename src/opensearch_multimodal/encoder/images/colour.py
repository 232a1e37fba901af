"""Pixels of any mode to RGB on white, and from there to the numbers that a model reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ...models.spec import ImageTower
from ...types import FloatArray

__all__ = ["Normalizer", "rgb", "upright_size"]

_WHITE = (255, 255, 255)
_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""


def rgb(image: Image.Image) -> Image.Image:
    """Return the image upright and in RGB: what is transparent becomes white.

    As ``convert_to_rgb`` of transformers' ``image_transforms.py`` after ``load_image``, but for grey of 16
    bits, whose upper byte counts (transformers clips it).
    """
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, (*_WHITE, 255)), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return (height, width) of the image after its EXIF rotation."""
    width, height = image.size
    return (width, height) if image.getexif().get(_ORIENTATION, 1) in _TURNED else (height, width)


class Normalizer:
    """Looks up (value × rescale − mean) / std for every value of a channel.

    The steps round as ``rescale`` and ``normalize`` of transformers' ``image_transforms.py``: the product in
    float64, then float32.
    """

    def __init__(self, tower: ImageTower) -> None:
        """Compute the tables, one per channel in the tower's order."""
        rescaled = (np.arange(256, dtype=np.float64) * tower.rescale).astype(np.float32)
        mean, std = np.array([tower.mean, tower.std], dtype=np.float32)
        self._tables = [np.ascontiguousarray((rescaled - mean[c]) / std[c]) for c in range(3)]
        self._order = (0, 1, 2) if tower.channels == "rgb" else (2, 1, 0)

    def fill(self, target: FloatArray, values: npt.NDArray[np.uint8]) -> None:
        """Write normalised channels.

        Args:
            target: shape (…, 3, a, b), float32, channels in the tower's order.
            values: shape (…, a, b, 3), RGB.
        """
        for channel, (table, source) in enumerate(zip(self._tables, self._order, strict=True)):
            np.take(table, values[..., source], out=target[..., channel, :, :], mode="clip")

    def planes(self, values: npt.NDArray[np.uint8]) -> FloatArray:
        """Return the pixels of an image, shape (height, width, 3), as shape (3, height, width), float32."""
        target = np.empty((3, *values.shape[:2]), dtype=np.float32)
        self.fill(target, values)
        return target
