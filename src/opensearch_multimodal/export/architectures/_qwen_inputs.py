"""Inputs of the page graph of a Qwen vision language model, generated to check it with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..graphs import Batch

__all__ = ["PageInputs", "blocks", "bilinear", "mrope", "windows"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PageInputs:
    """What the page graph of one model reads.

    Attributes:
        names: of its inputs.
        prompt: the ids of the prompt, with one image token in it.
        image_token: its id.
        pad_token: the id of padding.
        width: numbers per patch.
        merge: patches per side of a block that becomes one feature.
        window: patches per side of an attention window; 0 without windows.
        table: rows and columns of the learnt position table; 0 without one.
        largest: blocks per side of the largest page generated.
    """

    names: tuple[str, ...]
    prompt: tuple[int, ...]
    image_token: int
    pad_token: int
    width: int
    merge: int
    window: int = 0
    table: int = 0
    largest: int = 7

    def example(self, generator: np.random.Generator, count: int) -> list[Batch]:
        """Return pages of different grids, each as a batch of one without padding."""
        sides = generator.integers(1, self.largest + 1, (count, 2)) * self.merge
        return [self._page(generator, int(rows), int(columns)) for rows, columns in sides]

    def _page(self, generator: np.random.Generator, rows: int, columns: int) -> Batch:
        positions = blocks(rows, columns, self.merge)
        at = self.prompt.index(self.image_token)
        count = len(positions) // self.merge**2
        ids = np.array((*self.prompt[:at], *[self.image_token] * count, *self.prompt[at + 1 :]), np.int64)
        page: Batch = {
            "patches": generator.standard_normal((len(positions), self.width)).astype(np.float32),
            "patch_mask": np.ones(len(positions), np.int64),
            "patch_positions": positions,
            "input_ids": ids,
            "attention_mask": np.ones(len(ids), np.int64),
            "position_ids": mrope(ids, self.image_token, rows // self.merge, columns // self.merge),
        }
        if self.window:
            page["patch_windows"] = windows(positions, self.window)
        if self.table:
            page["position_indices"], page["position_weights"] = bilinear(positions, rows, columns, self.table)
        page["position_ids"] = page["position_ids"][:, None]
        return {
            name: page[name] if name == "position_ids" else page[name][None] for name in self.names
        }

    def collate(self, pages: Sequence[Batch], *, patches: int = 0, tokens: int = 0) -> Batch:
        """Pad pages into one batch, with so many patches and tokens more than the largest has."""
        p = max(page["patches"].shape[1] for page in pages) + patches
        t = max(page["input_ids"].shape[1] for page in pages) + tokens
        batch: Batch = {}
        for name in self.names:
            axis, size = (2, t) if name == "position_ids" else (1, t if name in _TOKENS else p)
            fill = self.pad_token if name == "input_ids" else 0
            batch[name] = np.concatenate(
                [_padded(page[name], axis, size, fill) for page in pages], axis=axis - 1
            )
        return batch

    def widen(self, page: Batch) -> Batch:
        """Pad one page further: by three blocks of patches and five tokens."""
        return self.collate([page], patches=3 * self.merge**2, tokens=5)


_TOKENS = {"input_ids", "attention_mask"}


def _padded(array: npt.NDArray[np.generic], axis: int, size: int, fill: int) -> npt.NDArray[np.generic]:
    width = [(0, 0)] * array.ndim
    width[axis] = (0, size - array.shape[axis])
    return np.pad(array, width, constant_values=fill)


def blocks(rows: int, columns: int, merge: int) -> Ints:
    """Return (row, column) of every patch of a grid, shape (rows · columns, 2), block of merged patches after block."""
    order = np.arange(rows * columns).reshape(rows // merge, merge, columns // merge, merge)
    order = order.transpose(0, 2, 1, 3).reshape(-1)
    return np.stack((order // columns, order % columns), axis=1).astype(np.int64)


def windows(positions: Ints, side: int) -> Ints:
    """Return the number of every patch's attention window, shape (p,): windows of side² from the top left."""
    row, column = (positions // side).T
    return (row * (column.max() + 1) + column).astype(np.int64)


def mrope(ids: Ints, image_token: int, rows: int, columns: int) -> Ints:
    """Return (time, row, column) of every token, shape (3, t): one image of that many features in a text."""
    image = ids == image_token
    before = int(np.argmax(image))
    count = rows * columns
    places = np.stack(
        (np.zeros(count, np.int64), np.arange(count) // columns, np.arange(count) % columns)
    )
    after = np.arange(len(ids) - before - count) + before + max(rows, columns)
    text = np.arange(before)
    return np.concatenate(
        (np.tile(text, (3, 1)), places + before, np.tile(after, (3, 1))), axis=1
    ).astype(np.int64)


def bilinear(
    positions: Ints, rows: int, columns: int, side: int
) -> tuple[Ints, npt.NDArray[np.float32]]:
    """Return which four rows of a table of side² positions each patch takes, and how much of each.

    The corners of the grid take the corners of the table.

    Returns:
        (p, 4) int64 and (p, 4) float32.
    """
    indices, weights = [], []
    for place, size in zip(positions.T, (rows, columns), strict=True):
        exact = place.astype(np.float32) * np.float32(side - 1) / np.float32(max(size - 1, 1))
        low = np.floor(exact)
        part = exact - low
        indices.append(np.minimum(np.stack((low, low + 1), axis=1), side - 1).astype(np.int64))
        weights.append(np.stack((1 - part, part), axis=1).astype(np.float32))
    index = indices[0][:, :, None] * side + indices[1][:, None, :]
    weight = weights[0][:, :, None] * weights[1][:, None, :]
    return index.reshape(-1, 4), weight.reshape(-1, 4)
