"""What reading gives: documents, their records with stable ids, and files that could not be read."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InvalidInput
from .options import SourceOptions
from .sidecar import Sidecar
from .values import clean, digest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "CannotRead",
    "Document",
    "Found",
    "Record",
    "Unreadable",
    "os_reason",
    "record_id",
    "text_path",
]

_VERSION = 1
"""Raised when the same file would give other records than before, so that it counts as changed."""

_MAX_ID_BYTES = 512


class CannotRead(InvalidInput):
    """A file, page or line cannot be read; inside this package it becomes an `Unreadable`."""


@dataclass(slots=True)
class Unreadable:
    """Something that gave no records, or not all of them.

    Attributes:
        path: the file or folder.
        reason: one sentence fragment that names page or line, size and limit, but quotes no content.
        error: False for a mere note, such as how many files of other types were left out.
    """

    path: Path
    reason: str
    error: bool = True


@dataclass(slots=True)
class Record:
    """One page or passage, ready to be encoded and written.

    Attributes:
        id: the ``_id``.
        document_id: what the record is a part of.
        page: 1-based page number, None for a passage.
        title: of the document, or the headings above a Markdown passage.
        text: what BM25 and text models read; may be empty.
        modality: ``page`` or ``passage``.
        metadata: path, root, type, modified, and what a sidecar or a JSONL record adds.
        acl: who may see it.
        content_sha256: digest of the document and of everything else that shaped its records.
        image: RGB page image, only where `SourceOptions.render` asks for it.
        image_uri: link to the page.
        warnings: what was not quite right about this record.
    """

    id: str
    document_id: str
    page: int | None
    title: str
    text: str
    modality: Literal["page", "passage"]
    metadata: dict[str, Any]
    acl: tuple[str, ...]
    content_sha256: str
    image: Image | None = None
    image_uri: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class Document(ABC):
    """What one file, or one line of a JSONL file, holds; its ids are known before it is read.

    Attributes:
        document_id: relative path without suffix, or what sidecar or JSONL record say.
        path: the file.
        root: the absolute path that was given to `discover`.
        content_sha256: changes whenever the records would.
        record_ids: every ``_id``, in order.
    """

    document_id: str
    path: Path
    root: Path
    content_sha256: str
    record_ids: Sequence[str] = field(repr=False)

    @abstractmethod
    def records(self, skip: Collection[str] = ()) -> Iterator[Record | Unreadable]:
        """Read record by record; a broken page is an `Unreadable` and the others follow.

        Args:
            skip: ids that are not needed; nothing is rendered or recognised for them.
        """


@dataclass(slots=True)
class Found:
    """One supported file on its way to becoming a `Document`.

    Attributes:
        path: the file, absolute.
        root: the path that was given, absolute.
        relative: path below the root, POSIX separators.
        document_id: by sidecar or from ``relative``.
        sidecar: what stands beside the file.
    """

    path: Path
    root: Path
    relative: str
    document_id: str
    sidecar: Sidecar
    _state: tuple[int, int, int] | None = None

    def check_size(self, options: SourceOptions) -> None:
        """Refuse a file over the limit.

        Raises:
            CannotRead: it is too large, or gone.
        """
        limit, size = options.limits.max_file_bytes, self._stat().st_size
        if limit and size > limit:
            raise CannotRead(f"{size:,} bytes are over the limit of {limit:,} (option max_file_bytes)")
        if size == 0:
            raise CannotRead("the file is empty")

    def digest(self, options: SourceOptions, settings: dict[str, Any]) -> str:
        """Return the sha256 over the file's bytes and everything that shapes its records.

        Args:
            options: gives the default access list.
            settings: the options that matter for this type of file.

        Raises:
            CannotRead: the file cannot be opened.
        """
        before = self._stat()
        try:
            with self.path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise CannotRead(os_reason(error)) from error
        self._state = (before.st_mtime_ns, before.st_size, before.st_ino)
        return digest([content, settings, self.identity(options)])

    def identity(self, options: SourceOptions) -> list[Any]:
        """Return what shapes the records besides the content: where it lies, sidecar, access."""
        place = [text_path(self.root), self.relative, self.document_id]
        return [_VERSION, place, self.sidecar.sha256, list(self.acl(options))]

    def check_unchanged(self) -> None:
        """Refuse a file that is no longer the one whose digest was taken.

        Raises:
            CannotRead: it changed or vanished.
        """
        now = self._stat()
        if self._state != (now.st_mtime_ns, now.st_size, now.st_ino):
            raise CannotRead("the file changed while it was being read; ingest it once more")

    def acl(self, options: SourceOptions) -> tuple[str, ...]:
        """Return who may see the file: its sidecar decides, else the first pattern, else the default."""
        if self.sidecar.acl is not None:
            return self.sidecar.acl
        matching = (groups for pattern, groups in options.acl_map if fnmatchcase(self.relative, pattern))
        return next(matching, options.acl)

    def title(self, fallback: str = "") -> str:
        """Return the sidecar's title, else ``fallback``, else the file's name without suffix."""
        return self.sidecar.title or fallback or clean(text_path(self.path.stem))

    def metadata(self, **more: Any) -> dict[str, Any]:
        """Return the file's metadata; ``path`` and ``root`` are ours, a sidecar may set the rest.

        Raises:
            CannotRead: the file is gone.
        """
        modified = datetime.fromtimestamp(self._stat().st_mtime, UTC)
        return {
            "type": self.path.suffix.lower().lstrip("."),
            "modified": modified.strftime("%Y-%m-%dT%H:%M:%SZ"),
            **more,
            **self.sidecar.metadata,
            "path": self.relative,
            "root": text_path(self.root),
        }

    def _stat(self) -> os.stat_result:
        try:
            return self.path.stat()
        except OSError as error:
            raise CannotRead(os_reason(error)) from error


def record_id(document_id: str, suffix: str) -> str:
    """Return ``document_id + suffix``, hashed in the middle where that is above 512 bytes of UTF-8.

    The readable beginning and the suffix (``#p3``, ``#c1`` or nothing) are kept.
    """
    full = document_id + suffix
    if len(full.encode()) <= _MAX_ID_BYTES:
        return full
    mark = "~" + hashlib.sha256(document_id.encode()).hexdigest()[:40]
    room = _MAX_ID_BYTES - len(mark) - len(suffix.encode())
    return document_id.encode()[:room].decode(errors="ignore") + mark + suffix


def os_reason(error: OSError) -> str:
    """Return what the operating system says, without the path (the caller names it)."""
    if isinstance(error, FileNotFoundError):
        return "the file does not exist any more"
    return (error.strerror or type(error).__name__).lower()


def text_path(path: Path | str) -> str:
    """Return a path as text that is valid UTF-8, whatever bytes the file system holds."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")
