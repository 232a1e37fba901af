"""Binary codes of single vectors, for Hamming search: by sign alone, or after a learnt rotation (ITQ)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import InvalidInput
from .types import FloatArray, check_multi_vector

__all__ = ["Rotation", "fit_itq", "rotated_codes", "rotated_query_codes", "sign_codes"]


@dataclass(frozen=True, slots=True, eq=False)
class Rotation:
    """A learnt affine map whose signs are a code: bit j of x is 1 where (x @ matrix)[j] > threshold[j].

    Attributes:
        matrix: shape (d, bits), float32, with orthonormal columns.
        threshold: shape (bits,), float32: the rotated mean of what it was learnt from.
        query_threshold: the same for queries, whose mean is another: their prefix, length and kind differ.
    """

    matrix: FloatArray
    threshold: FloatArray
    query_threshold: FloatArray

    def __post_init__(self) -> None:
        """Check that both fit together."""
        check_multi_vector("rotation", self.matrix)
        for values in (self.threshold, self.query_threshold):
            if values.shape != self.matrix.shape[1:] or not np.isfinite(values).all():
                raise InvalidInput(
                    f"rotation: {self.matrix.shape[1]} bits need as many finite thresholds, "
                    f"got shape {values.shape}"
                )

    @property
    def dimension(self) -> int:
        """The number of components d of the vectors that it takes."""
        return int(self.matrix.shape[0])

    @property
    def bits(self) -> int:
        """The number of bits of a code."""
        return int(self.matrix.shape[1])


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


def rotated_codes(vectors: npt.ArrayLike, rotation: Rotation) -> npt.NDArray[np.int8]:
    """Return the codes of records' vectors under a learnt rotation.

    Args:
        vectors: shape (n, d), any real dtype, one vector per row, finite.
        rotation: from `fit_itq`, for the same d.

    Returns:
        Shape (n, ceil(bits / 8)), int8, packed as `sign_codes` does.

    Raises:
        InvalidInput: a wrong shape or a component that is NaN or infinite.
    """
    return _codes(vectors, rotation, rotation.threshold)


def rotated_query_codes(vectors: npt.ArrayLike, rotation: Rotation) -> npt.NDArray[np.int8]:
    """Return the codes of queries' vectors; arguments, result and errors are those of `rotated_codes`."""
    return _codes(vectors, rotation, rotation.query_threshold)


def _codes(vectors: npt.ArrayLike, rotation: Rotation, threshold: FloatArray) -> npt.NDArray[np.int8]:
    rows = check_multi_vector("vectors", vectors, rotation.dimension)
    return np.packbits(rows @ rotation.matrix > threshold, axis=1).view(np.int8)


def fit_itq(
    vectors: npt.ArrayLike,
    queries: npt.ArrayLike | None = None,
    *,
    bits: int | None = None,
    iterations: int = 50,
    seed: int = 1,
) -> Rotation:
    """Learn a rotation by iterative quantisation (ITQ).

    Gong, Lazebnik, Gordo and Perronnin, "Iterative Quantization: A Procrustean Approach to Learning Binary
    Codes for Large-Scale Image Retrieval" (CVPR 2011, TPAMI 35, 2013). The vectors are centred and projected
    to their first principal components, V. From a random rotation R on, B = sign(VR) and the R that minimises
    ‖B − VR‖, by the singular value decomposition of BᵀV, take turns.

    Queries are centred by their own mean. To rank by the inner product, it does not matter what is subtracted
    from all records, and a query's code should not be spent on what all queries share.

    Args:
        vectors: shape (n, d), any real dtype, one vector per row; n ≥ bits + 1, better 10 times that.
        queries: shape (m, d), vectors of typical queries, of which the mean is taken: some 50 will do. None
            takes that of the vectors.
        bits: of a code, 1 to d; d where it is None.
        iterations: at least 1; the paper takes 50.
        seed: of the first rotation.

    Returns:
        The rotation, principal components included.

    Raises:
        InvalidInput: a wrong shape, too few vectors, a component that is not finite, or a parameter out of
            its range.
    """
    rows = check_multi_vector("vectors", vectors)
    count, dimension = rows.shape
    wanted = dimension if bits is None else bits
    if not 1 <= wanted <= dimension:
        raise InvalidInput(f"itq bits: {wanted} is outside 1–{dimension}, the vectors' dimension")
    if iterations < 1:
        raise InvalidInput(f"itq iterations: {iterations} is below 1")
    if count <= wanted:
        raise InvalidInput(f"itq: {count} vectors are too few for {wanted} bits; at least {wanted + 1}")
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean.astype(np.float32)
    _, components = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = components[:, ::-1][:, :wanted]
    projected = centred @ axes.astype(np.float32)
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((wanted, wanted)))[0]
    for _ in range(iterations):
        signs = np.where(projected @ rotation.astype(np.float32) > 0, np.float32(1), np.float32(-1))
        left, _, right = np.linalg.svd((signs.T @ projected).astype(np.float64))
        rotation = (left @ right).T
    matrix = axes @ rotation
    query_mean = mean
    if queries is not None:
        asked = check_multi_vector("queries", queries, dimension)
        query_mean = asked.mean(axis=0, dtype=np.float64)
    thresholds = (np.stack([mean, query_mean]) @ matrix).astype(np.float32)
    return Rotation(matrix.astype(np.float32), thresholds[0], thresholds[1])
