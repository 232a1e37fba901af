"""MUVERA: fixed dimensional encodings (FDE), single vectors whose inner product approximates MaxSim.

Dhulipala, Hadian, Jayaram, Lee and Mirrokni, "MUVERA: Multi-Vector Retrieval via Fixed Dimensional
Encodings", 2024, arXiv:2405.19504. Space is cut into 2^bits buckets by random hyperplanes (SimHash), several
times over. In each bucket a query's rows are added and a document's rows averaged, after a random projection
to fewer dimensions (the inner projection); all buckets of all repetitions are concatenated, and projected
once more if wanted (the final one). Rows that are near each other mostly share a bucket, so the inner product
sums, over query rows, their similarity with the document rows nearby.

The random numbers come from the raw bits of PCG64, whose stream NumPy keeps for ever, and only whole numbers
are made of them: an encoding is the same on every machine, up to the rounding of matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .errors import InvalidInput
from .types import FloatArray, check_multi_vector

__all__ = ["FdeParameters", "encode_document", "encode_query", "quantize_document", "quantize_query"]

_CLIP = 3.0
_MOST_SKETCHED = 2**22
_COMPARED = 2**20
"""How many codes of rows are compared with empty buckets at once."""


@dataclass(frozen=True, slots=True)
class FdeParameters:
    """What fixes an encoding; two encodings can be compared only if these are equal.

    Attributes:
        repetitions: how many times space is cut anew, at least 1.
        simhash_bits: hyperplanes of one cut, 0–12; a repetition has 2^bits buckets.
        projection: the inner projection: dimension of a row in its bucket, or None for all its components.
        seed: where the random numbers start, 0–2^64 − 1.
        fill_empty: an empty bucket of a document gets the row whose bucket differs in the fewest bits,
            the first one of them in model order; queries leave it 0.
        final_dimension: the final projection: dimension of the whole encoding, or None for all of it.
    """

    repetitions: int = 20
    simhash_bits: int = 4
    projection: int | None = 16
    seed: int = 1
    fill_empty: bool = True
    final_dimension: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        limits = {
            "repetitions": (self.repetitions, 1, 1000),
            "simhash_bits": (self.simhash_bits, 0, 12),
            "projection": (1 if self.projection is None else self.projection, 1, 4096),
            "seed": (self.seed, 0, 2**64 - 1),
            "final_dimension": (1 if self.final_dimension is None else self.final_dimension, 1, 2**20),
        }
        for name, (value, low, high) in limits.items():
            if not isinstance(value, int):
                raise InvalidInput(f"fde {name}: {value} is not a whole number")
            if not low <= value <= high:
                raise InvalidInput(f"fde {name}: {value} is outside {low}–{high}")

    def dimension(self, vector_dimension: int) -> int:
        """Return the dimension of the encodings of rows with ``vector_dimension`` components.

        Raises:
            InvalidInput: the final projection would not make them shorter, or starts from too many.
        """
        buckets = self.repetitions << self.simhash_bits
        whole = buckets * (self.projection or vector_dimension)
        if self.final_dimension is None:
            return whole
        if not self.final_dimension < whole <= _MOST_SKETCHED:
            raise InvalidInput(
                f"fde final_dimension: {self.final_dimension} of {whole} dimensions; "
                f"it projects at most {_MOST_SKETCHED} to fewer"
            )
        return self.final_dimension


def encode_query(query: npt.ArrayLike, parameters: FdeParameters) -> FloatArray:
    """Encode a query multi-vector.

    Args:
        query: shape (n, d), any real dtype, one token vector per row.
        parameters: the same as for the documents.

    Returns:
        Shape (D,), float32, D = ``parameters.dimension(d)``: repetition by repetition, bucket by bucket,
        unless there is a final projection.

    Raises:
        InvalidInput: a wrong shape or a component that is not finite.
    """
    rows = check_multi_vector("query", query)
    projected, members = _bucketed(rows, parameters)
    return _joined(np.matmul(members, projected), parameters)


def encode_document(document: npt.ArrayLike, parameters: FdeParameters) -> FloatArray:
    """Encode the multi-vector of a page or passage.

    Args:
        document: shape (p, d), any real dtype, one token or patch vector per row, in model order.
        parameters: the same as for the queries.

    Returns:
        Shape (D,), float32, D = ``parameters.dimension(d)``: repetition by repetition, bucket by bucket,
        unless there is a final projection.

    Raises:
        InvalidInput: a wrong shape or a component that is not finite.
    """
    rows = check_multi_vector("document", document)
    projected, members = _bucketed(rows, parameters)
    counts = members.sum(axis=2)
    buckets: FloatArray = np.matmul(members, projected)
    buckets /= np.maximum(counts, 1)[:, :, None]
    if parameters.fill_empty:
        differing = _differing_bits(parameters.simhash_bits)
        codes = members.argmax(axis=1)
        repetitions, empty = np.nonzero(counts == 0)
        at_once = max(1, _COMPARED // len(rows))
        for start in range(0, len(empty), at_once):
            repetition, bucket = repetitions[start : start + at_once], empty[start : start + at_once]
            nearest = differing[bucket[:, None], codes[repetition]].argmin(axis=1)
            buckets[repetition, bucket] = projected[repetition, nearest]
    return _joined(buckets, parameters)


def quantize_document(fde: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Return a document's encoding in bytes, brought to one length.

    A bucket's average gets the shorter, the more rows share the bucket, so that the inner product with the
    float encoding favours short documents. All documents in bytes have the same length (up to rounding and
    clipping): with queries they rank by cosine, under the inner product as well. On scifact and cranfield
    this finds more of the exact MaxSim ranking than the float encoding does (docs/ranking.md).

    Args:
        fde: shape (D,), float32, from `encode_document`.

    Returns:
        Shape (D,), int8, −127 to 127: 127 is 3 times the root mean square of the components, and what is
        beyond is clipped; all 0 if the encoding is.

    Raises:
        InvalidInput: a wrong shape or a component that is not finite.
    """
    return _to_bytes(fde, lambda values: _CLIP * float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))))


