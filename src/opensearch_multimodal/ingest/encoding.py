"""Fill the vector fields of records and write them as JSON lines."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ..encoder import FieldEncoder, IndexEncoders
from ..errors import InvalidInput
from ..mappings import IndexDescription
from ..sources import Record

__all__ = ["EncodedRecord", "RecordEncoder"]

_JSON = orjson.OPT_SERIALIZE_NUMPY


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """A record ready to be written, or the reason why it cannot be.

    Attributes:
        record: the record, its image dropped.
        lines: the two lines of a bulk request, or None.
        reason: why there are none.
    """

    record: Record
    lines: bytes | None
    reason: str | None = None


class RecordEncoder:
    """Turns records into the JSON that an index takes, with every vector field it describes."""

    def __init__(
        self, index: IndexDescription, encoders: IndexEncoders, *, keep_images: bool = False
    ) -> None:
        """Load and check the models that the index names.

        Args:
            index: the index to write to.
            encoders: the models that it names.
            keep_images: store page images (PNG) in the record.

        Raises:
            ModelMismatch: a model at hand is not the one that the index was made for.
        """
        self._fields = FieldEncoder(index, encoders)
        self._keep_images = keep_images
        self.other_cpu_seconds = 0.0
        if keep_images and "image" not in index.properties:
            raise InvalidInput(f"keep-images: index '{index.name}' has no field 'image'")

    @property
    def reads_images(self) -> bool:
        """Whether page images are needed at all."""
        return self._keep_images or self._fields.reads_images

    def encode(self, records: Sequence[Record]) -> list[EncodedRecord]:
        """Encode a batch; a record that cannot be encoded fails alone.

        Returns:
            One encoded record per record, in order.
        """
        try:
            return self._encode(records)
        except InvalidInput as error:
            if len(records) == 1:
                records[0].image = None
                return [EncodedRecord(records[0], None, str(error))]
        return [encoded for record in records for encoded in self.encode([record])]

    def _encode(self, records: Sequence[Record]) -> list[EncodedRecord]:
        vectors = self._fields.encode(records)
        started = time.thread_time()
        encoded = [
            EncodedRecord(record, self._lines(record, found))
            for record, found in zip(records, vectors, strict=True)
        ]
        for record in records:
            record.image = None
        self.other_cpu_seconds += time.thread_time() - started
        return encoded

    def _lines(self, record: Record, vectors: dict[str, Any]) -> bytes:
        body = _plain_fields(record) | self._fields.values(vectors)
        if self._keep_images and record.image is not None:
            body["image"] = _png(record)
        action = {"index": {"_id": record.id}}
        try:
            return orjson.dumps(action) + b"\n" + orjson.dumps(body, option=_JSON) + b"\n"
        except orjson.JSONEncodeError as error:
            raise InvalidInput(f"metadata: cannot be written as JSON: {error}") from error


def _plain_fields(record: Record) -> dict[str, Any]:
    body: dict[str, Any] = {
        "document_id": record.document_id,
        "title": record.title,
        "text": record.text,
        "modality": record.modality,
        "metadata": record.metadata,
        "content_sha256": record.content_sha256,
    }
    for name in ("page", "image_uri"):
        value = getattr(record, name)
        if value is not None:
            body[name] = value
    if record.acl:
        body["acl"] = list(record.acl)
    return body


def _png(record: Record) -> str:
    buffer = io.BytesIO()
    assert record.image is not None  # noqa: S101 - the caller looked
    record.image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
