"""The vector fields of one index: run each model once, derive the rest."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from .. import wire
from ..mappings import IndexDescription, SourceField
from ..token_pooling import pool_tokens
from ..types import Encoder, check_multi_vector, check_vector
from .content import Content, text_to_encode
from .derived import DerivedFields
from .index import IndexEncoders

__all__ = ["FieldEncoder"]


class FieldEncoder:
    """Fills every vector field that an index describes."""

    def __init__(self, index: IndexDescription, encoders: IndexEncoders) -> None:
        """Load and check the models and rotations that the index names.

        Raises:
            ModelMismatch: a model or rotation at hand is not the one that the index was made for.
            InvalidInput: a model's vectors change with their batch, and the index does not allow it.
        """
        self._fields = index.meta.fields
        self._sources = {
            name: (field, encoders.for_records(name))
            for name, field in index.meta.fields.items()
            if isinstance(field, SourceField)
        }
        self._derived = DerivedFields(index, encoders)
        self._derived.load()

    @property
    def reads_images(self) -> bool:
        """Whether a model reads page images."""
        return any(field.input == "image" for field, _ in self._sources.values())

    def encode(self, contents: Sequence[Content]) -> list[dict[str, Any]]:
        """Run the models.

        Returns:
            Per content: vector field with a model → its vector (d,) or multi-vector (n, d). A field is absent
            where the content has nothing for it: blank text, no image, text that leaves no token vectors.
            Multi-vectors are pooled where the field says so.

        Raises:
            InvalidInput: one of the contents cannot be encoded.
        """
        vectors: list[dict[str, Any]] = [{} for _ in contents]
        for name, (field, encoder) in self._sources.items():
            chosen, encoded = _run(encoder, field, contents)
            for position, vector in zip(chosen, encoded, strict=True):
                if len(vector):
                    checked = _check(name, vector, field, encoder.dimension)
                    if field.pooling is not None:
                        checked = pool_tokens(checked, field.pooling.factor)
                    vectors[position][name] = checked
        return vectors

    def values(self, vectors: Mapping[str, Any]) -> dict[str, Any]:
        """Return field → value as the index takes it, derived fields included.

        Args:
            vectors: of one content, from `encode`.
        """
        values: dict[str, Any] = {}
        for name, field in self._fields.items():
            if isinstance(field, SourceField):
                if name in vectors:
                    values[name] = vectors[name] if field.encoding is None else _packed(vectors[name], field)
            elif field.derived_from in vectors:
                values[name] = self._derived.of_record(name, vectors[field.derived_from])
        return values


def _run(encoder: Encoder, field: SourceField, contents: Sequence[Content]) -> tuple[list[int], Any]:
    """Encode the contents that have the field's input; return their positions and the vectors."""
    if field.input == "image":
        images = [(i, content.image) for i, content in enumerate(contents) if content.image is not None]
        return [i for i, _ in images], encoder.encode_pages([image for _, image in images]) if images else []
    chosen = [i for i, content in enumerate(contents) if content.text.strip()]
    texts = [text_to_encode(contents[i]) for i in chosen]
    return chosen, encoder.encode_passages(texts) if texts else []


def _check(name: str, vector: Any, field: SourceField, dimension: int) -> Any:
    return (check_multi_vector if field.encoding else check_vector)(name, vector, dimension)


def _packed(vectors: Any, field: SourceField) -> str:
    return base64.b64encode(wire.pack(vectors, field.encoding or "int8")).decode("ascii")
