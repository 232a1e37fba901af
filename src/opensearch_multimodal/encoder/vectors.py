"""States to vectors: pooling and unit length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from ..types import FloatArray

__all__ = ["pool", "unit_rows"]


def pool(output: FloatArray, mask: npt.NDArray[np.bool_], pooling: str, model: str) -> FloatArray:
    """Return one vector per item.

    Args:
        output: shape (n, states, d), float32; with ``none`` shape (n, d).
        mask: shape (n, states), which states are no padding; they are the first ones of each row.
        pooling: ``cls`` the first state, ``mean`` the mean, ``last`` the last one, ``none`` as it is.
        model: the model's name, for errors.

    Returns:
        Shape (n, d), float32.

    Raises:
        InvalidInput: the output's shape is not what the pooling takes.
    """
    if output.ndim != (2 if pooling == "none" else 3) or len(output) != len(mask):
        raise InvalidInput(
            f"model '{model}': its output of shape {output.shape} does not fit pooling '{pooling}'"
        )
    if pooling == "none":
        return output
    if pooling == "cls":
        first: FloatArray = output[:, 0]
        return first
    if pooling == "last":
        last: FloatArray = output[np.arange(len(output)), mask.sum(axis=1) - 1]
        return last
    # Padding can be NaN: it is left out, not multiplied by 0.
    total = np.sum(output, axis=1, where=mask[:, :, None], dtype=np.float32)
    mean: FloatArray = total / mask.sum(axis=1, dtype=np.float32)[:, None]
    return mean


def unit_rows(vectors: FloatArray) -> FloatArray:
    """Return the vectors with unit length; a zero vector becomes NaN, which the caller refuses.

    Args:
        vectors: shape (…, d), float32.

    Returns:
        The same shape, float32.
    """
    norms = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        unit: FloatArray = vectors / norms
    return unit
