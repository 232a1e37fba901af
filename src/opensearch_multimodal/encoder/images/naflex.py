"""Images as patches that keep the shape of the image: SigLIP2 NaFlex."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...models.spec import ImageTower
from ...types import FloatArray
from .colour import Normalizer, rgb, upright_size

__all__ = ["NaflexReader", "resize_weights", "target_size"]


class NaflexReader:
    """Reads images as ``Siglip2ImageProcessorPil`` of transformers does, without padding.

    The weights of the position table are those of ``resize_positional_embeddings`` in its
    ``modeling_siglip2.py``: a bilinear resize with antialiasing, which is one matrix per axis.
    """

    inputs = frozenset({"patches", "patch_mask", "row_weights", "column_weights"})
    masks = frozenset({"patch_mask"})

    def __init__(self, tower: ImageTower) -> None:
        """Prepare for a tower of layout ``naflex``."""
        grid = tower.grid
        assert grid is not None  # noqa: S101 - the spec's check sees to it
        assert grid.patch_size and grid.max_patches and grid.position_side  # noqa: S101, PT018
        self._patch, self._most, self._side = grid.patch_size, grid.max_patches, grid.position_side
        self._resample = Image.Resampling[tower.resample.upper()]
        self._normalizer = Normalizer(tower)

    def cost(self, height: int, width: int) -> int:
        """Return how many pixels the model reads of an image of that size."""
        tall, wide = target_size(height, width, self._patch, self._most)
        return tall * wide

    def read(self, image: Image.Image) -> dict[str, npt.NDArray[Any]]:
        """Return the graph's inputs for one image, as a batch of one."""
        size = self._patch
        height, width = target_size(*upright_size(image), size, self._most)
        resized = np.asarray(rgb(image).resize((width, height), self._resample))
        rows, columns = height // size, width // size
        planes = self._normalizer.planes(resized).reshape(3, rows, size, columns, size)
        patches = planes.transpose(1, 3, 2, 4, 0).reshape(1, rows * columns, -1)
        of_rows = np.repeat(resize_weights(self._side, rows), columns, axis=0)
        of_columns = np.tile(resize_weights(self._side, columns), (rows, 1))
        return {
            "patches": patches,
            "patch_mask": np.ones((1, rows * columns), dtype=np.int64),
            "row_weights": of_rows[None],
            "column_weights": of_columns[None],
        }


@lru_cache(maxsize=4096)
def target_size(height: int, width: int, patch: int, most: int) -> tuple[int, int]:
    """Return the (height, width), multiples of ``patch``, that give as many patches as ``most`` allows.

    ``get_image_size_for_max_num_patches`` of transformers' ``image_processing_siglip2.py``, step by step: a
    closed form would round otherwise.
    """

    def scaled(scale: float, side: int) -> int:
        return max(patch, math.ceil(side * scale / patch) * patch)

    low, high = 1e-6, 100.0
    while high - low >= 1e-5:
        scale = (low + high) / 2
        if (scaled(scale, height) / patch) * (scaled(scale, width) / patch) <= most:
            low = scale
        else:
            high = scale
    return scaled(low, height), scaled(low, width)


@lru_cache(maxsize=512)
def resize_weights(source: int, target: int) -> FloatArray:
    """Return the matrix of a bilinear resize with antialiasing along one axis.

    As ``torch.nn.functional.interpolate(mode="bilinear", antialias=True, align_corners=False)``, but for
    an image one patch wide, for which its kernel for processors (2.15) repeats the table's first row.

    Returns:
        Shape (target, source), float32; every row sums to 1. Not to be changed.
    """
    # Rounded to float32 where torch does it: at 16 to 22 entries, that is up to 1e-6 of a weight.
    scale = np.float32(source / target)
    widening = max(scale, np.float32(1))
    centres = (float(scale) * (np.arange(target) + 0.5)).astype(np.float32)[:, None]
    positions = np.arange(source)
    first = np.maximum((centres - widening + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + widening + 0.5).astype(np.int64), source)
    offsets = (positions.astype(np.float32) - centres).astype(np.float64) + 0.5
    distance = np.abs(offsets / float(widening)).astype(np.float32)
    inside = (positions >= first) & (positions < last)
    weights = np.where(inside, np.maximum(np.float32(1) - distance, 0), np.float32(0))
    matrix: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    matrix.flags.writeable = False
    return matrix
