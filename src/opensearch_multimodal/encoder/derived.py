"""Derived fields: the codes and encodings that are computed from a vector field, for records and queries."""

from __future__ import annotations

from typing import Any

from .. import fde
from ..binarize import rotated_codes, rotated_query_codes, sign_codes
from ..mappings import BinaryField, FdeField, IndexDescription, fde_parameters
from ..types import FloatArray
from .index import IndexEncoders

__all__ = ["DerivedFields"]


class DerivedFields:
    """Computes the values of an index's derived fields, with the learnt rotations that they name."""

    def __init__(self, index: IndexDescription, encoders: IndexEncoders) -> None:
        """Prepare; a rotation is loaded and checked when a value first needs it."""
        self._fields = index.meta.fields
        self._encoders = encoders

    def load(self) -> None:
        """Load and check every rotation that the index names.

        Raises:
            ModelMismatch: a rotation at hand is not the one that the index was made for.
        """
        for name, field in self._fields.items():
            if isinstance(field, BinaryField) and field.rotation is not None:
                self._encoders.rotation(name)

    def of_record(self, name: str, source: FloatArray) -> Any:
        """Return a derived field's value for a record, as the index takes it.

        Args:
            name: the derived field.
            source: what it is derived from, shape (d,) or (n, d).
        """
        field = self._fields[name]
        if isinstance(field, FdeField):
            return fde.quantize_document(fde.encode_document(source, fde_parameters(field)))
        if isinstance(field, BinaryField) and field.rotation is not None:
            return rotated_codes(source[None, :], self._encoders.rotation(name))[0]
        return sign_codes(source[None, :])[0]

    def of_query(self, name: str, source: FloatArray) -> Any:
        """Return what to search a derived field with, as the index takes it; arguments as `of_record`."""
        field = self._fields[name]
        if isinstance(field, FdeField):
            return fde.quantize_query(fde.encode_query(source, fde_parameters(field)))
        if isinstance(field, BinaryField) and field.rotation is not None:
            return rotated_query_codes(source[None, :], self._encoders.rotation(name))[0]
        return sign_codes(source[None, :])[0]
