"""Texts and page images, and the vectors that the library gives for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import page_images
from PIL import Image

TEXTS = (
    "The pump draws cold water from the lower tank.",
    "Invoices are DUE within thirty days!",
    "Wie öffnet man das Ventil? ½ turn",
    "弁の開け方 – left, then wait until the red lamp goes out.",
    "a",
    "  two  spaces,\ttabs\nand MixedCase, naïve façade (p. 12) ",
    "A chart of sales by region and quarter. " * 40,
)


def images() -> list[Image.Image]:
    """Return pages of the sample, drawings of odd shapes, and a grey one."""
    drawn = [page_images.drawn(*size) for size in ((31, 57), (300, 40), (41, 410), (64, 64))]
    return [*(image for _, image in page_images.pages(50)), *drawn, drawn[0].convert("L")]


def unit(vectors: Any) -> np.ndarray:
    """Return vectors of the library, shape (n, d), with unit length."""
    rows = np.asarray(vectors.detach().numpy(), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
