"""Sign codes: one bit per component, for Hamming search over single vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .types import check_multi_vector

__all__ = ["sign_codes"]


def sign_codes(vectors: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Return the sign codes of vectors: a bit is 1 where the component is greater than 0.

    For unit vectors the Hamming distance of two codes estimates their angle (Charikar, "Similarity estimation
    techniques from rounding algorithms", STOC 2002).

    Args:
        vectors: shape (n, d), any real dtype, one vector per row, finite.

    Returns:
        Shape (n, ceil(d / 8)), int8, most significant bit first, the last byte padded with 0: the list of
        bytes that a ``knn_vector`` of ``data_type`` ``binary`` takes (its dimension is 8 · ceil(d / 8)).

    Raises:
        InvalidInput: a wrong shape or a component that is NaN or infinite.
    """
    return np.packbits(check_multi_vector("vectors", vectors) > 0, axis=1).view(np.int8)
