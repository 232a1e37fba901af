"""Several images' arrays to one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["collate"]


def collate(examples: Sequence[Mapping[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """Return one batch of examples, each of which is a batch of its own; shorter ones are padded with 0.

    Args:
        examples: at least one, all with the same names. ``pixel_values`` are joined along their first axis,
            ``position_ids`` (3, n, t) along their second and padded along their third; all others, (n, t, …)
            or (n, p, …), are joined along their first and padded along their second.

    Returns:
        The same names, in the same order.
    """
    return {name: _joined(name, [example[name] for example in examples]) for name in examples[0]}


def _joined(name: str, arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    if len(arrays) == 1:
        return arrays[0]
    if name == "pixel_values":
        return np.concatenate(arrays)
    axis = 1 if name == "position_ids" else 0
    shape = list(arrays[0].shape)
    shape[axis] = sum(array.shape[axis] for array in arrays)
    shape[axis + 1] = max(array.shape[axis + 1] for array in arrays)
    joined = np.zeros(shape, dtype=arrays[0].dtype)
    start = 0
    for array in arrays:
        end = start + array.shape[axis]
        rows = (slice(None),) * axis + (slice(start, end), slice(0, array.shape[axis + 1]))
        joined[rows] = array
        start = end
    return joined
