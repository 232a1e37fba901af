"""Images as square tiles and the whole page: Idefics3, SmolVLM, ColIdefics3, ColSmol, ColModernVBERT."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...models.spec import ImageTower, Prompt
from .colour import Normalizer, rgb, upright_size
from .prompt import PromptTokens, token_inputs

__all__ = ["Idefics3Reader"]

_LONGEST = 4096
"""No side is made longer, whatever the grid says."""


class Idefics3Reader:
    """Reads images as ``Idefics3ImageProcessorPil`` of transformers does; SmolVLM's is the same.

    The prompt is expanded as ``replace_image_token`` of ``Idefics3Processor`` does it.
    """

    inputs = frozenset({"pixel_values", "input_ids", "attention_mask"})
    masks = frozenset({"attention_mask"})

    def __init__(self, tower: ImageTower, folder: Path) -> None:
        """Prepare; the prompt's tokenizer lies in ``folder``."""
        grid, prompt = tower.grid, tower.prompt
        assert grid is not None and prompt is not None  # noqa: S101, PT018 - the spec's check sees to it
        assert grid.tile_size and grid.longest_edge  # noqa: S101, PT018
        self._tile, self._edge, self._split = grid.tile_size, grid.longest_edge, grid.split
        self._resample = Image.Resampling[tower.resample.upper()]
        self._normalizer = Normalizer(tower)
        self._prompt = prompt
        self._tokens = PromptTokens(prompt, folder)

    def cost(self, height: int, width: int) -> int:
        """Return how many pixels the model reads of an image of that size."""
        rows, columns = self._cut(*self._scaled(height, width))
        return (rows * columns + 1) * self._tile**2

    def read(self, image: Image.Image) -> dict[str, npt.NDArray[Any]]:
        """Return the graph's inputs for one image, as a batch of one."""
        tile = self._tile
        height, width = self._scaled(*upright_size(image))
        rows, columns = self._cut(height, width)
        resized = rgb(image).resize((width, height), self._resample)
        if rows * columns:
            resized = resized.resize((columns * tile, rows * tile), self._resample)
        whole = np.asarray(resized.resize((tile, tile), self._resample))
        tiles = np.empty((rows * columns + 1, 3, tile, tile), dtype=np.float32)
        values = np.asarray(resized)
        for number, target in enumerate(tiles[:-1]):
            top, left = tile * (number // columns), tile * (number % columns)
            self._normalizer.fill(target, values[top : top + tile, left : left + tile])
        self._normalizer.fill(tiles[-1], whole)
        ids = self._tokens.ids(_expansion(self._prompt, rows, columns))
        return {"pixel_values": tiles, **token_inputs(ids)}

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        return _limited(*_to_longest(height, width, self._edge))

    def _cut(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of tiles, (0, 0) where there is only the whole page."""
        if not self._split:
            return 0, 0
        rows, columns = _tiles(height, width, self._tile)
        return (rows, columns) if rows * columns > 1 else (0, 0)


def _to_longest(height: int, width: int, edge: int) -> tuple[int, int]:
    """Return the size whose longer side is ``edge``, the other one even."""
    ratio = width / height
    if width >= height:
        width, height = edge, int(edge / ratio)
        height += height % 2
    else:
        height, width = edge, int(edge * ratio)
        width += width % 2
    return max(height, 1), max(width, 1)


def _limited(height: int, width: int) -> tuple[int, int]:
    """Return the size, reduced where the longer side is over the limit."""
    ratio = width / height
    if width >= height and width > _LONGEST:
        width, height = _LONGEST, int(_LONGEST / ratio)
    elif height > width and height > _LONGEST:
        height, width = _LONGEST, int(_LONGEST * ratio)
    return max(height, 1), max(width, 1)


def _tiles(height: int, width: int, tile: int) -> tuple[int, int]:
    """Return how many rows and columns of whole tiles the image is stretched to."""
    ratio = width / height
    if width >= height:
        columns = math.ceil(width / tile)
        rows = math.ceil(int(columns * tile / ratio) / tile)
    else:
        rows = math.ceil(height / tile)
        columns = math.ceil(int(rows * tile * ratio) / tile)
    return max(rows, 1), max(columns, 1)


@lru_cache(maxsize=256)
def _expansion(prompt: Prompt, rows: int, columns: int) -> str:
    """Return what stands in the prompt for an image of that many tiles and the whole page."""
    image = prompt.image_token * (prompt.image_tokens or 1)
    whole = f"{prompt.fake_token}{prompt.global_token}{image}{prompt.fake_token}"
    if not rows * columns:
        return whole
    lines = (
        "".join(
            f"{prompt.fake_token}{_tile_token(prompt, row, column)}{image}"
            for column in range(1, columns + 1)
        )
        + "\n"
        for row in range(1, rows + 1)
    )
    return "".join(lines) + "\n" + whole


def _tile_token(prompt: Prompt, row: int, column: int) -> str:
    return prompt.tile_token.replace("{row}", str(row)).replace("{column}", str(column))
