"""JSONL, BEIR corpora included: one record per line, read as a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..errors import InvalidInput
from .options import SourceOptions
from .records import CannotRead, Document, Found, Record, Unreadable, os_reason, record_id
from .splitting import passages
from .values import digest, parse_acl, parse_object, take_metadata, take_text

__all__ = ["SUFFIXES", "JsonlDocument", "open_jsonl"]

SUFFIXES = frozenset({".jsonl", ".ndjson"})

_SPLIT_ABOVE = 20_000
_MAX_ID_BYTES = 4_096
_MAX_REPORTED = 20
_CHUNK = 1 << 20


@dataclass(slots=True)
class JsonlDocument(Document):
    """One line of a JSONL file."""

    template: Record
    spans: list[tuple[int, int]]

    def records(self, skip: Collection[str] = ()) -> Iterator[Record | Unreadable]:
        """Yield the record, or its passages where it is too long for one."""
        whole = self.template
        for identity, (start, end) in zip(self.record_ids, self.spans, strict=True):
            if identity not in skip:
                yield Record(
                    id=identity,
                    document_id=whole.document_id,
                    page=None,
                    title=whole.title,
                    text=whole.text[start:end],
                    modality="passage",
                    metadata=dict(whole.metadata),
                    acl=whole.acl,
                    content_sha256=whole.content_sha256,
                    warnings=whole.warnings,
                )


def open_jsonl(
    found: Found, options: SourceOptions, claim: Callable[[str], None]
) -> Iterator[JsonlDocument | Unreadable]:
    """Yield a document per line; a broken line is reported by its number and the rest goes on.

    Args:
        found: the file.
        options: how to read it.
        claim: called with every ``_id`` that a line gives; raises `InvalidInput` where it is taken.
    """
    broken = 0
    try:
        reader = _Reader(found, options, found.metadata())
        with found.path.open("rb") as file:
            for number, line in _lines(file, _max_line_bytes(options)):
                try:
                    yield reader.document(line, claim)
                except InvalidInput as error:
                    broken += 1
                    if broken <= _MAX_REPORTED:
                        yield Unreadable(found.path, f"line {number}: {error}")
    except OSError as error:
        yield Unreadable(found.path, os_reason(error))
    except CannotRead as error:
        yield Unreadable(found.path, str(error))
    if broken > _MAX_REPORTED:
        yield Unreadable(found.path, f"{broken - _MAX_REPORTED:,} more lines could not be read")


@dataclass(frozen=True, slots=True)
class _Reader:
    """What all lines of a file share."""

    found: Found
    options: SourceOptions
    metadata: dict[str, Any]

    def document(self, line: bytes | None, claim: Callable[[str], None]) -> JsonlDocument:
        """Return the document of one line (None: it was too long to be read)."""
        limits, found = self.options.limits, self.found
        if line is None:
            limit = _max_line_bytes(self.options)
            raise CannotRead(f"longer than the limit of {limit:,} bytes (option max_text_chars)")
        values = parse_object(line)
        document_id, text, title = _take_id(values), _take_body(values), take_text(values, "title")
        if limits.max_text_chars and len(text) > limits.max_text_chars:
            limit = limits.max_text_chars
            raise CannotRead(
                f"{len(text):,} characters are over the limit of {limit:,} (option max_text_chars)"
            )
        acl = values.pop("acl", None)
        split = len(text) > max(_SPLIT_ABOVE, self.options.passage_chars)
        content = [hashlib.sha256(line.strip()).hexdigest(), self._size() if split else []]
        sha256 = digest([content, document_id, found.identity(self.options)])
        whole = Record(
            id=document_id,
            document_id=document_id,
            page=None,
            title=title,
            text=text,
            modality="passage",
            metadata=self._metadata(values),
            acl=found.acl(self.options) if acl is None else parse_acl(acl),
            content_sha256=sha256,
            warnings=() if text.strip() or title.strip() else ("the record is empty",),
        )
        spans = list(passages(text, *self._size())) if split else []
        ids = [record_id(document_id, f"#c{number}") for number in range(1, len(spans) + 1)]
        if len(spans) < 2:
            spans, ids = [(0, len(text))], [record_id(document_id, "")]
        for taken in dict.fromkeys([document_id, *ids]):
            claim(taken)
        return JsonlDocument(document_id, found.path, found.root, sha256, ids, whole, spans)

    def _size(self) -> tuple[int, int]:
        return self.options.passage_chars, self.options.passage_overlap

    def _metadata(self, values: dict[str, Any]) -> dict[str, Any]:
        ours = {key: self.metadata[key] for key in ("path", "root")}
        return {**self.metadata, **take_metadata(values), **ours}


def _take_id(values: dict[str, Any]) -> str:
    value = values.pop("_id", None)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise CannotRead("it has no '_id'")
    if len(value.encode()) > _MAX_ID_BYTES:
        raise CannotRead(f"its '_id' has {len(value.encode()):,} bytes, over the limit of {_MAX_ID_BYTES:,}")
    return value


def _take_body(values: dict[str, Any]) -> str:
    if "text" not in values:
        raise CannotRead("it has no 'text'")
    return take_text(values, "text")


def _max_line_bytes(options: SourceOptions) -> int:
    """Return the limit of a line: every character escaped, and room for the other keys."""
    chars = options.limits.max_text_chars
    return 8 * chars + _CHUNK if chars else 0


def _lines(file: BinaryIO, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield number and bytes of every line that is not blank; None for one above ``limit`` bytes."""
    number = 0
    while line := file.readline(limit + 1 if limit else -1):
        number += 1
        if limit and len(line) > limit:
            while line and not line.endswith(b"\n"):
                line = file.readline(_CHUNK)
            yield number, None
        elif line.strip():
            yield number, line
