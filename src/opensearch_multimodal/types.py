"""The records and protocols that several modules share, and the shape checks that guard them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from .errors import InvalidInput

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "MAX_DIMENSION",
    "Candidate",
    "Encoder",
    "FloatArray",
    "Input",
    "MultiVector",
    "Run",
    "check_multi_vector",
    "check_vector",
    "is_part",
    "judges_wholes",
    "whole_record",
]

FloatArray: TypeAlias = npt.NDArray[np.float32]
"""Any float32 array; the docstring that uses it says its shape."""

MultiVector: TypeAlias = npt.NDArray[np.float32]
"""Shape (n, d), float32: one token vector or patch vector per row, in model order, n ≥ 1."""

Run: TypeAlias = Mapping[str, Mapping[str, float]]
"""query id → record id → score (higher is better)."""

_PART = re.compile(r"(.+)#c[0-9]+", re.DOTALL)

Input = Literal["text", "image"]
"""What a model reads on the passage or page side."""

MAX_DIMENSION = 4096
"""The largest dimension of a token vector in the wire format (version 1)."""


@dataclass(slots=True)
class Candidate:
    """One record on its way through the stages of a query.

    Attributes:
        id: the record's ``_id``.
        index: the concrete index it lives in.
        ranks: retriever name → rank in its first stage, 1-based; absent where it did not retrieve it.
        first_scores: retriever name → the cluster's own score in its first stage.
        modality: what kind of record it is, ``page`` or ``passage``; empty where the index does not say.
        found: the scored fields whose retrievers found it by themselves.
        scores: field → exact score: BM25 of a text field, inner product of a single-vector field, MaxSim of
            a multi-vector field; −inf where the record has no such vector, or no text.
        fused: score after fusion, None before.
        refined: score by the refined query, None where nothing was refined.
        reranked: score by the reranker, None where it was not reranked.
        rank_before: where reranked, its rank before, 1-based.
        score: the score that orders the result.
    """

    id: str
    index: str
    ranks: dict[str, int] = field(default_factory=dict)
    first_scores: dict[str, float] = field(default_factory=dict)
    modality: str = ""
    found: set[str] = field(default_factory=set)
    scores: dict[str, float] = field(default_factory=dict)
    fused: float | None = None
    refined: float | None = None
    reranked: float | None = None
    rank_before: int | None = None
    score: float = 0.0

    def copy(self) -> Candidate:
        """Return a candidate that can be ranked anew: found and scored as this one, nothing more."""
        return Candidate(
            self.id,
            self.index,
            dict(self.ranks),
            dict(self.first_scores),
            self.modality,
            set(self.found),
            dict(self.scores),
        )


@runtime_checkable
class Encoder(Protocol):
    """Turns texts or page images into vectors of one model.

    A single-vector model returns an array of shape (n, d); a multi-vector model a list of n arrays
    of shape (nᵢ, d). Both are float32 with L2-normalised rows, in input order.
    """

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model behind this encoder."""
        ...

    @property
    def dimension(self) -> int:
        """The number of components d of one vector."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Any:
        """Encode search queries, with the model's query prefix."""
        ...

    def encode_passages(self, texts: Sequence[str]) -> Any:
        """Encode passages, with the model's passage prefix."""
        ...

    def encode_pages(self, images: Sequence[Image]) -> Any:
        """Encode page images."""
        ...


def check_vector(name: str, value: npt.ArrayLike, dimension: int | None = None) -> FloatArray:
    """Return ``value`` as a finite float32 vector.

    Args:
        name: the field's name, used in the error.
        value: shape (d,), any real dtype.
        dimension: the required d, or None for any.

    Raises:
        InvalidInput: wrong rank, wrong dimension, or a component that is NaN or infinite.
    """
    array = _as_float32(name, value)
    if array.ndim != 1 or array.size == 0:
        raise InvalidInput(f"{name}: expected a vector of shape (d,), got shape {array.shape}")
    _check_width(name, array.shape[0], dimension)
    _check_finite(name, array)
    return array


def check_multi_vector(name: str, value: npt.ArrayLike, dimension: int | None = None) -> MultiVector:
    """Return ``value`` as a finite float32 multi-vector.

    Args:
        name: the field's name, used in the error.
        value: shape (n, d), any real dtype, n ≥ 1.
        dimension: the required d, or None for any up to `MAX_DIMENSION`.

    Raises:
        InvalidInput: wrong rank, no rows, wrong dimension, or a component that is NaN or infinite.
    """
    array = _as_float32(name, value)
    if array.ndim != 2:
        raise InvalidInput(f"{name}: expected a multi-vector of shape (n, d), got shape {array.shape}")
    if array.shape[0] == 0:
        raise InvalidInput(f"{name}: a multi-vector needs at least 1 row, got shape {array.shape}")
    _check_width(name, array.shape[1], dimension)
    _check_finite(name, array)
    return array


def _as_float32(name: str, value: npt.ArrayLike) -> FloatArray:
    try:
        with np.errstate(over="ignore"):
            return np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise InvalidInput(f"{name}: expected numbers in a rectangular array, got {kind}") from None


def _check_width(name: str, width: int, dimension: int | None) -> None:
    if dimension is not None and width != dimension:
        raise InvalidInput(f"{name}: dimension {width}, but {dimension} is required")
    if not 1 <= width <= MAX_DIMENSION:
        raise InvalidInput(f"{name}: dimension {width} is outside 1–{MAX_DIMENSION}")


def _check_finite(name: str, array: FloatArray) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InvalidInput(f"{name}: component {where} is {array[where]}; every component must be finite")


def is_part(record_id: str) -> bool:
    """Return whether an id is that of a part of a split record, such as ``X#c1``."""
    return _PART.fullmatch(record_id) is not None


def whole_record(record_id: str) -> str:
    """Return the id ``X`` of the record that ``X#c1`` is a part of; any other id as it is."""
    part = _PART.fullmatch(record_id)
    return part[1] if part else record_id


def judges_wholes(qrels: Mapping[str, Mapping[str, int]]) -> bool:
    """Return whether judgements (query id → record id → grade) name whole records only, never parts."""
    return not any(is_part(record) for judged in qrels.values() for record in judged)