def quantize_query(fde: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Return a query's encoding in bytes, by its own scale: its largest component becomes ±127.

    Scaling a query by a positive factor leaves the order of its results unchanged.

    Args:
        fde: shape (D,), float32, from `encode_query`.

    Returns:
        Shape (D,), int8; all 0 if the encoding is.

    Raises:
        InvalidInput: a wrong shape or a component that is not finite.
    """
    return _to_bytes(fde, lambda values: float(np.abs(values).max()))


def _to_bytes(fde: npt.ArrayLike, largest: Callable[[FloatArray], float]) -> npt.NDArray[np.int8]:
    """Scale an encoding so that ``largest`` of it becomes 127, round, and clip."""
    values = np.asarray(fde, dtype=np.float32)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise InvalidInput(f"fde: expected finite components of shape (D,), got shape {values.shape}")
    limit = largest(values)
    if limit == 0:
        return np.zeros(values.shape, dtype=np.int8)
    codes: npt.NDArray[np.int8] = np.clip(np.rint(values / limit * 127), -127, 127).astype(np.int8)
    return codes


def _bucketed(rows: FloatArray, parameters: FdeParameters) -> tuple[FloatArray, FloatArray]:
    """Return the projected rows, (R, n, w), and who is in which bucket as 0 and 1, (R, 2^bits, n)."""
    count, dimension = rows.shape
    planes, projection = _matrices(parameters, dimension)
    positive = (rows @ planes > 0).reshape(count, parameters.repetitions, parameters.simhash_bits)
    codes = positive @ (1 << np.arange(parameters.simhash_bits))
    members = codes.T[:, None, :] == np.arange(2**parameters.simhash_bits)[:, None]
    if projection is None:
        projected = np.broadcast_to(rows, (parameters.repetitions, count, dimension))
    else:
        projected = (rows @ projection).reshape(count, parameters.repetitions, -1).transpose(1, 0, 2)
    return projected, members.astype(np.float32)


def _joined(buckets: FloatArray, parameters: FdeParameters) -> FloatArray:
    """Return all buckets as one vector, after the final projection: (R, 2^bits, w) → (D,).

    That is a Count Sketch (Charikar, Chen and Farach-Colton, "Finding frequent items in data streams", 2002):
    each component is added to a random one of the result, with a random sign. Inner products stay right on
    average, and it takes one addition per component instead of a dense matrix.
    """
    whole: FloatArray = buckets.reshape(-1)
    if parameters.final_dimension is None:
        return whole
    places, signs = _sketch(parameters, whole.size)
    return np.bincount(places, signs * whole, parameters.final_dimension).astype(np.float32)


@lru_cache(maxsize=8)
def _sketch(parameters: FdeParameters, whole: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return where each of ``whole`` components goes, and its sign; far from the other random numbers."""
    source = np.random.PCG64(parameters.seed)
    source.advance(1 << 100)
    words = source.random_raw(whole)
    signs = np.where(words >> np.uint64(63), np.float32(1), np.float32(-1))
    return (words % np.uint64(parameters.final_dimension or 1)).astype(np.int64), signs


@lru_cache(maxsize=8)
def _matrices(parameters: FdeParameters, dimension: int) -> tuple[FloatArray, FloatArray | None]:
    """Return the hyperplanes, (d, R · bits), and the projections, (d, R · w), ±1/√w, or None."""
    source = np.random.PCG64(parameters.seed)
    planes = _normal(source, (dimension, parameters.repetitions * parameters.simhash_bits))
    if parameters.projection is None:
        return planes, None
    bits = _random_bits(source, dimension * parameters.repetitions * parameters.projection)
    length = np.float32(1 / math.sqrt(parameters.projection))
    return planes, np.where(bits.reshape(dimension, -1) > 0, length, -length)


def _normal(source: np.random.PCG64, shape: tuple[int, int]) -> FloatArray:
    """Draw the number of ones in 64 random bits, less 32: normal enough for directions, and portable."""
    bits = _random_bits(source, 64 * shape[0] * shape[1])
    ones: npt.NDArray[np.int64] = bits.reshape(*shape, 64).sum(axis=2, dtype=np.int64)
    return (ones - 32).astype(np.float32)


def _random_bits(source: np.random.PCG64, count: int) -> npt.NDArray[np.uint8]:
    """Draw random bits, shape (count,): those of the raw 64-bit words, the least significant first."""
    words = source.random_raw((count + 63) // 64).astype("<u8")
    return np.unpackbits(words.view(np.uint8), count=count, bitorder="little")


@lru_cache(maxsize=8)
def _differing_bits(bits: int) -> npt.NDArray[np.uint8]:
    """Return in how many bits two bucket numbers differ, shape (2^bits, 2^bits)."""
    numbers = np.arange(2**bits, dtype=np.uint16)
    ones = np.zeros(numbers.shape, dtype=np.uint8)
    for bit in range(bits):
        ones += ((numbers >> bit) & 1).astype(np.uint8)
    differing: npt.NDArray[np.uint8] = ones[numbers[:, None] ^ numbers]
    return differing
