"""``<file>.meta.json``: title, access, document id and metadata that stand beside a file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InvalidInput
from .values import parse_acl, parse_object, take_metadata, take_text

__all__ = ["SUFFIX", "Sidecar", "read_sidecar"]

SUFFIX = ".meta.json"
_MAX_BYTES = 1024 * 1024
_MAX_ID_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What a sidecar says; the empty one stands for a file without.

    Attributes:
        title: the title, empty where not given.
        acl: who may see the records, None where not given.
        document_id: the id to use, empty where not given.
        metadata: everything else.
        sha256: of the sidecar's bytes, empty where there is none.
    """

    title: str = ""
    acl: tuple[str, ...] | None = None
    document_id: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""


def read_sidecar(path: Path) -> Sidecar:
    """Return what stands in ``<path>.meta.json``, the empty sidecar where there is none.

    Raises:
        InvalidInput: it cannot be read or is not what it should be; quotes none of its content.
    """
    beside = path.with_name(path.name + SUFFIX)
    try:
        with beside.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return Sidecar()
    except OSError as error:
        raise InvalidInput(f"its sidecar: {(error.strerror or 'cannot be read').lower()}") from error
    if len(data) > _MAX_BYTES:
        raise InvalidInput(f"its sidecar is over the limit of {_MAX_BYTES:,} bytes")
    try:
        values = parse_object(data)
        title, document_id = take_text(values, "title").strip(), _take_document_id(values)
        acl = parse_acl(values.pop("acl")) if "acl" in values else None
        metadata = take_metadata(values)
    except InvalidInput as error:
        raise InvalidInput(f"its sidecar: {error}") from error
    return Sidecar(title, acl, document_id, metadata, hashlib.sha256(data).hexdigest())


def _take_document_id(values: dict[str, Any]) -> str:
    document_id = take_text(values, "document_id").strip()
    if (size := len(document_id.encode())) > _MAX_ID_BYTES:
        raise InvalidInput(f"document_id: {size:,} bytes are over the limit of {_MAX_ID_BYTES:,}")
    return document_id
