"""Images as patches in blocks that are merged: Qwen2-VL, Qwen2.5-VL, Qwen3-VL, ColQwen2."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import InvalidInput
from ...models.spec import Grid, ImageTower
from ...types import FloatArray
from .colour import Normalizer, rgb, upright_size
from .prompt import PromptTokens, token_inputs

__all__ = ["MOST_STRETCHED", "QwenReader", "smart_resize"]

MOST_STRETCHED = 200
"""The longest side of an image over its shortest one that the models were made for."""

Ints = npt.NDArray[np.int64]


class QwenReader:
    """Reads images as ``Qwen2VLImageProcessorPil`` of transformers does.

    Qwen2.5-VL, Qwen3-VL and ColQwen2 use the same one. Positions, windows and the weights of the position
    table are those of its ``vision_utils.py``; the prompt is expanded as ``Qwen2VLProcessor`` does it, and
    ``position_ids`` are those of ``get_rope_index`` in ``modeling_qwen2_vl.py``.
    """

    def __init__(self, tower: ImageTower, folder: Path) -> None:
        """Prepare; the prompt's tokenizer, if any, lies in ``folder``."""
        grid = tower.grid
        assert grid is not None  # noqa: S101 - the spec's check sees to it
        self._grid = grid
        self._patch, self._merge, self._frames = _sizes(grid)
        self._resample = Image.Resampling[tower.resample.upper()]
        self._normalizer = Normalizer(tower)
        self._tokens = PromptTokens(tower.prompt, folder) if tower.prompt else None
        self._token = tower.prompt.image_token if tower.prompt else ""
        names = {"patches", "patch_mask", "patch_positions"}
        names |= {"patch_windows"} if grid.window_size else set()
        names |= {"position_indices", "position_weights"} if grid.position_side else set()
        names |= {"input_ids", "attention_mask", "position_ids"} if self._tokens else set()
        self.inputs = frozenset(names)
        self.masks = frozenset({"patch_mask", "attention_mask"} & names)

    def cost(self, height: int, width: int) -> int:
        """Return how many pixels the model reads of an image of that size.

        Raises:
            InvalidInput: the image is too long and narrow.
        """
        tall, wide = self._size(height, width)
        return tall * wide

    def read(self, image: Image.Image) -> dict[str, npt.NDArray[Any]]:
        """Return the graph's inputs for one image, as a batch of one."""
        height, width = self._size(*upright_size(image))
        resized = np.asarray(rgb(image).resize((width, height), self._resample))
        rows, columns = height // self._patch, width // self._patch
        places = _places(rows, columns, self._merge)
        inputs: dict[str, npt.NDArray[Any]] = {
            "patches": self._patches(resized, rows, columns)[None],
            "patch_mask": np.ones((1, rows * columns), dtype=np.int64),
            "patch_positions": places[None],
        }
        if self._grid.window_size:
            side = self._grid.window_size // self._merge // self._patch * self._merge
            across = -(-columns // side)
            inputs["patch_windows"] = (places[:, 0] // side * across + places[:, 1] // side)[None]
        if self._grid.position_side:
            indices, weights = _table_weights(places, rows, columns, self._grid.position_side)
            inputs |= {"position_indices": indices[None], "position_weights": weights[None]}
        if self._tokens is not None:
            merged = (rows // self._merge, columns // self._merge)
            ids = self._tokens.ids(self._token * (merged[0] * merged[1]))
            positions = _token_positions(ids == self._tokens.image_id, *merged)
            inputs |= {**token_inputs(ids), "position_ids": positions[:, None]}
        return inputs

    def _size(self, height: int, width: int) -> tuple[int, int]:
        grid = self._grid
        return smart_resize(
            height, width, self._patch * self._merge, grid.min_pixels or 1, grid.max_pixels or 1
        )

    def _patches(self, resized: npt.NDArray[np.uint8], rows: int, columns: int) -> FloatArray:
        """Return shape (patches, 3 · frames · patch · patch), the patches of a block next to each other."""
        size, merge = self._patch, self._merge
        across = columns // merge
        patches = np.empty((rows // merge, across, merge, merge, 3, self._frames, size, size), np.float32)
        stripe = np.empty((3, merge * size, columns * size), dtype=np.float32)
        ordered = stripe.reshape(3, merge, size, across, merge, size).transpose(3, 1, 4, 0, 2, 5)
        # A row of blocks at a time stays in the processor's cache.
        for target, values in zip(patches, resized.reshape(-1, merge * size, columns * size, 3), strict=True):
            self._normalizer.fill(stripe, values)
            target[...] = ordered[:, :, :, :, None]
        return patches.reshape(rows * columns, -1)


def smart_resize(height: int, width: int, factor: int, fewest: int, most: int) -> tuple[int, int]:
    """Return the (height, width), multiples of ``factor``, with ``fewest`` to ``most`` pixels.

    ``smart_resize`` of transformers' ``image_processing_qwen2_vl.py``.

    Raises:
        InvalidInput: one side is more than `MOST_STRETCHED` times the other.
    """
    longer, shorter = max(height, width), min(height, width)
    if longer / shorter > MOST_STRETCHED:
        raise InvalidInput(
            f"{width} × {height} pixels: one side is {longer / shorter:.0f} times the other, "
            f"the model reads at most {MOST_STRETCHED}"
        )
    tall, wide = round(height / factor) * factor, round(width / factor) * factor
    if tall * wide > most:
        shrink = math.sqrt((height * width) / most)
        tall = max(factor, math.floor(height / shrink / factor) * factor)
        wide = max(factor, math.floor(width / shrink / factor) * factor)
    elif tall * wide < fewest:
        grow = math.sqrt(fewest / (height * width))
        tall = math.ceil(height * grow / factor) * factor
        wide = math.ceil(width * grow / factor) * factor
    return tall, wide


def _sizes(grid: Grid) -> tuple[int, int, int]:
    assert grid.patch_size and grid.merge_size and grid.temporal_patch_size  # noqa: S101, PT018
    return grid.patch_size, grid.merge_size, grid.temporal_patch_size


def _places(rows: int, columns: int, merge: int) -> Ints:
    """Return the (row, column) of each patch, blocks of merge × merge patches one after the other.

    ``get_vision_position_ids`` of transformers' ``vision_utils.py``.
    """
    places = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1)
    blocks = places.reshape(rows // merge, merge, columns // merge, merge, 2)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(-1, 2)


def _table_weights(places: Ints, rows: int, columns: int, side: int) -> tuple[Ints, FloatArray]:
    """Return which four entries of a side × side table make a patch's position embedding, and their weights.

    ``get_vision_interpolation_indices_and_weights`` of transformers' ``vision_utils.py``, bilinear with
    aligned corners, in float32 as there.

    Returns:
        Shapes (patches, 4).
    """
    low: list[Ints] = []
    high: list[Ints] = []
    part: list[FloatArray] = []
    for axis, length in enumerate((rows, columns)):
        at = places[:, axis].astype(np.float32) * np.float32(side - 1) / np.float32(max(length - 1, 1))
        floor = np.floor(at)
        low.append(floor.astype(np.int64))
        high.append(np.minimum(low[-1] + 1, side - 1))
        part.append(at - floor)
    indices = [r * side + c for r in (low[0], high[0]) for c in (low[1], high[1])]
    weights = [r * c for r in (1 - part[0], part[0]) for c in (1 - part[1], part[1])]
    return np.stack(indices, axis=1), np.stack(weights, axis=1)


def _token_positions(is_image: npt.NDArray[np.bool_], rows: int, columns: int) -> Ints:
    """Return the positions of tokens in time, height and width, shape (3, t).

    Text counts on in all three; the image's tokens lie in a grid that begins where the text before ends, and
    the text after goes on behind the grid's longer side.
    """
    start = int(is_image.argmax())
    count = rows * columns
    positions = np.empty((3, len(is_image)), dtype=np.int64)
    positions[:, :start] = np.arange(start)
    positions[0, start : start + count] = start
    positions[1, start : start + count] = start + np.repeat(np.arange(rows), columns)
    positions[2, start : start + count] = start + np.tile(np.arange(columns), rows)
    rest = len(is_image) - start - count
    positions[:, start + count :] = start + max(rows, columns) + np.arange(rest)
    return positions
