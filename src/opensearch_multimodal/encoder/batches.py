"""Which token sequences, and which images, run together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

__all__ = ["CPU", "GPU", "Budget", "plan_batches"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a model reads at once, padding included; one text or image that has more runs alone.

    Attributes:
        tokens: in all sequences of a batch.
        pixels: in all images of a batch.
        items: sequences or images.
    """

    tokens: int
    pixels: int
    items: int


CPU = Budget(tokens=1024, pixels=2**20, items=32)
"""1,024 tokens are small enough for the states of a batch to stay in the cache: 8,192 cost 40% more CPU.

2^20 pixels are 5 images of 448 × 448, or 5,349 patches of 14 × 14. As float32 in three channels they are
12 MiB (24 MiB where a patch holds two frames). What a graph needs beyond grows with this number too,
attention among the patches of one image with the square of its own patches.
"""

GPU = Budget(tokens=16_384, pixels=2**23, items=256)
"""16 and 8 times as much, 96 MiB (192 MiB) of pixels: a small batch would leave most of a GPU idle."""


def plan_batches(
    lengths: Sequence[int], *, budget: int = CPU.tokens, most: int = CPU.items, equal: bool = False
) -> Iterator[list[int]]:
    """Yield batches of positions, the longest sequences first, so that little of a batch is padding.

    The longest come first so that the runtime reserves its memory once.

    Args:
        lengths: the number of tokens of each sequence, or of pixels of each image.
        budget: the most of them in a batch, each counted as the longest; what is longer runs alone.
        most: the most sequences in a batch.
        equal: never mix lengths, for models without an attention mask.
    """
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    groups = [list(group) for _, group in groupby(order, lambda p: lengths[p])] if equal else [order]
    for group in groups:
        start = 0
        while start < len(group):
            size = max(1, min(most, budget // max(1, lengths[group[start]])))
            yield group[start : start + size]
            start += size
