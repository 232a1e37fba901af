"""The images that golden numbers of preprocessing are made of, and what is kept of an array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import page_images
from PIL import Image

SAMPLES = 10
"""How many values of an array are kept."""


def images() -> Iterator[tuple[str, Image.Image]]:
    """Yield (name, image): wide, tall, small with transparency, turned by its EXIF record."""
    yield "wide", page_images.drawn(90, 37, 1)
    yield "tall", page_images.drawn(21, 80, 2)
    clear = page_images.drawn(13, 11, 3)
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    yield "small and transparent", clear
    turned = page_images.drawn(48, 30, 4)
    turned.getexif()[page_images.ORIENTATION] = 6
    yield "turned", turned


def sampled(array: np.ndarray) -> dict[str, Any]:
    """Return an array's shape, some of its values, and their sum: of floats to seven digits."""
    flat = array.reshape(-1)
    chosen = flat[np.linspace(0, len(flat) - 1, SAMPLES).astype(np.int64)]
    if np.issubdtype(array.dtype, np.floating):
        values: list[Any] = [round(float(value), 7) for value in chosen]
        total: Any = round(float(flat.astype(np.float64).mean()), 7)
    else:
        values, total = chosen.tolist(), int(flat.sum())
    return {"shape": list(array.shape), "values": values, "total": total}


def in_order_of_appearance(labels: np.ndarray) -> np.ndarray:
    """Return the labels numbered anew, by where each first stands."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].reshape(labels.shape)


def position_table(side: int) -> np.ndarray:
    """Return a table of shape (side, side, 3), float32, the same on every machine."""
    return np.sin(np.arange(side * side * 3, dtype=np.float64)).reshape(side, side, 3).astype(np.float32)


def position_embedding(weights: dict[str, np.ndarray], table: np.ndarray) -> np.ndarray:
    """Return what NaFlex weights make of a table of shape (g, g, d): shape (p, d)."""
    rows, columns = weights["row_weights"][0], weights["column_weights"][0]
    return np.einsum("pi,pj,ijd->pd", rows, columns, table)
