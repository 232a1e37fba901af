"""Vectors of fewer components: the first ones of a model that was trained for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..types import Encoder, FloatArray
from .vectors import unit_rows

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["CutEncoder"]


class CutEncoder:
    """An encoder whose vectors keep their first components, at unit length again; see `types.Encoder`.

    Kusupati and others, "Matryoshka Representation Learning", 2022, arXiv:2205.13147.
    """

    def __init__(self, encoder: Encoder, dimension: int) -> None:
        """Wrap an encoder; the model's spec says to what dimensions its vectors may be cut."""
        self._encoder = encoder
        self._dimension = dimension

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model, whatever is kept of its vectors."""
        return self._encoder.fingerprint

    @property
    def dimension(self) -> int:
        """How many components are kept."""
        return self._dimension

    def encode_queries(self, texts: Sequence[str]) -> Any:
        """Encode search queries."""
        return self._cut(self._encoder.encode_queries(texts))

    def encode_passages(self, texts: Sequence[str]) -> Any:
        """Encode passages."""
        return self._cut(self._encoder.encode_passages(texts))

    def encode_pages(self, images: Sequence[Image]) -> Any:
        """Encode page images."""
        return self._cut(self._encoder.encode_pages(images))

    def _cut(self, vectors: Any) -> Any:
        """Cut an array of vectors, (n, d), or a list of multi-vectors, (nᵢ, d)."""
        if isinstance(vectors, list):
            return [self._first(rows) for rows in vectors]
        return self._first(vectors)

    def _first(self, rows: FloatArray) -> FloatArray:
        return unit_rows(rows[:, : self._dimension])
