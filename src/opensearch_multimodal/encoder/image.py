"""Page images to the pixels that a model reads, as transformers' image processors do it with Pillow."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from ..models.spec import ImageTower
from ..types import FloatArray

__all__ = ["pixels"]

_WHITE = (255, 255, 255)


def pixels(image: Image.Image, tower: ImageTower) -> FloatArray:
    """Return what the model reads of an image.

    Args:
        image: any mode and size; what is transparent becomes white, an EXIF rotation is applied.
        tower: how to resize, rescale and normalise.

    Returns:
        Shape (3, height, width), float32, rows from the top, channels in the tower's order.
    """
    resized = _resize(_rgb(ImageOps.exif_transpose(image)), tower)
    values: FloatArray = np.asarray(resized, dtype=np.float32) * np.float32(tower.rescale)
    if tower.channels == "bgr":
        values = values[..., ::-1]
    mean, std = np.array([tower.mean, tower.std], dtype=np.float32)
    return np.ascontiguousarray(((values - mean) / std).transpose(2, 0, 1))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, (*_WHITE, 255)), layer).convert("RGB")
    return image.convert("RGB")


def _resize(image: Image.Image, tower: ImageTower) -> Image.Image:
    assert tower.size is not None  # noqa: S101 - the spec's check sees to it
    height, width = tower.size
    resample = Image.Resampling[tower.resample.upper()]
    if tower.resize == "stretch":
        return image.resize((width, height), resample)
    covers = tower.resize == "crop"
    if (image.width * height > image.height * width) == covers:
        scaled = (max(1, int(height * image.width / image.height)), height)
    else:
        scaled = (width, max(1, int(width * image.height / image.width)))
    resized = image.resize(scaled, resample)
    if covers:
        left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
        return resized.crop((left, top, left + width, top + height))
    canvas = Image.new("RGB", (width, height), _WHITE)
    canvas.paste(resized, (0, 0))
    return canvas
