"""Which token sequences, and which images, run together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

__all__ = ["MOST_IMAGES", "MOST_SEQUENCES", "PIXELS", "plan_batches"]

_TOKENS = 1024
"""Small enough for the states of a batch to stay in the processor's cache: 8,192 cost 40% more CPU."""
MOST_SEQUENCES = 32

PIXELS = 2**20
"""How many pixels a model reads at once, padding included: 5 images of 448 × 448, 5,349 patches of 14 × 14.

As float32 in three channels they are 12 MiB (24 MiB where a patch holds two frames); a single image that has
more runs alone. What a graph needs beyond grows with this number too, attention among the patches of one
image with the square of its own patches.
"""
MOST_IMAGES = 32


def plan_batches(
    lengths: Sequence[int], *, budget: int = _TOKENS, most: int = MOST_SEQUENCES, equal: bool = False
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
