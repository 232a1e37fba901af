"""A composed question as one query of each vector field.

A candidate's score is the weighted sum of its scores by each part. For single vectors Σ w·⟨e, d⟩ =
⟨Σ w·e, d⟩: the weighted sum of the parts' vectors is exact. MaxSim adds over query rows, and a positive
factor may be moved into a row: scaled rows of the positive parts, one below the other, are exact too. A
negative factor may not, since −max(x) is not max(−x): rows of negative parts are kept apart, and their MaxSim
is subtracted.

Prompt directional vectors (PDV: Tursun, Kalkan, Denman and Fookes, "PDV: prompt directional vectors for
zero-shot composed image retrieval", 2025, arXiv:2502.07215) add w · (target text − source text) to an image's
vector: the parts image, target text with w and source text with −w.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..encoder import IndexEncoders
from ..errors import InvalidInput
from ..mappings import IndexDescription, Profile
from ..types import Encoder, FloatArray, Input
from .compose import Part

__all__ = ["Composed", "Composition", "compose_multi_vectors", "compose_vectors"]

_CANCELLED = 1e-3
"""A sum of vectors that is shorter than this share of the summed weights is mostly rounding."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A composed query in the space of one field.

    Attributes:
        vector: shape (d,), unit length, for a single-vector field; shape (n, d) for a multi-vector field: the
            rows of the positive parts, scaled.
        subtracted: shape (m, d), float32: the scaled rows of the negative parts, whose MaxSim is subtracted;
            None where there are none.
        told: per part what became of it, None where the field's model cannot read it.
    """

    vector: FloatArray
    subtracted: FloatArray | None
    told: tuple[dict[str, float] | None, ...]


class Composition:
    """A question's parts, and what they have become in the space of each field encoded so far."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Take the parts; none for a plain question."""
        self.parts = tuple(parts)
        self._composed: dict[str, Composed] = {}

    @property
    def subtracted(self) -> dict[str, FloatArray]:
        """Multi-vector field → rows, shape (m, d), whose MaxSim is subtracted from its score."""
        return {
            name: query.subtracted for name, query in self._composed.items() if query.subtracted is not None
        }

    def encode(
        self, index: IndexDescription, field: str, encoders: IndexEncoders, notes: MutableSequence[str]
    ) -> FloatArray | None:
        """Return the query of one vector field: shape (d,), or (n, d) for a multi-vector field.

        Args:
            index: the index.
            field: a vector field with a model.
            encoders: of the index.
            notes: takes a sentence about parts that the field's model cannot read.

        Returns:
            None where no part of positive weight can be read.

        Raises:
            InvalidInput: the parts cancel each other out.
        """
        inputs = encoders.query_inputs(field)
        if not any(part.weight > 0 and part.input in inputs for part in self.parts):
            notes.append(f"field '{field}' takes no part: its model reads {' and '.join(inputs)} only")
            return None
        vectors = _encode_parts(encoders.get(field), inputs, self.parts)
        read = sum(vector is not None for vector in vectors)
        if read < len(vectors):
            notes.append(
                f"field '{field}' reads {read} of {len(vectors)} parts: "
                f"its model reads {' and '.join(inputs)} only"
            )
        weights = [part.weight for part in self.parts]
        multi = index.source_field(field).encoding is not None
        composed = (
            compose_multi_vectors(vectors, weights) if multi else compose_vectors(field, vectors, weights)
        )
        self._composed[field] = composed
        return composed.vector

    def account(self, index: IndexDescription, profile: Profile) -> tuple[dict[str, Any], ...] | None:
        """Return per part what it is, its weight, and what it is to each field; None for a plain question."""
        if not self.parts:
            return None
        searched = [retriever.field for retriever in profile.retrievers if retriever.type == "bm25"]
        told = []
        for position, part in enumerate(self.parts):
            fields: dict[str, Mapping[str, float]] = {}
            if part.text is not None and part.weight > 0:
                fields |= {name: {"boost": part.weight} for name in searched}
            for name, query in self._composed.items():
                if (one := query.told[position]) is not None:
                    fields[name] = one
            told.append({"part": part.shown(), "weight": part.weight, "fields": fields})
        return tuple(told)


def compose_vectors(field: str, vectors: Sequence[FloatArray | None], weights: Sequence[float]) -> Composed:
    """Return the unit vector of the weighted sum of single vectors.

    Args:
        field: its name, for errors.
        vectors: per part its unit vector, shape (d,), or None where there is none.
        weights: per part its weight.

    Returns:
        The query; ``told`` has each part's ``cosine`` with it.

    Raises:
        InvalidInput: the parts cancel each other out.
    """
    read = [(v, w) for v, w in zip(vectors, weights, strict=True) if v is not None]
    total = np.sum([np.float64(weight) * vector for vector, weight in read], axis=0)
    norm = float(np.linalg.norm(total))
    if norm < _CANCELLED * sum(abs(weight) for _, weight in read):
        raise InvalidInput(f"compose: for field '{field}' the parts cancel each other out; change a weight")
    query = (total / norm).astype(np.float32)
    told = tuple(None if v is None else {"cosine": float(v @ query)} for v in vectors)
    return Composed(query, None, told)


def compose_multi_vectors(vectors: Sequence[FloatArray | None], weights: Sequence[float]) -> Composed:
    """Return scaled rows by which a candidate's score is Σ weight · (MaxSim of the part / its rows).

    A part counts by its weight, not by its number of rows: an image has hundreds, a word has three. The sum
    is brought to the size of an ordinary query: it is multiplied by the mean number of rows of the positive
    parts and divided by the sum of their weights. One part of any positive weight is the query it is alone.

    Args:
        vectors: per part its multi-vector, shape (n, d), or None where there is none.
        weights: per part its weight; one part at least that has rows is positive.

    Returns:
        The query; ``told`` has each part's ``rows`` and their ``scale``.
    """
    positive = [(len(v), w) for v, w in zip(vectors, weights, strict=True) if v is not None and w > 0]
    size = sum(rows for rows, _ in positive) / len(positive) / sum(weight for _, weight in positive)
    added: list[FloatArray] = []
    subtracted: list[FloatArray] = []
    told: list[dict[str, float] | None] = []
    for vector, weight in zip(vectors, weights, strict=True):
        if vector is None:
            told.append(None)
            continue
        scale = weight * size / len(vector)
        (added if weight > 0 else subtracted).append(np.float32(abs(scale)) * vector)
        told.append({"rows": len(vector), "scale": scale})
    return Composed(np.concatenate(added), np.concatenate(subtracted) if subtracted else None, tuple(told))


def _encode_parts(
    encoder: Encoder, inputs: Sequence[Input], parts: Sequence[Part]
) -> list[FloatArray | None]:
    """Return each part's vector (d,) or multi-vector (n, d), None where the model cannot read it.

    Args:
        encoder: of one field.
        inputs: what its model reads of queries.
        parts: the parts.
    """
    vectors: list[FloatArray | None] = [None] * len(parts)
    texts = [i for i, part in enumerate(parts) if part.text is not None and "text" in inputs]
    images = [i for i, part in enumerate(parts) if part.image is not None and "image" in inputs]
    if texts:
        for i, vector in zip(
            texts, encoder.encode_queries([parts[i].text or "" for i in texts]), strict=True
        ):
            vectors[i] = vector
    if images:
        pages = [image for i in images if (image := parts[i].image) is not None]
        for i, vector in zip(images, encoder.encode_pages(pages), strict=True):
            vectors[i] = vector
    return vectors
